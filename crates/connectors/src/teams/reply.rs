//! What a workflow's answers mean. A success says that it was started, and no more.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};

use crate::common::{in_brackets, is_page, on_one_line, page, retry, said, wait};

/// How long to wait if the workflow does not say.
const WAIT: Duration = Duration::from_secs(5);
/// Most characters of an error.
const ERROR_CHARS_MAX: usize = 200;

/// What a reply means for everything that was in the message.
pub(super) fn judge(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 if is_page(reply) => page(reply, "the workflow"),
        200..=299 => Verdict::Delivered,
        413 => Verdict::reject(
            FailureReason::TooLarge,
            "the workflow takes no card of this size; shorten `text` or `card`",
        ),
        408 => retry(reply),
        429 => wait(reply, WAIT),
        400..=499 => closed(reply),
        _ => retry(reply),
    }
}

/// The workflow takes nothing any more. Each says who can mend it and how.
fn closed(reply: &Reply) -> Verdict {
    let error = reply.json().map(|body| body["error"].clone()).unwrap_or_default();
    let code = error["code"].as_str().unwrap_or_default();
    let (reason, what, then) = match code {
        "WorkflowTriggerIsNotEnabled" | "WorkflowDisabled" | "WorkflowSuspended" => (
            PauseReason::Misconfigured,
            "the workflow is switched off",
            "its owner can turn it on in Power Automate; if the owner has left, make a new one and put its URL into `url`",
        ),
        "TriggerInputSchemaMismatch" => (
            PauseReason::Misconfigured,
            "the workflow expects another kind of message",
            "make one with “Post to a channel when a webhook request is received” and put its URL into `url`",
        ),
        _ if matches!(reply.status, 401 | 403) || code.contains("Signature") || code.contains("Authorization") => (
            PauseReason::Unauthorized,
            "the workflow refused the signature in the URL",
            "copy the whole URL from the workflow in Teams into `url` again",
        ),
        _ if matches!(reply.status, 404 | 410) => (
            PauseReason::Gone,
            "there is no such workflow any more",
            "make a new one in the channel and put its URL into `url`",
        ),
        _ => (
            PauseReason::Misconfigured,
            "the workflow refused the request",
            "look at its run history in Power Automate, or make a new one and put its URL into `url`",
        ),
    };
    let said = match (code, error["message"].as_str()) {
        ("", _) => said(reply),
        (code, Some(message)) if message != code => Some(on_one_line(&format!("{code}: {message}"), ERROR_CHARS_MAX)),
        (code, _) => Some(on_one_line(code, ERROR_CHARS_MAX)),
    };
    Verdict::Pause { reason, message: format!("{what}{}; {then}, then resume", in_brackets(said)) }
}
