//! `SendGrid`: `POST /v3/mail/send`. A 202 means accepted; whether the address is suppressed is never said.

use std::time::Duration;

use domain::connector::{Call, HttpCall, Reply, SettingsError, Token};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Timestamp, Verdict};
use lettre::message::Mailbox;
use serde_json::{Map, Value, json};

use super::letter::{Content, Letter, Letterhead};
use super::{OwnTemplates, Provider, Refusal, settings};
use crate::common::{USER_AGENT, asked_wait, in_brackets, is_page, on_one_line, retry, said, wait};

/// An account.
pub(super) struct SendGrid {
    url: String,
    api_key: String,
}

impl SendGrid {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let usual = match settings.text("region") {
            Some("eu") => "https://api.eu.sendgrid.com",
            _ => "https://api.sendgrid.com",
        };
        let url = format!("{}/v3/mail/send", settings::api_url(settings, usual)?);
        Ok(Self { url, api_key: settings::api_key(settings)? })
    }
}

impl Provider for SendGrid {
    fn templates(&self) -> OwnTemplates {
        OwnTemplates::Known
    }

    fn call(&self, head: &Letterhead, letter: &Letter, _: Option<&Token>) -> Result<Call, Refusal> {
        let to: Vec<_> = letter.to.iter().map(|to| json!({"email": to.to_string()})).collect();
        let mut personalization = json!({"to": to});
        let mut body = json!({
            "from": person(&head.from),
            "custom_args": {"event_id": letter.name},
        });
        if let Some(reply_to) = &head.reply_to {
            body["reply_to"] = person(reply_to);
        }
        let headers: Map<_, _> =
            letter.unsubscribe_headers().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        if !headers.is_empty() {
            body["headers"] = headers.into();
        }
        match &letter.content {
            Content::Rendered { subject, text, html } => {
                body["subject"] = json!(subject);
                // The plain part must come first, and an empty one is refused.
                let parts = [("text/plain", text), ("text/html", html)];
                let part = |(kind, text): (&str, &Option<String>)| {
                    let text = text.as_deref().filter(|text| !text.is_empty())?;
                    Some(json!({"type": kind, "value": text}))
                };
                body["content"] = parts.into_iter().filter_map(part).collect();
            }
            Content::Template { id, subject, data } => {
                body["template_id"] = json!(id);
                if let Some(subject) = subject {
                    body["subject"] = json!(subject);
                }
                personalization["dynamic_template_data"] = json!(data);
            }
        }
        body["personalizations"] = json!([personalization]);
        let call = HttpCall::post_json(self.url.as_str(), body.to_string())
            .header("User-Agent", USER_AGENT)
            .header("Authorization", format!("Bearer {}", self.api_key));
        Ok(Call::Http(call))
    }

    fn judge(&self, reply: &Reply, _: bool) -> Verdict {
        let body = reply.json().unwrap_or_default();
        let first = &body["errors"][0];
        let text =
            first["message"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply)).unwrap_or_default();
        let field = first["field"].as_str().unwrap_or_default();
        let why = in_brackets(Some(text.clone()).filter(|text| !text.is_empty()));
        match reply.status {
            200..=299 if is_page(reply) => super::unknown_behind_page("SendGrid"),
            200..=299 => Verdict::Delivered,
            401 if text.contains("credits") => Verdict::Pause {
                reason: PauseReason::Quota,
                message: format!(
                    "SendGrid's mails for this period are used up{why}; raise the plan or resume when it begins anew"
                ),
            },
            401 => Verdict::unauthorized(format!(
                "SendGrid refused the API key{why}; make one with Mail Send access and put it into `api_key`; for \
                 an account in the EU set `region`"
            )),
            403 if is_about_the_sender(field, &text) => wrong_sender(&why),
            403 => Verdict::unauthorized(format!(
                "SendGrid does not let the API key send{why}; make one with Mail Send access and put it into `api_key`"
            )),
            400 if field.starts_with("from") => wrong_sender(&why),
            400 if field == "template_id" => Verdict::misconfigured(format!(
                "SendGrid does not know the template{why}; its id begins with `d-`, mend it in the settings"
            )),
            404 | 405 => {
                Verdict::misconfigured(format!("there is no SendGrid at `api_url`{why}; mend it or take it out"))
            }
            413 => Verdict::reject(FailureReason::TooLarge, text),
            400 | 406 | 415 | 422 => Verdict::reject(FailureReason::Refused, text),
            429 => wait(reply, until_reset(reply).or_else(|| asked_wait(reply)).unwrap_or(RATE_WAIT)),
            502 | 504 => super::unknown_outcome("SendGrid"),
            _ => retry(reply),
        }
    }
}

fn person(mailbox: &Mailbox) -> Value {
    let mut person = json!({"email": mailbox.email.to_string()});
    if let Some(name) = &mailbox.name {
        person["name"] = json!(name);
    }
    person
}

/// A 403 is mostly about the key; about the sender it says so.
fn is_about_the_sender(field: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    field.starts_with("from") || text.contains("from address") || text.contains("sender")
}

fn wrong_sender(why: &str) -> Verdict {
    Verdict::misconfigured(format!("SendGrid refused the sender{why}; verify the address or domain of `from` there"))
}

/// The limit is told as the second at which it is over.
fn until_reset(reply: &Reply) -> Option<Duration> {
    let at = reply.header("x-ratelimit-reset")?.parse().ok()?;
    Some(Timestamp::from_secs(at).since(reply.received_at).min(RESET_MAX))
}

/// A wait that is not named.
const RATE_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that is believed.
const RESET_MAX: Duration = Duration::from_hours(1);
