//! What Slack's words mean. Its answers are plain text.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};

use crate::common::{in_brackets, is_page, page, retry, said, wait};

/// How long to wait if Slack does not say.
const WAIT: Duration = Duration::from_secs(5);

/// Whether Slack has refused this message and not the webhook.
pub(super) const fn is_about_the_message(reply: &Reply) -> bool {
    reply.status == 400
}

/// What a reply means for everything that was in the message.
pub(super) fn judge(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 if is_page(reply) => page(reply, "Slack"),
        200..=299 => Verdict::Delivered,
        413 => {
            Verdict::reject(FailureReason::TooLarge, "Slack takes no message of this size; shorten `text` or `blocks`")
        }
        400 | 405 | 406 | 415 | 422 => {
            let said = in_brackets(said(reply));
            Verdict::reject(
                FailureReason::Refused,
                format!("Slack refused the message{said}; look at `text` and `blocks`"),
            )
        }
        401 | 402 | 403 | 404 | 410 => closed(reply),
        429 => wait(reply, WAIT),
        _ => retry(reply),
    }
}

/// The webhook takes no message any more. Each says who can mend it and how.
fn closed(reply: &Reply) -> Verdict {
    const NEW_URL: &str = "make a new incoming webhook in the Slack app and put its URL into `url`, then resume";
    let text = reply.text();
    let word = text.trim();
    let (reason, what, then) = match word {
        "action_prohibited" => (
            PauseReason::Misconfigured,
            "an administrator of the workspace forbids posting with this webhook",
            "ask them to allow the app, then resume",
        ),
        "posting_to_general_channel_denied" => (
            PauseReason::Misconfigured,
            "only some members may post to the workspace's general channel",
            "make a webhook for another channel and put its URL into `url`, then resume",
        ),
        "invalid_token" => (PauseReason::Unauthorized, "the token in the URL is not valid", NEW_URL),
        "team_disabled" => (PauseReason::Gone, "the workspace is disabled", "ask its owner to enable it, then resume"),
        "no_team" => (PauseReason::Gone, "there is no such workspace", NEW_URL),
        "channel_not_found" => (PauseReason::Gone, "the channel does not exist any more", NEW_URL),
        "channel_is_archived" => (
            PauseReason::Gone,
            "the channel is archived",
            "unarchive it in Slack or make a webhook for another channel, then resume",
        ),
        "no_service" | "no_active_hooks" => {
            (PauseReason::Gone, "the webhook was removed or its app uninstalled", NEW_URL)
        }
        _ if matches!(reply.status, 401 | 403) => (PauseReason::Unauthorized, "the webhook may not post", NEW_URL),
        _ => (PauseReason::Gone, "there is no such webhook", NEW_URL),
    };
    Verdict::Pause { reason, message: format!("Slack says that {what}{}; {then}", in_brackets(said(reply))) }
}
