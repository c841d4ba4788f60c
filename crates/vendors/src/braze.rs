//! Braze's `/users/track`.
//!
//! A 201 may carry `errors` for single objects, of which the rest was stored. There is no idempotency key: a repetition counts
//! twice. An item is an event, a purchase or a set of attributes, its key `who/name/time`.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::{list, text, unix_time};
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /users/track`
#[derive(Debug, Clone)]
pub struct Braze {
    pub api_key: String,
}

impl Braze {
    /// A workspace with the REST key `rest-key`.
    pub fn new() -> Self {
        Self { api_key: "rest-key".to_owned() }
    }
}

impl Default for Braze {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Braze {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.method != "POST" || request.path() != "/users/track" {
            return error(404, "Not found");
        }
        if request.bearer() != Some(&self.api_key) {
            return error(401, "Invalid API key");
        }
        let Ok(body) = request.json() else { return error(400, "Invalid JSON") };
        let total: usize = KINDS.iter().map(|kind| list(&body[*kind]).len()).sum();
        if total == 0 || total > OBJECTS_MAX || request.body.len() > BYTES_MAX {
            return error(400, "A request has 1 to 75 objects and up to 4 MB");
        }
        track(&body, request.partial_failure, book)
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { retry_after_s } => {
                // Not how long to wait, but until when.
                let until = unix_time().as_secs() + u64::from(retry_after_s);
                Some(error(429, "You have exceeded the rate limit").with("x-ratelimit-reset", until.to_string()))
            }
            Fault::TokenExpired => Some(error(401, "Invalid API key")),
            _ => None,
        }
    }
}

fn track(body: &Value, strike_last: bool, book: &mut Book) -> Answer {
    let mut errors = Vec::new();
    let mut answer = json!({ "message": "success" });
    for kind in KINDS {
        let items = list(&body[*kind]);
        let mut processed = 0;
        for (index, item) in items.iter().enumerate() {
            let struck = strike_last && *kind == "events" && index + 1 == items.len();
            let checked = if struck { Err("the plan wants this one to fail") } else { check(kind, item) };
            match checked {
                Ok(()) => {
                    book.store(key_of(item), item.clone());
                    processed += 1;
                }
                Err(message) => {
                    errors.push(json!({ "type": message, "input_array": kind, "index": index }));
                    book.refuse(key_of(item), item.clone(), message);
                }
            }
        }
        if processed > 0 {
            answer[format!("{kind}_processed")] = json!(processed);
        }
    }
    if !errors.is_empty() {
        answer["errors"] = json!(errors);
    }
    Answer::json(201, &answer)
}

fn check(kind: &str, item: &Value) -> Result<(), &'static str> {
    let has = |name: &str| !text(&item[name]).is_empty();
    let alias = &item["user_alias"];
    let is_alias = !text(&alias["alias_name"]).is_empty() && !text(&alias["alias_label"]).is_empty();
    if !(has("external_id") || has("braze_id") || has("email") || is_alias) {
        Err("'external_id', 'braze_id', 'user_alias' or 'email' is required")
    } else if item.to_string().len() > OBJECT_BYTES_MAX {
        Err("the object is larger than 100 KB")
    } else if kind == "events" && !has("name") {
        Err("'name' is required")
    } else if kind != "attributes" && !is_iso_8601(text(&item["time"])) {
        Err("'time' is required in ISO 8601")
    } else if kind == "purchases" && !(has("product_id") && has("currency") && item["price"].is_number()) {
        Err("'product_id', 'currency' and 'price' are required")
    } else {
        Ok(())
    }
}

fn is_iso_8601(time: &str) -> bool {
    time.len() >= 19 && time.as_bytes()[4] == b'-' && time.as_bytes()[10] == b'T'
}

fn key_of(item: &Value) -> String {
    let names = [&item["external_id"], &item["user_alias"]["alias_name"], &item["braze_id"], &item["email"]];
    let who = names.into_iter().map(text).find(|name| !name.is_empty()).unwrap_or_default();
    let what = [&item["name"], &item["product_id"]].into_iter().map(text).collect::<String>();
    format!("{who}/{what}/{}", text(&item["time"]))
}

fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "message": message }))
}

const KINDS: &[&str] = &["events", "purchases", "attributes"];
const OBJECTS_MAX: usize = 75;
const BYTES_MAX: usize = 4 << 20;
const OBJECT_BYTES_MAX: usize = 100 << 10;

#[cfg(test)]
mod tests;
