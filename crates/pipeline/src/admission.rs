//! Admission: whether a destination may be sent to now, decided before any work is picked up for it.
//!
//! One [`Gates`] per destination holds its breaker, its rate, the day's budget and the wait it asked for. It outlives the lane's task, so
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
use crate::budget::{Allowance, Block, DayBudget};
use crate::limits::{Hold, Spacing};
use crate::registry::LiveDestination;

/// What decides over a destination's next attempt.
#[derive(Debug)]
pub struct Gates {
    breaker: Breaker,
    spacing: Spacing,
    hold: Hold,
    day: DayBudget,
    in_flight: usize,
    last_attempt: Option<LastAttempt>,
    /// The destination as it was when the gates were last asked: any change of it opens breaker and hold, because
    /// whoever changed or resumed it wants to see whether it works now.
    seen: Option<Arc<LiveDestination>>,
    kept_hold: KeptHold,
}

/// Whether a hold is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptHold {
    /// Nobody has looked since this process began.
    Unknown,
    No,
    Yes,
    /// It may be, and is no longer meant: the destination was changed.
    Outdated,
}

/// The answer of the gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// So many attempts may start now (none if all slots are taken), and for so many the deliveries may be claimed ahead.
    Open { start: usize, ahead: usize },
    /// Nothing may start before this time.
    Later(Instant),
    /// Nothing may start before another block of the day's calls is counted.
    Reserve { per_day: u32 },
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
    /// The vendor takes no more calls on this day.
    Budget {
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
            day: DayBudget::default(),
            in_flight: 0,
            last_attempt: None,
            seen: None,
            kept_hold: KeptHold::Unknown,
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
        let concurrency = live.concurrency();
        let (slots, ahead) = match self.breaker_slots(destination, now) {
            Slots::Any => (concurrency, concurrency),
            Slots::AtMost(slots) => (concurrency.min(slots as usize), 0),
            Slots::NoneUntil(until) => return Admission::Later(until),
        };
        let mut free = slots.saturating_sub(self.in_flight);
        if let Some(per_day) = per_day(live) {
            match self.day.allowance(now) {
                Allowance::Calls(calls) => free = free.min(calls),
                Allowance::MustReserve => return Admission::Reserve { per_day },
                Allowance::UsedUpUntil(until) => return Admission::Later(until),
            }
        }
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
        let by_breaker = || match self.breaker_slots(&live.destination, now) {
            Slots::NoneUntil(until) => Some(until),
            Slots::Any | Slots::AtMost(_) => None,
        };
        self.hold.until(now).or_else(by_breaker).or_else(|| self.day.used_up_until(now))
    }

    /// Another block of the day's calls was counted.
    pub(crate) fn reserved(&mut self, block: Block, now: Instant) {
        self.day.reserved(block, now);
    }

    /// For how long the destination wants to be left alone.
    pub(crate) fn held_for(&self, now: Instant) -> Option<Duration> {
        self.hold.until(now).map(|until| until - now)
    }

    /// A hold is on disk from now on.
    pub(crate) fn hold_is_kept(&mut self) {
        self.kept_hold = KeptHold::Yes;
    }

    /// A hold was looked for on disk; `left` is how much is left of it. It counts unless the destination was changed.
    pub(crate) fn recollect_hold(&mut self, left: Option<Duration>, now: Instant) {
        match (self.kept_hold, left) {
            (KeptHold::Unknown, Some(left)) => {
                self.hold.ask(left, now);
                self.kept_hold = KeptHold::Yes;
            }
            (KeptHold::Unknown, None) => self.kept_hold = KeptHold::No,
            (KeptHold::No | KeptHold::Yes | KeptHold::Outdated, _) => {}
        }
    }

    /// Whether a hold may be on disk that is no longer meant.
    pub(crate) fn take_outdated_hold(&mut self) -> bool {
        let is_outdated = self.kept_hold == KeptHold::Outdated;
        if is_outdated {
            self.kept_hold = KeptHold::No;
        }
        is_outdated
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
        if per_day(live).is_some() {
            self.day.called();
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
        let budget = per_day(live).and_then(|_| self.day.used_up_until(now));
        let closed_because = match (breaker, self.hold.until(now), budget) {
            _ if live.destination.paused.is_some() => Some(ClosedBecause::Paused),
            (_, Some(until), _) => Some(ClosedBecause::RetryAfter { until: on_wall(until) }),
            (BreakerStatus::Open { until }, None, _) => Some(ClosedBecause::Breaker { until }),
            (_, None, Some(until)) => Some(ClosedBecause::Budget { until: on_wall(until) }),
            _ => None,
        };
        LaneStatus { breaker, in_flight: self.in_flight, closed_because, last_attempt: self.last_attempt }
    }

    fn breaker_slots(&self, destination: &Destination, now: Instant) -> Slots {
        if destination.breaker { self.breaker.slots(now) } else { Slots::Any }
    }

    /// Sees the destination as it is now.
    pub(crate) fn notice_change(&mut self, live: &Arc<LiveDestination>, now: Instant) {
        match &self.seen {
            Some(seen) if Arc::ptr_eq(seen, live) => return,
            Some(_) => {
                self.breaker = Breaker::new(now);
                self.hold = Hold::default();
                if self.kept_hold != KeptHold::No {
                    self.kept_hold = KeptHold::Outdated;
                }
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

/// How many calls a day the vendor takes, if it counts days.
fn per_day(live: &LiveDestination) -> Option<u32> {
    live.connector.manifest().rate?.per_day
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
