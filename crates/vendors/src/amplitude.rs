//! Amplitude's event upload.
//!
//! A 400 and a 429 name the events at fault by index and store nothing of the batch. A user or device that sends too much is refused
//! alone. An item is an event, its key the
//! `insert_id`, which counts for a week together with the device.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::Bucket;
use crate::faults::Fault;
use crate::look::{list, text};
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /2/httpapi` and `/batch`
#[derive(Debug, Clone)]
pub struct Amplitude {
    pub api_key: String,
    /// Thirty events a second for each user or device, as one has it who has sent nothing yet; `None` takes any rate.
    pub rate: Option<Bucket>,
    /// What is left to those who have sent something.
    left: HashMap<String, Bucket>,
}

impl Amplitude {
    /// A project with the key `api-key`, which minds the rate of nobody.
    pub fn new() -> Self {
        Self { api_key: "api-key".to_owned(), rate: None, left: HashMap::new() }
    }

    /// The places of the events for whose users or devices there are too many. If there are none, all are counted.
    fn too_many(&mut self, events: &[Value], at: Duration) -> Vec<usize> {
        let Some(rate) = self.rate else { return Vec::new() };
        let mut left = self.left.clone();
        let mut is_refused = |event: &Value| left.entry(who(event).to_owned()).or_insert(rate).take(at).is_err();
        let refused: Vec<_> = (0..events.len()).filter(|place| is_refused(&events[*place])).collect();
        if refused.is_empty() {
            self.left = left;
        }
        refused
    }
}

impl Default for Amplitude {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Amplitude {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let bytes_max = match (request.method.as_str(), request.path()) {
            ("POST", "/2/httpapi") => HTTP_API_BYTES_MAX,
            ("POST", "/batch") => BATCH_BYTES_MAX,
            _ => return Answer::empty(404),
        };
        let Ok(body) = request.json() else { return error(400, "Invalid JSON request body", json!({})) };
        if body["api_key"] != *self.api_key {
            return error(400, &format!("Invalid API key: {}", text(&body["api_key"])), json!({}));
        }
        let events = list(&body["events"]);
        if request.body.len() > bytes_max || events.len() > EVENTS_MAX {
            return error(413, "Payload too large", json!({}));
        }
        if events.is_empty() {
            return error(400, "Request missing required field", json!({ "missing_field": "events" }));
        }
        if request.partial_failure {
            return throttled(events, &[events.len() - 1], book);
        }
        let id_chars_min = body["options"]["min_id_length"].as_u64().unwrap_or(5);
        let flaws: Vec<_> = events.iter().map(|event| check(event, id_chars_min)).collect();
        if flaws.iter().any(Option::is_some) {
            return refused(events, &flaws, book);
        }
        let refused = self.too_many(events, request.at);
        if !refused.is_empty() {
            return throttled(events, &refused, book);
        }
        for event in events {
            keep(event, request.at, book);
        }
        let (ingested, bytes) = (events.len(), request.body.len());
        Answer::json(200, &json!({ "code": 200, "events_ingested": ingested, "payload_size_bytes": bytes }))
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { .. } => Some(error(
                429,
                "Too many requests for some devices and users",
                json!({
                    "eps_threshold": 30, "throttled_devices": {}, "throttled_users": {}, "throttled_events": [],
                }),
            )),
            Fault::TokenExpired => Some(error(400, "Invalid API key: ", json!({}))),
            _ => None,
        }
    }
}

type Flaw = (&'static str, &'static str);

/// The list in which an event is named, and the field it is named for.
fn check(event: &Value, id_chars_min: u64) -> Option<Flaw> {
    if text(&event["event_type"]).is_empty() {
        return Some(("events_with_missing_fields", "event_type"));
    }
    let ids = ["user_id", "device_id"];
    if ids.iter().all(|name| event[*name].is_null()) {
        return Some(("events_with_missing_fields", "user_id"));
    }
    for name in ids.into_iter().filter(|name| !event[*name].is_null()) {
        let id = text(&event[name]);
        if (id.chars().count() as u64) < id_chars_min {
            return Some(("events_with_invalid_id_lengths", name));
        }
        if JUNK.contains(&id.to_lowercase().as_str()) {
            return Some(("events_with_invalid_fields", name));
        }
    }
    let is_time = |value: &Value| value.is_null() || value.as_u64().is_some_and(|ms| ms > MILLISECONDS_MIN);
    (!is_time(&event["time"])).then_some(("events_with_invalid_fields", "time"))
}

fn refused(events: &[Value], flaws: &[Option<Flaw>], book: &mut Book) -> Answer {
    let mut lists = json!({
        "events_with_invalid_fields": {}, "events_with_missing_fields": {}, "events_with_invalid_id_lengths": {},
        "silenced_events": [],
    });
    for (index, (event, flaw)) in events.iter().zip(flaws).enumerate() {
        let Some((name, field)) = flaw else { continue };
        let mut indices = list(&lists[*name][*field]).to_vec();
        indices.push(json!(index));
        lists[*name][*field] = json!(indices);
        book.refuse(text(&event["insert_id"]), event.clone(), format!("{name}: {field}"));
    }
    error(400, "Invalid request", lists)
}

/// Whose event it is.
fn who(event: &Value) -> &str {
    event["user_id"].as_str().unwrap_or(text(&event["device_id"]))
}

/// Those whose events stand at these places send too much; the other events could be sent again at once.
fn throttled(events: &[Value], places: &[usize], book: &mut Book) -> Answer {
    let (mut users, mut devices) = (Map::new(), Map::new());
    for event in places.iter().map(|place| &events[*place]) {
        book.refuse(text(&event["insert_id"]), event.clone(), "throttled");
        let list = if event["user_id"].is_string() { &mut users } else { &mut devices };
        list.insert(who(event).to_owned(), json!(31));
    }
    error(
        429,
        "Too many requests for some devices and users",
        json!({
            "eps_threshold": 30, "throttled_devices": devices, "throttled_users": users, "throttled_events": places,
        }),
    )
}

fn keep(event: &Value, at: Duration, book: &mut Book) {
    let id = text(&event["insert_id"]);
    if id.is_empty() {
        book.flag(id, event.clone(), "without an insert_id a repetition is another event");
        return book.store(id, event.clone());
    }
    let identity = json!([event["device_id"], id]).to_string();
    book.store_once_as(identity, id, event.clone(), at, REMEMBERED);
}

fn error(code: u16, message: &str, mut more: Value) -> Answer {
    more["code"] = json!(code);
    more["error"] = json!(message);
    Answer::json(code, &more)
}

const JUNK: &[&str] =
    &["anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown", "0", "-1", "true", "[]", "{}"];
const HTTP_API_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MAX: usize = 20 << 20;
const EVENTS_MAX: usize = 2000;
/// Seconds since 1970 are smaller than this until long after all of us.
const MILLISECONDS_MIN: u64 = 100_000_000_000;
const REMEMBERED: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests;
