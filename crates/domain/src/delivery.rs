//! Deliveries: one event owed to one destination, and the only functions that may change its state.
//!
//! ```text
//!  pending(due_at) ──claim──▶ leased ──settle──▶ delivered
//!        ▲                      │  ├──────────▶ skipped
//!        │◀───retry / hold──────┘  ├──────────▶ dead ──redrive──▶ pending
//!        └─────lease expired───────┘
//!  pending | dead ──cancel──▶ cancelled
//! ```
//!
//! `leased` is a fact about a worker, not about the delivery: a store may keep it beside the row or in memory, as long
//! as a stale worker cannot settle. `held` is derived: pending in a lane that is closed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::EventType;
use crate::id::{DeliveryId, DestinationId, ReplayId};
use crate::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::verdict::{FailureReason, Verdict};

/// The state of a delivery as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Owed; will be tried when due.
    Pending,
    /// The destination answered that it has it.
    Delivered,
    /// Will not be tried again by itself; waits for a person.
    Dead,
    /// A person, or the deletion of the destination, called it off.
    Cancelled,
    /// There was nothing in the event for the destination.
    Skipped,
}

impl State {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether retention must keep the event of a delivery in this state.
    pub const fn keeps_event(self) -> bool {
        matches!(self, Self::Pending | Self::Dead)
    }
}

/// After so many attempts a delivery is not made to wait again, whatever the destination asks for. Since waits grow, that is a week
/// after the first one or later: longer than a destination may fail before it is given up.
pub const WAITS_MAX: u32 = 1_000;
/// After so many attempts waits begin to grow; many of them are an exchange of several parts that goes on.
const WAITS_SHORT: u32 = 100;
/// A wait grows up to this and no further by itself.
const WAIT_GROWN_MAX: Duration = Duration::from_mins(15);

/// How long a delivery waits at least after so many attempts.
fn grown_wait(attempts: u32) -> Duration {
    let grown = attempts.saturating_sub(WAITS_SHORT);
    (Duration::from_millis(10) * grown.saturating_mul(grown)).min(WAIT_GROWN_MAX)
}

/// Which queue of its lane a pending delivery stands in. Fresh ones never wait behind the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Never tried.
    Fresh,
    /// Tried, failed, waiting for its time.
    Retry,
    /// Made by a replay: yields to live traffic.
    Replay,
}

/// Everything the transition functions look at and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub state: State,
    pub class: Class,
    /// Attempts made in all; the next one has this number plus one.
    pub attempts: u32,
    /// Attempts that the present retry schedule has spent; a redrive starts again at 0.
    pub spent: u32,
    /// When the next attempt is due; meaningful while pending.
    pub due_at: Timestamp,
    /// Why it is dead; `None` in any other state.
    pub reason: Option<FailureReason>,
}

impl Standing {
    /// A delivery just created, due at once.
    pub const fn new(class: Class, now: Timestamp) -> Self {
        Self { state: State::Pending, class, attempts: 0, spent: 0, due_at: now, reason: None }
    }

    /// A delivery that is dead before any attempt: its filter failed, so nobody knows whether it matches.
    pub const fn stillborn(reason: FailureReason, now: Timestamp) -> Self {
        Self { state: State::Dead, class: Class::Fresh, attempts: 0, spent: 0, due_at: now, reason: Some(reason) }
    }

    /// After an attempt ended with `verdict` at `now`. `jitter` is a random number in `0.0..1.0`.
    ///
    /// A verdict that pauses or waits spends no attempt of the schedule; one that pauses leaves the delivery due at once,
    /// held by its lane.
    #[must_use]
    pub fn after(self, verdict: &Verdict, policy: &RetryPolicy, now: Timestamp, jitter: f64) -> Self {
        let tried = Self { attempts: self.attempts.saturating_add(1), ..self };
        match verdict {
            Verdict::Delivered => Self { state: State::Delivered, reason: None, ..tried },
            Verdict::Skip { .. } => Self { state: State::Skipped, reason: None, ..tried },
            Verdict::Wait { after, .. } if tried.attempts < WAITS_MAX => {
                let wait = grown_wait(tried.attempts).max(*after);
                Self { due_at: now + wait, class: tried.class_when_waiting(), ..tried }
            }
            Verdict::Wait { .. } => Self { state: State::Dead, reason: Some(FailureReason::Throttled), ..tried },
            Verdict::Pause { .. } => Self { due_at: now, class: tried.class_when_waiting(), ..tried },
            Verdict::Reject { reason, .. } => Self { state: State::Dead, reason: Some(*reason), ..tried },
            Verdict::Retry { after, reason, .. } => {
                let spent = tried.spent.saturating_add(1);
                match policy.wait_after(spent, jitter) {
                    None => Self { state: State::Dead, spent, reason: Some(*reason), ..tried },
                    Some(wait) => {
                        let wait = wait.max(after.unwrap_or(Duration::ZERO));
                        Self { due_at: now + wait, spent, class: tried.class_when_waiting(), ..tried }
                    }
                }
            }
        }
    }

    /// A pending delivery that a person wants tried now, or a dead one that starts its whole schedule again.
    pub fn retry_now(self, now: Timestamp) -> Result<Self, IllegalTransition> {
        match self.state {
            State::Pending => Ok(Self { due_at: self.due_at.min(now), ..self }),
            State::Dead => {
                Ok(Self { state: State::Pending, class: Class::Retry, spent: 0, due_at: now, reason: None, ..self })
            }
            State::Delivered | State::Cancelled | State::Skipped => {
                Err(IllegalTransition { from: self.state, action: "retried" })
            }
        }
    }

    /// Called off by a person or because its destination was deleted.
    pub fn cancel(self) -> Result<Self, IllegalTransition> {
        match self.state {
            State::Pending | State::Dead => Ok(Self { state: State::Cancelled, reason: None, ..self }),
            State::Delivered | State::Cancelled | State::Skipped => {
                Err(IllegalTransition { from: self.state, action: "cancelled" })
            }
        }
    }

    /// A delivery that has been tried waits among the retries; one of a replay keeps yielding to live traffic.
    const fn class_when_waiting(self) -> Class {
        match self.class {
            Class::Fresh | Class::Retry => Class::Retry,
            Class::Replay => Class::Replay,
        }
    }
}

/// A transition that the state machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {} cannot be {action}", from.code())]
pub struct IllegalTransition {
    pub from: State,
    pub action: &'static str,
}

/// A delivery as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub destination: DestinationId,
    pub event_type: EventType,
    pub standing: Standing,
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// The replay that made it.
    pub replay: Option<ReplayId>,
    /// Message of a filter or template that failed before any attempt.
    pub note: Option<String>,
    /// Whether a worker has it in hand right now.
    pub leased: bool,
}
