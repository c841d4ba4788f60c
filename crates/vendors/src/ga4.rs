//! Google Analytics' measurement protocol.
//!
//! The answer is an empty 204 whatever was sent, under whatever secret; what is wrong is lost. Only `/debug/mp/collect` says
//! what it thinks, and stores nothing. An item is an event, its key `client/name/timestamp_micros`, or the `transaction_id` of
//! a purchase, the one thing that is deduplicated.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::look::{list, text, unix_time};
use crate::request::Request;
use crate::simulator::Vendor;

/// `POST /mp/collect`
#[derive(Debug, Clone)]
pub struct Ga4 {
    pub measurement_id: String,
    pub api_secret: String,
    /// What time it is when the clock of the simulator starts, since 1970.
    pub epoch: Duration,
}

impl Ga4 {
    /// A stream `G-AFTERCLICK` with the secret `secret`, at the present time.
    pub fn new() -> Self {
        let (measurement_id, api_secret) = ("G-AFTERCLICK".to_owned(), "secret".to_owned());
        Self { measurement_id, api_secret, epoch: unix_time() }
    }

    /// What is wrong with a request as a whole.
    fn check(&self, request: &Request, body: &Value) -> Result<(), &'static str> {
        let is_app = request.parameter("firebase_app_id").is_some();
        let stream = request.parameter("measurement_id").as_ref() == Some(&self.measurement_id);
        let id = if is_app { "app_instance_id" } else { "client_id" };
        if !(stream || is_app) || request.parameter("api_secret").as_ref() != Some(&self.api_secret) {
            Err("the stream or its secret is unknown")
        } else if request.body.len() > BYTES_MAX {
            Err("the body is larger than 130 kB")
        } else if text(&body[id]).is_empty() {
            Err("nobody is named: `client_id` or `app_instance_id`")
        } else if !(1..=EVENTS_MAX).contains(&list(&body["events"]).len()) {
            Err("there are 1 to 25 events in a request")
        } else {
            Ok(())
        }
    }

    fn check_event(&self, event: &Value, body: &Value, at: Duration) -> Result<(), String> {
        let name = text(&event["name"]);
        if !is_name(name) || RESERVED.contains(&name) {
            return Err(format!("the name `{name}` is malformed or reserved"));
        }
        let params = event["params"].as_object();
        if params.is_some_and(|params| params.len() > PARAMS_MAX) {
            return Err("there are more than 25 params".to_owned());
        }
        for (name, value) in params.into_iter().flatten() {
            if !is_name(name) && name != "items" {
                return Err(format!("the param `{name}` is malformed or reserved"));
            }
            if text(value).chars().count() > VALUE_CHARS_MAX {
                return Err(format!("the value of `{name}` is longer than 100 characters"));
            }
        }
        let micros = [event, body].into_iter().find_map(|value| as_micros(&value["timestamp_micros"]));
        let oldest = u64::try_from((self.epoch + at).saturating_sub(BACKDATED_MAX).as_micros()).unwrap_or(u64::MAX);
        if micros.is_some_and(|micros| micros < oldest) {
            return Err("the event is older than 72 hours".to_owned());
        }
        Ok(())
    }

    fn collect(&self, request: &Request, book: &mut Book) {
        let body = request.json().unwrap_or_default();
        let whole = self.check(request, &body);
        for event in list(&body["events"]) {
            let key = key_of(event, &body);
            let checked = whole.map_err(str::to_owned).and_then(|()| self.check_event(event, &body, request.at));
            match checked {
                Ok(()) => keep(key, event, request.at, book),
                Err(reason) => book.lose(key, event.clone(), reason),
            }
        }
    }

    fn debug(&self, request: &Request) -> Answer {
        let body = request.json().unwrap_or_default();
        let mut found: Vec<String> = self.check(request, &body).err().map(str::to_owned).into_iter().collect();
        found.extend(list(&body["events"]).iter().filter_map(|event| self.check_event(event, &body, request.at).err()));
        let message = |text: &String| json!({ "description": text, "validationCode": "VALUE_INVALID" });
        Answer::json(200, &json!({ "validationMessages": found.iter().map(message).collect::<Vec<_>>() }))
    }
}

impl Default for Ga4 {
    fn default() -> Self {
        Self::new()
    }
}

impl Vendor for Ga4 {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        match (request.method.as_str(), request.path()) {
            ("POST", "/mp/collect") => {
                self.collect(request, book);
                Answer::empty(204)
            }
            ("POST", "/debug/mp/collect") => self.debug(request),
            _ => Answer::empty(404),
        }
    }

    fn is_aside(&self, request: &Request) -> bool {
        request.path() == "/debug/mp/collect"
    }
}

fn keep(key: String, event: &Value, at: Duration, book: &mut Book) {
    let params = &event["params"];
    if params["session_id"].is_null() || params["engagement_time_msec"].is_null() {
        let reason = "without `session_id` and `engagement_time_msec` it shows in no report";
        book.flag(key.as_str(), event.clone(), reason);
    }
    if event["name"] == "purchase" && params["transaction_id"].is_string() {
        book.store_once(key, event.clone(), at, Duration::MAX);
    } else {
        book.store(key, event.clone());
    }
}

fn key_of(event: &Value, body: &Value) -> String {
    if let ("purchase", Some(id)) = (text(&event["name"]), event["params"]["transaction_id"].as_str()) {
        return id.to_owned();
    }
    let client = [&body["client_id"], &body["app_instance_id"]].into_iter().map(text).collect::<String>();
    let micros = [event, body].into_iter().find_map(|value| as_micros(&value["timestamp_micros"])).unwrap_or_default();
    format!("{client}/{}/{micros}", text(&event["name"]))
}

/// A number, or the string of one.
fn as_micros(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| text(value).parse().ok())
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let prefixed = ["google_", "firebase_", "ga_"].iter().any(|prefix| name.starts_with(prefix));
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    starts_well && plain && !prefixed && name.len() <= NAME_BYTES_MAX
}

const RESERVED: &[&str] = &[
    "ad_click",
    "ad_exposure",
    "ad_impression",
    "ad_query",
    "adunit_exposure",
    "app_clear_data",
    "app_install",
    "app_remove",
    "app_update",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_open",
    "os_update",
    "screen_view",
    "session_start",
    "user_engagement",
];
const BYTES_MAX: usize = 130_000;
const EVENTS_MAX: usize = 25;
const PARAMS_MAX: usize = 25;
const NAME_BYTES_MAX: usize = 40;
const VALUE_CHARS_MAX: usize = 100;
const BACKDATED_MAX: Duration = Duration::from_hours(72);

#[cfg(test)]
mod tests;
