//! The desk of a lane: the work in hand, shared by the lane's task and its runners.
//!
//! A runner makes one attempt after the other for as long as the gates let it: it takes the next batch from the desk and
//! lays the outcome back on it. Under load nothing is spawned and nobody is woken between two attempts. The lane's task
//! keeps the desk filled and carries the outcomes to the store. A batch that was refused whole comes back as two halves,
//! still leased, which are tried next. For a vendor that recognises batches, each is sealed before it is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::connector::BatchLimits;
use domain::delivery::{Standing, State};
use domain::retry::RetryPolicy;
use domain::verdict::{FailureReason, PauseReason, Verdict};
use domain::{DeliveryId, DestinationId, Timestamp};
use storage::{Memo, NewEvent, Owned, Settlement};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::attempt::{Judgement, Outcome, Tried};
use crate::breaker::Change;
use crate::engine::Engine;
use crate::gathering::{self, Gathering, LEASE_LEFT_MIN, Leases, Pack};
use crate::holds;
use crate::lane::LaneState;
use crate::memory::Patience;
use crate::metrics::OutcomeLabel;
use crate::operational;
use crate::registry::LiveDestination;
use crate::seals::SealId;

/// Up to this concurrency a slot is free again when the outcome of its attempt is on disk, so that a crash repeats at most
/// as many sends as there are slots. A lane that is given more is meant to be fast: its wires are busy while a group of
/// outcomes is being committed.
const STRICT_CONCURRENCY_MAX: usize = 16;
/// How many attempts such a lane may have under way, on the wire or waiting to be on disk, for each wire.
const OUTCOMES_PER_WIRE: usize = 5;
/// How long a lane is left alone whose attempt could not begin.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);

/// The desk.
pub(crate) struct Desk {
    engine: Arc<Engine>,
    lane: Arc<LaneState>,
    id: DestinationId,
    papers: Mutex<Papers>,
}

#[derive(Default)]
struct Papers {
    /// Claimed and not started.
    gathering: Gathering,
    /// The lane wants to hear when no more deliveries than these are left.
    low_water: usize,
    outcomes: Outcomes,
    /// Batches whose outcome is not yet in the store, those on the desk included.
    unsettled: usize,
    /// The lane could hand outcomes to the store at once.
    can_settle: bool,
    /// A verdict has asked for a pause that the registry does not show yet.
    is_pausing: bool,
    asides: Vec<Aside>,
}

/// What has been tried and is to be stored.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) settlements: Vec<Settlement>,
    /// What is to be remembered otherwise from then on.
    pub(crate) memos: Vec<Memo>,
    /// From so many batches.
    pub(crate) batches: usize,
}

/// Something that happened besides, for the lane's task to see to.
pub(crate) enum Aside {
    /// Not tried: to be given back.
    Untried(Leases),
    /// The breaker has news.
    News(NewEvent),
    /// A verdict asks for a pause.
    Pause(PauseReason, String),
    /// The destination asks to be left alone for so long that it must survive a restart.
    Hold(Memo),
}

/// A batch that has been started, as far as the gates are concerned.
pub(crate) struct Job {
    live: Arc<LiveDestination>,
    pack: Pack,
    /// What must be on disk before the batch is sent.
    memos: Vec<Memo>,
}

impl Desk {
    /// An empty desk.
    pub(crate) fn new(engine: Arc<Engine>, lane: Arc<LaneState>, id: DestinationId) -> Self {
        Self { engine, lane, id, papers: Mutex::default() }
    }

    /// Runs one attempt after the other, beginning with `job`.
    pub(crate) async fn run(self: Arc<Self>, job: Job) {
        let mut next = Some(job);
        while let Some(Job { live, pack, memos }) = next {
            match self.try_sealed(&live, &pack, memos).await {
                Tried::Judged(outcome) => self.lay_down(&pack, outcome),
                Tried::Refused => self.put_back_halves(pack).await,
                Tried::Nothing => self.put_back(&pack),
            }
            next = self.next();
        }
    }

    /// Tries a batch when its boundaries are on disk.
    async fn try_sealed(&self, live: &Arc<LiveDestination>, pack: &Pack, memos: Vec<Memo>) -> Tried {
        if let (Some(id), false) = (pack.seal, memos.is_empty()) {
            let patience = Patience::Until(pack.lease_until - LEASE_LEFT_MIN);
            if self.engine.remember(self.id, memos, patience).await.is_err() {
                return Tried::Nothing;
            }
            self.lane.seals().is_on_disk(id);
        }
        self.engine.attempt(&self.lane, live, pack).await
    }

    /// The next batch to try, if one may start now.
    pub(crate) fn next(&self) -> Option<Job> {
        let live = self.engine.registry.destination(self.id).filter(|_| !self.engine.is_stopping())?;
        let limits = gathering::limits(&live);
        let now = Instant::now();
        let may_seal = self.may_seal(&limits);
        let mut papers = self.papers();
        if papers.gathering.ripe_at(&limits, may_seal, now).is_none_or(|at| at > now)
            || papers.is_pausing
            || papers.unsettled + self.lane.gates().in_flight() >= in_flight_max(&live)
        {
            return None;
        }
        if !matches!(self.admit(&live, now), Admission::Open { start, .. } if start > 0) {
            return None;
        }
        let (before, mut short) = (papers.gathering.len(), Vec::new());
        let pack = papers.gathering.next(&limits, may_seal, now, &mut short);
        if before > papers.low_water && papers.gathering.len() <= papers.low_water {
            self.lane.wake();
        }
        if !short.is_empty() {
            self.tell(&mut papers, Aside::Untried(short));
        }
        let mut pack = pack?;
        let memos = if limits.keeps_boundaries { self.seal(&mut pack) } else { Vec::new() };
        self.lane.gates().start(&live, now);
        self.engine.metrics.in_flight.inc();
        Some(Job { live, pack, memos })
    }

    /// Asks the gates.
    pub(crate) fn admit(&self, live: &Arc<LiveDestination>, now: Instant) -> Admission {
        let mut gates = self.lane.gates();
        let was_tripped = gates.is_tripped();
        let admission = gates.admit(live, now);
        if was_tripped && !gates.is_tripped() {
            // Somebody changed the destination, which gives it a fresh start.
            self.engine.metrics.breakers_open.dec();
        }
        admission
    }

    /// Puts claimed deliveries on the desk. Returns whether anything of it belongs to a sealed batch.
    pub(crate) fn fill(&self, work: Vec<Owned>, limits: Option<&BatchLimits>, lease_until: Instant) -> bool {
        let mut papers = self.papers();
        let seals = limits.is_some_and(|limits| limits.keeps_boundaries).then(|| self.lane.seals());
        papers.gathering.lay(work, lease_until, seals.as_deref(), Instant::now())
    }

    /// How many deliveries lie ready, and how many bytes their bodies have.
    pub(crate) fn in_hand(&self) -> (usize, usize) {
        let papers = self.papers();
        (papers.gathering.len(), papers.gathering.bytes())
    }

    /// Whether nothing at all is in hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.papers().gathering.is_empty()
    }

    /// When the next batch can begin, if only time is wanting; not before `now`.
    pub(crate) fn ripe_at(&self, limits: &BatchLimits, now: Instant) -> Option<Instant> {
        let may_seal = self.may_seal(limits);
        self.papers().gathering.ripe_at(limits, may_seal, now)
    }

    /// Whether batches may begin that are not sealed yet.
    pub(crate) fn may_seal(&self, limits: &BatchLimits) -> bool {
        !limits.keeps_boundaries || !self.lane.seals().is_full()
    }

    /// Takes back what is in no sealed batch.
    pub(crate) fn clear_loose(&self) -> Leases {
        self.papers().gathering.clear_loose()
    }

    /// Takes back what has waited for other members of its batch for too long.
    pub(crate) fn take_short_parcels(&self, now: Instant) -> Leases {
        self.papers().gathering.take_short_parcels(now)
    }

    /// When somebody should look for the missing members of a sealed batch.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        self.papers().gathering.look_at()
    }

    /// A sealed batch whose missing members are to be looked for now, and those members.
    pub(crate) fn incomplete(&self, now: Instant) -> Option<(SealId, Vec<DeliveryId>)> {
        self.papers().gathering.incomplete(now)
    }

    /// Some members of a sealed batch are gone; returns what is to be forgotten.
    pub(crate) fn reseal(&self, id: SealId, gone: &[DeliveryId]) -> Vec<Memo> {
        let mut papers = self.papers();
        let mut seals = self.lane.seals();
        let Some(seal) = seals.get(id) else { return Vec::new() };
        let left: Vec<DeliveryId> = seal.members.iter().filter(|member| !gone.contains(member)).copied().collect();
        let first = left.first().copied();
        let memos = seals.leave(id, left);
        let new = first.and_then(|member| seals.of(member));
        let new = new.and_then(|new| Some((new, Arc::clone(&seals.get(new)?.members))));
        papers.gathering.reseal(id, new);
        memos
    }

    /// Asks to be woken when no more than `low_water` deliveries lie ready.
    pub(crate) fn watch(&self, low_water: usize) {
        self.papers().low_water = low_water;
    }

    /// Takes back everything that has not been started.
    pub(crate) fn clear(&self) -> Leases {
        self.papers().gathering.clear()
    }

    /// Takes the outcomes, if the store can take them; else they gather until it can.
    pub(crate) fn take_outcomes(&self, can_settle: bool) -> Option<Outcomes> {
        let mut papers = self.papers();
        papers.can_settle = can_settle;
        (can_settle && papers.outcomes.batches > 0).then(|| std::mem::take(&mut papers.outcomes))
    }

    /// The outcomes of so many batches have been dealt with by the store.
    pub(crate) fn settled(&self, batches: usize) {
        self.papers().unsettled -= batches;
    }

    /// Whether there are so few unsettled batches that claiming more makes sense.
    pub(crate) fn is_keeping_up(&self, live: &LiveDestination) -> bool {
        self.papers().unsettled < in_flight_max(live)
    }

    /// What happened besides since the last time.
    pub(crate) fn take_asides(&self) -> Vec<Aside> {
        std::mem::take(&mut self.papers().asides)
    }

    /// Whether a verdict has asked for a pause that is not yet in force.
    pub(crate) fn is_pausing(&self) -> bool {
        self.papers().is_pausing
    }

    /// The pause that a verdict asked for is in force, or will never be.
    pub(crate) fn end_pausing(&self) {
        self.papers().is_pausing = false;
    }

    // -----------------------------------------------------------------------------------------------------------------

    /// An attempt has ended.
    fn lay_down(&self, pack: &Pack, outcome: Outcome) {
        self.engine.metrics.in_flight.dec();
        let live = self.engine.registry.destination(self.id);
        let live = live.as_deref();
        let news = self.note(live, &outcome);
        let hold = self.long_hold(live, &outcome);
        let pause = outcome.judgements.iter().find_map(|judgement| match &judgement.verdict {
            Verdict::Pause { reason, message } => Some(Aside::Pause(*reason, message.clone())),
            _ => None,
        });
        let Outcome { judgements, ended_at, took, .. } = outcome;
        self.engine.metrics.tried(pack.items.len(), took);
        let is_retry = |judgement: &Judgement| matches!(judgement.verdict, Verdict::Retry { .. });
        let jitter = if judgements.iter().any(is_retry) { self.engine.clock.jitter() } else { 0.0 };
        let mut standings: Vec<Standing> = pack
            .items
            .iter()
            .zip(&judgements)
            .map(|(owned, judgement)| standing(live, owned, &judgement.verdict, ended_at, jitter))
            .collect();
        let memos = pack.seal.map(|id| self.leave(id, pack, &mut standings)).unwrap_or_default();
        let judged = pack.items.iter().zip(standings).zip(judgements);
        let settlement = |((owned, standing), Judgement { verdict, attempt }): ((&Owned, Standing), Judgement)| {
            self.count(&verdict, standing.state, attempt.reason);
            let news = live.and_then(|live| self.death(live, owned, standing));
            Settlement { id: owned.id, fence: owned.fence, attempt, standing, now: ended_at, news }
        };
        let settlements: Vec<Settlement> = judged.map(settlement).collect();
        let mut papers = self.papers();
        papers.unsettled += 1;
        papers.outcomes.batches += 1;
        papers.outcomes.settlements.extend(settlements);
        papers.outcomes.memos.extend(memos);
        papers.gathering.widen();
        if let Some(news) = news {
            self.tell(&mut papers, Aside::News(news));
        }
        if let Some(memo) = hold {
            self.tell(&mut papers, Aside::Hold(memo));
        }
        if let Some(pause) = pause
            && !std::mem::replace(&mut papers.is_pausing, true)
        {
            self.tell(&mut papers, pause);
        }
        if papers.can_settle {
            self.lane.wake();
        }
    }

    /// A batch was refused whole. That says nothing of the destination's health, and no attempt is recorded.
    async fn put_back_halves(&self, pack: Pack) {
        let seal = pack.seal;
        let mut halves = pack.halves();
        if let Some(seal) = seal {
            let members = [halves[0].members(), halves[1].members()];
            let (ids, memos) = self.lane.seals().split(seal, members);
            if self.engine.remember(self.id, memos, Patience::Endless).await.is_ok() {
                let mut seals = self.lane.seals();
                for id in ids {
                    seals.is_on_disk(id);
                }
            }
            halves.iter_mut().zip(ids).for_each(|(half, id)| half.seal = Some(id));
        }
        self.engine.metrics.in_flight.dec();
        self.lane.gates().abandon();
        self.papers().gathering.put_first(halves.into_iter());
        // This runner goes on with one half; the other one may find a slot of its own.
        self.lane.wake();
    }

    /// Nothing was tried. Whatever is short on this machine stays short for a moment.
    fn put_back(&self, pack: &Pack) {
        if let Some(id) = pack.seal {
            self.lane.seals().break_unsent(id);
        }
        self.engine.metrics.in_flight.dec();
        let mut gates = self.lane.gates();
        gates.abandon();
        gates.hold(SHORTAGE_PAUSE, Instant::now());
        drop(gates);
        self.tell(&mut self.papers(), Aside::Untried(pack.leases().collect()));
    }

    /// Makes sure that a batch is sealed; returns what must be on disk before it is sent.
    fn seal(&self, pack: &mut Pack) -> Vec<Memo> {
        let mut seals = self.lane.seals();
        let id = match pack.seal {
            Some(id) if seals.get(id).is_some() => id,
            _ => seals.seal(pack.members()),
        };
        pack.seal = Some(id);
        seals.changes(id)
    }

    /// What is left of a sealed batch is tried again together, at one time. Returns what is to be forgotten when the
    /// outcomes are in the store.
    fn leave(&self, id: SealId, pack: &Pack, standings: &mut [Standing]) -> Vec<Memo> {
        let is_left = |standing: &Standing| standing.state == State::Pending;
        let due_at = standings.iter().filter(|standing| is_left(standing)).map(|standing| standing.due_at).max();
        for standing in standings.iter_mut().filter(|standing| is_left(standing)) {
            standing.due_at = due_at.unwrap_or(standing.due_at);
        }
        let left = pack.items.iter().zip(&*standings).filter(|(_, standing)| is_left(standing));
        self.lane.seals().leave(id, left.map(|(owned, _)| owned.id).collect())
    }

    /// Tells the gates; returns what a person should hear of the breaker.
    fn note(&self, live: Option<&LiveDestination>, outcome: &Outcome) -> Option<NewEvent> {
        let Some(live) = live else {
            self.lane.gates().abandon();
            return None;
        };
        let now = Instant::now();
        let change = self.lane.gates().end(&live.destination, outcome, now);
        let registry = &self.engine.registry;
        Some(match change? {
            Change::Opened { until } => {
                self.engine.metrics.breakers_open.inc();
                tracing::warn!(destination = %live.destination.name, "the breaker opened");
                let secs = until.saturating_duration_since(now).as_secs();
                let message = format!("it fails nearly always; the first probe goes out in {secs} s");
                operational::destination_paused(registry, live, "breaker", &message)
            }
            Change::Closed => {
                self.engine.metrics.breakers_open.dec();
                tracing::info!(destination = %live.destination.name, "the breaker closed");
                operational::destination_recovered(registry, live)
            }
        })
    }

    /// What to keep of the wait that the destination asked for, if it is a long one.
    fn long_hold(&self, live: Option<&LiveDestination>, outcome: &Outcome) -> Option<Memo> {
        outcome.wait().filter(|wait| *wait > holds::KEPT_FROM)?;
        let mut gates = self.lane.gates();
        let left = gates.held_for(Instant::now())?;
        gates.hold_is_kept();
        Some(holds::keep(&live?.destination, outcome.ended_at + left))
    }

    fn count(&self, verdict: &Verdict, state: State, reason: Option<FailureReason>) {
        let label = match (verdict, state) {
            (Verdict::Pause { .. }, _) => OutcomeLabel::Paused,
            (_, State::Delivered) => OutcomeLabel::Delivered,
            (_, State::Dead) => OutcomeLabel::Dead,
            (_, State::Skipped) => OutcomeLabel::Skipped,
            (_, State::Pending | State::Cancelled) => OutcomeLabel::Retry,
        };
        self.engine.metrics.attempt(label, reason);
    }

    fn death(&self, live: &LiveDestination, owned: &Owned, standing: Standing) -> Option<NewEvent> {
        let reason = standing.reason.filter(|_| standing.state == State::Dead)?;
        operational::delivery_dead(&self.engine.registry, live, owned.id, &owned.event, reason, standing.attempts)
    }

    fn tell(&self, papers: &mut Papers, aside: Aside) {
        papers.asides.push(aside);
        self.lane.wake();
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a delivery stands after a verdict. All of a batch that are to be tried again fall due together, as far as their
/// schedules say the same.
fn standing(
    live: Option<&LiveDestination>,
    owned: &Owned,
    verdict: &Verdict,
    ended_at: Timestamp,
    jitter: f64,
) -> Standing {
    // Of a destination that was deleted meanwhile the store finds every settlement stale.
    let policy = live.map_or(&RetryPolicy::Standard, |live| &live.destination.retry);
    owned.standing.after(verdict, policy, ended_at, jitter)
}

/// Attempts of a lane that may be on the wire or over and not yet on disk: what a crash can repeat.
fn in_flight_max(live: &LiveDestination) -> usize {
    let concurrency = usize::from(live.destination.concurrency);
    if concurrency <= STRICT_CONCURRENCY_MAX { concurrency } else { concurrency * OUTCOMES_PER_WIRE }
}
