//! What successes say. `HubSpot` does not document how the errors of an upsert name the contacts that they are about, so
//! every place is looked at where a name may stand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::properties::{EMAIL, Properties, STAGE, parts};
use super::refusal::{Problem, problem};
use crate::crm::Given;

/// A contact that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    pub(super) id: String,
    /// What we tell it by, if it was ever ours.
    pub(super) key: Option<String>,
    /// Its addresses in small letters, the first one first.
    pub(super) emails: Vec<String>,
    /// The ids of contacts that went into it.
    pub(super) merged: Vec<String>,
    pub(super) stage: Option<String>,
    /// What has a value of those that we fill, as far as it was asked for.
    pub(super) filled: Given,
    /// What the call that wrote it was given, if it was written.
    pub(super) trace: Option<String>,
}

impl Contact {
    /// Whether it is the one of this id, or that one went into it.
    pub(super) fn is(&self, id: &str) -> bool {
        self.id == id || self.merged.iter().any(|merged| merged == id)
    }
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
    let several = |value: &Value| -> Vec<String> {
        let all = value.as_str().unwrap_or_default().split(';').map(|one| one.trim().to_lowercase());
        all.filter(|one| !one.is_empty()).collect()
    };
    let mut filled = Given::default();
    for (name, part) in parts() {
        filled.set(part, text(&values[name]).is_some());
    }
    Some(Contact {
        id: name(&result["id"]).filter(|id| is_id(id))?,
        key: text(&values[&properties.key]),
        emails: [several(&values[EMAIL]), several(&values[MORE_EMAILS])].concat(),
        merged: several(&values[MERGED]),
        stage: text(&values[STAGE]),
        filled,
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
            Value::Array(names) => names.iter().filter_map(name).collect(),
            one => name(one).into_iter().collect::<Vec<_>>(),
        });
        Failure { names: names.collect(), problem: problem(error, 0, properties) }
    };
    errors.map(failure).collect()
}

/// The property with the addresses that a contact has beside its first one.
pub(super) const MORE_EMAILS: &str = "hs_additional_emails";
/// The property with the ids of the contacts that went into one.
pub(super) const MERGED: &str = "hs_merged_object_ids";

/// Longest name of a contact that is believed to be one, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Names are texts; numbers do as well.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= NAME_BYTES_MAX => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Ids are remembered, beside notes and signs of our own that begin with other characters.
fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
