//! Slack's incoming webhooks.
//!
//! The URL is the secret, answers are plain words, and nothing tells one message from its repetition. An item is a message, its
//! key the `text`. What pings people is kept and flagged.

mod blocks;

use std::time::Duration;

use crate::answer::Answer;
use crate::book::Book;
use crate::bucket::{Bucket, whole_seconds};
use crate::faults::Fault;
use crate::request::Request;
use crate::simulator::{Simulator, Vendor};

/// `POST /services/T…/B…/…`
#[derive(Debug, Clone)]
pub struct Slack {
    pub hook: Hook,
    /// One message a second after a short burst; `None` takes any rate.
    pub rate: Option<Bucket>,
}

/// What became of the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Live,
    /// Revoked or its app removed.
    NoService,
    ChannelArchived,
    /// An administrator has forbidden it.
    ActionProhibited,
}

/// Where the hook is.
pub const PATH: &str = "/services/T0AFTER/B0CLICK/sEcReT";

impl Slack {
    /// A live hook at [`PATH`] that minds its rate.
    pub fn new() -> Self {
        Self { hook: Hook::Live, rate: Some(Bucket::new(1.0, BURST)) }
    }

    /// A live hook that takes any rate.
    pub fn without_limit() -> Self {
        Self { rate: None, ..Self::new() }
    }

    fn post(&mut self, request: &Request, book: &mut Book) -> Answer {
        if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.take(request.at)) {
            return rate_limited(wait);
        }
        let Ok(message) = request.json() else { return Answer::text(400, "invalid_payload") };
        let text = message["text"].as_str().unwrap_or_default().to_owned();
        if let Err(word) = blocks::check(&message) {
            book.refuse(text, message, word);
            return Answer::text(400, word);
        }
        for mention in blocks::mentions(&message) {
            book.flag(text.as_str(), message.clone(), format!("pings with `{mention}`"));
        }
        if text.is_empty() {
            book.flag(text.as_str(), message.clone(), "there is no `text` for notifications");
        } else if text.chars().count() > TEXT_CHARS_MAX {
            book.flag(text.as_str(), message.clone(), "`text` is cut off");
        }
        book.store(text, message);
        Answer::text(200, "ok")
    }
}

impl Default for Slack {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator<Slack> {
    /// The whole URL, which is what a user pastes.
    pub fn hook_url(&self) -> String {
        self.url() + PATH
    }
}

impl Vendor for Slack {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        if request.target != PATH {
            return Answer::text(404, "no_service");
        }
        if request.method != "POST" {
            return Answer::text(400, "invalid_payload");
        }
        match self.hook {
            Hook::Live => self.post(request, book),
            Hook::NoService => Answer::text(404, "no_service"),
            Hook::ChannelArchived => Answer::text(410, "channel_is_archived"),
            Hook::ActionProhibited => Answer::text(403, "action_prohibited"),
        }
    }

    fn words(&mut self, fault: Fault, _: &Request) -> Option<Answer> {
        match fault {
            Fault::RateLimit { retry_after_s } => Some(rate_limited(Duration::from_secs(retry_after_s.into()))),
            Fault::ServerError(status) => Some(Answer::text(status, "rollup_error")),
            Fault::TokenExpired => Some(Answer::text(403, "invalid_token")),
            _ => None,
        }
    }
}

fn rate_limited(wait: Duration) -> Answer {
    Answer::text(429, "rate_limited").with("retry-after", whole_seconds(wait).to_string())
}

/// "Short bursts" are allowed; Slack does not say how short.
const BURST: f64 = 3.0;
const TEXT_CHARS_MAX: usize = 40_000;

#[cfg(test)]
mod tests;
