//! Meta's Conversions API.
//!
//! One bad event rejects the whole request, with an index only in the prose. An item is an event, its key the `event_id`, which
//! counts for 48 hours together with the `event_name`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::{is_currency, is_sha256_hex, list, text, unix_time};
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /v…/{dataset}/events`
#[derive(Debug, Clone)]
pub struct Meta {
    pub dataset_id: String,
    pub access_token: String,
    /// What time it is when the clock of the simulator starts, since 1970.
    pub epoch: Duration,
}

impl Meta {
    /// Dataset `1001` with the token `EAAB`, at the present time.
    pub fn new() -> Self {
        Self { dataset_id: "1001".to_owned(), access_token: "EAAB".to_owned(), epoch: unix_time() }
    }

    fn check(&self, event: &Value, at: Duration) -> Result<(), &'static str> {
        let now_s = (self.epoch + at).as_secs();
        let user = &event["user_data"];
        let hashed = ["em", "ph", "external_id"].iter().flat_map(|name| strings(&user[*name]));
        if text(&event["event_name"]).is_empty() {
            return Err("event_name is required");
        }
        let Some(time) = event["event_time"].as_u64().filter(|time| *time <= now_s + AHEAD_MAX_S) else {
            return Err("event_time must be seconds since 1970, and not in the future");
        };
        if time + AGE_MAX_S < now_s {
            return Err("event_time is older than 7 days");
        }
        if !SOURCES.contains(&text(&event["action_source"])) {
            return Err("action_source is missing or unknown");
        }
        if user.as_object().is_none_or(|user| !MATCHED_BY.iter().any(|name| user.contains_key(*name))) {
            return Err("user_data has nothing to match by");
        }
        if hashed.into_iter().any(|value| !is_sha256_hex(value)) {
            return Err("em, ph and external_id must be SHA-256 in hex");
        }
        let app = &event["app_data"];
        if event["action_source"] == "app"
            && (list(&app["extinfo"]).len() != EXTINFO || app["advertiser_tracking_enabled"].is_null())
        {
            return Err("app_data needs extinfo of 16 and advertiser_tracking_enabled");
        }
        if event["event_name"] == "Purchase"
            && !(event["custom_data"]["value"].is_number() && event["custom_data"]["currency"].is_string())
        {
            return Err("a Purchase needs value and currency");
        }
        if event["custom_data"]["currency"].as_str().is_some_and(|currency| !is_currency(&currency.to_uppercase())) {
            return Err("the currency is none of ISO 4217");
        }
        Ok(())
    }
}

impl Default for Meta {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Meta {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let parts: Vec<&str> = request.path().split('/').skip(1).collect();
        let ["v24.0" | "v25.0", dataset, "events"] = parts.as_slice() else { return error(404, 100, "Unknown path") };
        let body = request.json().unwrap_or_default();
        let in_query = request.parameter("access_token");
        let token = in_query.as_deref().or(body["access_token"].as_str()).or(request.bearer());
        if token != Some(&self.access_token) {
            return error(400, 190, "Invalid OAuth access token.");
        }
        let events = list(&body["data"]);
        if *dataset != self.dataset_id {
            return unknown_object(dataset);
        }
        if !(1..=EVENTS_MAX).contains(&events.len()) {
            return error(400, 100, "Invalid parameter: data holds 1 to 1000 events");
        }
        if let Some((index, message)) =
            events.iter().enumerate().find_map(|(index, event)| Some((index, self.check(event, request.at).err()?)))
        {
            book.refuse(text(&events[index]["event_id"]), events[index].clone(), message);
            return error(400, 100, &format!("Invalid parameter: data[{index}]: {message}"));
        }
        for event in events {
            if in_query.is_some() {
                book.flag(text(&event["event_id"]), event.clone(), "the access token is in the URL");
            }
            keep(event, request.at, book);
        }
        let trace = format!("A{}", book.stored.len());
        Answer::json(200, &json!({ "events_received": events.len(), "messages": [], "fbtrace_id": trace }))
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { .. } => Some(error(400, 80004, "There have been too many calls to this ad-account.")),
            Fault::ServerError(status) => Some(error(status, 2, "An unexpected error has occurred.")),
            Fault::TokenExpired => Some(error(400, 190, "Error validating access token: the session has expired.")),
            _ => None,
        }
    }
}

fn keep(event: &Value, at: Duration, book: &mut Book) {
    let id = text(&event["event_id"]);
    if id.is_empty() {
        book.flag(id, event.clone(), "without an event_id a repetition is another conversion");
        return book.store(id, event.clone());
    }
    let identity = json!([event["event_name"], id]).to_string();
    book.store_once_as(identity, id, event.clone(), at, REMEMBERED);
}

/// A string, or a list of them.
fn strings(value: &Value) -> Vec<&str> {
    value.as_str().into_iter().chain(list(value).iter().map(text)).collect()
}

/// For a dataset that is not there and for one that the token may not see.
fn unknown_object(id: &str) -> Answer {
    let message = format!("Unsupported post request. Object with ID '{id}' does not exist or cannot be seen.");
    Answer::json(
        400,
        &json!({ "error": {
        "message": message, "type": "GraphMethodException", "code": 100, "error_subcode": 33, "fbtrace_id": "A0",
    } }),
    )
}

/// Codes 1, 2, 4, 17, 341 and 80004 are transient; the status is 400 for most of them all the same.
fn error(status: u16, code: u32, message: &str) -> Answer {
    let transient = matches!(code, 1 | 2 | 4 | 17 | 341 | 80004);
    Answer::json(
        status,
        &json!({ "error": {
        "message": message, "type": "OAuthException", "code": code, "is_transient": transient, "fbtrace_id": "A0",
    } }),
    )
}

const SOURCES: &[&str] = &[
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
];
const MATCHED_BY: &[&str] = &["em", "ph", "external_id", "fbc", "fbp", "madid", "client_ip_address"];
const EVENTS_MAX: usize = 1000;
const EXTINFO: usize = 16;
const AGE_MAX_S: u64 = 7 * 24 * 3600;
const AHEAD_MAX_S: u64 = 60;
const REMEMBERED: Duration = Duration::from_hours(48);

#[cfg(test)]
mod tests;
