//! Mixpanel's import.
//!
//! With `strict=1` a 400 is a partial success: what is not named in `failed_records` was stored. Without it the answer is 200
//! and bad events are lost. An item is an event, its key the `$insert_id`, which counts together with name, person and time: a
//! repetition with another `time` is another event.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::Bucket;
use crate::faults::Fault;
use crate::look::text;
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /import`
#[derive(Debug, Clone)]
pub struct Mixpanel {
    pub project_id: String,
    /// User and secret of the service account, which goes with a `project_id`.
    pub service_account: (String, String),
    /// The other way in: a user without a password.
    pub project_token: String,
    /// How many requests are taken; `None` takes any rate.
    pub rate: Option<Bucket>,
}

impl Mixpanel {
    /// Project `42` with the service account `robot`, `secret` and the token `token`, which takes any rate.
    pub fn new() -> Self {
        let service_account = ("robot".to_owned(), "secret".to_owned());
        Self { project_id: "42".to_owned(), service_account, project_token: "token".to_owned(), rate: None }
    }

    fn admits(&self, request: &Request) -> bool {
        let Some((user, password)) = request.basic() else { return false };
        let (robot, secret) = &self.service_account;
        let in_project = request.parameter("project_id").as_ref() == Some(&self.project_id);
        (user == *robot && password == *secret && in_project) || (user == self.project_token && password.is_empty())
    }
}

impl Default for Mixpanel {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Mixpanel {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.method != "POST" || request.path() != "/import" {
            return Answer::empty(404);
        }
        if !self.admits(request) {
            return error(401, "Invalid credentials", "Unauthorized");
        }
        if self.rate.as_mut().is_some_and(|rate| rate.take(request.at).is_err()) {
            return too_many();
        }
        let Ok(content) = request.content() else { return error(400, "the body is not gzip", "Bad Request") };
        if content.len() > BYTES_MAX {
            return error(413, "request exceeds max limit of 10485760 bytes", "Request Entity Too Large");
        }
        let Some(events) = events(&content).filter(|events| events.len() <= EVENTS_MAX) else {
            return error(400, "the body is no list of up to 2000 events", "Bad Request");
        };
        import(events, request, book)
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { .. } => Some(too_many()),
            Fault::TokenExpired => Some(error(401, "Invalid credentials", "Unauthorized")),
            _ => None,
        }
    }
}

/// A JSON array, or one object a line.
fn events(content: &[u8]) -> Option<Vec<Value>> {
    if let Ok(events) = serde_json::from_slice(content) {
        return Some(events);
    }
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| serde_json::from_slice(line).ok()).collect()
}

fn import(events: Vec<Value>, request: &Request, book: &mut Book) -> Answer {
    let strict = request.parameter("strict").as_deref() == Some("1");
    let last = events.len().saturating_sub(1);
    let mut failed = Vec::new();
    let mut imported = 0;
    for (index, event) in events.into_iter().enumerate() {
        let id = text(&event["properties"]["$insert_id"]).to_owned();
        let struck = request.partial_failure && index == last;
        let checked = if struck { Err(("event", "the plan wants this one to fail")) } else { check(&event) };
        match checked {
            Ok(()) => {
                keep(id, event, request.at, book);
                imported += 1;
            }
            Err((field, message)) if strict => {
                failed.push(json!({ "index": index, "insert_id": id, "field": field, "message": message }));
                book.refuse(id, event, message);
            }
            Err((_, message)) => book.lose(id, event, message),
        }
    }
    if failed.is_empty() {
        return Answer::json(200, &json!({ "code": 200, "num_records_imported": imported, "status": "OK" }));
    }
    let error = "some data points in the request failed validation";
    Answer::json(
        400,
        &json!({
            "code": 400, "error": error, "status": "Bad Request", "num_records_imported": imported, "failed_records": failed,
        }),
    )
}

fn keep(id: String, event: Value, at: Duration, book: &mut Book) {
    let properties = &event["properties"];
    let identity = [&event["event"], &properties["time"], &properties["distinct_id"], &properties["$insert_id"]];
    book.store_once_as(json!(identity).to_string(), id, event, at, Duration::MAX);
}

fn check(event: &Value) -> Result<(), (&'static str, &'static str)> {
    let properties = &event["properties"];
    let id = text(&properties["$insert_id"]);
    let person = properties["distinct_id"].as_str();
    if text(&event["event"]).is_empty() {
        Err(("event", "'event' must be a string with something in it"))
    } else if properties.as_object().is_none_or(|properties| properties.len() > PROPERTIES_MAX) {
        Err(("properties", "'properties' must be an object of up to 255 properties"))
    } else if properties["time"].as_u64().is_none_or(|time| time == 0) {
        Err(("properties.time", "'properties.time' must be a positive integer"))
    } else if person.is_none_or(|person| JUNK.contains(&person.to_lowercase().as_str())) {
        Err(("properties.distinct_id", "'properties.distinct_id' is invalid"))
    } else if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        Err((
            "properties.$insert_id",
            "'properties.$insert_id' is invalid: must be alphanumeric or '-', up to 36 bytes",
        ))
    } else if event.to_string().len() > EVENT_BYTES_MAX {
        Err(("event", "the event is larger than 1 MB"))
    } else {
        Ok(())
    }
}

/// There is no `Retry-After`: one backs off by oneself.
fn too_many() -> Answer {
    error(429, "Project exceeded rate limits", "Too Many Requests")
}

fn error(code: u16, error: &str, status: &str) -> Answer {
    Answer::json(code, &json!({ "code": code, "error": error, "status": status }))
}

/// What people send when they have no id; the empty one is allowed.
const JUNK: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
];
const BYTES_MAX: usize = 10 << 20;
const EVENT_BYTES_MAX: usize = 1 << 20;
const EVENTS_MAX: usize = 2000;
const PROPERTIES_MAX: usize = 255;
const ID_BYTES_MAX: usize = 36;

#[cfg(test)]
mod tests;
