//! The breaker: stops sending to a destination that fails nearly always, and finds out when it is well again.
//!
//! Closed, it counts the last five minutes. It opens on ten failures in a row, or when at least ten attempts were made
//! and at least 70 % of them failed. Open, nothing is attempted, so nothing is spent of any delivery's schedule; each
//! opening of one outage lasts twice as long as the one before, from 30 seconds to ten minutes. Then one probe goes
//! out; after it has succeeded up to five at once, and the fifth success closes the breaker. Any failure opens it again.
//!
//! What votes is decided by [`Vote::of`]: an answer that judges one event speaks for the destination being well, also
//! when the judgement is no. A 429 counts as a failure: whoever says so ten times in a row wants to be left alone.

use std::time::Duration;

use domain::verdict::{FailureReason, Verdict};
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_mins(5);
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_secs(WINDOW.as_secs() / SLICES as u64);
const ATTEMPTS_MIN: u32 = 10;
const FAILED_PER_CENT: u32 = 70;
const FAILURES_IN_A_ROW: u32 = 10;
const OPEN_FIRST: Duration = Duration::from_secs(30);
const OPEN_MAX: Duration = Duration::from_mins(10);
/// Successes that close it again, and how many attempts may be under way while they are collected.
const SUCCESSES_TO_CLOSE: u32 = 5;

/// The breaker of one destination.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    /// Openings of the present outage.
    openings: u32,
    in_a_row: u32,
    window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { successes: u32 },
}

/// How many attempts the breaker lets be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    Any,
    AtMost(u32),
    NoneUntil(Instant),
}

/// What an attempt says about the health of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    Well,
    Failing,
    /// It says nothing: no call was made, or the whole lane is about to be paused.
    Abstain,
}

/// A change that a person should hear of; reopening within one outage is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Opened { until: Instant },
    Closed,
}

impl Vote {
    /// What a verdict says. `answered` tells whether a reply came at all.
    pub fn of(verdict: &Verdict, answered: bool) -> Self {
        match verdict {
            Verdict::Delivered => Self::Well,
            Verdict::Reject { .. } if answered => Self::Well,
            // A vendor that asks for less is well, and waiting is not failing.
            Verdict::Reject { .. } | Verdict::Pause { .. } | Verdict::Wait { .. } | Verdict::Skip { .. } => {
                Self::Abstain
            }
            Verdict::Retry { reason, .. } => match reason {
                FailureReason::Unprocessable | FailureReason::FilterError | FailureReason::TemplateError => {
                    Self::Abstain
                }
                _ => Self::Failing,
            },
        }
    }
}

impl Vote {
    /// What the verdicts over a batch say together: it was one attempt, and one good word is enough.
    pub fn of_all<'v>(verdicts: impl IntoIterator<Item = &'v Verdict>, answered: bool) -> Self {
        let votes = verdicts.into_iter().map(|verdict| Self::of(verdict, answered));
        votes
            .reduce(|one, other| if one == Self::Well || other == Self::Abstain { one } else { other })
            .unwrap_or(Self::Abstain)
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Closed, openings: 0, in_a_row: 0, window: Window::new(now) }
    }

    /// How many attempts may be under way at `now`.
    pub fn slots(&self, now: Instant) -> Slots {
        match self.state {
            State::Closed => Slots::Any,
            State::Open { until } if now < until => Slots::NoneUntil(until),
            State::Open { .. } | State::HalfOpen { successes: 0 } => Slots::AtMost(1),
            State::HalfOpen { .. } => Slots::AtMost(SUCCESSES_TO_CLOSE),
        }
    }

    /// Whether there is an outage: open or on probation.
    pub fn is_tripped(&self) -> bool {
        self.state != State::Closed
    }

    /// An attempt begins, which [`Breaker::slots`] allowed.
    pub fn begin(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::HalfOpen { successes: 0 };
        }
    }

    /// An attempt ended.
    pub fn record(&mut self, vote: Vote, now: Instant) -> Option<Change> {
        match (self.state, vote) {
            (_, Vote::Abstain) | (State::Open { .. }, _) => None,
            (State::Closed, vote) => self.record_closed(vote == Vote::Failing, now),
            (State::HalfOpen { .. }, Vote::Failing) => {
                self.open(now);
                None
            }
            (State::HalfOpen { successes }, Vote::Well) if successes + 1 < SUCCESSES_TO_CLOSE => {
                self.state = State::HalfOpen { successes: successes + 1 };
                None
            }
            (State::HalfOpen { .. }, Vote::Well) => {
                *self = Self::new(now);
                Some(Change::Closed)
            }
        }
    }

    fn record_closed(&mut self, failed: bool, now: Instant) -> Option<Change> {
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        self.window.count(failed, now);
        let (attempts, failures) = self.window.sum();
        let mostly_failing = failed
            && attempts >= ATTEMPTS_MIN
            && failures.saturating_mul(100) >= attempts.saturating_mul(FAILED_PER_CENT);
        (self.in_a_row >= FAILURES_IN_A_ROW || mostly_failing).then(|| Change::Opened { until: self.open(now) })
    }

    fn open(&mut self, now: Instant) -> Instant {
        let until = now + OPEN_FIRST.saturating_mul(1 << self.openings.min(16)).min(OPEN_MAX);
        self.openings += 1;
        self.state = State::Open { until };
        until
    }
}

/// Attempts and failures of the last five minutes, in slices of half a minute.
#[derive(Debug, Clone)]
struct Window {
    began: Instant,
    slices: [(u32, u32); SLICES],
    /// Slices since `began`; the newest lies at this index modulo their number.
    newest: u64,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, slices: [(0, 0); SLICES], newest: 0 }
    }

    fn count(&mut self, failed: bool, now: Instant) {
        let at = now.saturating_duration_since(self.began).as_secs() / SLICE.as_secs();
        let passed = usize::try_from(at.saturating_sub(self.newest)).unwrap_or(SLICES).min(SLICES);
        for back in 0..passed {
            *self.slice(at - back as u64) = (0, 0);
        }
        self.newest = self.newest.max(at);
        let (attempts, failures) = self.slice(self.newest);
        *attempts = attempts.saturating_add(1);
        *failures = failures.saturating_add(u32::from(failed));
    }

    fn slice(&mut self, number: u64) -> &mut (u32, u32) {
        let index = usize::try_from(number % SLICES as u64).unwrap_or_default();
        &mut self.slices[index]
    }

    fn sum(&self) -> (u32, u32) {
        self.slices
            .iter()
            .fold((0_u32, 0_u32), |sum, slice| (sum.0.saturating_add(slice.0), sum.1.saturating_add(slice.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Records votes (`+` well, `-` failing, `?` abstain) and returns the last change.
    fn feed(breaker: &mut Breaker, votes: &str, now: Instant) -> Option<Change> {
        let vote = |c| match c {
            '+' => Vote::Well,
            '-' => Vote::Failing,
            _ => Vote::Abstain,
        };
        votes.chars().map(|c| breaker.record(vote(c), now)).last().flatten()
    }

    #[test]
    fn ten_failures_in_a_row_open_it_and_nine_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        // Many successes first, so that the share of failures cannot be what opens it.
        assert_eq!(feed(&mut breaker, &"+".repeat(100), now), None);
        assert_eq!(feed(&mut breaker, "---------+", now), None);
        assert_eq!(feed(&mut breaker, "-----?----", now), None);
        assert_eq!(feed(&mut breaker, "-", now), Some(Change::Opened { until: now + 30 * SECOND }));
        assert_eq!(breaker.slots(now), Slots::NoneUntil(now + 30 * SECOND));
    }

    #[test]
    fn seventy_per_cent_of_ten_attempts_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert_eq!(feed(&mut breaker, "--+--+--+", now), None);
        assert!(matches!(feed(&mut breaker, "-", now), Some(Change::Opened { .. })));
        let mut breaker = Breaker::new(now);
        assert_eq!(feed(&mut breaker, "--+--+-+-+--+--+", now), None);
    }

    #[test]
    fn failures_older_than_five_minutes_are_forgotten() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert_eq!(feed(&mut breaker, "-------+", now), None);
        assert_eq!(feed(&mut breaker, "++-", now + 301 * SECOND), None);
        let mut breaker = Breaker::new(now);
        assert_eq!(feed(&mut breaker, "-------+", now), None);
        assert!(feed(&mut breaker, "+-", now + 200 * SECOND).is_some());
    }

    #[test]
    fn each_opening_of_an_outage_lasts_twice_as_long_up_to_ten_minutes() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        feed(&mut breaker, "----------", now);
        for secs in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(breaker.slots(now + secs * SECOND - SECOND / 1_000), Slots::NoneUntil(now + secs * SECOND));
            now += secs * SECOND;
            assert_eq!(breaker.slots(now), Slots::AtMost(1));
            breaker.begin();
            assert_eq!(feed(&mut breaker, "-", now), None, "reopening is no news");
        }
    }

    #[test]
    fn one_probe_then_five_successes_close_it_and_the_next_outage_starts_afresh() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        feed(&mut breaker, "----------", now);
        let later = now + 30 * SECOND;
        breaker.begin();
        assert_eq!(breaker.slots(later), Slots::AtMost(1));
        assert_eq!(feed(&mut breaker, "+", later), None);
        assert_eq!(breaker.slots(later), Slots::AtMost(5));
        assert_eq!(feed(&mut breaker, "++?+", later), None);
        assert_eq!(feed(&mut breaker, "+", later), Some(Change::Closed));
        assert_eq!(breaker.slots(later), Slots::Any);
        assert_eq!(feed(&mut breaker, "----------", later), Some(Change::Opened { until: later + 30 * SECOND }));
    }

    #[test]
    fn what_arrives_late_while_it_is_open_changes_nothing() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        feed(&mut breaker, "----------", now);
        assert_eq!(feed(&mut breaker, "-+++++++++", now), None);
        assert_eq!(breaker.slots(now), Slots::NoneUntil(now + 30 * SECOND));
    }

    #[test]
    fn an_answer_that_refuses_one_event_speaks_for_the_destination() {
        let reject = Verdict::Reject { reason: FailureReason::ClientError, message: None };
        assert_eq!(Vote::of(&reject, true), Vote::Well);
        assert_eq!(Vote::of(&reject, false), Vote::Abstain);
        for (reason, vote) in [
            (FailureReason::Throttled, Vote::Failing),
            (FailureReason::Timeout, Vote::Failing),
            (FailureReason::AddressRefused, Vote::Failing),
            (FailureReason::Unprocessable, Vote::Abstain),
        ] {
            assert_eq!(Vote::of(&Verdict::retry(reason), true), vote);
        }
    }
}
