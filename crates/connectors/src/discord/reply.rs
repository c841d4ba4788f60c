//! What Discord's answers mean. Its errors are JSON with a code.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};
use serde_json::Value;

use crate::common::{asked_wait, in_brackets, is_page, on_one_line, page, said};

/// How long to wait if Discord does not say.
const WAIT: Duration = Duration::from_secs(5);
/// How long to wait if its edge has shut out our address and does not say for how long.
const SHUT_OUT_WAIT: Duration = Duration::from_mins(10);
/// Longest wait that is believed, in seconds.
const WAIT_SECS_MAX: f64 = 86_400.0;
/// Most characters of an error.
const ERROR_CHARS_MAX: usize = 200;

/// Discord's codes.
mod code {
    pub(super) const UNKNOWN_CHANNEL: i64 = 10_003;
    pub(super) const THREAD_NEEDED: i64 = 220_001;
    pub(super) const NO_FORUM: i64 = 220_003;
}

/// Whether Discord has refused this message and not the webhook.
pub(super) fn is_about_the_message(reply: &Reply) -> bool {
    reply.status == 400 && !is_about_the_thread(reply)
}

/// How long nothing is left of what Discord grants, if it says so.
pub(super) fn used_up(reply: &Reply) -> Option<Duration> {
    let is_used_up = reply.header("x-ratelimit-remaining")?.trim() == "0";
    let seconds = reply.header("x-ratelimit-reset-after")?.trim().parse().ok()?;
    is_used_up.then(|| duration(seconds)).flatten()
}

/// What a reply means for everything that was in the message.
pub(super) fn judge(reply: &Reply) -> Verdict {
    const NEW_URL: &str = "make a new webhook in the channel's settings under Integrations and put its URL into `url`, \
                           then resume";
    let error = || in_brackets(error(reply));
    match reply.status {
        200..=299 if is_page(reply) => page(reply, "Discord"),
        200..=299 => Verdict::Delivered,
        400 | 404 if is_about_the_thread(reply) => Verdict::misconfigured(format!(
            "Discord cannot post there{}; give the URL a `?thread_id=…` of a thread that exists, or leave it out for an \
             ordinary channel, then resume",
            error()
        )),
        413 => Verdict::reject(FailureReason::TooLarge, format!("Discord takes no message of this size{}", error())),
        401 => Verdict::unauthorized(format!("Discord refused the token in the URL{}; {NEW_URL}", error())),
        403 => Verdict::misconfigured(format!("Discord does not let the webhook post{}; {NEW_URL}", error())),
        404 => Verdict::Pause {
            reason: PauseReason::Gone,
            message: format!("Discord knows no such webhook{}; {NEW_URL}", error()),
        },
        405 => Verdict::misconfigured(format!("the URL takes no messages{}; {NEW_URL}", error())),
        400 | 406 | 415 | 422 => {
            let message = format!("Discord refused the message{}; look at `text` and `embeds`", error());
            Verdict::reject(FailureReason::Refused, message)
        }
        429 => throttled(reply),
        status => Verdict::Retry {
            after: asked_wait(reply),
            reason: FailureReason::of_status(status),
            message: self::error(reply),
        },
    }
}

/// The body knows parts of a second, the header whole ones; where the body says far more, it speaks in milliseconds.
fn throttled(reply: &Reply) -> Verdict {
    let header = asked_wait(reply);
    let Some(body) = reply.json() else {
        let message = "Discord's edge has shut out this address because of too many refused requests".to_owned();
        return Verdict::Wait { after: header.unwrap_or(SHUT_OUT_WAIT), message: Some(message) };
    };
    let precise = body["retry_after"].as_f64().and_then(duration);
    let after = match (precise, header) {
        (Some(precise), Some(header)) => precise.min(header),
        (precise, header) => precise.or(header).unwrap_or(WAIT),
    };
    Verdict::Wait { after, message: error(reply) }
}

fn duration(seconds: f64) -> Option<Duration> {
    (seconds > 0.0 && seconds <= WAIT_SECS_MAX).then(|| Duration::from_secs_f64(seconds))
}

fn is_about_the_thread(reply: &Reply) -> bool {
    let code = reply.json().and_then(|body| body["code"].as_i64());
    matches!(code, Some(code::UNKNOWN_CHANNEL | code::THREAD_NEEDED | code::NO_FORUM))
}

/// `Invalid Form Body, content: Must be 2000 or fewer in length., 50035`
fn error(reply: &Reply) -> Option<String> {
    let Some(body) = reply.json().filter(|body| body["message"].is_string()) else { return said(reply) };
    let mut error = body["message"].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
    if let Some((path, message)) = first_error(&body["errors"], "") {
        error = format!("{error}, {path}: {}", message.trim_end_matches('.'));
    }
    if let Some(code) = body["code"].as_i64().filter(|code| *code != 0) {
        error = format!("{error}, {code}");
    }
    Some(on_one_line(&error, ERROR_CHARS_MAX))
}

/// The first of the errors that a form has, and where.
fn first_error<'e>(errors: &'e Value, path: &str) -> Option<(String, &'e str)> {
    errors.as_object()?.iter().find_map(|(name, value)| match (name.as_str(), path) {
        ("_errors", _) => Some((path.to_owned(), value[0]["message"].as_str()?)),
        (name, "") => first_error(value, name),
        (name, path) => first_error(value, &format!("{path}.{name}")),
    })
}
