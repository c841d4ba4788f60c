//! Iterable's event tracking.
//!
//! A bulk call answers 200 and counts; one has to look at `failCount`. An item is an event, its key the `id`: a repetition
//! replaces the event that has it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::{list, text};
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /api/events/track` and `/api/events/trackBulk`
#[derive(Debug, Clone)]
pub struct Iterable {
    pub api_key: String,
}

impl Iterable {
    /// A project with the key `api-key`.
    pub fn new() -> Self {
        Self { api_key: "api-key".to_owned() }
    }
}

impl Default for Iterable {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Iterable {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.header("api-key") != Some(&self.api_key) {
            return code(401, "BadApiKey", "Invalid API key");
        }
        let Ok(body) = request.json() else { return code(400, "BadJsonBody", "the body is not JSON") };
        match (request.method.as_str(), request.path()) {
            ("POST", "/api/events/track") => match check(&body) {
                Ok(()) => {
                    keep(&body, request.at, book);
                    code(200, "Success", "Event tracked")
                }
                Err((_, message)) => {
                    book.refuse(text(&body["id"]), body.clone(), message);
                    code(400, "BadParams", message)
                }
            },
            ("POST", "/api/events/trackBulk") => track_bulk(&body, request, book),
            _ => code(404, "NotFound", "no such endpoint"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { .. } => Some(code(429, "RateLimitExceeded", "Too many requests")),
            Fault::TokenExpired => Some(code(401, "BadApiKey", "Invalid API key")),
            _ => None,
        }
    }
}

fn track_bulk(body: &Value, request: &Request, book: &mut Book) -> Answer {
    let events = list(&body["events"]);
    if request.body.len() > BYTES_MAX || events.is_empty() || events.len() > EVENTS_MAX {
        return code(400, "BadParams", "a bulk call has 1 to 1000 events and up to 4 MB");
    }
    let (mut emails, mut users, mut failed) = (Vec::new(), Vec::new(), 0);
    for (index, event) in events.iter().enumerate() {
        let struck = request.partial_failure && index + 1 == events.len();
        let checked = if struck { Err((name_of(event), "the plan wants this one to fail")) } else { check(event) };
        match checked {
            Ok(()) => keep(event, request.at, book),
            Err((field, message)) => {
                failed += 1;
                let named = if field == "email" { &mut emails } else { &mut users };
                named.push(event[field].clone());
                book.refuse(text(&event["id"]), event.clone(), message);
            }
        }
    }
    Answer::json(
        200,
        &json!({
            "successCount": events.len() - failed, "failCount": failed, "invalidEmails": emails, "invalidUserIds": users,
            "disallowedEventNames": [], "failedUpdates": { "invalidEmails": emails, "invalidUserIds": users },
        }),
    )
}

/// The field by which an event names somebody.
fn name_of(event: &Value) -> &'static str {
    if event["email"].is_null() { "userId" } else { "email" }
}

fn check(event: &Value) -> Result<(), (&'static str, &'static str)> {
    let field = name_of(event);
    let who = text(&event[field]);
    if who.is_empty() || (field == "email" && !who.contains('@')) {
        Err((field, "`email` or `userId` is missing or invalid"))
    } else if text(&event["eventName"]).is_empty() {
        Err((field, "`eventName` is missing"))
    } else if !event["createdAt"].is_null() && event["createdAt"].as_u64().is_none_or(|at| at >= SECONDS_MAX) {
        Err((field, "`createdAt` is not seconds since 1970"))
    } else {
        Ok(())
    }
}

fn keep(event: &Value, at: Duration, book: &mut Book) {
    let id = text(&event["id"]);
    if id.is_empty() {
        book.flag(id, event.clone(), "without an id a repetition is another event");
        return book.store(id, event.clone());
    }
    book.store_once(id, event.clone(), at, Duration::MAX);
}

fn code(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "msg": message, "code": code, "params": null }))
}

const BYTES_MAX: usize = 4 << 20;
const EVENTS_MAX: usize = 1000;
/// Milliseconds are larger than this.
const SECONDS_MAX: u64 = 100_000_000_000;

#[cfg(test)]
mod tests;
