//! Segment's tracking API, and the look-alikes of `RudderStack` and Jitsu.
//!
//! Segment answers 200 to nearly everything and swallows what it dislikes; only malformed JSON and what is too large get a 400.
//! An item is a message, its key the `messageId`, which all of Segment shares for a day: no writer has its own key space.
//! `RudderStack` takes the same messages and says what is wrong with them; Jitsu takes anything that comes with its key.

mod look_alikes;
mod message;

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /v1/batch` and the single calls.
#[derive(Debug, Clone)]
pub struct Segment {
    pub flavour: Flavour,
    /// The one that is known. Segment swallows what comes under another, `RudderStack` says 401.
    pub write_key: String,
}

/// Whose manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Segment,
    RudderStack,
    Jitsu,
}

impl Segment {
    /// Segment with the write key `write-key`.
    pub fn new() -> Self {
        Self { flavour: Flavour::Segment, write_key: "write-key".to_owned() }
    }

    /// A `RudderStack` data plane with the write key `write-key`.
    pub fn rudder_stack() -> Self {
        Self { flavour: Flavour::RudderStack, ..Self::new() }
    }

    /// Jitsu with the key `write-key:secret`, which it takes in `X-Write-Key`.
    pub fn jitsu() -> Self {
        Self { flavour: Flavour::Jitsu, write_key: "write-key:secret".to_owned() }
    }

    fn take_all(&self, messages: Vec<Value>, envelope: &Value, request: &Request, book: &mut Book) {
        let known = self.writes_with_known_key(envelope, request);
        let too_many = messages.len() > MESSAGES_MAX;
        for message in messages {
            let key = message["messageId"].as_str().unwrap_or_default().to_owned();
            if !known {
                book.lose(key, message, "the write key is unknown");
            } else if too_many {
                book.lose(key, message, "the batch has too many messages");
            } else if let Err(reason) = message::check(&message) {
                book.lose(key, message, reason);
            } else {
                keep(key, message, envelope, request, book);
            }
        }
    }

    fn writes_with_known_key(&self, envelope: &Value, request: &Request) -> bool {
        if self.flavour == Flavour::Jitsu {
            return request.header("x-write-key") == Some(&self.write_key);
        }
        match request.basic() {
            Some((user, password)) => user == self.write_key && password.is_empty(),
            None => envelope["writeKey"] == *self.write_key,
        }
    }

    fn answer_politely(&self, request: &Request, book: &mut Book) -> Answer {
        let Ok(mut envelope) = request.json() else {
            return Answer::json(400, &json!({ "success": false, "message": "malformed JSON" }));
        };
        let messages = messages(&mut envelope, request);
        let oversize = |message: &Value| message.to_string().len() > MESSAGE_BYTES_MAX;
        if request.body.len() > BATCH_BYTES_MAX || messages.iter().any(oversize) {
            return Answer::json(400, &json!({ "success": false, "message": "payload too large" }));
        }
        self.take_all(messages, &envelope, request, book);
        Answer::json(200, &json!({ "success": true }))
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Segment {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let call = request.path().strip_prefix("/v1/").unwrap_or_default();
        if request.method != "POST" || !CALLS.contains(&call) {
            return Answer::text(404, "not found");
        }
        match self.flavour {
            Flavour::Segment => self.answer_politely(request, book),
            Flavour::RudderStack => self.answer_honestly(request, book),
            Flavour::Jitsu => self.answer_anything(request, book),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        let Fault::RateLimit { retry_after_s } = fault else { return None };
        let seconds = retry_after_s.to_string();
        Some(Answer::empty(429).with("retry-after", seconds.as_str()).with("x-ratelimit-reset", seconds))
    }
}

/// The messages of a batch, or the one of a single call with its type filled in; the envelope keeps the rest.
fn messages(envelope: &mut Value, request: &Request) -> Vec<Value> {
    let call = request.path().rsplit('/').next().unwrap_or_default();
    if call != "batch" {
        let mut message = envelope.clone();
        message["type"] = json!(call);
        return vec![message];
    }
    match envelope.get_mut("batch").map(Value::take) {
        Some(Value::Array(messages)) => messages,
        _ => Vec::new(),
    }
}

fn keep(key: String, message: Value, envelope: &Value, request: &Request, book: &mut Book) {
    if key.is_empty() {
        // Segment makes one up, so that a retry is a duplicate that nobody can tell.
        book.flag(key.as_str(), message.clone(), "`messageId` is missing");
        book.store(key, message);
        return;
    }
    let sent_at = envelope["sentAt"].as_str().unwrap_or_default().to_owned();
    if sent_at.is_empty() {
        book.flag(key.as_str(), message.clone(), "`sentAt` is missing");
    }
    let kept = book.store_once(key.as_str(), with_sent_at(message.clone(), &sent_at), request.at, REMEMBERED);
    let frozen = |entry: &crate::Entry| entry.key == key && entry.item["sentAt"] == *sent_at;
    if !kept && book.stored.iter().any(frozen) {
        book.flag(key, message, "`sentAt` was not renewed for the repetition, so the event moves in time");
    }
}

/// What the customer's warehouse sees: the message with the `sentAt` of its batch.
fn with_sent_at(mut message: Value, sent_at: &str) -> Value {
    message["sentAt"] = json!(sent_at);
    message
}

const CALLS: &[&str] = &["batch", "track", "identify", "page", "screen", "group", "alias"];
const BATCH_BYTES_MAX: usize = 500 << 10;
const MESSAGE_BYTES_MAX: usize = 32 << 10;
const MESSAGES_MAX: usize = 2500;
const REMEMBERED: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
