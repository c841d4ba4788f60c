//! What a reply means. A 200 says that a call was understood; each record has a result of its own.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Reply, Step};
use domain::verdict::{FailureReason, PauseReason};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::blame::{Blame, Deed};
use super::fields::{EMAIL, LEAD_SOURCE};
use super::settings::Org;
use crate::common::{self, on_one_line};
use crate::warehouse::PROVISION;

/// Most characters of Salesforce's text that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// Most records that are looked at, or named to a person, when a duplicate rule has found some.
pub(super) const DUPLICATES_MAX: usize = 10;
/// How long to stay away when the organisation's calls of a day are used up.
const DAY_WAIT: Duration = Duration::from_mins(15);
/// The same when too many calls run at this moment.
const CONCURRENCY_WAIT: Duration = Duration::from_mins(2);
/// The same when too much was sent and nobody says how long.
const RATE_WAIT: Duration = Duration::from_mins(1);
/// What no lead and no contact can be made without.
const NEEDED: [&str; 2] = ["LastName", "Company"];
/// What a 401 says that has nothing to do with the age of the session.
const NOT_EXPIRED: [&str; 2] =
    ["Connected app is not attached to Agent", "This session is not valid for use with the REST API"];

/// Why there is nothing to go on with.
pub(super) enum Refusal {
    Step(Box<Step>),
    /// For everybody who is not done.
    Verdict(Verdict),
}

/// One thing that Salesforce has to say, under the names of either of its APIs.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ItemError {
    #[serde(alias = "errorCode", alias = "statusCode", default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What became of one record.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) id: Option<String>,
    success: bool,
    #[serde(default)]
    pub(super) created: Option<bool>,
    #[serde(default)]
    errors: Vec<ItemError>,
}

/// One answer inside of another.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// Why a record was not written, as far as something can be done about it.
pub(super) enum Failure {
    /// A field is missing that every record has: there is none to change.
    Missing(Verdict),
    /// It is a lead that was converted.
    IsConverted,
    /// A duplicate rule has found these.
    Duplicates(Vec<String>, Verdict),
    /// The key, or another field that must be unique, is taken.
    Taken(Verdict),
    /// What is in these fields is no address.
    NoAddress(Vec<String>, Verdict),
    /// There is no such record any more.
    Deleted(Verdict),
    Verdict(Verdict),
}

impl ItemError {
    pub(super) fn new(code: String, message: String) -> Self {
        Self { code, message, ..Self::default() }
    }

    /// For a person.
    fn said(&self) -> String {
        let fields = self.fields();
        let at = if fields.is_empty() { String::new() } else { format!(" at {}", fields.join(", ")) };
        on_one_line(&format!("{}: {}{at}", self.code, self.message), TEXT_CHARS_MAX)
    }

    /// The objects and ids of the records that a duplicate rule has found, wherever they stand: Salesforce's own spelling of the
    /// member varies.
    fn duplicates(&self) -> Vec<(String, String)> {
        fn collect(value: &Value, found: &mut Vec<(String, String)>) {
            match value {
                Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
                Value::Object(members) => {
                    let id = members.get("Id").and_then(Value::as_str).filter(|id| is_id(id));
                    match (id, value["attributes"]["type"].as_str()) {
                        (Some(id), Some(object)) if !found.iter().any(|(_, known)| known == id) => {
                            found.push((object.to_owned(), id.to_owned()));
                        }
                        (Some(_), Some(_)) => {}
                        _ => members.values().for_each(|value| collect(value, found)),
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.rest.values().for_each(|value| collect(value, &mut found));
        found
    }

    /// Whether what is missing is something that every record has: then there is none. An old record may lack a field that
    /// was made a duty later, and must not get placeholders for that.
    fn is_of_a_new_record(&self) -> bool {
        let is_ours = |field: &str| NEEDED.contains(&field);
        match self.fields() {
            [] => NEEDED.iter().any(|needed| self.message.contains(needed)),
            fields => fields.iter().any(|field| is_ours(field)),
        }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// The fields that it names.
    pub(super) fn fields(&self) -> &[String] {
        self.fields.as_deref().unwrap_or_default()
    }

    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    pub(super) fn is_about_access(&self) -> bool {
        self.code.starts_with("INSUFFICIENT_ACCESS") || self.is(&["CANNOT_DELETE_MANAGED_OBJECT", "NO_ACCESS"])
    }
}

impl Outcome {
    pub(super) fn of(success: bool, errors: Vec<ItemError>) -> Self {
        Self { id: None, success, created: None, errors }
    }

    pub(super) const fn is_refused(&self) -> bool {
        !self.success
    }

    /// What is wrong, if anything is.
    pub(super) fn errors(&self) -> &[ItemError] {
        if self.success { &[] } else { &self.errors }
    }
}

/// Whether a text has the form of an id, which goes into paths and is remembered.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Failure {
    /// None if the record was written.
    pub(super) fn of(org: &Org, outcome: &Outcome, blame: Blame) -> Option<Self> {
        if outcome.success {
            return None;
        }
        let none = ItemError::default();
        let error = outcome.errors.first().unwrap_or(&none);
        Some(Self::of_error(org, error, blame))
    }

    fn of_error(org: &Org, error: &ItemError, blame: Blame) -> Self {
        let refused = || Verdict::reject(FailureReason::Refused, error.said());
        let blamed = org.blamed(error, blame);
        if !blamed.is_empty() {
            return Self::Verdict(of_settings(&blamed, error));
        }
        match error.code.as_str() {
            "REQUIRED_FIELD_MISSING" if error.is_of_a_new_record() => Self::Missing(refused()),
            "CANNOT_UPDATE_CONVERTED_LEAD" => Self::IsConverted,
            "DUPLICATES_DETECTED" => {
                let found = error.duplicates();
                let verdict = duplicates(found.iter().map(|(_, id)| id));
                let ours = found.into_iter().filter(|(object, _)| object == org.object.name());
                Self::Duplicates(ours.map(|(_, id)| id).collect(), verdict)
            }
            "DUPLICATE_VALUE" => Self::Taken(refused()),
            "DUPLICATE_EXTERNAL_ID" => {
                let message = not_unique(org, &error.said(), "redrive the delivery");
                Self::Verdict(Verdict::reject(FailureReason::Refused, message))
            }
            "INVALID_EMAIL_ADDRESS" => {
                let named = error.fields.clone().filter(|fields| !fields.is_empty());
                Self::NoAddress(named.unwrap_or_else(|| vec![EMAIL.to_owned()]), refused())
            }
            "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" => Self::Deleted(refused()),
            _ => Self::Verdict(of_code(org, error, blame).unwrap_or_else(refused)),
        }
    }

    /// Where there is nothing to be done about it.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::IsConverted => Verdict::reject(
                FailureReason::Refused,
                "the lead was converted, and a converted lead cannot be written",
            ),
            Self::Missing(verdict)
            | Self::Duplicates(_, verdict)
            | Self::Taken(verdict)
            | Self::NoAddress(_, verdict)
            | Self::Deleted(verdict)
            | Self::Verdict(verdict) => verdict,
        }
    }
}

/// The verdict on a person who is there already.
pub(super) fn duplicates<'i>(ids: impl Iterator<Item = &'i String>) -> Verdict {
    let named: Vec<_> = ids.take(DUPLICATES_MAX).map(|id| format!("`{id}`")).collect();
    let named = if named.is_empty() { "a record that it does not name".to_owned() } else { named.join(", ") };
    Verdict::reject(
        FailureReason::Refused,
        format!(
            "a duplicate rule of Salesforce's says that this person is there as {named}; have somebody merge them, or set \
             `duplicates`, then redrive the delivery"
        ),
    )
}

/// What a code means wherever it stands; None for those that speak of this record alone, and refuse it for ever.
fn of_code(org: &Org, error: &ItemError, blame: Blame) -> Option<Verdict> {
    let (said, object) = (error.said(), org.object.name());
    let again = || Verdict::Retry { after: None, reason: FailureReason::ServerError, message: Some(said.clone()) };
    let is_locked = error.message.contains("UNABLE_TO_LOCK_ROW");
    Some(match error.code.as_str() {
        "UNABLE_TO_LOCK_ROW"
        | "QUERY_TIMEOUT"
        | "SERVER_UNAVAILABLE"
        | "UNKNOWN_EXCEPTION"
        | "REQUEST_RUNNING_TOO_LONG"
        | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        | "PROCESSING_HALTED"
        | "" => again(),
        _ if is_locked => again(),
        "REQUEST_LIMIT_EXCEEDED" => Verdict::Wait {
            after: if error.message.to_lowercase().contains("concurrent") { CONCURRENCY_WAIT } else { DAY_WAIT },
            message: Some(format!("Salesforce takes no more calls for now ({said})")),
        },
        "STORAGE_LIMIT_EXCEEDED" => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!(
                "the organisation's storage is full ({said}); have an administrator of Salesforce free or buy some, then resume \
                 the destination"
            ),
        },
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => Verdict::misconfigured(format!(
            "Salesforce lets nobody use the API ({said}); have an administrator of Salesforce see that the edition has it and \
             that the integration user's profile has `API Enabled`, then resume the destination"
        )),
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" => Verdict::misconfigured(format!(
            "a field is not there or, more often, the integration user may not see or write it ({said}); run {PROVISION} to make \
             our fields and give access to them, or correct `properties` and `on_create`, then resume the destination"
        )),
        "INVALID_TYPE" => Verdict::misconfigured(format!(
            "the integration user sees no object `{object}` ({said}); have an administrator of Salesforce give access to it, then \
             resume the destination"
        )),
        "INVALID_STATUS" if blame.deed == Deed::Conversion => Verdict::misconfigured(format!(
            "`converted_status` is no status that a converted lead can be given ({said}); correct it, then resume the \
             destination"
        )),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" if is_our_source(org, error, blame) => {
            Verdict::misconfigured(format!(
                "a restricted picklist lacks a value that every record has ({said}); have an administrator of Salesforce add it, or \
                 name another one by `properties`, then resume the destination"
            ))
        }
        _ if error.is_about_access() && blame.is_nobody_let_in => Verdict::unauthorized(format!(
            "the integration user may not do this with `{object}` ({said}); have an administrator of Salesforce give it the \
             object permissions Read, Create, Edit and, to merge, Delete, and to convert, `Convert Leads`, then resume the \
             destination"
        )),
        _ => return None,
    })
}

/// Whether the source was refused that we give to everybody. A record that is there may be of a type that has other sources.
fn is_our_source(org: &Org, error: &ItemError, blame: Blame) -> bool {
    let is_ours = !org.properties.names().any(|name| name == LEAD_SOURCE);
    blame.deed == Deed::New && is_ours && matches!(error.fields(), [field] if field == LEAD_SOURCE)
}

/// A value is refused that the settings give to every record.
fn of_settings(blamed: &[String], error: &ItemError) -> Verdict {
    let named: Vec<_> = blamed.iter().map(|setting| format!("`{setting}`")).collect();
    let (named, said) = (named.join(" or "), error.said());
    Verdict::misconfigured(if error.is(&["INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"]) {
        format!(
            "a restricted picklist lacks a value that every record has by {named} ({said}); correct it in the settings or have an \
             administrator of Salesforce add it, then resume the destination"
        )
    } else {
        format!(
            "Salesforce refuses every record for {named} ({said}); correct it in the settings or in Salesforce, then resume the \
             destination"
        )
    })
}

fn not_unique(org: &Org, said: &str, then: &str) -> String {
    format!(
        "several records of `{}` have the same `{}` ({said}); have an administrator of Salesforce merge them and mark the field \
         as unique, then {then}",
        org.object.name(),
        org.key_field
    )
}

/// Whether a call was refused such that nothing can have come of it.
pub(super) fn is_refused_whole(reply: &Reply) -> bool {
    matches!(reply.status, 400..=407 | 409..=499)
}

/// The results of a call about so many records, in their order.
pub(super) fn outcomes(org: &Org, reply: &Reply, count: usize) -> Result<Vec<Outcome>, Refusal> {
    read(org, reply, count)
}

/// The records of a call that asked for so many.
pub(super) fn list(org: &Org, reply: &Reply, count: usize) -> Result<Vec<Value>, Refusal> {
    read(org, reply, count)
}

fn read<T: for<'de> Deserialize<'de>>(org: &Org, reply: &Reply, count: usize) -> Result<Vec<T>, Refusal> {
    match serde_json::from_slice::<Vec<T>>(&reply.body) {
        Ok(list) if reply.is_success() && list.len() == count => Ok(list),
        Ok(list) if reply.is_success() => Err(miscounted(list.len(), count)),
        _ => Err(refusal(org, reply)),
    }
}

/// An answer about fewer records, or more, than it should be about.
pub(super) fn miscounted(answered: usize, count: usize) -> Refusal {
    Refusal::Verdict(Verdict::Retry {
        after: None,
        reason: FailureReason::ServerError,
        message: Some(format!("Salesforce answered about {answered} records of {count}")),
    })
}

/// The answers to the requests inside of one, by name.
pub(super) fn answers(org: &Org, reply: &Reply) -> Result<Vec<(String, Answer)>, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Composite {
        composite_response: Vec<Part>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part {
        #[serde(default)]
        body: Value,
        http_status_code: u16,
        reference_id: String,
    }
    match serde_json::from_slice::<Composite>(&reply.body) {
        Ok(composite) if reply.is_success() => {
            let parts = composite.composite_response.into_iter();
            Ok(parts
                .map(|part| (part.reference_id, Answer { status: part.http_status_code, body: part.body }))
                .collect())
        }
        _ => Err(refusal(org, reply)),
    }
}

/// The verdict on a request inside of another one that was refused.
pub(super) fn refused(org: &Org, answer: &Answer) -> Verdict {
    let errors = errors(&answer.body);
    match (answer.status, errors.first()) {
        (300, _) => Verdict::reject(FailureReason::Refused, not_unique(org, "300", "redrive the delivery")),
        (_, Some(error)) => Failure::of_error(org, error, Blame::one_record()).verdict(),
        (status, None) => Verdict::retry(FailureReason::of_status(status)),
    }
}

fn errors(body: &Value) -> Vec<ItemError> {
    serde_json::from_value(body.clone()).unwrap_or_default()
}

/// What it means that a call was refused whole.
pub(super) fn refusal(org: &Org, reply: &Reply) -> Refusal {
    refusal_of(org, reply, reply.status, &errors(&reply.json().unwrap_or_default()))
}

/// The same of a call whose status and errors stand elsewhere.
pub(super) fn refusal_of(org: &Org, reply: &Reply, status: u16, errors: &[ItemError]) -> Refusal {
    let none = ItemError::default();
    let error = errors.first().unwrap_or(&none);
    let said =
        if error.code.is_empty() { common::said(reply).unwrap_or_else(|| status.to_string()) } else { error.said() };
    let end = Refusal::Verdict;
    let step = |step| Refusal::Step(Box::new(step));
    match status {
        200..=299 if common::is_page(reply) => end(common::page(reply, "Salesforce")),
        // Cut off on the way, or nothing at all.
        200..=299 if reply.json().is_none() => end(Verdict::Retry {
            after: None,
            reason: FailureReason::Broken,
            message: Some("Salesforce's answer cannot be read".to_owned()),
        }),
        200..=299 => end(Verdict::misconfigured(
            "what answers under `host` is not Salesforce; write your My Domain there, then resume the destination",
        )),
        300 => end(Verdict::misconfigured(not_unique(org, &said, "resume the destination"))),
        401 if NOT_EXPIRED.iter().any(|text| error.message.contains(text)) => end(Verdict::unauthorized(format!(
            "the session is good for something else than this API ({said}); have an administrator of Salesforce give the External \
             Client App the scope `api`, then resume the destination"
        ))),
        401 => step(Step::Reauthorize {
            message: format!(
                "Salesforce refuses the session ({said}); have an administrator of Salesforce see that the integration user is \
                 active and that its policies admit this server, then resume the destination"
            ),
        }),
        413 | 414 | 431 => step(Step::Split { alone: Verdict::reject(FailureReason::TooLarge, said) }),
        420 => end(Verdict::misconfigured(format!(
            "the organisation was deleted or is down ({said}); have an administrator of Salesforce see to it, then resume the \
             destination"
        ))),
        429 => end(common::wait(reply, RATE_WAIT)),
        _ if error.is(&["REQUEST_LIMIT_EXCEEDED"]) => end(in_time(reply, of_code(org, error, Blame::everybody()))),
        408 | 500..=599 => end(Verdict::Retry {
            after: common::asked_wait(reply),
            reason: FailureReason::of_status(status),
            message: Some(said),
        }),
        403 => end(of_code(org, error, Blame::everybody()).unwrap_or_else(|| {
            Verdict::unauthorized(format!(
                "Salesforce lets the integration user not do this ({said}); have an administrator of Salesforce see to its \
                 permissions, then resume the destination"
            ))
        })),
        404 => end(Verdict::misconfigured(format!(
            "there is no `{}` with an external id `{}` under this version of the API ({said}); run {PROVISION} to make the field \
             and give access to it, or correct `object`, `key_field` and `api_version`, then resume the destination",
            org.object.name(),
            org.key_field
        ))),
        400..=499 => match of_code(org, error, Blame::everybody()).filter(|_| !error.code.is_empty()) {
            Some(verdict) => end(verdict),
            None => {
                step(Step::Split { alone: Verdict::reject(FailureReason::Refused, said) })
            }
        },
        _ => end(common::retry(reply)),
    }
}

/// A wait is as long as the reply says, if it says so.
fn in_time(reply: &Reply, verdict: Option<Verdict>) -> Verdict {
    match (common::asked_wait(reply), verdict) {
        (Some(_), Some(Verdict::Wait { message, .. })) => match common::wait(reply, DAY_WAIT) {
            Verdict::Wait { after, .. } => Verdict::Wait { after, message },
            other => other,
        },
        (_, Some(verdict)) => verdict,
        (_, None) => common::wait(reply, DAY_WAIT),
    }
}
