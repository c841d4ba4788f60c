//! Postmark: `POST /email` and `/email/withTemplate`. The status says little; the `ErrorCode` in the body says what to
//! do.

use std::time::Duration;

use domain::connector::{Call, HttpCall, Reply, SettingsError, Token};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Verdict};
use serde_json::json;

use super::letter::{Content, Letter, Letterhead};
use super::{OwnTemplates, Provider, Refusal, settings};
use crate::common::{USER_AGENT, in_brackets, is_page, on_one_line, retry, said, wait};

/// A server, as Postmark calls it.
pub(super) struct Postmark {
    url: String,
    token: String,
    stream: String,
}

impl Postmark {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            url: settings::api_url(settings, "https://api.postmarkapp.com")?,
            token: settings::api_key(settings)?,
            stream: settings.text("stream").unwrap_or("outbound").to_owned(),
        })
    }
}

impl Provider for Postmark {
    fn templates(&self) -> OwnTemplates {
        OwnTemplates::WithOwnSubject
    }

    fn call(&self, head: &Letterhead, letter: &Letter, _: Option<&Token>) -> Result<Call, Refusal> {
        let mut body = json!({
            "From": head.from.to_string(),
            "To": letter.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            "MessageStream": self.stream,
            "Metadata": {"event_id": letter.name},
        });
        if let Some(reply_to) = &head.reply_to {
            body["ReplyTo"] = json!(reply_to.to_string());
        }
        let headers: Vec<_> =
            letter.unsubscribe_headers().iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
        if !headers.is_empty() {
            body["Headers"] = headers.into();
        }
        let path = match &letter.content {
            Content::Rendered { subject, text, html } => {
                body["Subject"] = json!(subject);
                if let Some(text) = text {
                    body["TextBody"] = json!(text);
                }
                if let Some(html) = html {
                    body["HtmlBody"] = json!(html);
                }
                "/email"
            }
            Content::Template { id, subject: _, data } => {
                // A number is an id, anything else an alias.
                match id.parse::<u64>() {
                    Ok(id) => body["TemplateId"] = json!(id),
                    Err(_) => body["TemplateAlias"] = json!(id),
                }
                body["TemplateModel"] = json!(data);
                "/email/withTemplate"
            }
        };
        let call = HttpCall::post_json(format!("{}{path}", self.url), body.to_string())
            .header("User-Agent", USER_AGENT)
            .header("Accept", "application/json")
            .header("X-Postmark-Server-Token", self.token.as_str());
        Ok(Call::Http(call))
    }

    fn judge(&self, reply: &Reply, is_for_a_team: bool) -> Verdict {
        let body = reply.json().unwrap_or_default();
        // A batch, which a relay in front of Postmark may make of a mail, is answered with a list.
        let outcome = body.get(0).unwrap_or(&body);
        let said_so = outcome["Message"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
        match outcome["ErrorCode"].as_u64() {
            Some(code) => by_code(code, reply, said_so.unwrap_or_default(), is_for_a_team),
            None => by_status(reply),
        }
    }
}

fn by_code(code: u64, reply: &Reply, text: String, is_for_a_team: bool) -> Verdict {
    let why = in_brackets(Some(text.clone()));
    match code {
        0 if reply.is_success() => Verdict::Delivered,
        10 => unauthorized(&why),
        100 => retry(reply),
        300 if text.contains("'From'") => wrong_sender(&why),
        406 if is_for_a_team => Verdict::misconfigured(format!(
            "Postmark sends nothing more to one of `recipients`{why}; reactivate the address there, or take it out"
        )),
        300 | 406 => Verdict::reject(FailureReason::Refused, text),
        400 | 401 => wrong_sender(&why),
        405 => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!("Postmark sends nothing more for this account{why}; add credits there and resume"),
        },
        412 | 413 => Verdict::misconfigured(format!(
            "Postmark does not send for this account yet or any more{why}; have it approved there"
        )),
        429 => wait(reply, RATE_WAIT),
        1100..=1199 => Verdict::misconfigured(format!(
            "Postmark cannot use the template{why}; make it on that server, or mend its id or alias in the settings"
        )),
        1220..=1250 => Verdict::misconfigured(format!(
            "Postmark does not know the message stream{why}; set `stream` to one of that server"
        )),
        _ if reply.status >= 500 => by_status(reply),
        _ => Verdict::reject(FailureReason::Refused, text),
    }
}

/// For answers that are not Postmark's own words.
fn by_status(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 if is_page(reply) => super::unknown_behind_page("Postmark"),
        // It said yes, and a second mail is worse than a doubt.
        200..=299 => Verdict::Delivered,
        401 => unauthorized(&in_brackets(said(reply))),
        403..=405 => Verdict::misconfigured(format!(
            "there is no Postmark at `api_url`{}; mend it or take it out",
            in_brackets(said(reply))
        )),
        413 => Verdict::Reject { reason: FailureReason::TooLarge, message: said(reply) },
        429 => wait(reply, RATE_WAIT),
        502 | 504 => super::unknown_outcome("Postmark"),
        422 => Verdict::Reject { reason: FailureReason::Refused, message: said(reply) },
        _ => retry(reply),
    }
}

fn unauthorized(why: &str) -> Verdict {
    Verdict::unauthorized(format!(
        "Postmark refused the token{why}; put the server API token, not the account token, into `api_key`"
    ))
}

fn wrong_sender(why: &str) -> Verdict {
    Verdict::misconfigured(format!(
        "Postmark refused the sender{why}; confirm a sender signature or the domain of `from` there"
    ))
}

/// A wait that is not named.
const RATE_WAIT: Duration = Duration::from_secs(10);
