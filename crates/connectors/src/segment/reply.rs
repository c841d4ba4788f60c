//! What a reply means. Segment's own library is the best statement of what its statuses are for; `RudderStack` says more.

use std::time::Duration;

use domain::Verdict;
use domain::connector::Reply;
use domain::verdict::{FailureReason, PauseReason};

use crate::common::{asked_wait, in_brackets, is_page, page, redirected, retry, said, wait};

/// Longest wait that a reply can ask for.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// Longest `X-RateLimit-Reset` that is a number of seconds and not a point in time.
const RESET_SECS_MAX: u64 = 86_400;

/// About whom a reply speaks.
pub(super) enum Judgement {
    /// About every message of the batch.
    All(Verdict),
    /// About one of them, and it does not say which. This is what becomes of it when it is found.
    OneOfThem(Verdict),
}

/// Reads a reply of the server called `whom`.
pub(super) fn judge(reply: &Reply, whom: &str) -> Judgement {
    let said = in_brackets(said(reply));
    let refused = |reason| Judgement::OneOfThem(Verdict::reject(reason, format!("{whom} refused the message{said}")));
    Judgement::All(match reply.status {
        200..=299 if is_page(reply) => page(reply, whom),
        200..=299 => Verdict::Delivered,
        401 | 403 => Verdict::unauthorized(format!(
            "{whom} refused the write key{said}; copy the key of the source into `write_key`, then resume"
        )),
        402 => Verdict::Pause {
            reason: PauseReason::Quota,
            message: format!("{whom} wants to be paid{said}; look at the plan of the workspace, then resume"),
        },
        300..=399 => redirected(reply, "host"),
        404 | 405 => Verdict::misconfigured(format!(
            "{whom} knows no such source or address{said}; switch the source on there or correct `host`, then resume"
        )),
        501 | 505 | 511 => Verdict::misconfigured(format!(
            "{whom} answered {}, so something that is not the tracking API stands there{said}; correct `host`, then resume",
            reply.status
        )),
        429 => throttled(reply),
        408 | 410 | 460 | 500..=599 | ..=399 | 600.. => clamped(retry(reply)),
        400 if is_of_another_door(reply) => Verdict::misconfigured(format!(
            "something that is not the tracking API answers for {whom}{said}; correct `host`, its `https:` and its port too, then \
             resume"
        )),
        413 => return refused(FailureReason::TooLarge),
        400..=499 => return refused(FailureReason::Refused),
    })
}

/// Whether a refusal is not about what was sent, but about where: no tracking API has pages, and a port for `https:` says that it is.
fn is_of_another_door(reply: &Reply) -> bool {
    is_page(reply) || reply.text().starts_with("Client sent an HTTP request to an HTTPS server")
}

/// A wait that is named spends no attempt; without one it is a failure like any other.
fn throttled(reply: &Reply) -> Verdict {
    let seconds = reply.header("x-ratelimit-reset").and_then(|value| value.trim().parse().ok());
    let reset = seconds.filter(|seconds| *seconds <= RESET_SECS_MAX).map(Duration::from_secs);
    match asked_wait(reply).or(reset) {
        Some(after) => clamped(wait(reply, after)),
        None => retry(reply),
    }
}

fn clamped(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Wait { after, message } => Verdict::Wait { after: after.min(WAIT_MAX), message },
        Verdict::Retry { after, reason, message } => {
            Verdict::Retry { after: after.map(|after| after.min(WAIT_MAX)), reason, message }
        }
        verdict => verdict,
    }
}
