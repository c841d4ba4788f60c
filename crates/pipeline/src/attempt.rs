//! One attempt: the connector says what to send, the transport sends it, the connector says what the reply means.
//!
//! Whatever happens in here ends as an outcome. A connector that panics makes a failed attempt, never a dead lane.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use domain::attempt::REPLY_KEPT_BYTES_MAX;
use domain::connector::{Batch, Item, Progress, Reply, Step};
use domain::verdict::{FailureReason, PauseReason, Verdict};
use domain::{Attempt, Reading, Timestamp};
use futures_util::FutureExt;
use storage::Owned;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::registry::LiveDestination;
use crate::transport::{Transport, TransportError};

/// Most calls of one attempt.
pub const CALLS_MAX: u32 = 8;
/// Longest time of one attempt, all its calls together.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// What an attempt came to.
#[derive(Debug)]
pub struct Outcome {
    pub attempt: Attempt,
    pub verdict: Verdict,
    /// Whether a reply came.
    pub answered: bool,
    /// How long it took; the attempt itself is kept to the millisecond.
    pub took: Duration,
    pub ended_at: Timestamp,
}

/// Tries a delivery once. Each call gets `call_max`, all of them together [`ATTEMPT_MAX`]. `None` if nothing could be
/// tried because this machine is short of something.
pub async fn run(
    clock: &Clock,
    transport: &dyn Transport,
    live: &LiveDestination,
    source_name: String,
    owned: &Owned,
    call_max: Duration,
) -> Option<Outcome> {
    let began = Instant::now();
    let started_at = clock.now();
    let mut trial =
        Trial { live, source_name, owned, started_at, deadline: began + ATTEMPT_MAX, call_max, reply: None };
    let end = match AssertUnwindSafe(trial.run(transport)).catch_unwind().await {
        Ok(end) => end?,
        Err(_) => End::failed_inside(owned),
    };
    Some(trial.outcome(end, began, clock.now()))
}

/// An attempt under way.
struct Trial<'a> {
    live: &'a LiveDestination,
    source_name: String,
    owned: &'a Owned,
    started_at: Timestamp,
    deadline: Instant,
    call_max: Duration,
    /// The newest reply.
    reply: Option<Reply>,
}

/// How an attempt ended: a verdict, and what went wrong, for a person, if the reply does not say it.
struct End {
    verdict: Verdict,
    error: Option<String>,
}

impl Trial<'_> {
    async fn run(&mut self, transport: &dyn Transport) -> Option<End> {
        let owned = self.owned;
        let reading = Reading::new(self.source_name.clone());
        let attempt = owned.standing.attempts.saturating_add(1);
        let items = [Item { event: &owned.event, delivery: owned.id, attempt, reading: &reading }];
        let batch = Batch { items: &items, now: self.started_at, token: None, digest: None };
        let outlet = &self.live.outlet;
        let mut progress = Progress::default();
        let mut step = contained(|| outlet.prepare(&batch, &mut progress));
        for _ in 0..CALLS_MAX {
            let call = match step {
                Some(Step::Send(call) | Step::SendOnce { call, .. }) => call,
                Some(Step::Settle(verdicts)) => return Some(End::of(verdicts)),
                Some(Step::Split { alone }) => return Some(End::of(vec![alone])),
                Some(Step::Reauthorize { message }) => return Some(End::of(vec![Verdict::unauthorized(message)])),
                None => return Some(End::failed_inside(owned)),
            };
            let within = self.call_max.min(self.deadline.saturating_duration_since(Instant::now()));
            match transport.exchange(owned.destination, call, within).await {
                Ok(reply) => {
                    progress.replies += 1;
                    let reply = self.reply.insert(reply);
                    step = contained(|| outlet.advance(&batch, &mut progress, reply));
                }
                Err(error) if error.is_ours && progress.replies == 0 => return None,
                Err(error) => {
                    self.reply = None;
                    return Some(End::without_reply(error));
                }
            }
        }
        Some(match step {
            Some(Step::Settle(verdicts)) => End::of(verdicts),
            Some(_) => End::retry(
                FailureReason::Unprocessable,
                format!("the exchange did not come to an end within {CALLS_MAX} calls"),
            ),
            None => End::failed_inside(owned),
        })
    }

    fn outcome(self, end: End, began: Instant, ended_at: Timestamp) -> Outcome {
        let took = began.elapsed();
        let status = self.reply.as_ref().map(|reply| reply.status).filter(|&status| status != 0);
        let reason = failure(&end.verdict, status);
        let error = end.error.or_else(|| message(&end.verdict, reason, status));
        let attempt = Attempt {
            number: self.owned.standing.attempts.saturating_add(1),
            started_at: self.started_at,
            duration_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
            status,
            reason,
            error,
            reply: self.reply.as_ref().and_then(kept),
        };
        Outcome { attempt, verdict: end.verdict, answered: self.reply.is_some(), took, ended_at }
    }
}

impl End {
    /// The verdict over the one delivery of the batch.
    fn of(verdicts: Vec<Verdict>) -> Self {
        match verdicts.into_iter().next() {
            Some(verdict) => Self { verdict, error: None },
            None => Self::retry(FailureReason::Unprocessable, "the connector came to no verdict".to_owned()),
        }
    }

    /// No reply: try again, unless the call can never be made.
    fn without_reply(error: TransportError) -> Self {
        let message = error.message.into_owned();
        match error.reason {
            FailureReason::Unprocessable => {
                Self { verdict: Verdict::Reject { reason: error.reason, message: None }, error: Some(message) }
            }
            reason => Self::retry(reason, message),
        }
    }

    fn failed_inside(owned: &Owned) -> Self {
        tracing::error!(delivery = %owned.id, "an attempt panicked; this is a bug of the connector");
        Self::retry(
            FailureReason::Unprocessable,
            "the connector failed on this event; the server's log has more".to_owned(),
        )
    }

    const fn retry(reason: FailureReason, message: String) -> Self {
        Self { verdict: Verdict::retry(reason), error: Some(message) }
    }
}

/// Calls a connector; `None` if it panicked. It holds no state between calls, so nothing is left half done.
fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The reason to record with the attempt.
fn failure(verdict: &Verdict, status: Option<u16>) -> Option<FailureReason> {
    match verdict {
        Verdict::Delivered => None,
        Verdict::Retry { reason, .. } | Verdict::Reject { reason, .. } => Some(*reason),
        Verdict::Wait { .. } => Some(FailureReason::Throttled),
        Verdict::Skip { .. } => Some(FailureReason::NotApplicable),
        Verdict::Pause { reason: PauseReason::Gone, .. } => Some(FailureReason::Gone),
        Verdict::Pause { .. } => Some(status.map_or(FailureReason::Unprocessable, FailureReason::of_status)),
    }
}

/// What went wrong, for a person.
fn message(verdict: &Verdict, reason: Option<FailureReason>, status: Option<u16>) -> Option<String> {
    let reason = reason?;
    match verdict {
        Verdict::Pause { message, .. } | Verdict::Skip { message } => return Some(message.clone()),
        Verdict::Retry { message: Some(message), .. }
        | Verdict::Wait { message: Some(message), .. }
        | Verdict::Reject { message: Some(message), .. } => return Some(message.clone()),
        _ => {}
    }
    Some(match (reason, status) {
        (FailureReason::Redirect, Some(status)) => {
            format!("it answered {status}, a redirect; redirects are not followed, set the final URL")
        }
        (_, Some(status)) => format!("it answered {status}"),
        (reason, None) => format!("it was not sent: {}", reason.code()),
    })
}

/// The beginning of a reply, to be kept with the attempt.
fn kept(reply: &Reply) -> Option<String> {
    if reply.body.is_empty() {
        return None;
    }
    let mut text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(REPLY_KEPT_BYTES_MAX)]).into_owned();
    // A replacement character may be longer than what it replaces.
    text.truncate(text.floor_char_boundary(REPLY_KEPT_BYTES_MAX));
    Some(text)
}
