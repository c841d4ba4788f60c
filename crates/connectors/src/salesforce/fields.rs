//! What is written of a person, under the names of Salesforce.

use std::borrow::Cow;

use domain::Verdict;
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use serde_json::{Map, Value, json};

use super::bound::Ours;
use super::settings::{Object, Org};
use crate::crm::{Given, Part, Person, Record, mark};

/// A field of our own.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    part: Part,
    of: fn(&Record<'_>) -> Option<Value>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Text,
    Time,
    Money,
}

/// Longest text of a field of ours.
pub(super) const TEXT_CHARS_MAX: usize = 255;
/// The same of the key.
pub(super) const KEY_CHARS_MAX: usize = 120;

/// Our fields besides the key; the first ones have the names that people know.
pub(super) const COLUMNS: [Column; 12] = [
    Column::text("Deep_Link_Campaign__c", "Deep Link Campaign", Part::Campaign, |record| said(record.campaign)),
    Column::text("Deep_Link_Channel__c", "Deep Link Channel", Part::Channel, |record| said(record.channel)),
    Column::text("Deep_Link_Platform__c", "Deep Link Platform", Part::Platform, |record| said(record.platform)),
    Column::text("Deep_Link_Token__c", "Deep Link Token", Part::Token, |record| said(record.token)),
    Column::text("Deep_Link_Prefix__c", "Deep Link Prefix", Part::Prefix, |record| said(record.prefix)),
    Column::text("Deep_Link_Last_Campaign__c", "Deep Link Last Campaign", Part::LastCampaign, |record| {
        said(record.last_campaign)
    }),
    Column::text("Deep_Link_Last_Channel__c", "Deep Link Last Channel", Part::LastChannel, |record| {
        said(record.last_channel)
    }),
    Column::time("Install_Date__c", "Install Date", Part::InstalledAt, |record| {
        record.installed_at.map(|at| at.to_string().into())
    }),
    Column::time("Referral_Date__c", "Referral Date", Part::ReferredAt, |record| {
        record.referred_at.map(|at| at.to_string().into())
    }),
    Column::text("Referral_Source__c", "Referral Source", Part::ReferralSource, |record| said(record.referral_source)),
    Column::time("Conversion_Date__c", "Conversion Date", Part::ConvertedAt, |record| {
        record.converted_at.map(|at| at.to_string().into())
    }),
    Column {
        name: "Deep_Link_Conversion_Value__c",
        label: "Deep Link Conversion Value",
        kind: Kind::Money,
        part: Part::Value,
        of: |record| record.value.filter(|value| value.is_finite()).map(Value::from),
    },
];

/// Texts that every organisation has, with their lengths.
const STANDARD: [(&str, usize); 6] =
    [("FirstName", 40), ("LastName", 80), ("Company", 255), (EMAIL, 80), ("Phone", 40), (LEAD_SOURCE, 255)];
pub(super) const EMAIL: &str = "Email";
pub(super) const LEAD_SOURCE: &str = "LeadSource";
const FIRST_NAME: &str = "FirstName";
const LAST_NAME: &str = "LastName";
const COMPANY: &str = "Company";

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Such that it changes a record that is there and can make none: without the last name, which no lead or contact can
    /// be made without.
    IfThere,
    /// Everything that is known.
    Known,
    /// The same, and what a new record cannot be without.
    New,
}

impl Column {
    const fn text(name: &'static str, label: &'static str, part: Part, of: fn(&Record<'_>) -> Option<Value>) -> Self {
        Self { name, label, kind: Kind::Text, part, of }
    }

    const fn time(name: &'static str, label: &'static str, part: Part, of: fn(&Record<'_>) -> Option<Value>) -> Self {
        Self { name, label, kind: Kind::Time, part, of }
    }
}

impl Org {
    /// The fields of a person, key excepted. What is not known is not there: an empty value would clear what Salesforce has. That
    /// is for what is known to be nothing where the record has something of ours, unless the settings say otherwise.
    pub(super) fn fields(&self, person: &Person<'_>, way: Way, ours: &Given) -> Result<Map<String, Value>, Verdict> {
        let record = Record::of(person.profile);
        let company = person.profile.trait_text("company").filter(|_| self.object == Object::Lead);
        let standard = [
            (FIRST_NAME, record.first_name),
            (LAST_NAME, record.last_name),
            (COMPANY, company),
            // Half an address is somebody else's.
            (EMAIL, record.email.filter(|email| (1..=80).contains(&email.encode_utf16().count()))),
            ("Phone", record.phone),
            (LEAD_SOURCE, record.lead_source),
        ];
        let standard = standard.into_iter().filter_map(|(name, text)| Some((name, said(text)?)));
        let own = COLUMNS.iter().filter_map(|column| Some((column.name, (column.of)(&record)?)));
        let known = standard.chain(own).map(|(name, value)| (name.to_owned(), value));
        let mut fields: Map<_, _> = known.collect();
        apply(&self.properties, "properties", person, &mut fields)?;
        let is_cleared = |part: Part| record.is_nothing(part) && ours.has(part);
        let cleared =
            parts().filter(|(name, part)| is_cleared(*part) && !self.properties.names().any(|own| own == *name));
        for (name, _) in cleared {
            fields.entry(name).or_insert(Value::Null);
        }
        match way {
            Way::IfThere => {
                fields.shift_remove(LAST_NAME);
            }
            Way::Known => {}
            Way::New => self.complete(person, &mut fields)?,
        }
        Ok(fields)
    }

    /// Adds what a new record needs and nobody knows.
    fn complete(&self, person: &Person<'_>, fields: &mut Map<String, Value>) -> Result<(), Verdict> {
        let mut first = Map::new();
        // With a last name that is somebody's own, a first name of ours would be a lie.
        if !fields.contains_key(LAST_NAME) {
            first.insert(FIRST_NAME.to_owned(), json!("Deep Link"));
        }
        first.insert(LAST_NAME.to_owned(), json!("Unknown"));
        if self.object == Object::Lead {
            first.insert(COMPANY.to_owned(), json!("Unknown"));
        }
        apply(&self.on_create, "on_create", person, &mut first)?;
        for (name, value) in first {
            fields.entry(name).or_insert(value);
        }
        Ok(())
    }
}

/// What a record has from us once these fields are written.
pub(super) fn ours(before: &Ours, fields: &Map<String, Value>) -> Ours {
    let mut ours = before.clone();
    if let Some(email) = fields.get(EMAIL).and_then(Value::as_str) {
        ours.email = Some(mark(email));
    }
    for (name, part) in parts() {
        if let Some(value) = fields.get(name) {
            ours.given.set(part, !value.is_null());
        }
    }
    ours
}

/// The fields that may turn out to be nothing.
fn parts() -> impl Iterator<Item = (&'static str, Part)> {
    std::iter::once((FIRST_NAME, Part::FirstName)).chain(COLUMNS.iter().map(|column| (column.name, column.part)))
}

fn apply(
    mapping: &Mapping,
    setting: &str,
    person: &Person<'_>,
    fields: &mut Map<String, Value>,
) -> Result<(), Verdict> {
    mapping
        .apply(person.item.value(), fields)
        .map_err(|error| Verdict::reject(FailureReason::TemplateError, format!("setting `{setting}`: {error}")))?;
    *fields = std::mem::take(fields).into_iter().filter_map(|(name, value)| fit(name, value)).collect();
    Ok(())
}

/// A value as Salesforce takes it: one line of text that is no longer than its field, a number or a flag. An object would be
/// taken for a record to refer to.
fn fit(name: String, value: Value) -> Option<(String, Value)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => {
            let text = cut(&text, length(&name));
            if text.is_empty() {
                return None;
            }
            text.into_owned().into()
        }
        Value::Array(_) | Value::Object(_) => cut(&value.to_string(), length(&name)).into_owned().into(),
        other => other,
    };
    Some((name, value))
}

/// The length of a field that is known.
fn length(name: &str) -> usize {
    let standard = STANDARD.iter().find(|(standard, _)| *standard == name).map(|(_, length)| *length);
    let is_ours = COLUMNS.iter().any(|column| column.name == name);
    standard.or_else(|| is_ours.then_some(TEXT_CHARS_MAX)).unwrap_or(usize::MAX)
}

/// A text without control characters, of so many units of UTF-16 at most, which is how Salesforce counts.
pub(super) fn cut(text: &str, units_max: usize) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let text = text.trim();
    if text.chars().all(is_plain) && text.len() <= units_max {
        return Cow::Borrowed(text);
    }
    let mut units = 0;
    let kept = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).take_while(|c| {
        units += c.len_utf16();
        units <= units_max
    });
    Cow::Owned(kept.collect::<String>().trim_end().to_owned())
}

/// The names of fields as we write them: Salesforce takes no notice of case, and JSON does.
pub(super) fn canonical(name: &str) -> &str {
    let known = STANDARD.iter().map(|(name, _)| *name).chain(COLUMNS.iter().map(|column| column.name));
    known.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name)
}

fn said(text: Option<&str>) -> Option<Value> {
    text.map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_as_salesforce_counts_them() {
        assert_eq!(cut("  ada ", 40), "ada");
        assert_eq!(cut("ééé", 2), "éé");
        // Two units each.
        assert_eq!(cut("🔗🔗", 3), "🔗");
        assert_eq!(cut("a\u{0}b\u{7}", 40), "a b");
        assert_eq!(cut("ab  cd", 3), "ab");
        assert_eq!(cut(&"x".repeat(300), TEXT_CHARS_MAX).len(), 255);
    }

    #[test]
    fn a_value_is_never_taken_for_a_record() {
        let fit = |value| fit("Plan__c".to_owned(), value).map(|(_, value)| value);
        assert_eq!(fit(json!({"Username": "x"})), Some(json!("{\"Username\":\"x\"}")));
        assert_eq!(fit(json!([1])), Some(json!("[1]")));
        assert_eq!((fit(json!(" ")), fit(Value::Null), fit(json!(1.5))), (None, None, Some(json!(1.5))));
    }
}
