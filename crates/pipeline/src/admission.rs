//! Admission: whether a destination may be sent to now, decided before any work is picked up for it.
//!
//! One [`Gates`] per destination holds its breaker, its rate and the wait it asked for. It outlives the lane's task, so
//! a lane that rests forgets nothing, and it is what the API shows of a lane.

use std::sync::Arc;
use std::time::Duration;

use domain::destination::RateLimit;
use domain::verdict::FailureReason;
use domain::{Destination, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use crate::attempt::Outcome;
use crate::breaker::{Breaker, Change, Slots, Vote};
use crate::limits::{Hold, Spacing};
use crate::registry::LiveDestination;

/// What decides over a destination's next attempt.
#[derive(Debug)]
pub struct Gates {
    breaker: Breaker,
    spacing: Spacing,
    hold: Hold,
    in_flight: usize,
    last_attempt: Option<LastAttempt>,
    /// The destination as it was when the gates were last asked: any change of it opens breaker and hold, because
    /// whoever changed or resumed it wants to see whether it works now.
    seen: Option<Arc<LiveDestination>>,
}

/// The answer of the gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// So many attempts may start now (none if all slots are taken), and for so many the deliveries may be claimed ahead.
    Open { start: usize, ahead: usize },
    /// Nothing may start before this time.
    Later(Instant),
    /// The destination is paused.
    Paused,
}

/// What a lane is doing, for the API and for metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    pub breaker: BreakerStatus,
    /// Attempts on the wire.
    pub in_flight: usize,
    /// Why nothing is sent at the moment.
    pub closed_because: Option<ClosedBecause>,
    /// The newest attempt of this process.
    pub last_attempt: Option<LastAttempt>,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BreakerStatus {
    Closed,
    Open { until: Timestamp },
    HalfOpen,
}

/// Why a lane sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ClosedBecause {
    Paused,
    Breaker {
        until: Timestamp,
    },
    /// The destination asked for it with `Retry-After`.
    RetryAfter {
        until: Timestamp,
    },
}

/// The newest attempt of a lane, at a whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastAttempt {
    pub ended_at: Timestamp,
    /// Of the first delivery that failed; `None` if all were delivered.
    pub reason: Option<FailureReason>,
}

impl Gates {
    /// Open gates.
    pub fn new(now: Instant) -> Self {
        Self {
            breaker: Breaker::new(now),
            spacing: Spacing::new(now),
            hold: Hold::default(),
            in_flight: 0,
            last_attempt: None,
            seen: None,
        }
    }

    /// Whether `live` may be sent to at `now`.
    pub fn admit(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Admission {
        self.notice_change(live, now);
        let destination = &live.destination;
        if destination.paused.is_some() {
            return Admission::Paused;
        }
        if let Some(until) = self.hold.until(now) {
            return Admission::Later(until);
        }
        let concurrency = usize::from(destination.concurrency);
        let (slots, ahead) = match self.breaker_slots(destination, now) {
            Slots::Any => (concurrency, concurrency),
            Slots::AtMost(slots) => (concurrency.min(slots as usize), 0),
            Slots::NoneUntil(until) => return Admission::Later(until),
        };
        let free = slots.saturating_sub(self.in_flight);
        let Some(rate) = rate(live) else {
            return Admission::Open { start: free, ahead };
        };
        match self.spacing.free(rate, now) {
            0 if free > 0 => Admission::Later(self.spacing.next()),
            spaced => {
                // What is claimed ahead must be able to start within about a second.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 100,000")]
                let ahead = ahead.min(rate.per_second as usize);
                Admission::Open { start: free.min(spaced), ahead }
            }
        }
    }

    /// Until when a task for this lane would find nothing to do, as far as the gates know.
    pub fn shut_until(&self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        if self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, live)) {
            return None;
        }
        self.hold.until(now).or(match self.breaker_slots(&live.destination, now) {
            Slots::NoneUntil(until) => Some(until),
            Slots::Any | Slots::AtMost(_) => None,
        })
    }

    /// Sends nothing for `wait`.
    pub fn hold(&mut self, wait: Duration, now: Instant) {
        self.hold.ask(wait, now);
    }

    /// An attempt starts, which [`Gates::admit`] allowed.
    pub fn start(&mut self, live: &LiveDestination, now: Instant) {
        self.in_flight += 1;
        self.called(live, now);
        self.breaker.begin();
    }

    /// A call goes out: the one that an attempt starts with, or a further one of it, which takes its turn from the next
    /// attempt.
    pub fn called(&mut self, live: &LiveDestination, now: Instant) {
        if let Some(rate) = rate(live) {
            self.spacing.start(rate, now);
        }
    }

    /// An attempt that started has left the wire without having tried anything.
    pub fn abandon(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// No attempt is on the wire; returns how many were thought to be.
    pub fn forget_in_flight(&mut self) -> usize {
        std::mem::take(&mut self.in_flight)
    }

    /// An attempt ended. Returns what a person should hear of the breaker.
    pub(crate) fn end(&mut self, destination: &Destination, outcome: &Outcome, now: Instant) -> Option<Change> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let reason = outcome.judgements.iter().find_map(|judgement| judgement.attempt.reason);
        self.last_attempt = Some(LastAttempt { ended_at: outcome.ended_at, reason });
        if let Some(wait) = outcome.wait() {
            self.hold.ask(wait, now);
        }
        let vote = || Vote::of_all(outcome.judgements.iter().map(|judgement| &judgement.verdict), outcome.answered);
        if destination.breaker { self.breaker.record(vote(), now) } else { None }
    }

    /// Attempts on the wire.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the breaker of this destination is open or on probation.
    pub fn is_tripped(&self) -> bool {
        self.breaker.is_tripped()
    }

    /// What the API shows.
    pub fn status(&self, live: &LiveDestination, now: Instant, wall: Timestamp) -> LaneStatus {
        let on_wall = |until: Instant| wall + until.saturating_duration_since(now);
        let breaker = match self.breaker_slots(&live.destination, now) {
            Slots::NoneUntil(until) => BreakerStatus::Open { until: on_wall(until) },
            Slots::AtMost(_) => BreakerStatus::HalfOpen,
            Slots::Any => BreakerStatus::Closed,
        };
        let closed_because = match (breaker, self.hold.until(now)) {
            _ if live.destination.paused.is_some() => Some(ClosedBecause::Paused),
            (_, Some(until)) => Some(ClosedBecause::RetryAfter { until: on_wall(until) }),
            (BreakerStatus::Open { until }, None) => Some(ClosedBecause::Breaker { until }),
            _ => None,
        };
        LaneStatus { breaker, in_flight: self.in_flight, closed_because, last_attempt: self.last_attempt }
    }

    fn breaker_slots(&self, destination: &Destination, now: Instant) -> Slots {
        if destination.breaker { self.breaker.slots(now) } else { Slots::Any }
    }

    fn notice_change(&mut self, live: &Arc<LiveDestination>, now: Instant) {
        match &self.seen {
            Some(seen) if Arc::ptr_eq(seen, live) => return,
            Some(_) => {
                self.breaker = Breaker::new(now);
                self.hold = Hold::default();
            }
            None => {}
        }
        self.seen = Some(Arc::clone(live));
    }
}

/// How many calls a second a destination gets: as many as it says, or else as many as its vendor bears.
fn rate(live: &LiveDestination) -> Option<RateLimit> {
    live.destination.rate.or_else(|| RateLimit::new(live.connector.manifest().rate?.per_second))
}

impl LaneStatus {
    /// What a lane shows that has had no work in this process.
    pub fn untouched(live: &LiveDestination) -> Self {
        Self {
            breaker: BreakerStatus::Closed,
            in_flight: 0,
            closed_because: live.destination.paused.as_ref().map(|_| ClosedBecause::Paused),
            last_attempt: None,
        }
    }
}
