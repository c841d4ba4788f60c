//! What successes say. `HubSpot` does not document how the errors of an upsert name the contacts that they are about, so
//! every place is looked at where a name may stand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::properties::{Properties, STAGE};
use super::refusal::{Problem, problem};

/// A contact that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    pub(super) id: String,
    /// What we tell it by, if it was ever ours.
    pub(super) key: Option<String>,
    /// Its addresses in small letters, the first one first.
    pub(super) emails: Vec<String>,
    pub(super) stage: Option<String>,
    /// What the call that wrote it was given, if it was written.
    pub(super) trace: Option<String>,
}

/// What one contact of a call met with.
#[derive(Debug)]
pub(super) struct Failure {
    /// Everything that may be the name of the contact: our key, `HubSpot`'s id, or what the call was given.
    pub(super) names: Vec<String>,
    pub(super) problem: Problem,
}

/// The contacts of an answer; `None` if it is not `HubSpot`'s.
pub(super) fn contacts(body: &Value, properties: &Properties) -> Option<Vec<Contact>> {
    let results = body["results"].as_array()?;
    Some(results.iter().filter_map(|result| contact(result, properties)).collect())
}

/// A single contact, as merging answers with it.
pub(super) fn contact(result: &Value, properties: &Properties) -> Option<Contact> {
    let values = &result["properties"];
    let text = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let emails = [&values["email"], &values[MORE_EMAILS]].into_iter().filter_map(Value::as_str);
    let emails = emails.flat_map(|emails| emails.split(';')).map(|email| email.trim().to_lowercase());
    Some(Contact {
        id: id(&result["id"])?,
        key: text(&values[&properties.key]),
        emails: emails.filter(|email| !email.is_empty()).collect(),
        stage: text(&values[STAGE]),
        trace: text(&result["objectWriteTraceId"]),
    })
}

/// What went wrong with single contacts of a call that was carried out.
pub(super) fn failures(body: &Value, properties: &Properties) -> Vec<Failure> {
    let errors = body["errors"].as_array().into_iter().flatten();
    let failure = |error: &Value| {
        let context = &error["context"];
        let places = [
            &context["objectWriteTraceId"],
            &context["ids"],
            &context["id"],
            &error["objectWriteTraceId"],
            &error["id"],
        ];
        let names = places.into_iter().flat_map(|place| match place {
            Value::Array(names) => names.iter().filter_map(id).collect(),
            name => id(name).into_iter().collect::<Vec<_>>(),
        });
        Failure { names: names.collect(), problem: problem(error, 0, properties) }
    };
    errors.map(failure).collect()
}

/// The property with the addresses that a contact has beside its first one.
pub(super) const MORE_EMAILS: &str = "hs_additional_emails";

/// Longest id that is believed to be one, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Ids are texts; numbers do as well.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= ID_BYTES_MAX => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
