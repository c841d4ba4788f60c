//! A lane: the work for one destination, while there is any.
//!
//! A lane is one task that claims, starts and settles, and a task per attempt. It asks the gates before it claims; it
//! claims a little ahead, so that a free slot never waits for the store; and it hands outcomes to the store in groups:
//! while one group is being committed the next one gathers. An attempt that has ended frees its slot at once, but only
//! so many outcomes may be unsettled, so that a slow store slows the lane instead of filling memory.
//!
//! When there is nothing to do until some later time the task ends and says until when; the dispatcher wakes the lane
//! again. What must be remembered meanwhile is in its [`LaneState`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::delivery::State;
use domain::retry::RetryPolicy;
use domain::verdict::{PauseReason, Verdict};
use domain::{DeliveryId, DestinationId, Timestamp};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use storage::{Claimed, Fence, NewEvent, Owned, Settled, Settlement, StoreError};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::admission::{Admission, Gates, LastAttempt};
use crate::attempt::{ATTEMPT_MAX, Outcome};
use crate::breaker::Change;
use crate::chores;
use crate::dispatcher::Engine;
use crate::metrics::OutcomeLabel;
use crate::operational;
use crate::registry::LiveDestination;

/// How long a claimed delivery is ours: time to wait in hand, and for the longest attempt.
const LEASE: Duration = Duration::from_secs(90);
/// A lease with less than this left is given back instead of tried.
const LEASE_LEFT_MIN: Duration = Duration::from_secs(ATTEMPT_MAX.as_secs() + 10);
/// Fewest outcomes that may be unsettled, whatever the concurrency.
const UNSETTLED_MIN: usize = 32;
/// Groups of outcomes that may be on their way to the store: one being committed, one waiting behind it.
const SETTLES_MAX: usize = 2;
/// A lane that waits for longer than this ends its task, and gives back what it has claimed ahead.
const LINGER: Duration = Duration::from_secs(1);
/// How long a lane is left alone that should be paused and could not be.
const PAUSE_AGAIN: Duration = Duration::from_mins(1);
/// How long a lane is left alone whose attempt could not begin.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);
/// How long a lane waits after the store refused a claim.
const CLAIM_AGAIN: Duration = Duration::from_millis(250);

/// What outlives the task of a lane.
#[derive(Debug)]
pub(crate) struct LaneState {
    gates: Mutex<Gates>,
    /// Set when there may be new work, or a new reason not to do it.
    marked: AtomicBool,
    wake: Notify,
}

impl LaneState {
    /// A lane with open gates.
    pub(crate) fn new(now: Instant) -> Self {
        Self { gates: Mutex::new(Gates::new(now)), marked: AtomicBool::new(false), wake: Notify::new() }
    }

    /// Tells the lane to look again.
    pub(crate) fn mark(&self) {
        self.marked.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it was told to look again since it last did.
    pub(crate) fn take_mark(&self) -> bool {
        self.marked.swap(false, Ordering::AcqRel)
    }

    /// The gates, for a moment.
    pub(crate) fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a lane.
pub(crate) struct Lane {
    engine: Arc<Engine>,
    state: Arc<LaneState>,
    id: DestinationId,
    /// Claimed and not started, each with the end of its lease.
    ready: VecDeque<(Owned, Instant)>,
    tries: JoinSet<Try>,
    chores: FuturesUnordered<BoxFuture<'static, Chore>>,
    settlements: Vec<Settlement>,
    events: Vec<NewEvent>,
    /// Outcomes that are not yet in the store, `settlements` included.
    unsettled: usize,
    settles: usize,
    is_claiming: bool,
    claim_not_before: Instant,
    /// When the next delivery that is not in hand falls due, as far as we know.
    next_due: Option<Timestamp>,
    /// The same, learnt while a claim was under way that may not have seen it.
    learnt: Option<Timestamp>,
    /// The last claim got all it asked for, so that claiming ahead is worth it.
    is_deep: bool,
    /// A verdict has asked for a pause that the registry does not show yet.
    is_pausing: bool,
    cut_off: bool,
}

/// An attempt's task: the delivery, and what came of it unless its lease ran out before it could start.
type Try = (Owned, Option<Outcome>);

/// Something that was handed to the store.
pub(crate) enum Chore {
    Claimed { asked: usize, claimed: Result<Claimed, StoreError>, lease_until: Instant },
    Settled { outcomes: usize, retries_due: Option<Timestamp>, settled: Result<Vec<Settled>, StoreError> },
    Released(Timestamp),
    Paused(Result<(), StoreError>),
    Announced,
}

/// What the lane waits for when it has done what it can.
enum Wait {
    /// For something to come back or a mark, and at most until this time.
    Until(Option<Instant>),
    /// For nothing that is under way: the task ends, and the lane is to be woken then.
    Rest(Option<Timestamp>),
}

impl Lane {
    /// A lane that begins by looking for due work.
    pub(crate) fn new(engine: Arc<Engine>, state: Arc<LaneState>, id: DestinationId) -> Self {
        let next_due = Some(engine.clock.now());
        // Left behind by a lane that panicked: its attempts are gone with it.
        let lost = state.gates().forget_in_flight();
        engine.metrics.in_flight.dec_by(i64::try_from(lost).unwrap_or_default());
        Self {
            engine,
            state,
            id,
            ready: VecDeque::new(),
            tries: JoinSet::new(),
            chores: FuturesUnordered::new(),
            settlements: Vec::new(),
            events: Vec::new(),
            unsettled: 0,
            settles: 0,
            is_claiming: false,
            claim_not_before: Instant::now(),
            next_due,
            learnt: None,
            is_deep: false,
            is_pausing: false,
            cut_off: false,
        }
    }

    /// Works until there is nothing to do for a while; returns when to come back.
    pub(crate) async fn run(mut self) -> Option<Timestamp> {
        loop {
            let until = match self.step() {
                Wait::Rest(until) => return until,
                Wait::Until(until) => until,
            };
            let timer = sleep_until(until.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(ended) = self.tries.join_next() => self.on_ended(ended),
                Some(chore) = self.chores.next() => self.on_chore(chore),
                () = self.state.wake.notified() => {}
                () = timer, if until.is_some() => {}
            }
            while let Some(ended) = self.tries.try_join_next() {
                self.on_ended(ended);
            }
        }
    }

    /// Does everything that can be done without waiting.
    fn step(&mut self) -> Wait {
        if self.state.take_mark() {
            self.learn(self.engine.clock.now());
        }
        let now = Instant::now();
        let live = self.engine.registry.destination(self.id).filter(|_| !self.engine.is_stopping());
        let wait = match live {
            Some(live) if !self.is_pausing => self.step_open(&live, now),
            _ => {
                self.release_ready();
                None
            }
        };
        if self.engine.is_cut_off() && !self.cut_off {
            self.cut_off = true;
            self.tries.abort_all();
        }
        self.settle();
        if self.tries.is_empty() && self.chores.is_empty() {
            // Nothing is under way, so only time can bring something.
            match wait {
                None => return Wait::Rest(None),
                Some(until) if until.saturating_duration_since(now) > LINGER => {
                    return Wait::Rest(Some(self.engine.clock.now() + (until - now)));
                }
                Some(_) => {}
            }
        }
        Wait::Until(wait)
    }

    /// Starts and claims what the gates allow; returns when to look again if nothing comes back before.
    fn step_open(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        loop {
            match self.admit(live, now) {
                Admission::Paused => {
                    self.release_ready();
                    return None;
                }
                Admission::Later(until) => {
                    if until.saturating_duration_since(now) > LINGER {
                        self.release_ready();
                    }
                    let work_at = if self.ready.is_empty() { self.due_instant(now)? } else { now };
                    return Some(until.max(work_at));
                }
                Admission::Open { start, ahead } => {
                    let started = self.start(live, start, now);
                    if started == 0 {
                        return self.claim(live, start, ahead, now);
                    }
                }
            }
        }
    }

    fn admit(&self, live: &Arc<LiveDestination>, now: Instant) -> Admission {
        let mut gates = self.state.gates();
        let was_tripped = gates.is_tripped();
        let admission = gates.admit(live, now);
        if was_tripped && !gates.is_tripped() {
            // Somebody changed the destination, which gives it a fresh start.
            self.engine.metrics.breakers_open.dec();
        }
        admission
    }

    /// Starts up to `slots` attempts; returns how many.
    fn start(&mut self, live: &Arc<LiveDestination>, slots: usize, now: Instant) -> usize {
        let unsettled_max = UNSETTLED_MIN.max(2 * usize::from(live.destination.concurrency));
        let mut started = 0;
        while started < slots && self.unsettled < unsettled_max {
            let Some((owned, lease_until)) = self.ready.pop_front() else { break };
            if lease_until.saturating_duration_since(now) < LEASE_LEFT_MIN {
                self.release(vec![(owned.id, owned.fence)]);
                continue;
            }
            self.state.gates().start(&live.destination, now);
            self.engine.metrics.in_flight.inc();
            let (engine, live) = (Arc::clone(&self.engine), Arc::clone(live));
            self.tries.spawn(async move { engine.attempt(live, owned, lease_until).await });
            started += 1;
        }
        started
    }

    /// Claims if there is room and something is due; returns when to look again.
    fn claim(&mut self, live: &Arc<LiveDestination>, start: usize, ahead: usize, now: Instant) -> Option<Instant> {
        let due = self.due_instant(now)?;
        let at = due.max(self.claim_not_before);
        if at > now {
            return Some(at);
        }
        let ahead = if self.is_deep { ahead } else { 0 };
        let room = (start + ahead).saturating_sub(self.ready.len());
        // With a slot free claim what fits; with none, only when what was claimed ahead runs low.
        let is_worth_it = room > 0 && (start > 0 || self.ready.len() <= ahead / 2);
        if is_worth_it
            && !self.is_claiming
            && self.unsettled <= usize::from(live.destination.concurrency).max(UNSETTLED_MIN)
        {
            self.is_claiming = true;
            self.learnt = None;
            let (store, id, wall) = (Arc::clone(&self.engine.store), self.id, self.engine.clock.now());
            self.chores.push(Box::pin(async move {
                let claimed = store.claim(id, wall, room, wall + LEASE).await;
                Chore::Claimed { asked: room, claimed, lease_until: now + LEASE }
            }));
        }
        None
    }

    fn on_ended(&mut self, ended: Result<Try, JoinError>) {
        self.engine.metrics.in_flight.dec();
        let (owned, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Cut off at a stop, or a bug outside the connector: the lease runs out and the delivery is tried again.
                if error.is_panic() {
                    tracing::error!(destination = %self.id, "an attempt was lost to a panic; its lease will run out");
                }
                self.state.gates().abandon();
                return;
            }
        };
        let Some(outcome) = outcome else {
            // Whatever is short on this machine stays short for a moment.
            let mut gates = self.state.gates();
            gates.abandon();
            gates.hold(SHORTAGE_PAUSE, Instant::now());
            drop(gates);
            self.release(vec![(owned.id, owned.fence)]);
            return;
        };
        let live = self.engine.registry.destination(self.id);
        self.note(live.as_ref(), &outcome);
        let standing = match &live {
            Some(live) => {
                owned.standing.after(&outcome.verdict, &live.destination.retry, outcome.ended_at, self.jitter(&outcome))
            }
            // Deleted meanwhile: the store will find the settlement stale.
            None => owned.standing.after(&outcome.verdict, &RetryPolicy::Standard, outcome.ended_at, 0.0),
        };
        self.count(&outcome, standing.state);
        if let (State::Dead, Some(reason), Some(live)) = (standing.state, standing.reason, &live) {
            let registry = &self.engine.registry;
            let attempts = standing.attempts;
            self.events.extend(operational::delivery_dead(registry, live, owned.id, &owned.event, reason, attempts));
        }
        self.unsettled += 1;
        self.settlements.push(Settlement {
            id: owned.id,
            fence: owned.fence,
            attempt: outcome.attempt,
            standing,
            now: outcome.ended_at,
        });
        if let Verdict::Pause { reason, message } = outcome.verdict {
            self.pause(reason, message);
        }
    }

    /// Tells the gates, and the world if the breaker has news.
    fn note(&mut self, live: Option<&Arc<LiveDestination>>, outcome: &Outcome) {
        let Some(live) = live else { return self.state.gates().abandon() };
        let last = LastAttempt { ended_at: outcome.ended_at, reason: outcome.attempt.reason };
        let now = Instant::now();
        let change = self.state.gates().end(&live.destination, &outcome.verdict, outcome.answered, last, now);
        let registry = &self.engine.registry;
        let event = match change {
            None => return,
            Some(Change::Opened { until }) => {
                self.engine.metrics.breakers_open.inc();
                let secs = until.saturating_duration_since(now).as_secs();
                let message = format!("it fails nearly always; the first probe goes out in {secs} s");
                tracing::warn!(destination = %live.destination.name, "the breaker opened");
                operational::destination_paused(registry, live, "breaker", &message)
            }
            Some(Change::Closed) => {
                self.engine.metrics.breakers_open.dec();
                tracing::info!(destination = %live.destination.name, "the breaker closed");
                operational::destination_recovered(registry, live)
            }
        };
        self.chores.push(Box::pin(chores::announce(Arc::clone(&self.engine), event)));
    }

    fn count(&self, outcome: &Outcome, state: State) {
        let label = match (&outcome.verdict, state) {
            (Verdict::Pause { .. }, _) => OutcomeLabel::Paused,
            (_, State::Delivered) => OutcomeLabel::Delivered,
            (_, State::Dead) => OutcomeLabel::Dead,
            (_, State::Pending | State::Cancelled) => OutcomeLabel::Retry,
        };
        self.engine.metrics.attempt(label, outcome.attempt.reason, outcome.attempt.duration());
    }

    fn jitter(&self, outcome: &Outcome) -> f64 {
        if matches!(outcome.verdict, Verdict::Retry { .. }) { self.engine.clock.jitter() } else { 0.0 }
    }

    fn pause(&mut self, reason: PauseReason, message: String) {
        if !self.is_pausing {
            self.is_pausing = true;
            self.chores.push(Box::pin(chores::pause(Arc::clone(&self.engine), self.id, reason, message)));
        }
    }

    /// Hands the gathered outcomes to the store.
    fn settle(&mut self) {
        if self.settlements.is_empty() || self.settles == SETTLES_MAX {
            return;
        }
        self.settles += 1;
        let settlements = std::mem::take(&mut self.settlements);
        let events = std::mem::take(&mut self.events);
        self.chores.push(Box::pin(chores::settle(Arc::clone(&self.engine), settlements, events)));
    }

    fn release_ready(&mut self) {
        let leases: Vec<_> = self.ready.drain(..).map(|(owned, _)| (owned.id, owned.fence)).collect();
        self.release(leases);
    }

    fn release(&mut self, leases: Vec<(DeliveryId, Fence)>) {
        if !leases.is_empty() {
            self.chores.push(Box::pin(chores::release(Arc::clone(&self.engine), leases)));
        }
    }

    fn on_chore(&mut self, chore: Chore) {
        match chore {
            Chore::Claimed { asked, claimed, lease_until } => self.on_claimed(asked, claimed, lease_until),
            Chore::Settled { outcomes, retries_due, settled } => {
                self.settles -= 1;
                self.unsettled -= outcomes;
                match settled {
                    Ok(settled) => {
                        let stale = settled.iter().filter(|settled| **settled == Settled::Stale).count();
                        if stale > 0 {
                            tracing::debug!(destination = %self.id, stale, "outcomes came too late to count");
                        }
                    }
                    Err(error) => self.engine.note_failure(&error),
                }
                if let Some(due) = retries_due {
                    self.learn(due);
                }
            }
            Chore::Released(now) => self.learn(now),
            Chore::Paused(result) => {
                // From here on the registry shows the pause, or the destination is gone.
                self.is_pausing = false;
                if let Err(error) = result {
                    self.engine.note_failure(&error);
                    self.state.gates().hold(PAUSE_AGAIN, Instant::now());
                }
            }
            Chore::Announced => {}
        }
    }

    fn on_claimed(&mut self, asked: usize, claimed: Result<Claimed, StoreError>, lease_until: Instant) {
        self.is_claiming = false;
        match claimed {
            Ok(claimed) => {
                self.next_due = earlier(claimed.next_due, self.learnt.take());
                self.is_deep = claimed.work.len() == asked;
                self.ready.extend(claimed.work.into_iter().map(|owned| (owned, lease_until)));
            }
            Err(error) => {
                self.claim_not_before = Instant::now() + CLAIM_AGAIN;
                self.engine.note_failure(&error);
            }
        }
    }

    /// Something falls due at `due`.
    fn learn(&mut self, due: Timestamp) {
        self.next_due = earlier(self.next_due, Some(due));
        if self.is_claiming {
            self.learnt = earlier(self.learnt, Some(due));
        }
    }

    fn due_instant(&self, now: Instant) -> Option<Instant> {
        self.next_due.map(|due| now + due.since(self.engine.clock.now()))
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
