//! Letters: what every provider is handed, and what is the same on all of them.

use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, Template};
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp};
use lettre::Address;
use lettre::message::Mailbox;
use serde_json::{Map, Value};

use super::{Refusal, recipients};
use crate::common;

/// What is the same on every letter of a destination.
#[derive(Debug)]
pub(super) struct Letterhead {
    pub(super) from: Mailbox,
    pub(super) reply_to: Option<Mailbox>,
    unsubscribe: Option<Template>,
}

/// One mail.
#[derive(Debug)]
pub(super) struct Letter {
    /// The same on every try: the event's id, or a name for all events of a digest.
    pub(super) name: String,
    /// Which deliveries it is: the same on every try, others when a person has it sent once more.
    pub(super) deliveries: String,
    pub(super) to: Vec<Address>,
    pub(super) content: Content,
    /// A URL or `mailto:` by which the recipient can put an end to this.
    pub(super) unsubscribe: Option<String>,
    pub(super) now: Timestamp,
}

/// What it says.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// Rendered here.
    Rendered { subject: String, text: Option<String>, html: Option<String> },
    /// Rendered by the provider.
    Template { id: String, subject: Option<String>, data: Map<String, Value> },
}

impl Letterhead {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let from = mailbox("from", settings.text("from").unwrap_or_default())?;
        let reply_to = settings.text("reply_to").map(|text| mailbox("reply_to", text)).transpose()?;
        let compile = |text| {
            Template::compile(text, Escape::Url)
                .map_err(|error| SettingsError::new("unsubscribe", format!("does not compile: {error}")))
        };
        Ok(Self { from, reply_to, unsubscribe: settings.text("unsubscribe").map(compile).transpose()? })
    }

    /// How the recipient of a mail can put an end to this.
    pub(super) fn unsubscribe(&self, item: &Item<'_>) -> Result<Option<String>, Refusal> {
        let Some(template) = &self.unsubscribe else { return Ok(None) };
        let text = template
            .render(item.value())
            .map_err(|error| Refusal::new(FailureReason::TemplateError, format!("setting `unsubscribe`: {error}")))?;
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,".contains(&byte));
        let is_mailto = text.strip_prefix("mailto:").is_some_and(|rest| rest.contains('@'));
        if is_visible && (is_mailto || common::url::parse(&text).is_ok()) {
            return Ok(Some(text));
        }
        Err(Refusal::unprocessable("setting `unsubscribe` comes out as neither a URL nor a `mailto:` address"))
    }
}

impl Letter {
    /// The headers of [RFC 8058](https://www.rfc-editor.org/rfc/rfc8058) that mail programs show as a button.
    pub(super) fn unsubscribe_headers(&self) -> Vec<(&'static str, String)> {
        let Some(url) = &self.unsubscribe else { return Vec::new() };
        let mut headers = vec![("List-Unsubscribe", format!("<{url}>"))];
        if url.starts_with("https:") {
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        headers
    }
}

fn mailbox(field: &str, text: &str) -> Result<Mailbox, SettingsError> {
    let wrong = |why: &str| SettingsError::new(field, format!("{why}; write it like `Acme <hello@acme.example>`"));
    if text.chars().any(char::is_control) {
        return Err(wrong("holds a line break or control character"));
    }
    let mailbox: Mailbox = text.trim().parse().map_err(|_| wrong("is no e-mail address"))?;
    recipients::address(mailbox.email.as_ref()).map_err(wrong)?;
    Ok(mailbox)
}
