//! A contact as its salesperson sees it.

use vendors::hubspot::Contact;

use crate::cli::Paint;

/// Width of the labels.
pub(super) const LABEL_CHARS: usize = 16;
/// Width of the panel between its edges.
const PANEL_CHARS: usize = 56;
/// The labels of who it is, which are the heading of the panel.
const NAME: &str = "Name";
const ADDRESS: &str = "Address";

/// Labels and values in the order in which one reads them; what is not known is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record(Vec<(&'static str, String)>);

impl Record {
    pub(super) fn of(contact: &Contact) -> Self {
        Self::read(|property| contact.get(property).to_owned())
    }

    fn read(get: impl Fn(&str) -> String) -> Self {
        let join = |names: [&str; 2], between| {
            let parts = names.map(&get);
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
        };
        let rows = [
            (NAME, join(["firstname", "lastname"], " ")),
            (ADDRESS, get("email")),
            ("Stage", get("lifecyclestage")),
            ("Lead source", get("deep_link_lead_source")),
            ("Campaign", get("first_touch_campaign")),
            ("Platform", get("first_touch_platform")),
            ("Link", join(["deep_link_prefix", "deep_link_token"], "/")),
            ("Install date", minute(&get("install_date"))),
            ("Referral source", get("referral_source")),
            ("Conversion date", minute(&get("conversion_date"))),
            ("Value", join(["deep_link_conversion_value", "deep_link_conversion_currency"], " ")),
        ];
        Self(rows.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// What an earlier record did not say.
    pub(super) fn since<'r>(&'r self, earlier: &'r Self) -> impl Iterator<Item = (&'static str, &'r str)> {
        self.0.iter().filter(|row| !earlier.0.contains(row)).map(|(label, value)| (*label, value.as_str()))
    }

    fn value(&self, label: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == label).map_or("", |(_, value)| value)
    }
}

/// A time to the minute; times of a CRM are UTC.
fn minute(time: &str) -> String {
    time.get(..16).map(|time| format!("{} UTC", time.replace('T', " "))).unwrap_or_default()
}

/// The record in a frame, and under it what it comes to.
pub(super) fn panel(record: &Record, closing: &str, paint: Paint) -> Vec<String> {
    let line = |text: &str, shown: &str| {
        let blanks = " ".repeat(PANEL_CHARS.saturating_sub(text.chars().count() + 2));
        format!("  {} {shown}{blanks} {}", paint.dim("│"), paint.dim("│"))
    };
    let edge = |left: char, right: char| paint.dim(&format!("  {left}{}{right}", "─".repeat(PANEL_CHARS)));
    let head = format!("{}  {}", record.value(NAME), record.value(ADDRESS));
    let shown = format!("{}  {}", paint.bold(record.value(NAME)), record.value(ADDRESS));
    let rows = record.0.iter().filter(|(label, _)| ![NAME, ADDRESS].contains(label));
    let rows = rows.map(|(label, value)| {
        let label = format!("{label:LABEL_CHARS$}");
        line(&format!("{label} {value}"), &format!("{} {value}", paint.dim(&label)))
    });
    [edge('┌', '┐'), line(&head, &shown), line("", "")]
        .into_iter()
        .chain(rows)
        .chain([line("", ""), line(closing, &paint.good(closing)), edge('└', '┘')])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(properties: &[(&str, &str)]) -> Record {
        Record::read(|name| {
            properties
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
                .unwrap_or_default()
        })
    }

    #[test]
    fn a_record_grows_by_what_was_not_known() {
        let stub = record(&[("first_touch_campaign", "may"), ("install_date", "2026-05-21T09:14:00.000Z")]);
        let whole = record(&[
            ("first_touch_campaign", "may"),
            ("install_date", "2026-05-21T09:14:00.000Z"),
            ("firstname", "Ada"),
            ("lastname", "Lovelace"),
        ]);
        let grown = |to: &Record, from: &Record| {
            to.since(from).map(|(label, value)| format!("{label}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(grown(&stub, &Record::default()), ["Campaign: may", "Install date: 2026-05-21 09:14 UTC"]);
        assert_eq!(grown(&whole, &stub), ["Name: Ada Lovelace"]);
        assert!(grown(&whole, &whole).is_empty());
    }

    #[test]
    fn every_line_of_the_panel_is_as_wide_as_the_others_and_fits_a_small_terminal() {
        let record = record(&[("firstname", "Zoë"), ("email", "zoe@example.org"), ("first_touch_campaign", "may")]);
        let lines = panel(&record, "converted 18 minutes after install", Paint::plain());
        assert!(lines.iter().all(|line| line.chars().count() == PANEL_CHARS + 4), "{lines:#?}");
        const { assert!(PANEL_CHARS + 4 <= 80) };
        assert_eq!(lines[1].trim_end_matches(['│', ' ']), "  │ Zoë  zoe@example.org");
    }
}
