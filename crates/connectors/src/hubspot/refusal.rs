//! What a refusal means, sorted by who must act. The status alone says little: `HubSpot`'s categories and codes say more.

use std::time::Duration;

use domain::connector::{Progress, Reply};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Timestamp, Verdict, retry_after};
use serde_json::Value;

use super::properties::{Properties, STAGE};
use crate::common::{asked_wait, in_brackets, is_page, on_one_line, retry, said, wait};
use crate::warehouse::PROVISION;

/// Most characters of `HubSpot`'s words that are repeated to a person.
const TEXT_CHARS_MAX: usize = 300;
/// Most properties that are named to a person.
const NAMES_MAX: usize = 8;
/// How long a contact is locked that somebody else is writing, at least.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// The windows that calls are counted in.
const TEN_SECONDS: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// The longest window that is believed.
const WINDOW_MAX: Duration = Duration::from_mins(1);
/// A day of calls begins at midnight of the account's own time zone, which nobody tells us; all begin on a quarter of an hour.
const QUARTER_MS: i64 = 15 * 60 * 1_000;
/// An account that is being moved and does not say for how long.
const MOVE_WAIT: Duration = Duration::from_mins(15);

/// What a refusal is about.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// Account, settings or the state of `HubSpot`: it would be the same for everybody.
    Everybody(Verdict),
    /// What was sent.
    Content(Problem),
    TooLarge,
}

/// What is wrong with a contact that was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Problem {
    /// It would be the same for everybody.
    Everybody(Verdict),
    /// The stage is none that the account has, or one that the contact may not go to.
    Stage,
    /// An address, or another unique value, belongs to another contact.
    Conflict(String),
    /// The address is none, or breaks a rule; all else is right.
    Email(String),
    NotFound(String),
    /// It may go better later.
    Again(String),
    Refused(String),
}

/// Sorts a reply that is no success.
pub(super) fn sort(reply: &Reply, properties: &Properties) -> Refusal {
    let text = in_brackets(said(reply));
    let body = reply.json().unwrap_or_default();
    Refusal::Everybody(match reply.status {
        400 | 409 | 422 => return Refusal::Content(problem(&body, reply.status, properties)),
        413 | 414 => return Refusal::TooLarge,
        // A filter in front of HubSpot took offence at what somebody wrote into an event.
        403 if is_page(reply) => {
            let message = "a web page was answered with 403 in place of HubSpot's word; a filter in front of it dislikes what the contact says";
            return Refusal::Content(Problem::Refused(message.to_owned()));
        }
        404 if body["category"] == "OBJECT_NOT_FOUND" => {
            return Refusal::Content(Problem::NotFound(words(&body)));
        }
        401 => Verdict::unauthorized(format!(
            "HubSpot refused the access token{text}; have a super admin make a service key under Settings › Integrations › Service \
             Keys, put it into `access_token`, then resume the destination"
        )),
        402 => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!(
                "the plan of this HubSpot account does not allow it{text}; have its owner look at the plan, then resume the destination"
            ),
        },
        403 => Verdict::unauthorized(format!(
            "the access token may not write contacts{text}; give its service key the scopes {} under Settings › Integrations › \
             Service Keys, then resume the destination",
            scopes(&body)
        )),
        404 | 405 => Verdict::misconfigured(format!(
            "there is no such API at HubSpot{text}; set `api_version` to a version that is supported, leave `host` out, then resume the \
             destination"
        )),
        423 => Verdict::Retry {
            after: Some(asked_wait(reply).unwrap_or(LOCK_WAIT).max(LOCK_WAIT)),
            reason: FailureReason::ClientError,
            message: said(reply),
        },
        429 => limited(reply, &body),
        477 => {
            let message =
                format!("HubSpot is moving this account to another data centre{text}; it goes on by itself afterwards");
            Verdict::Wait { after: asked_wait(reply).unwrap_or(MOVE_WAIT).max(SECOND), message: Some(message) }
        }
        _ => retry(reply),
    })
}

/// Heeds what the headers of any reply say about the calls that are left.
pub(super) fn heed(reply: &Reply, progress: &mut Progress) {
    let number = |name: &str| reply.header(name).and_then(|value| value.trim().parse::<u64>().ok());
    if number("x-hubspot-ratelimit-remaining") == Some(0) {
        let window = number("x-hubspot-ratelimit-interval-milliseconds").map_or(TEN_SECONDS, Duration::from_millis);
        progress.pause_for(window.min(WINDOW_MAX));
    }
    if number("x-hubspot-ratelimit-daily-remaining") == Some(0) {
        progress.pause_for(until_quarter(reply.received_at));
    }
}

fn limited(reply: &Reply, body: &Value) -> Verdict {
    let policy = body["policyName"].as_str().unwrap_or_default();
    let text = body["message"].as_str().unwrap_or_default().to_lowercase();
    if policy == "DAILY" || text.contains("daily limit") {
        return Verdict::Wait {
            after: until_quarter(reply.received_at),
            message: Some(
                "the calls that this HubSpot account has in a day are used up, by this or by other integrations; it goes on after midnight \
                 of the account's time zone, which is looked for every quarter of an hour"
                    .to_owned(),
            ),
        };
    }
    let is_secondly = policy == "SECONDLY" || text.contains(" secondly limit");
    wait(reply, if is_secondly { SECOND } else { TEN_SECONDS })
}

fn until_quarter(now: Timestamp) -> Duration {
    let left_ms = QUARTER_MS - now.as_millis().rem_euclid(QUARTER_MS);
    Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()).min(retry_after::RETRY_AFTER_MAX)
}

/// Sorts an error, of a whole call or of a single contact; both look alike. Words count for nothing here, since they repeat what
/// somebody has written into an event: category, codes and the names of properties do.
pub(super) fn problem(error: &Value, status: u16, properties: &Properties) -> Problem {
    let text = words(error);
    let category = error["category"].as_str().unwrap_or_default();
    let faults = faults(error);
    if let Some(verdict) = of_everybody(error, &faults, properties) {
        return Problem::Everybody(verdict);
    }
    if status == 409 || matches!(category, "CONFLICT" | "OBJECT_ALREADY_EXISTS") || error["error"] == "CONTACT_EXISTS" {
        return Problem::Conflict(text);
    }
    if faults.iter().any(|fault| fault.property == STAGE) {
        return Problem::Stage;
    }
    if !faults.is_empty() && faults.iter().all(|fault| fault.property == "email") {
        return Problem::Email(text);
    }
    match category {
        "OBJECT_NOT_FOUND" => Problem::NotFound(text),
        "RATE_LIMITS" | "INTERNAL_ERROR" | "LOCKED" => Problem::Again(text),
        _ => Problem::Refused(text),
    }
}

/// What would be the same for every contact: a property that is not there, or is not what it must be.
fn of_everybody(error: &Value, faults: &[Fault], properties: &Properties) -> Option<Verdict> {
    let text = words(error);
    let missing: Vec<_> = faults.iter().filter(|fault| fault.code == MISSING).collect();
    if !missing.is_empty() || [&error["error"], &error["code"], &error["subCategory"]].iter().any(|it| **it == MISSING)
    {
        let names = missing.iter().map(|fault| fault.property.as_str()).filter(|name| !name.is_empty());
        let names: Vec<_> = names.take(NAMES_MAX).map(|name| format!("`{}`", on_one_line(name, 100))).collect();
        let which = if names.is_empty() { text } else { names.join(", ") };
        return Some(Verdict::misconfigured(format!(
            "contacts lack a property that is written ({which}); run {PROVISION} to make what is missing, or leave it out by \
             `properties.… = \"\"`, then resume the destination"
        )));
    }
    let sentence = error["message"].as_str().unwrap_or_default();
    let is_not_unique =
        sentence.strip_prefix(NOT_UNIQUE).is_some_and(|rest| KINDS.contains(&rest.trim_end_matches('.')));
    if faults.is_empty() && is_not_unique {
        return Some(Verdict::misconfigured(format!(
            "property `{}` has no unique values ({text}), so contacts cannot be told by it; run {PROVISION}, which says what to do, then \
             resume the destination",
            properties.key
        )));
    }
    // What the settings take from the event may be a date for one contact and none for another.
    let is_wrong_time = |fault: &&Fault| {
        let is_date = matches!(fault.code.as_str(), "INVALID_DATE" | "INVALID_LONG");
        is_date && Properties::is_time(&fault.property) && !properties.overrides(&fault.property)
    };
    let fault = faults.iter().find(is_wrong_time)?;
    let other = if properties.are_days { "datetime" } else { "date" };
    Some(Verdict::misconfigured(format!(
        "property `{}` is of another kind than is written ({text}); set `date_properties = \"{other}\"`, or have {PROVISION} \
         say what is wrong, then resume the destination",
        fault.property
    )))
}

/// The code of a property that is not there.
const MISSING: &str = "PROPERTY_DOESNT_EXIST";
/// How the sentence begins that says that contacts cannot be told by a property, and how it ends; it has no code.
const NOT_UNIQUE: &str = "Unable to perform update/upsert by non-unique ";
const KINDS: [&str; 3] = ["0-1 property", "CONTACT property", "property"];
/// What comes before faults that are written as JSON.
const FAULTS: &str = "Property values were not valid: ";

/// What an error says, for a person.
pub(super) fn words(error: &Value) -> String {
    let faults = faults(error);
    // The same is said twice where both ways of saying it are used.
    let mut named: Vec<&str> = Vec::new();
    for text in faults.iter().map(|fault| fault.text.as_str()).filter(|text| !text.is_empty()) {
        if named.len() < NAMES_MAX && !named.contains(&text) {
            named.push(text);
        }
    }
    let message = error["message"].as_str().unwrap_or_default();
    let text = if named.is_empty() { message.to_owned() } else { named.join("; ") };
    let text = on_one_line(&text, TEXT_CHARS_MAX);
    if text.is_empty() { "HubSpot does not say why".to_owned() } else { text }
}

/// What is wrong with one property.
struct Fault {
    code: String,
    property: String,
    text: String,
}

/// The properties that an error is about. They come in a list, or as JSON inside of the message.
fn faults(error: &Value) -> Vec<Fault> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let message = error["message"].as_str().unwrap_or_default();
    // Anything else that looks like them may be somebody's name.
    let inside = message.trim().strip_prefix(FAULTS).and_then(|inside| serde_json::from_str::<Value>(inside).ok());
    let inside = inside.unwrap_or_default();
    let inside = inside.as_array().into_iter().flatten().map(|fault| Fault {
        code: text(&fault["error"]),
        property: text(&fault["name"]),
        text: text(&fault["message"]),
    });
    let listed = error["errors"].as_array().into_iter().flatten().map(|fault| Fault {
        code: [&fault["code"], &fault["error"]].into_iter().find_map(Value::as_str).unwrap_or_default().to_owned(),
        property: [&fault["context"]["propertyName"][0], &fault["context"]["propertyName"], &fault["name"]]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        text: text(&fault["message"]),
    });
    inside.chain(listed).collect()
}

/// The scopes that a refusal asks for, or else those that writing takes.
fn scopes(body: &Value) -> String {
    let errors = body["errors"].as_array().into_iter().flatten().map(|error| &error["context"]);
    let contexts = errors.chain([&body["context"]]);
    let named = contexts.flat_map(|context| {
        ["requiredGranularScopes", "requiredScopes", "missingScopes"].iter().map(|name| &context[*name])
    });
    let named = named.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let named: Vec<_> = named.take(NAMES_MAX).map(|scope| format!("`{}`", on_one_line(scope, 60))).collect();
    if named.is_empty() {
        return "`crm.objects.contacts.read` and `crm.objects.contacts.write`".to_owned();
    }
    named.join(", ")
}
