//! What the chat connectors share: what is said and how much of it, sentences about events, digests, templates inside JSON, and
//! lengths.

mod cut;
mod digest;
mod sentence;
mod structure;

use std::time::Duration;

use ::url::Url;
use domain::connector::{Batch, BatchLimits, Call, HttpCall, Item, SettingsError, Step};
use domain::expression::{Escape, ExpressionError, Template};
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};

use crate::common::{USER_AGENT, url};

pub(crate) use cut::{cut, length};
use digest::digest;
pub(crate) use sentence::{Sentence, Span, sentence};
pub(crate) use structure::{Place, Rule, Rules, Structure};

/// One message per event, or one about as many as a digest brings: it counts them, so that only memory bounds it. Ten thousand
/// events of 3 KiB fit, and that is half of what a lane has in hand. `batch.items` would have no effect.
pub(crate) const LIMITS: BatchLimits = BatchLimits { bytes_max: 32 * 1024 * 1024, ..BatchLimits::ONE };

/// Installs and referrals; clicks are too many for people, and conversions are for those who ask for them.
pub(crate) const EVENTS: &[&str] = &["install.tracked", "deferred_link.claimed", "referral.completed"];

/// How a vendor writes text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tongue {
    /// What keeps a value from being markup.
    pub(crate) escape: Escape,
    /// What stands on both sides of what is important.
    pub(crate) strong: &'static str,
}

impl Tongue {
    /// A sentence with its values escaped.
    pub(crate) fn write(self, spans: &[Span]) -> String {
        let mut text = String::new();
        for span in spans {
            match span {
                Span::Plain(plain) => text.push_str(plain),
                Span::Value(value) => text.push_str(&self.escape.apply(value)),
                Span::Strong(value) => {
                    text.push_str(self.strong);
                    text.push_str(&self.escape.apply(value));
                    text.push_str(self.strong);
                }
            }
        }
        text
    }
}

/// A sentence with its facts in a line below it.
pub(crate) fn in_lines(tongue: Tongue, sentence: &Sentence) -> String {
    let mut text = tongue.write(&sentence.headline);
    for (index, (name, value)) in sentence.facts.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { " | " });
        text.push_str(&tongue.write(&[Span::Plain(name), Span::Plain(": "), Span::Value(value.clone())]));
    }
    text
}

/// What a batch is to a chat.
enum Occasion<'a> {
    /// One message about one event.
    Event(&'a Item<'a>),
    /// One message about all of them.
    Digest(Duration),
    /// Many events and nobody asked for a digest: each half for itself.
    Crowd,
}

impl<'a> Occasion<'a> {
    /// A digest of one event is better told as that event.
    const fn of(batch: &Batch<'a>) -> Self {
        match (batch.items, batch.digest) {
            ([item], _) => Self::Event(item),
            (_, Some(interval)) => Self::Digest(interval),
            (_, None) => Self::Crowd,
        }
    }
}

/// What is said about a batch: `about` one event, or as a digest `of_lines` that are written in this tongue.
pub(crate) fn say<M: ToString>(
    batch: &Batch<'_>,
    url: &str,
    tongue: Tongue,
    about: impl FnOnce(&Item<'_>) -> Result<M, Verdict>,
    of_lines: impl FnOnce(Vec<String>) -> M,
) -> Step {
    let message = match Occasion::of(batch) {
        Occasion::Event(item) => about(item),
        Occasion::Digest(interval) => {
            Ok(of_lines(digest(batch, interval).iter().map(|line| tongue.write(line)).collect()))
        }
        Occasion::Crowd => return Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) },
    };
    match message {
        Ok(message) => {
            let call = HttpCall::post_json(url, message.to_string()).header("User-Agent", USER_AGENT);
            Step::Send(Call::Http(call))
        }
        Err(verdict) => Step::settle_all(batch, &verdict),
    }
}

/// What a verdict on a message means for the events that it was about: what is wrong with a digest may be one of them.
pub(crate) fn settle(batch: &Batch<'_>, verdict: Verdict) -> Step {
    match verdict {
        alone @ Verdict::Reject { .. } if batch.items.len() > 1 => Step::Split { alone },
        verdict => Step::settle_all(batch, &verdict),
    }
}

/// How much of a message is sent, for vendors that may refuse what goes with its text.
pub(crate) mod stage {
    pub(crate) const WHOLE: u32 = 0;
    /// The vendor has refused the rest.
    pub(crate) const TEXT_ONLY: u32 = 1;
}

/// The setting `text`: the destination's own words, or ours.
pub(crate) struct Text(Option<Template>);

impl Text {
    pub(crate) fn read(settings: &Settings, escape: Escape) -> Result<Self, SettingsError> {
        let compile = |source| Template::compile(source, escape);
        settings
            .text("text")
            .map(compile)
            .transpose()
            .map(Self)
            .map_err(|error| SettingsError::new("text", format!("does not compile: {error}")))
    }

    /// The destination's own words about an event; `None` if it has none. Where nothing else `goes_with` them, there is no
    /// message without words.
    pub(crate) fn own(&self, item: &Item<'_>, goes_with: bool) -> Result<Option<String>, Verdict> {
        let Some(template) = &self.0 else { return Ok(None) };
        let text = template.render(item.value()).map_err(|error| failed("text", &error))?;
        match text.trim() {
            "" if goes_with => Ok(None),
            "" => Err(Verdict::skip("the text of the destination is empty for this event")),
            text => Ok(Some(text.to_owned())),
        }
    }
}

/// A template of the setting `name` failed on an event.
pub(crate) fn failed(name: &str, error: &ExpressionError) -> Verdict {
    Verdict::reject(FailureReason::TemplateError, format!("setting `{name}`: {error}"))
}

/// The URL of a webhook: any with `host_check = false`, else one that `check` finds to be the vendor's. A message of
/// `check` continues "setting `url` …".
pub(crate) fn hook(settings: &Settings, check: fn(&Url) -> Result<(), String>) -> Result<Url, SettingsError> {
    let wrong = |message| SettingsError::new("url", message);
    let url = url::parse(settings.text("url").unwrap_or_default()).map_err(wrong)?;
    if settings.0.get("host_check").and_then(serde_json::Value::as_bool).unwrap_or(true) {
        if url.scheme() != "https" {
            return Err(wrong("begins with `http:`, and the URL is a secret; use `https:`".to_owned()));
        }
        check(&url).map_err(wrong)?;
    }
    Ok(url)
}
