//! `SendGrid`: `POST /v3/mail/send`, an empty 202 that says nothing about suppressed addresses.

use serde_json::{Value, json};

use super::address::{are_one_line, bare, is_filled};
use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::look::{list, text};
use crate::request::Request;

/// An account.
#[derive(Debug, Clone)]
pub struct SendGrid {
    pub api_key: String,
    /// Addresses that are dropped without a word.
    pub suppressed: Vec<String>,
}

impl Default for SendGrid {
    fn default() -> Self {
        Self { api_key: "SG.afterclick".to_owned(), suppressed: Vec::new() }
    }
}

impl SendGrid {
    pub(super) fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.bearer() != Some(&self.api_key) {
            return error(401, "The provided authorization grant is invalid, expired, or revoked", None);
        }
        if request.body.len() > BYTES_MAX {
            return error(413, "The payload is larger than 30 MB", None);
        }
        let Ok(mail) = request.json() else { return error(400, "Bad Request", None) };
        match recipients(&mail).and_then(|recipients| check(&mail).map(|()| recipients)) {
            Ok(recipients) => {
                let id = format!("msg-{}", book.stored.len() + book.lost.len());
                for to in recipients {
                    if self.suppressed.contains(&to) || request.partial_failure {
                        book.lose(to, mail.clone(), "the address is suppressed");
                    } else {
                        book.store(to, mail.clone());
                    }
                }
                Answer::empty(202).with("x-message-id", id)
            }
            Err((field, message)) => {
                book.refuse(mail["personalizations"].to_string(), mail, message);
                error(400, message, Some(field))
            }
        }
    }
}

type Refusal = (&'static str, &'static str);

fn recipients(mail: &Value) -> Result<Vec<String>, Refusal> {
    let personalizations = list(&mail["personalizations"]);
    if !(1..=PERSONALIZATIONS_MAX).contains(&personalizations.len()) {
        return Err(("personalizations", "The personalizations field is required and must have 1 to 1000 objects."));
    }
    let mut recipients = Vec::new();
    for personalization in personalizations {
        let to = personalization["to"].as_array().filter(|to| !to.is_empty());
        for to in to.ok_or(("personalizations.0.to", "The to array is required."))? {
            let invalid = ("personalizations.0.to.0.email", "Does not contain a valid address.");
            recipients.push(to["email"].as_str().and_then(bare).ok_or(invalid)?);
        }
    }
    Ok(recipients)
}

fn check(mail: &Value) -> Result<(), Refusal> {
    if mail["from"]["email"].as_str().and_then(bare).is_none() {
        return Err(("from.email", "The from email does not contain a valid address."));
    }
    let subjects = [&mail["subject"], &mail["personalizations"][0]["subject"]];
    if !subjects.into_iter().chain([&mail["headers"]]).all(are_one_line) {
        return Err(("subject", "The subject and the headers must be one line each."));
    }
    if is_filled(&mail["template_id"]) {
        let is_dynamic = mail["template_id"].as_str().is_some_and(|id| id.starts_with("d-"));
        return if is_dynamic { Ok(()) } else { Err(("template_id", "The template_id must be a valid GUID.")) };
    }
    if !subjects.iter().any(|subject| is_filled(subject)) {
        return Err(("subject", "The subject is required."));
    }
    let kinds: Vec<&str> = list(&mail["content"]).iter().map(|part| text(&part["type"])).collect();
    if kinds.iter().skip(1).any(|kind| *kind == "text/plain") {
        return Err(("content", "If present, text/plain must be first, followed by text/html."));
    }
    match mail["content"].as_array() {
        Some(content) if content.iter().all(|part| is_filled(&part["type"]) && is_filled(&part["value"])) => Ok(()),
        _ => Err(("content", "Unless a valid template_id is provided, the content parameter is required.")),
    }
}

pub(super) fn words(fault: Fault) -> Option<Answer> {
    match fault {
        Fault::RateLimit { retry_after_s } => {
            let answer = error(429, "too many requests", None);
            Some(answer.with("x-ratelimit-remaining", "0").with("retry-after", retry_after_s.to_string()))
        }
        Fault::TokenExpired => {
            Some(error(401, "The provided authorization grant is invalid, expired, or revoked", None))
        }
        _ => None,
    }
}

fn error(status: u16, message: &str, field: Option<&str>) -> Answer {
    Answer::json(status, &json!({ "errors": [{ "message": message, "field": field, "help": null }] }))
}

const BYTES_MAX: usize = 30 << 20;
const PERSONALIZATIONS_MAX: usize = 1000;
