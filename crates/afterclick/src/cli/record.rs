//! A person for a terminal: who it is, and what a sales team sees.

use serde_json::Value;

use super::output::{Paint, cell, printable, say};

/// The members of a record in the order in which one asks for them.
const RECORD: &[(&str, &str)] = &[
    ("lead source", "lead_source"),
    ("campaign", "campaign"),
    ("channel", "channel"),
    ("platform", "platform"),
    ("link", "link"),
    ("last campaign", "last_campaign"),
    ("last channel", "last_channel"),
    ("installed", "installed_at"),
    ("referred", "referred_at"),
    ("referred by", "referral_source"),
    ("converted", "converted_at"),
    ("value", "conversion_value"),
    ("install to conversion", "install_to_conversion.text"),
];

/// Who it is: the name, how far they have come, and what they are known by.
pub(super) fn print_head(subject: &str, name: &Value, person: &Value) {
    let paint = Paint::for_stdout();
    let name = name.as_str().map_or_else(|| subject.to_owned(), printable);
    say(&format!("{}  {}", paint.bold(&name), stage(paint, &cell(person, "stage"))));
    let identifiers = person["identifiers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let known_by = identifiers.map(printable).collect::<Vec<_>>().join("  ");
    if name == subject {
        say(&paint.dim(&known_by));
    } else {
        say(&paint.dim(&format!("{subject}  {known_by}")));
    }
}

/// What a sales team sees, as far as it is known.
pub(super) fn print(record: &Value) {
    let paint = Paint::for_stdout();
    let rows: Vec<_> = RECORD.iter().map(|(label, path)| (*label, value(record, path))).collect();
    let rows: Vec<_> = rows.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    say("");
    say(&paint.bold("What sales sees"));
    for (label, text) in rows {
        say(&format!("  {}  {}", paint.dim(&format!("{label:width$}")), printable(&text)));
    }
}

fn value(record: &Value, path: &str) -> String {
    match path {
        "conversion_value" => {
            format!("{} {}", cell(record, "conversion_value.amount"), cell(record, "conversion_value.currency"))
                .trim()
                .to_owned()
        }
        path if path.ends_with("_at") => moment(&cell(record, path)).replace('T', " "),
        path => cell(record, path),
    }
}

/// A time to the second, as far as it is one.
pub(super) fn moment(at: &str) -> String {
    at.get(..19).unwrap_or(at).to_owned()
}

fn stage(paint: Paint, stage: &str) -> String {
    match stage {
        "customer" => paint.good(stage),
        "lead" => paint.odd(stage),
        other => paint.dim(other),
    }
}
