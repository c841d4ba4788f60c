//! The catch hooks of Zapier, Make and n8n.
//!
//! An item is one object of what was sent, its key the `id` of the object, or its JSON. None of them tells a repetition.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::book::Book;
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// One hook.
#[derive(Debug, Clone)]
pub struct CatchHook {
    pub tool: Tool,
    pub state: State,
}

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Zapier,
    Make,
    N8n,
}

/// What became of the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Live,
    /// The automation behind it is off. Zapier says success all the same.
    SwitchedOff,
    Gone,
    /// Its queue is full.
    Full,
}

impl CatchHook {
    /// A live hook.
    pub fn new(tool: Tool) -> Self {
        Self { tool, state: State::Live }
    }

    fn catch(&self, request: &Request, book: &mut Book) -> Answer {
        let Ok(body) = request.json() else {
            return Answer::json(400, &json!({ "status": "error", "message": "malformed JSON" }));
        };
        let items = if let Value::Array(items) = body { items } else { vec![body] };
        for item in items {
            let key = item["id"].as_str().map_or_else(|| item.to_string(), str::to_owned);
            if self.state == State::SwitchedOff {
                book.lose(key, item, "the automation is switched off");
                continue;
            }
            if self.tool == Tool::Zapier && is_nested(&item) {
                book.flag(key.as_str(), item.clone(), "nested keys become `a__b`");
            }
            book.store(key, item);
        }
        self.thank(book.stored.len())
    }

    fn thank(&self, count: usize) -> Answer {
        match self.tool {
            Tool::Zapier => {
                let id = format!("00000000-0000-4000-a000-{count:012x}");
                Answer::json(200, &json!({ "status": "success", "id": id, "request_id": id, "attempt": id }))
            }
            Tool::Make => Answer::text(200, "Accepted"),
            Tool::N8n => Answer::json(200, &json!({ "message": "Workflow was started" })),
        }
    }
}

impl Tool {
    /// Where its hook is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Zapier => "/hooks/catch/1234567/abcdef/",
            Self::Make => "/s3cr3tmakehook",
            Self::N8n => "/webhook/6f1c",
        }
    }
}

impl Simulator<CatchHook> {
    /// The whole URL, which is what a user pastes.
    pub fn hook_url(&self) -> String {
        self.url() + self.vendor(|hook| hook.tool.path())
    }
}

impl Vendor for CatchHook {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.path() != self.tool.path() || request.method != "POST" {
            return Answer::empty(404);
        }
        match (self.state, self.tool) {
            (State::Live, _) | (State::SwitchedOff, Tool::Zapier) => self.catch(request, book),
            (State::SwitchedOff | State::Gone, Tool::N8n) => {
                let message = "The requested webhook \"POST 6f1c\" is not registered.";
                Answer::json(404, &json!({ "code": 404, "message": message }))
            }
            (State::SwitchedOff, Tool::Make) => Answer::text(400, "There is no scenario listening for this webhook."),
            (State::Gone, _) => Answer::text(410, "Gone"),
            (State::Full, Tool::Make) => Answer::text(400, "Queue is full."),
            (State::Full, _) => Answer::json(429, &json!({ "status": "throttled" })).with("retry-after", "1"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match (fault, self.tool) {
            (Fault::RateLimit { .. }, Tool::Make) => Some(Answer::text(429, "Too many requests")),
            _ => None,
        }
    }
}

fn is_nested(item: &Value) -> bool {
    item.as_object().is_some_and(|fields| fields.values().any(|value| value.is_object() || value.is_array()))
}

#[cfg(test)]
mod tests;
