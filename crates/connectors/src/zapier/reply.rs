//! What the answers of Zapier, Make and n8n mean.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::secret::MASK;
use domain::verdict::{FailureReason, PauseReason};
use url::Url;

use crate::common::{in_brackets, is_page, page, retry, said, wait};

/// How long to wait if the service does not say.
const WAIT: Duration = Duration::from_secs(15);

/// Whose hook it is.
pub(super) struct Service {
    kind: Kind,
    /// What to call it in a message.
    name: String,
    /// What of the URL is a credential: some answers repeat it.
    secrets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zapier,
    Make,
    /// n8n, or something like it.
    Other,
}

impl Service {
    pub(super) fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let is_under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        let (kind, name) = if is_under("zapier.com") {
            (Kind::Zapier, "Zapier")
        } else if is_under("make.com") || is_under("integromat.com") {
            (Kind::Make, "Make")
        } else {
            (Kind::Other, host)
        };
        let segments = url.path_segments().into_iter().flatten();
        let secrets = segments.filter(|segment| segment.len() >= 4 && !KNOWN_SEGMENTS.contains(segment));
        Self { kind, name: name.to_owned(), secrets: secrets.map(str::to_owned).collect() }
    }

    /// Whether it is a service on the public internet.
    pub(super) fn is_hosted(&self) -> bool {
        self.kind != Kind::Other
    }

    /// What a reply means.
    pub(super) fn judge(&self, reply: &Reply) -> Verdict {
        let words = said(reply).unwrap_or_default();
        let says = |part: &str| words.to_lowercase().contains(part);
        match reply.status {
            // A workflow of n8n may answer with a page of its own.
            200..=299 if self.is_hosted() && is_page(reply) => page(reply, &self.name),
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
        let (what, then) = match self.kind {
            Kind::Zapier => ("has no such hook any more", "make a new catch hook and put its URL into `url`"),
            Kind::Make => (
                "has no scenario behind this webhook any more",
                "switch the scenario on, or make a new custom webhook and put its URL into `url`",
            ),
            Kind::Other => (
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
        match self.kind {
            Kind::Zapier => "copy the URL of the catch hook into `url` again",
            Kind::Make => "put the webhook's key into `make_apikey`",
            Kind::Other => "put what the webhook node asks for under `headers`",
        }
    }

    fn says(&self, what: &str, reply: &Reply) -> String {
        let said = said(reply).map(|said| self.secrets.iter().fold(said, |said, secret| said.replace(secret, MASK)));
        format!("{} {what}{}", self.name, in_brackets(said))
    }
}

/// Parts of a path that everybody knows.
const KNOWN_SEGMENTS: &[&str] = &["hooks", "catch", "silent", "standard", "webhook"];
