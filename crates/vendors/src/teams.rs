//! A Teams channel behind a Power Automate workflow.
//!
//! Every message that reaches a live flow is answered with an empty 202, which proves only that the flow has started. A bad
//! card, or one that is too large, fails inside the flow where nobody looks: it is lost. An item is a message, its key all the
//! text of its card.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::{Bucket, whole_seconds};
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /powerautomate/…?…&sig=…`
#[derive(Debug, Clone)]
pub struct Teams {
    pub flow: Flow,
    /// About four messages a second; `None` takes any rate.
    pub rate: Option<Bucket>,
}

/// What became of the flow. The statuses are what matters; the wording of Power Automate's errors varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Live,
    /// Switched off, or its owner has left.
    Disabled,
    Deleted,
    /// The signature in the URL has run out.
    SignatureExpired,
}

/// Where the flow is, with the query that must arrive untouched.
pub const TARGET: &str = "/powerautomate/automations/direct/workflows/1f0a/triggers/manual/paths/invoke\
                          ?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=sEcR-eT_1";

impl Teams {
    /// A live flow at [`TARGET`] that minds its rate.
    pub fn new() -> Self {
        Self { flow: Flow::Live, rate: Some(Bucket::new(4.0, 4.0)) }
    }

    /// A flow that takes any rate.
    pub fn without_limit() -> Self {
        Self { rate: None, ..Self::new() }
    }

    fn run(&mut self, request: &Request, book: &mut Book) -> Answer {
        if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.take(request.at)) {
            let answer = error(429, "WorkflowTriggerThrottled");
            return answer.with("retry-after", whole_seconds(wait).to_string());
        }
        let message = request.json().unwrap_or_default();
        let key = text_of(&message);
        if request.partial_failure {
            book.lose(key, message, "the flow failed");
        } else if let Err(reason) = check(&message, request.body.len()) {
            book.lose(key, message, reason);
        } else {
            book.store(key, message);
        }
        Answer::empty(202)
    }
}

impl Default for Teams {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator<Teams> {
    /// The whole URL, which is what a user pastes.
    pub fn hook_url(&self) -> String {
        self.url() + TARGET
    }
}

impl Vendor for Teams {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let path = TARGET.split('?').next().unwrap_or_default();
        match self.flow {
            _ if request.path() != path => error(404, "WorkflowNotFound"),
            _ if request.target != TARGET => error(401, "InvalidSignature"),
            _ if request.method != "POST" => error(405, "MethodNotAllowed"),
            Flow::Live => self.run(request, book),
            Flow::Disabled => error(400, "WorkflowTriggerIsNotEnabled"),
            Flow::Deleted => error(404, "WorkflowNotFound"),
            Flow::SignatureExpired => error(401, "ExpiredSignature"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::TokenExpired => Some(error(401, "ExpiredSignature")),
            _ => None,
        }
    }
}

/// Why a flow that posts the first attachment as a card fails.
fn check(message: &Value, bytes: usize) -> Result<(), &'static str> {
    let attachment = &message["attachments"][0];
    let card = &attachment["content"];
    let version = card["version"].as_str().and_then(|version| version.split_once('.'));
    if bytes > BYTES_MAX {
        Err("the message is larger than 28 KB")
    } else if message["type"] != "message" {
        Err("`type` is not `message`")
    } else if attachment["contentType"] != "application/vnd.microsoft.card.adaptive" {
        Err("the first attachment is no adaptive card")
    } else if card["type"] != "AdaptiveCard" {
        Err("the card is not an `AdaptiveCard`")
    } else if !version.is_some_and(|(major, minor)| major == "1" && minor.parse().is_ok_and(|minor: u8| minor <= 5)) {
        Err("the card's `version` is not one that Teams renders")
    } else if !card["body"].as_array().is_some_and(|body| !body.is_empty() && body.iter().all(is_element)) {
        Err("an element of the card is unknown or lacks its content")
    } else {
        Ok(())
    }
}

fn is_element(element: &Value) -> bool {
    match element["type"].as_str() {
        Some("TextBlock") => element["text"].is_string(),
        Some("FactSet") => {
            let is_fact = |fact: &Value| fact["title"].is_string() && fact["value"].is_string();
            element["facts"].as_array().is_some_and(|facts| facts.iter().all(is_fact))
        }
        Some("Container") => element["items"].as_array().is_some_and(|items| items.iter().all(is_element)),
        Some("ColumnSet" | "Image" | "RichTextBlock" | "ActionSet" | "Table") => true,
        _ => false,
    }
}

/// The strings that a reader sees, joined by lines.
fn text_of(value: &Value) -> String {
    let mut texts = Vec::new();
    collect(value, &mut texts);
    texts.join("\n")
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if matches!(name.as_str(), "text" | "title" | "value") => texts.push(text),
                    _ => collect(value, texts),
                }
            }
        }
        _ => {}
    }
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": code } }))
}

const BYTES_MAX: usize = 28 << 10;

#[cfg(test)]
mod tests;
