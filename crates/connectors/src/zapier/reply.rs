//! What the answers of Zapier, Make and n8n mean.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};
use url::Url;

use crate::common::{in_brackets, is_page, page, retry, said, wait};

/// How long to wait if the service does not say.
const WAIT: Duration = Duration::from_secs(15);

/// Whose hook it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    Zapier,
    Make,
    /// n8n, or something like it, at this host.
    Other(String),
}

impl Service {
    pub(super) fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let is_under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        if is_under("zapier.com") {
            Self::Zapier
        } else if is_under("make.com") || is_under("integromat.com") {
            Self::Make
        } else {
            Self::Other(host.to_owned())
        }
    }

    /// Whether it is a service on the public internet.
    pub(super) const fn is_hosted(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// What a reply means.
    pub(super) fn judge(&self, reply: &Reply) -> Verdict {
        let words = said(reply).unwrap_or_default();
        let says = |part: &str| words.to_lowercase().contains(part);
        match reply.status {
            // A workflow of n8n may answer with a page of its own.
            200..=299 if self.is_hosted() && is_page(reply) => page(reply, self.name()),
            200..=299 => Verdict::Delivered,
            400 | 429 if says("queue is full") || says("too many requests") => self.waited(reply),
            429 => self.waited(reply),
            401 | 403 => Verdict::unauthorized(format!(
                "{}; {}, then resume",
                self.says("refused the request", reply),
                self.key()
            )),
            402 => Verdict::Pause {
                reason: PauseReason::Quota,
                message: format!("{}; look at its plan, then resume", self.says("wants to be paid", reply)),
            },
            404 if says("not registered for") => Verdict::misconfigured(format!(
                "{}; set the webhook node to POST, then resume",
                self.says("has this webhook for another method", reply)
            )),
            404 | 410 => self.closed(reply),
            400 if says("no scenario") => self.closed(reply),
            413 => Verdict::reject(FailureReason::TooLarge, self.says("takes no event of this size", reply)),
            408 | 409 | 425 => retry(reply),
            400..=499 => Verdict::reject(FailureReason::Refused, self.says("refused the event", reply)),
            _ => retry(reply),
        }
    }

    fn waited(&self, reply: &Reply) -> Verdict {
        match wait(reply, WAIT) {
            Verdict::Wait { after, .. } => {
                Verdict::Wait { after, message: Some(self.says("takes no more for the moment", reply)) }
            }
            verdict => verdict,
        }
    }

    /// The hook takes nothing any more.
    fn closed(&self, reply: &Reply) -> Verdict {
        let (what, then) = match self {
            Self::Zapier => ("has no such hook any more", "make a new catch hook and put its URL into `url`"),
            Self::Make => (
                "has no scenario behind this webhook any more",
                "switch the scenario on, or make a new custom webhook and put its URL into `url`",
            ),
            Self::Other(_) => (
                "has no active workflow behind this webhook",
                "activate the workflow and see that `url` is its production URL",
            ),
        };
        Verdict::Pause {
            reason: PauseReason::Gone,
            message: format!("{}; {then}, then resume", self.says(what, reply)),
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Zapier => "copy the URL of the catch hook into `url` again",
            Self::Make => "put the webhook's key into `make_apikey`",
            Self::Other(_) => "put what the webhook node asks for under `headers`",
        }
    }

    fn says(&self, what: &str, reply: &Reply) -> String {
        format!("{} {what}{}", self.name(), in_brackets(said(reply)))
    }

    fn name(&self) -> &str {
        match self {
            Self::Zapier => "Zapier",
            Self::Make => "Make",
            Self::Other(host) => host,
        }
    }
}
