//! A lane: the work for one destination, while there is any.
//!
//! A lane is one task that claims, starts runners and settles; the runners make the attempts ([`crate::desk`]). It asks
//! the gates before it claims; with a backlog it claims ahead, so that a free slot never waits for the store; and it
//! hands outcomes to the store in groups: while one group is being committed the next one gathers. An attempt that has
//! ended frees its slot at once, but only so many outcomes may be unsettled, so that a slow store slows the lane
//! instead of filling memory.
//!
//! When there is nothing to do until some later time the task ends and says until when; the dispatcher wakes the lane
//! again. What must be remembered meanwhile is in its [`LaneState`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::connector::BatchLimits;
use domain::{DeliveryId, DestinationId, Timestamp};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use storage::{Claimed, Fence, Settled, StoreError};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::admission::{Admission, Gates};
use crate::bindings::Subjects;
use crate::budget::Block;
use crate::desk::{Aside, Desk};
use crate::engine::Engine;
use crate::registry::LiveDestination;
use crate::seals::{SealId, Seals};
use crate::tokens::TokenShelf;
use crate::{budget, chores, gathering, holds, recollection};

/// How long a claimed delivery is ours: time to wait in hand, and for the longest attempt. What waits for a batch to fill
/// gets that time on top.
const LEASE: Duration = Duration::from_secs(90);
/// Groups of outcomes that may be on their way to the store: one being committed, one waiting behind it.
const SETTLES_MAX: usize = 2;
/// A lane that waits for longer than this ends its task, and gives back what it has claimed ahead.
const REST_AFTER: Duration = Duration::from_secs(1);
/// Most deliveries of one claim.
const CLAIM_MAX: usize = 1_024;
/// Most deliveries that a lane has in hand, unless one batch takes more.
const IN_HAND_MAX: usize = 4_096;
/// A lane with so many bytes of bodies in hand claims no more.
const IN_HAND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a lane is left alone that should be paused and could not be.
const PAUSE_AGAIN: Duration = Duration::from_mins(1);
/// How long a lane waits between two claims that bring no member of a sealed batch while nothing else may begin.
const SEALS_FULL_PAUSE: Duration = Duration::from_secs(1);
/// How often a lane in which nothing else may be sealed looks whether a sealed batch is done.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How long a lane waits after the store refused a claim.
const CLAIM_AGAIN: Duration = Duration::from_millis(250);

/// What outlives the task of a lane.
#[derive(Debug)]
pub(crate) struct LaneState {
    gates: Mutex<Gates>,
    pub(crate) tokens: TokenShelf,
    pub(crate) subjects: Subjects,
    seals: Mutex<Seals>,
    /// When the next digest is due.
    digest_at: Mutex<Option<Timestamp>>,
    /// What was remembered of the destination when this process began has been read.
    is_recollected: AtomicBool,
    /// Set when there may be new work, or a new reason not to do it.
    marked: AtomicBool,
    wake: Notify,
}

impl LaneState {
    /// A lane with open gates.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            gates: Mutex::new(Gates::new(now)),
            tokens: TokenShelf::default(),
            subjects: Subjects::default(),
            seals: Mutex::default(),
            digest_at: Mutex::default(),
            is_recollected: AtomicBool::new(false),
            marked: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Tells the lane that there may be due work.
    pub(crate) fn mark(&self) {
        self.marked.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether it was told of due work since it last looked.
    pub(crate) fn take_mark(&self) -> bool {
        self.marked.swap(false, Ordering::AcqRel)
    }

    /// Wakes the lane's task, if there is one.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The sealed batches, for a moment.
    pub(crate) fn seals(&self) -> MutexGuard<'_, Seals> {
        self.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next digest is due.
    pub(crate) fn digest_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.digest_at.lock().unwrap_or_else(PoisonError::into_inner)
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
    desk: Arc<Desk>,
    runners: JoinSet<()>,
    chores: FuturesUnordered<BoxFuture<'static, Chore>>,
    settles: usize,
    is_claiming: bool,
    errands: Errands,
    claim_not_before: Instant,
    /// When the next delivery that is not in hand falls due, as far as we know.
    next_due: Option<Timestamp>,
    /// The same, learnt while a claim was under way that may not have seen it.
    learnt: Option<Timestamp>,
    /// The last claim got all it asked for, so that claiming ahead is worth it.
    is_deep: bool,
    is_cut_off: bool,
}

/// What is being found out about what the store remembers.
#[derive(Default)]
struct Errands {
    /// Somebody reads what was remembered before this process began.
    is_recollecting: bool,
    /// Somebody counts the next block of the day's calls.
    is_reserving: bool,
    /// Somebody looks for members of sealed batches.
    is_looking: bool,
    /// When batches that are done were last looked for.
    swept_at: Option<Instant>,
}

/// Something that was handed to the store.
pub(crate) enum Chore {
    Claimed {
        asked: usize,
        claimed: Result<Claimed, StoreError>,
        lease_until: Instant,
    },
    Settled {
        batches: usize,
        retries_due: Option<Timestamp>,
        settled: Result<Vec<Settled>, StoreError>,
    },
    Released(Timestamp),
    Recollected(Result<(), StoreError>),
    /// These members of a sealed batch have ended; others were made due.
    Looked {
        seal: SealId,
        gone: Vec<DeliveryId>,
        has_woken: bool,
    },
    Swept(Result<(), StoreError>),
    Reserved(Result<Block, StoreError>),
    Remembered,
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
        // Left behind by a lane that panicked: its attempts are gone with it.
        let lost = state.gates().forget_in_flight();
        engine.metrics.in_flight.dec_by(i64::try_from(lost).unwrap_or_default());
        Self {
            desk: Arc::new(Desk::new(Arc::clone(&engine), Arc::clone(&state), id)),
            next_due: Some(engine.clock.now()),
            engine,
            state,
            id,
            runners: JoinSet::new(),
            chores: FuturesUnordered::new(),
            settles: 0,
            is_claiming: false,
            errands: Errands::default(),
            claim_not_before: Instant::now(),
            learnt: None,
            is_deep: false,
            is_cut_off: false,
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
                Some(ended) = self.runners.join_next() => self.on_runner(ended),
                Some(chore) = self.chores.next() => self.on_chore(chore),
                () = self.state.wake.notified() => {}
                () = timer, if until.is_some() => {}
            }
            while let Some(ended) = self.runners.try_join_next() {
                self.on_runner(ended);
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
            Some(live) if !self.desk.is_pausing() => self.step_open(&live, now),
            _ => {
                self.give_back(self.desk.clear());
                None
            }
        };
        if self.engine.is_cut_off() && !self.is_cut_off {
            self.is_cut_off = true;
            self.runners.abort_all();
        }
        self.see_to_asides();
        self.settle();
        if self.runners.is_empty() && self.chores.is_empty() && self.desk.is_empty() {
            // Nothing is under way, so only time can bring something.
            match wait {
                None => return Wait::Rest(None),
                Some(until) if until.saturating_duration_since(now) > REST_AFTER => {
                    return Wait::Rest(Some(self.engine.clock.now() + (until - now)));
                }
                Some(_) => {}
            }
        }
        Wait::Until(wait)
    }

    /// Starts and claims what the gates allow; returns when to look again if nothing comes back before.
    fn step_open(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        if !self.state.is_recollected.load(Ordering::Acquire) {
            return self.recollect(live, now);
        }
        loop {
            match self.desk.admit(live, now) {
                Admission::Paused => {
                    self.give_back(self.desk.clear());
                    return None;
                }
                Admission::Later(until) => {
                    if until.saturating_duration_since(now) > REST_AFTER {
                        self.give_back(self.desk.clear());
                    }
                    let work_at = if self.desk.in_hand().0 == 0 { self.due_instant(live, now)? } else { now };
                    return Some(until.max(work_at));
                }
                Admission::Reserve { per_day } => return self.reserve(live, per_day, now),
                Admission::Open { start, ahead } => {
                    if !self.start(start) {
                        let limits = gathering::limits(live);
                        let look_at =
                            if limits.keeps_boundaries { self.see_to_seals(live, &limits, now) } else { None };
                        let claim_at = self.claim(live, start, ahead, now);
                        let ripe_at = self.desk.ripe_at(&limits, now).filter(|&at| start > 0 && at > now);
                        return [claim_at, ripe_at, look_at].into_iter().flatten().min();
                    }
                }
            }
        }
    }

    /// Starts up to `slots` runners; returns whether there was work for one.
    fn start(&mut self, slots: usize) -> bool {
        let jobs = std::iter::from_fn(|| self.desk.next()).take(slots);
        let mut has_started = false;
        for job in jobs {
            self.runners.spawn(Arc::clone(&self.desk).run(job));
            has_started = true;
        }
        has_started
    }

    /// Reads what was remembered before this process began; returns when to try again.
    fn recollect(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        if self.claim_not_before > now {
            return Some(self.claim_not_before);
        }
        if !std::mem::replace(&mut self.errands.is_recollecting, true) {
            let (engine, state) = (Arc::clone(&self.engine), Arc::clone(&self.state));
            self.chores.push(Box::pin(recollection::recollect(engine, state, Arc::clone(live))));
        }
        None
    }

    /// Has another block of the day's calls counted, if there is work for it; returns when to try again.
    fn reserve(&mut self, live: &LiveDestination, per_day: u32, now: Instant) -> Option<Instant> {
        let work_at = if self.desk.is_empty() { self.due_instant(live, now)? } else { now };
        let at = work_at.max(self.claim_not_before);
        if at > now {
            return Some(at);
        }
        if !std::mem::replace(&mut self.errands.is_reserving, true) {
            self.chores.push(Box::pin(budget::reserve(Arc::clone(&self.engine), self.id, per_day)));
        }
        None
    }

    /// Looks for members of sealed batches that are missing, and makes room for them; returns when to look again.
    fn see_to_seals(&mut self, live: &Arc<LiveDestination>, limits: &BatchLimits, now: Instant) -> Option<Instant> {
        self.give_back(self.desk.take_short_parcels(now));
        if !self.desk.may_seal(limits) {
            // Only what is sealed can begin; the rest would be in the way of its members.
            self.give_back(self.desk.clear_loose());
            if !self.errands.is_looking && self.errands.swept_at.is_none_or(|at| now >= at + SWEEP_EVERY) {
                (self.errands.is_looking, self.errands.swept_at) = (true, Some(now));
                let (engine, state) = (Arc::clone(&self.engine), Arc::clone(&self.state));
                self.chores.push(Box::pin(recollection::sweep_seals(engine, state, Arc::clone(live))));
            }
        }
        if !self.errands.is_looking
            && let Some((seal, missing)) = self.desk.incomplete(now)
        {
            self.errands.is_looking = true;
            let engine = Arc::clone(&self.engine);
            self.chores.push(Box::pin(recollection::look(engine, Arc::clone(live), seal, missing)));
        }
        self.desk.look_at().filter(|_| !self.errands.is_looking)
    }

    /// Claims if there is room and something is due; returns when to look again.
    fn claim(&mut self, live: &LiveDestination, start: usize, ahead: usize, now: Instant) -> Option<Instant> {
        let due = self.due_instant(live, now)?;
        let at = due.max(self.claim_not_before);
        if at > now {
            return Some(at);
        }
        let limits = gathering::limits(live);
        let batches = |count: usize| count.saturating_mul(limits.items).min(IN_HAND_MAX.max(limits.items));
        let ahead = if self.is_deep { ahead } else { 0 };
        let (ready, bytes) = self.desk.in_hand();
        let room = batches(start + ahead).saturating_sub(ready).min(CLAIM_MAX);
        self.desk.watch(batches(ahead) / 2);
        // With a slot free claim what fits; with none, only when what was claimed ahead runs low.
        let is_wanted = room > 0 && (start > 0 || ready <= batches(ahead) / 2) && bytes < IN_HAND_BYTES_MAX;
        if is_wanted && !self.is_claiming && self.desk.is_keeping_up(live) {
            self.is_claiming = true;
            self.learnt = None;
            let lease = LEASE + limits.linger();
            let (store, id, wall) = (Arc::clone(&self.engine.store), self.id, self.engine.clock.now());
            self.chores.push(Box::pin(async move {
                let claimed = store.claim(id, wall, room, wall + lease).await;
                Chore::Claimed { asked: room, claimed, lease_until: now + lease }
            }));
        }
        None
    }

    /// A runner found nothing more to do, or came to grief.
    fn on_runner(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            // Cut off at a stop, or a bug outside the connector: the lease runs out and the delivery is tried again.
            if error.is_panic() {
                tracing::error!(destination = %self.id, "an attempt was lost to a panic; its lease will run out");
            }
            self.engine.metrics.in_flight.dec();
            self.state.gates().abandon();
        }
    }

    fn see_to_asides(&mut self) {
        let mut untried = Vec::new();
        for aside in self.desk.take_asides() {
            let engine = Arc::clone(&self.engine);
            match aside {
                Aside::Untried(leases) => untried.extend(leases),
                Aside::News(event) => self.chores.push(Box::pin(chores::announce(engine, event))),
                Aside::Pause(reason, message) => {
                    self.chores.push(Box::pin(chores::pause(engine, self.id, reason, message)));
                }
                Aside::Hold(memo) => self.chores.push(Box::pin(chores::remember(engine, self.id, vec![memo]))),
            }
        }
        if self.state.gates().take_outdated_hold() {
            let engine = Arc::clone(&self.engine);
            self.chores.push(Box::pin(chores::remember(engine, self.id, vec![holds::forget()])));
        }
        self.give_back(untried);
    }

    /// Hands the gathered outcomes to the store.
    fn settle(&mut self) {
        if let Some(outcomes) = self.desk.take_outcomes(self.settles < SETTLES_MAX) {
            self.settles += 1;
            self.chores.push(Box::pin(chores::settle(Arc::clone(&self.engine), self.id, outcomes)));
        }
    }

    fn give_back(&self, leases: Vec<(DeliveryId, Fence)>) {
        if !leases.is_empty() {
            self.chores.push(Box::pin(chores::release(Arc::clone(&self.engine), leases)));
        }
    }

    fn on_chore(&mut self, chore: Chore) {
        match chore {
            Chore::Claimed { asked, claimed, lease_until } => self.on_claimed(asked, claimed, lease_until),
            Chore::Settled { batches, retries_due, settled } => {
                self.settles -= 1;
                self.desk.settled(batches);
                self.on_settled(settled);
                if let Some(due) = retries_due {
                    self.learn(due);
                }
            }
            Chore::Released(now) => self.learn(now),
            Chore::Paused(result) => {
                // From here on the registry shows the pause, or the destination is gone.
                self.desk.end_pausing();
                if let Err(error) = result {
                    self.engine.note_failure(&error);
                    self.state.gates().hold(PAUSE_AGAIN, Instant::now());
                }
            }
            Chore::Recollected(result) => {
                self.errands.is_recollecting = false;
                match result {
                    Ok(()) => self.state.is_recollected.store(true, Ordering::Release),
                    Err(error) => {
                        self.engine.note_failure(&error);
                        self.claim_not_before = Instant::now() + CLAIM_AGAIN;
                    }
                }
            }
            Chore::Looked { seal, gone, has_woken } => {
                self.errands.is_looking = false;
                if has_woken {
                    self.learn(self.engine.clock.now());
                }
                if !gone.is_empty() {
                    let memos = self.desk.reseal(seal, &gone);
                    self.chores.push(Box::pin(chores::remember(Arc::clone(&self.engine), self.id, memos)));
                }
            }
            Chore::Swept(result) => {
                self.errands.is_looking = false;
                if let Err(error) = result {
                    self.engine.note_failure(&error);
                }
            }
            Chore::Reserved(result) => {
                self.errands.is_reserving = false;
                match result {
                    Ok(block) => self.state.gates().reserved(block, Instant::now()),
                    Err(error) => {
                        self.engine.note_failure(&error);
                        self.claim_not_before = Instant::now() + CLAIM_AGAIN;
                    }
                }
            }
            Chore::Announced | Chore::Remembered => {}
        }
    }

    fn on_claimed(&mut self, asked: usize, claimed: Result<Claimed, StoreError>, lease_until: Instant) {
        self.is_claiming = false;
        match claimed {
            Ok(claimed) => {
                self.next_due = earlier(claimed.next_due, self.learnt.take());
                self.is_deep = claimed.work.len() == asked;
                if !self.is_deep {
                    // Everything that belongs into this digest is in hand.
                    *self.state.digest_at() = None;
                }
                let limits = self.engine.registry.destination(self.id).map(|live| gathering::limits(&live));
                let has_members = self.desk.fill(claimed.work, limits.as_ref(), lease_until);
                if !has_members && limits.is_some_and(|limits| !self.desk.may_seal(&limits)) {
                    self.claim_not_before = Instant::now() + SEALS_FULL_PAUSE;
                }
            }
            Err(error) => {
                self.claim_not_before = Instant::now() + CLAIM_AGAIN;
                self.engine.note_failure(&error);
            }
        }
    }

    fn on_settled(&self, settled: Result<Vec<Settled>, StoreError>) {
        match settled {
            Ok(settled) => {
                let stale = settled.iter().filter(|settled| **settled == Settled::Stale).count();
                if stale > 0 {
                    tracing::debug!(destination = %self.id, stale, "outcomes came too late to count");
                }
            }
            Err(error) => self.engine.note_failure(&error),
        }
    }

    /// Something falls due at `due`.
    fn learn(&mut self, due: Timestamp) {
        self.next_due = earlier(self.next_due, Some(due));
        if self.is_claiming {
            self.learnt = earlier(self.learnt, Some(due));
        }
    }

    fn due_instant(&self, live: &LiveDestination, now: Instant) -> Option<Instant> {
        let mut due = self.next_due?;
        if let Some(ms) = live.destination.volume.digest_ms {
            // A time that was fixed stays, also if a later look sees only what came after it.
            let mut digest_at = self.state.digest_at();
            due = digest_after(due, ms).min(digest_at.unwrap_or(Timestamp::MAX));
            *digest_at = Some(due);
        }
        Some(now + due.since(self.engine.clock.now()))
    }
}

/// The first multiple of the interval, by the wall clock of UTC, that comes after `due`.
fn digest_after(due: Timestamp, interval_ms: u64) -> Timestamp {
    let interval_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX).max(1);
    Timestamp::from_millis((due.as_millis().div_euclid(interval_ms) + 1).saturating_mul(interval_ms))
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
