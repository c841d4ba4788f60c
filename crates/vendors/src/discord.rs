//! Discord's webhooks.
//!
//! Without `?wait=true` the answer comes before the message is saved, so a bad one vanishes behind a 204. An item is a
//! message, its key the `content`, or the title of the first embed where there is none. What pings people is kept and flagged.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::{Bucket, whole_seconds};
use crate::faults::Fault;
use crate::look::list;
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /api/webhooks/{id}/{token}`
#[derive(Debug, Clone)]
pub struct Discord {
    /// Whether the webhook still exists.
    pub exists: bool,
    /// Whether its channel is a forum, where every message needs a thread.
    pub is_forum: bool,
    /// What Discord grants a webhook; `None` takes any rate.
    pub rate: Option<Bucket>,
    /// Answers of 401, 403, 404 and 429 so far. At 10,000 the edge shuts out the address.
    pub invalid_requests: u32,
}

/// Where the webhook is.
pub const PATH: &str = "/api/webhooks/1180000000000000001/sEcReT";

impl Discord {
    /// A webhook at [`PATH`] that minds its rate.
    pub fn new() -> Self {
        Self { exists: true, is_forum: false, rate: Some(Bucket::new(2.5, 5.0)), invalid_requests: 0 }
    }

    /// A webhook that takes any rate.
    pub fn without_limit() -> Self {
        Self { rate: None, ..Self::new() }
    }

    fn post(&mut self, request: &Request, book: &mut Book) -> Answer {
        if let Err(refusal) = self.admit(request) {
            return refusal;
        }
        let waits = request.parameter("wait").as_deref() == Some("true");
        let checked = request.json().map_err(|_| error(400, 50109, "The request body contains invalid JSON."));
        let saved = checked.and_then(|message| {
            let key = key_of(&message);
            let has_thread = request.parameter("thread_id").is_some() || message["thread_name"].is_string();
            let saved = if request.partial_failure {
                Err(error(500, 0, "500: Internal Server Error"))
            } else if self.is_forum && !has_thread {
                Err(error(400, 220_001, "Webhooks posted to forum channels must have a thread_name or thread_id"))
            } else {
                check(&message)
            };
            match saved {
                Ok(()) => Ok((key, message)),
                Err(answer) if waits => {
                    book.refuse(key, message, answer.said());
                    Err(answer)
                }
                Err(answer) => {
                    book.lose(key, message, answer.said());
                    Err(Answer::empty(204))
                }
            }
        });
        match saved {
            Ok((key, message)) => keep(key, message, waits, book),
            Err(answer) => answer,
        }
    }

    fn admit(&mut self, request: &Request) -> Result<(), Answer> {
        let (id, token) = PATH.rsplit_once('/').unwrap_or_default();
        if !self.exists || !request.path().starts_with(id) {
            return Err(error(404, 10015, "Unknown Webhook"));
        }
        if request.path().strip_prefix(id).and_then(|rest| rest.strip_prefix('/')) != Some(token) {
            return Err(error(401, 50027, "Invalid Webhook Token"));
        }
        match self.rate.as_mut().map(|rate| rate.take(request.at)) {
            Some(Err(wait)) => Err(rate_limited(wait)),
            _ => Ok(()),
        }
    }
}

impl Default for Discord {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator<Discord> {
    /// The whole URL, which is what a user pastes.
    pub fn hook_url(&self) -> String {
        self.url() + PATH
    }
}

impl Vendor for Discord {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if self.invalid_requests >= INVALID_REQUESTS_MAX {
            return Answer::text(429, "error code: 1015");
        }
        if request.method != "POST" {
            return error(405, 0, "405: Method Not Allowed");
        }
        let answer = self.post(request, book);
        if matches!(answer.status, 401 | 403 | 404 | 429) {
            self.invalid_requests += 1;
        }
        answer
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { retry_after_s } => Some(rate_limited(Duration::from_secs(retry_after_s.into()))),
            Fault::TokenExpired => Some(error(401, 50027, "Invalid Webhook Token")),
            _ => None,
        }
    }
}

fn keep(key: String, message: Value, waits: bool, book: &mut Book) -> Answer {
    let content = message["content"].as_str().unwrap_or_default();
    let mention = ["@everyone", "@here", "<@"].into_iter().find(|mention| content.contains(mention));
    let may_ping = message["allowed_mentions"]["parse"].as_array().is_none_or(|kinds| !kinds.is_empty());
    if let Some(mention) = mention.filter(|_| may_ping) {
        book.flag(key.as_str(), message.clone(), format!("pings with `{mention}`"));
    }
    let id = (1_300_000_000_000_000_000 + book.stored.len()).to_string();
    let answer = json!({ "id": id, "type": 0, "content": content, "embeds": message["embeds"] });
    book.store(key, message);
    if waits { Answer::json(200, &answer) } else { Answer::empty(204) }
}

fn key_of(message: &Value) -> String {
    let title = || message["embeds"][0]["title"].as_str();
    message["content"].as_str().filter(|text| !text.is_empty()).or_else(title).unwrap_or_default().to_owned()
}

fn check(message: &Value) -> Result<(), Answer> {
    let length = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
    let embeds = list(&message["embeds"]);
    if length(&message["content"]) == 0 && embeds.is_empty() {
        return Err(error(400, 50006, "Cannot send an empty message"));
    }
    let mut total = 0;
    let fits = embeds.iter().all(|embed| {
        let fields = list(&embed["fields"]);
        let parts = [("title", 256), ("description", 4096)];
        let texts = parts.map(|(name, max)| (length(&embed[name]), max));
        let footer = (length(&embed["footer"]["text"]), 2048);
        let named = fields.iter().flat_map(|field| [(length(&field["name"]), 256), (length(&field["value"]), 1024)]);
        let filled = named.clone().all(|(length, _)| length > 0);
        let mut all = texts.into_iter().chain([footer]).chain(named);
        fields.len() <= FIELDS_MAX
            && filled
            && all.all(|(length, max)| {
                total += length;
                length <= max
            })
    });
    if length(&message["content"]) <= CONTENT_CHARS_MAX
        && embeds.len() <= EMBEDS_MAX
        && fits
        && total <= EMBED_CHARS_MAX
    {
        return Ok(());
    }
    Err(error(400, 50035, "Invalid Form Body"))
}

fn error(status: u16, code: u32, message: &str) -> Answer {
    Answer::json(status, &json!({ "message": message, "code": code }))
}

fn rate_limited(wait: Duration) -> Answer {
    let body = json!({ "message": "You are being rate limited.", "retry_after": wait.as_secs_f64(), "global": false });
    Answer::json(429, &body)
        .with("retry-after", whole_seconds(wait).to_string())
        .with("x-ratelimit-limit", "5")
        .with("x-ratelimit-remaining", "0")
        .with("x-ratelimit-reset-after", format!("{:.3}", wait.as_secs_f64()))
        .with("x-ratelimit-bucket", "afterclick")
}

const INVALID_REQUESTS_MAX: u32 = 10_000;
const CONTENT_CHARS_MAX: usize = 2000;
const EMBEDS_MAX: usize = 10;
const FIELDS_MAX: usize = 25;
const EMBED_CHARS_MAX: usize = 6000;

#[cfg(test)]
mod tests;
