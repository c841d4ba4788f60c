//! Google Ads by way of the Data Manager API.
//!
//! One invalid event fails the request. A 200 with a `requestId` says that it was accepted; whether anybody matched is told
//! elsewhere, later. An item is a conversion, its key the `transactionId`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::{Bucket, whole_seconds};
use crate::faults::Fault;
use crate::google::{self, TOKEN_PATH, Tokens, error, unauthenticated};
use crate::look::{is_currency, is_sha256_hex, list, text};
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /v1/events:ingest`
#[derive(Debug, Clone)]
pub struct GoogleAds {
    /// 300 requests a minute; `None` takes any rate.
    pub rate: Option<Bucket>,
    tokens: Tokens,
}

impl GoogleAds {
    /// With its usual limit; its service account is [`Simulator::service_account`].
    pub fn new() -> Self {
        Self { rate: Some(Bucket::new(5.0, 300.0)), tokens: Tokens::new(SCOPES) }
    }

    fn ingest(&mut self, request: &Request, book: &mut Book) -> Answer {
        if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.take(request.at)) {
            return exhausted(whole_seconds(wait));
        }
        let body = request.json().unwrap_or_default();
        let events = list(&body["events"]);
        if let Err((field, message)) = check_request(&body) {
            return invalid(field, message);
        }
        let needs_encoding = !matches!(text(&body["encoding"]), "HEX" | "BASE64");
        for (index, event) in events.iter().enumerate() {
            if let Err((field, message)) = check_event(event, needs_encoding, text(&body["encoding"]) == "HEX") {
                book.refuse(text(&event["transactionId"]), event.clone(), message);
                return invalid(&format!("events.events[{index}].{field}"), message);
            }
        }
        if body["validateOnly"] != true {
            for event in events {
                keep(event, request.at, book);
            }
        }
        Answer::json(200, &json!({ "requestId": format!("r-{}", book.stored.len()) }))
    }
}

impl Default for GoogleAds {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator<GoogleAds> {
    /// The key file of a service account whose `token_uri` is this simulator.
    pub fn service_account(&self) -> String {
        google::service_account(&self.url())
    }
}

impl Vendor for GoogleAds {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        match (request.method.as_str(), request.path()) {
            ("POST", TOKEN_PATH) => self.tokens.issue(request),
            ("POST", "/v1/events:ingest") if self.tokens.admits(request, AUDIENCE) => self.ingest(request, book),
            ("POST", "/v1/events:ingest") => unauthenticated(),
            _ => error(404, "notFound", "NOT_FOUND", "Not found"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { retry_after_s } => Some(exhausted(retry_after_s.into())),
            Fault::ServerError(status) => Some(error(status, "backendError", "UNAVAILABLE", "Try again later.")),
            Fault::TokenExpired => {
                self.tokens.revoke_all();
                Some(unauthenticated())
            }
            _ => None,
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == TOKEN_PATH
    }
}

type Violation = (&'static str, &'static str);

fn check_request(body: &Value) -> Result<(), Violation> {
    let destinations = list(&body["destinations"]);
    if !(1..=DESTINATIONS_MAX).contains(&destinations.len()) {
        return Err(("destinations", "1 to 10 destinations are required"));
    }
    let is_complete = |destination: &Value| {
        !text(&destination["operatingAccount"]["accountId"]).is_empty()
            && !text(&destination["operatingAccount"]["accountType"]).is_empty()
            && !text(&destination["productDestinationId"]).is_empty()
    };
    if !destinations.iter().all(is_complete) {
        return Err(("destinations", "an account or the conversion action is missing"));
    }
    let count = list(&body["events"]).len();
    if (1..=EVENTS_MAX).contains(&count) { Ok(()) } else { Err(("events", "1 to 2000 events are required")) }
}

fn check_event(event: &Value, lacks_encoding: bool, is_hex: bool) -> Result<(), Violation> {
    let clicks = ["gclid", "gbraid", "wbraid"];
    let has_click = clicks.iter().any(|name| !text(&event["adIdentifiers"][*name]).is_empty());
    let people = list(&event["userData"]["userIdentifiers"]);
    let time = text(&event["eventTimestamp"]);
    if time.len() < 20 || time.as_bytes()[10] != b'T' {
        return Err(("event_timestamp", "an RFC 3339 timestamp is required"));
    }
    if !has_click && people.is_empty() {
        return Err(("ad_identifiers", "a click id or user data is required"));
    }
    if !people.is_empty() && lacks_encoding {
        return Err(("user_data", "the encoding of the user data is required"));
    }
    let hashes = people.iter().flat_map(|person| [text(&person["emailAddress"]), text(&person["phoneNumber"])]);
    if is_hex && hashes.into_iter().any(|hash| !hash.is_empty() && !is_sha256_hex(hash)) {
        return Err(("user_data", "an identifier is not SHA-256 in hex"));
    }
    if event["conversionValue"].is_number() && !is_currency(text(&event["currency"])) {
        return Err(("currency", "a value needs a currency of ISO 4217"));
    }
    if !matches!(text(&event["eventSource"]), "WEB" | "APP" | "IN_STORE" | "PHONE" | "OTHER") {
        return Err(("event_source", "the source is missing or unknown"));
    }
    Ok(())
}

fn keep(event: &Value, at: Duration, book: &mut Book) {
    let id = text(&event["transactionId"]);
    if id.is_empty() {
        book.flag(id, event.clone(), "without a transactionId a repetition is another conversion");
        return book.store(id, event.clone());
    }
    book.store_once(id, event.clone(), at, Duration::MAX);
}

fn invalid(field: &str, description: &str) -> Answer {
    let violations = [json!({ "field": field, "description": description })];
    let details = [json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations })];
    let message = "There was a problem with the request.";
    Answer::json(
        400,
        &json!({ "error": {
        "code": 400, "status": "INVALID_ARGUMENT", "message": message, "details": details,
    } }),
    )
}

fn exhausted(retry_after_s: u64) -> Answer {
    let answer = error(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", "Quota exceeded");
    answer.with("retry-after", retry_after_s.to_string())
}

const SCOPES: &[&str] = &["https://www.googleapis.com/auth/datamanager"];
const AUDIENCE: &str = "https://datamanager.googleapis.com/";
const DESTINATIONS_MAX: usize = 10;
const EVENTS_MAX: usize = 2000;

#[cfg(test)]
mod tests;
