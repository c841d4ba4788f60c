//! Resend: `POST /emails` and `/emails/batch`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::address::{all_bare, are_one_line, bare, is_filled, is_one_line};
use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::{Bucket, whole_seconds};
use crate::faults::Fault;
use crate::look::{list, text};
use crate::request::Request;

/// An account.
#[derive(Debug, Clone)]
pub struct Resend {
    pub api_key: String,
    /// Two requests a second for the whole team; `None` takes any rate.
    pub rate: Option<Bucket>,
    /// How many mails are left for today; `None` counts nothing.
    pub daily_quota: Option<usize>,
    /// How long a request is "in progress" for others with its idempotency key.
    pub in_progress: Duration,
    /// Who may be written from; empty means everybody.
    pub verified_domain: String,
    keys: HashMap<String, Sent>,
}

#[derive(Debug, Clone)]
struct Sent {
    at: Duration,
    payload: Value,
    answer: Answer,
}

impl Default for Resend {
    fn default() -> Self {
        Self {
            api_key: "re_afterclick".to_owned(),
            rate: Some(Bucket::new(2.0, 2.0)),
            daily_quota: None,
            in_progress: Duration::ZERO,
            verified_domain: String::new(),
            keys: HashMap::new(),
        }
    }
}

impl Resend {
    pub(super) fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        self.admit(request)
            .and_then(|()| request.json().map_err(|_| error(400, "validation_error", "the body is not JSON")))
            .and_then(|payload| match request.header("idempotency-key") {
                None => self.send(&payload, request, book),
                Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
                    Err(error(400, "invalid_idempotency_key", "the key has 1 to 256 characters"))
                }
                Some(key) => self.send_once(key, payload, request, book),
            })
            .unwrap_or_else(|refusal| refusal)
    }

    fn admit(&mut self, request: &Request) -> Result<(), Answer> {
        match request.bearer() {
            None => return Err(error(401, "missing_api_key", "Missing API key in the authorization header")),
            Some(key) if key != self.api_key => return Err(error(403, "invalid_api_key", "API key is invalid")),
            Some(_) => {}
        }
        match self.rate.as_mut().map(|rate| rate.take(request.at)) {
            Some(Err(wait)) => Err(rate_limited(whole_seconds(wait))),
            _ => Ok(()),
        }
    }

    fn send_once(&mut self, key: &str, payload: Value, request: &Request, book: &mut Book) -> Result<Answer, Answer> {
        let sent = self.keys.get(key).filter(|sent| request.at.saturating_sub(sent.at) < REMEMBERED);
        if let Some(sent) = sent {
            if request.at.saturating_sub(sent.at) < self.in_progress {
                let name = "concurrent_idempotent_requests";
                return Err(error(409, name, "another request with this key is still in progress"));
            }
            if sent.payload != payload {
                let name = "invalid_idempotent_request";
                return Err(error(409, name, "this key was used with another payload"));
            }
            let reason = "sent before under this idempotency key".to_owned();
            book.duplicates.push(crate::Entry { key: key.to_owned(), item: payload, reason });
            return Ok(sent.answer.clone());
        }
        let answer = self.send(&payload, request, book)?;
        self.keys.insert(key.to_owned(), Sent { at: request.at, payload, answer: answer.clone() });
        Ok(answer)
    }

    fn send(&mut self, payload: &Value, request: &Request, book: &mut Book) -> Result<Answer, Answer> {
        let is_batch = request.path().ends_with("/batch");
        let mails = if is_batch { list(payload) } else { std::slice::from_ref(payload) };
        if mails.is_empty() || mails.len() > BATCH_MAX {
            return Err(error(422, "validation_error", "a batch has 1 to 100 mails"));
        }
        for mail in mails {
            self.check(mail).inspect_err(|answer| {
                book.refuse(mail["to"].to_string(), mail.clone(), answer.said());
            })?;
        }
        if let Some(left) = &mut self.daily_quota {
            let quota = "You have reached your daily email sending quota.";
            *left = left.checked_sub(mails.len()).ok_or_else(|| error(429, "daily_quota_exceeded", quota))?;
        }
        let mut ids = Vec::new();
        for mail in mails {
            ids.push(json!({ "id": format!("00000000-0000-4000-8000-{:012x}", book.stored.len()) }));
            for to in all_bare(&mail["to"]).unwrap_or_default() {
                book.store(to, mail.clone());
            }
        }
        Ok(Answer::json(200, &if is_batch { json!({ "data": ids }) } else { ids.remove(0) }))
    }

    fn check(&self, mail: &Value) -> Result<(), Answer> {
        if let Some(missing) = ["from", "to", "subject"].into_iter().find(|name| mail[*name].is_null()) {
            return Err(error(422, "missing_required_field", &format!("Missing `{missing}` field.")));
        }
        let invalid = |message| Err(error(422, "invalid_parameter", message));
        let Some(from) = mail["from"].as_str().and_then(bare) else { return invalid("Invalid `from` field.") };
        if !from.ends_with(&self.verified_domain) {
            return Err(error(403, "validation_error", "The domain is not verified."));
        }
        if !all_bare(&mail["to"]).is_some_and(|to| (1..=RECIPIENTS_MAX).contains(&to.len())) {
            return invalid("Invalid `to` field.");
        }
        if !mail["subject"].as_str().is_some_and(is_one_line) {
            return invalid("Invalid `subject` field.");
        }
        if !are_one_line(&mail["headers"]) {
            return invalid("Invalid `headers` field.");
        }
        let is_tag = |tag: &Value| [&tag["name"], &tag["value"]].into_iter().all(is_plain_word);
        if !list(&mail["tags"]).iter().all(is_tag) {
            return invalid("Tags should only contain ASCII letters, numbers, underscores, or dashes.");
        }
        let has_body = is_filled(&mail["html"]) || is_filled(&mail["text"]);
        match (has_body, is_filled(&mail["template"]["id"])) {
            (true, true) => invalid("A template goes without `html` and `text`."),
            (false, false) => Err(error(422, "missing_required_field", "Missing `html` or `text` field.")),
            _ => Ok(()),
        }
    }
}

fn is_plain_word(value: &Value) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    is_filled(value) && text(value).len() <= TAG_BYTES_MAX && text(value).bytes().all(plain)
}

pub(super) fn words(fault: Fault) -> Option<Answer> {
    match fault {
        Fault::RateLimit { retry_after_s } => Some(rate_limited(retry_after_s.into())),
        Fault::ServerError(status) => Some(error(status, "application_error", "An unexpected error occurred.")),
        Fault::TokenExpired => Some(error(403, "invalid_api_key", "API key is invalid")),
        _ => None,
    }
}

fn rate_limited(retry_after_s: u64) -> Answer {
    let answer = error(429, "rate_limit_exceeded", "Too many requests.");
    answer.with("retry-after", retry_after_s.to_string())
}

fn error(status: u16, name: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "statusCode": status, "name": name, "message": message }))
}

const KEY_BYTES_MAX: usize = 256;
const TAG_BYTES_MAX: usize = 256;
const BATCH_MAX: usize = 100;
const RECIPIENTS_MAX: usize = 50;
const REMEMBERED: Duration = Duration::from_hours(24);
