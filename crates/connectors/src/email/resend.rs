//! Resend: `POST /emails`. It knows a mail by its idempotency key for a day, so the mail of a delivery may be tried again.

use domain::connector::{Call, HttpCall, Reply, SettingsError, Token};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Verdict};
use serde_json::{Map, Value, json};
use std::time::Duration;

use super::letter::{Content, Letter, Letterhead};
use super::{OwnTemplates, Provider, Refusal, lower, settings};
use crate::common::{USER_AGENT, in_brackets, is_page, on_one_line, page, retry, said, wait};

/// Longest text of a template's variable, in characters.
const VARIABLE_CHARS_MAX: usize = 2_000;

/// A team's account.
pub(super) struct Resend {
    url: String,
    api_key: String,
}

impl Resend {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let url = format!("{}/emails", settings::api_url(settings, "https://api.resend.com")?);
        Ok(Self { url, api_key: settings::api_key(settings)? })
    }
}

impl Provider for Resend {
    fn templates(&self) -> OwnTemplates {
        OwnTemplates::WithSubject
    }

    fn known_for(&self) -> Option<Duration> {
        Some(KEY_GOOD_FOR)
    }

    fn call(&self, head: &Letterhead, letter: &Letter, _: Option<&Token>) -> Result<Call, Refusal> {
        // Whatever is tried again must be the same to the letter, so no time stands in it.
        let mut body = json!({
            "from": head.from.to_string(),
            "to": letter.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "tags": [{"name": "event_id", "value": letter.name}],
        });
        if let Some(reply_to) = &head.reply_to {
            body["reply_to"] = json!(reply_to.to_string());
        }
        let headers: Map<_, _> =
            letter.unsubscribe_headers().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        if !headers.is_empty() {
            body["headers"] = headers.into();
        }
        match &letter.content {
            Content::Rendered { subject, text, html } => {
                body["subject"] = json!(subject);
                if let Some(text) = text {
                    body["text"] = json!(text);
                }
                if let Some(html) = html {
                    body["html"] = json!(html);
                }
            }
            Content::Template { id, subject, data } => {
                if let Some(subject) = subject {
                    body["subject"] = json!(subject);
                }
                body["template"] = json!({"id": id, "variables": variables(data)});
            }
        }
        let call = HttpCall::post_json(self.url.as_str(), body.to_string())
            .header("User-Agent", USER_AGENT)
            .header("Authorization", format!("Bearer {}", self.api_key))
            .header("Idempotency-Key", key(letter));
        Ok(Call::Http(call))
    }

    fn judge(&self, reply: &Reply, _: bool) -> Verdict {
        let body = reply.json().unwrap_or_default();
        let text = body["message"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
        let why = in_brackets(text.clone());
        let reject = |reason| Verdict::Reject { reason, message: text.clone() };
        let quota = |what: &str| Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!("Resend's {what} quota is used up{why}; resume when it begins anew, or raise the plan"),
        };
        match (reply.status, body["name"].as_str().unwrap_or_default()) {
            (200..=299, _) if is_page(reply) => page(reply, "Resend"),
            (200..=299, _) => Verdict::Delivered,
            (409, "invalid_idempotent_request") => Verdict::skip(
                "Resend has already taken another mail for this event and recipient; it is not sent a second time",
            ),
            (409, _) => Verdict::Retry { after: Some(IN_PROGRESS), reason: FailureReason::ClientError, message: text },
            (429, "daily_quota_exceeded") => quota("daily"),
            (429, "monthly_quota_exceeded") => quota("monthly"),
            (429, _) => wait(reply, RATE_WAIT),
            (403, "validation_error") | (422, "invalid_from_address") => Verdict::misconfigured(format!(
                "Resend refused the sender{why}; verify the domain of `from` there, or set `from` to a verified one"
            )),
            (401 | 403, _) => Verdict::unauthorized(format!(
                "Resend refused the API key{why}; make one with sending access and put it into `api_key`"
            )),
            (404 | 405, _) => Verdict::misconfigured(format!(
                "Resend does not know what was asked for{why}; publish the template, or mend its id and `api_url`"
            )),
            (413, _) => reject(FailureReason::TooLarge),
            (400 | 422 | 451, _) => reject(FailureReason::Refused),
            _ => retry(reply),
        }
    }
}

/// The name of a mail: of this delivery, to these people, about this. Two destinations of one team may both write to
/// somebody about the same event, and mean two mails; and whoever has a delivery sent once more makes another one, and
/// means a second mail.
fn key(letter: &Letter) -> String {
    let about = match &letter.content {
        Content::Rendered { subject, .. } => subject,
        Content::Template { id, .. } => id,
    };
    let this = format!("{}\n{}\n{about}", letter.deliveries, lower(&letter.to));
    let hash = ring::digest::digest(&ring::digest::SHA256, this.as_bytes());
    format!("afterclick/{}/{}", letter.name, hex::encode(&hash.as_ref()[..8]))
}

/// Variables are texts and numbers, and stand in the template's HTML as they are: there is no escaping at Resend's.
fn variables(data: &Map<String, Value>) -> Map<String, Value> {
    let text = |text: &str| {
        let text: String = text.chars().take(VARIABLE_CHARS_MAX).collect();
        Value::from(domain::expression::Escape::Html.apply(&text))
    };
    let variable = |value: &Value| match value {
        Value::Number(_) => value.clone(),
        Value::String(it) => text(it),
        other => text(&other.to_string()),
    };
    data.iter().map(|(name, value)| (name.clone(), variable(value))).collect()
}

/// How long a key is good, but for an hour: Resend forgets it after a day.
const KEY_GOOD_FOR: Duration = Duration::from_hours(23);
/// How long another request with the same key may take.
const IN_PROGRESS: Duration = Duration::from_secs(5);
/// A wait that is not named; the limit is counted by the second.
const RATE_WAIT: Duration = Duration::from_secs(1);
