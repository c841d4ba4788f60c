//! The desk of a lane: the work in hand, shared by the lane's task and its runners.
//!
//! A runner makes one attempt after the other for as long as the gates let it: it takes the next batch from the desk and
//! lays the outcome back on it. Under load nothing is spawned and nobody is woken between two attempts. The lane's task
//! keeps the desk filled and carries the outcomes to the store. A batch that was refused whole comes back as two halves,
//! still leased, which are tried next. For a vendor that recognises batches, each is sealed before it is sent.

mod outcomes;
mod sealing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::connector::BatchLimits;
use domain::verdict::PauseReason;
use domain::{DeliveryId, DestinationId, Event};
use storage::{Memo, NewEvent, Owned, Settlement};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::attempt::Tried;
use crate::engine::Engine;
use crate::gathering::{self, Gathering, Leases, Pack};
use crate::lane::LaneState;
use crate::registry::LiveDestination;

/// Up to this concurrency a slot is free again when the outcome of its attempt is on disk, so that a crash repeats at most
/// as many sends as there are slots. A lane that is given more is meant to be fast, and a vendor that recognises a repetition
/// does not mind one: its wires are busy while a group of outcomes is being committed.
const STRICT_CONCURRENCY_MAX: usize = 16;
/// How many attempts such a lane may have under way, on the wire or waiting to be on disk, for each wire.
const OUTCOMES_PER_WIRE: usize = 5;
/// Longest time that an outcome waits for others to share its commit.
const SETTLE_WITHIN: Duration = Duration::from_millis(5);

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
    /// Of how many batches the lane would hand outcomes to the store at once; `None` if of none.
    enough_outcomes: Option<usize>,
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
    /// Those that will not arrive, with what they were to bring.
    pub(crate) lost: Vec<(DeliveryId, Arc<Event>)>,
    /// From so many batches.
    pub(crate) batches: usize,
    /// When the first of them ended; `None` while there is none.
    since: Option<Instant>,
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
        let gathering = Gathering::new(lane.narrowed_to());
        Self { engine, lane, id, papers: Mutex::new(Papers { gathering, ..Papers::default() }) }
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
            self.lane.narrow_to(papers.gathering.narrowed_to());
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

    /// Asks to be woken when no more than `low_water` deliveries lie ready.
    pub(crate) fn watch(&self, low_water: usize) {
        self.papers().low_water = low_water;
    }

    /// Takes back everything that has not been started.
    pub(crate) fn clear(&self) -> Leases {
        let mut papers = self.papers();
        let leases = papers.gathering.clear();
        self.lane.narrow_to(papers.gathering.narrowed_to());
        leases
    }

    /// Takes the outcomes, if they are of `enough` batches; else they gather until they are.
    pub(crate) fn take_outcomes(&self, enough: Option<usize>) -> Option<Outcomes> {
        let mut papers = self.papers();
        papers.enough_outcomes = enough;
        papers.has_enough_outcomes().then(|| std::mem::take(&mut papers.outcomes))
    }

    /// When outcomes that lie here have waited long enough for others.
    pub(crate) fn settle_at(&self) -> Option<Instant> {
        self.papers().outcomes.since.map(|since| since + SETTLE_WITHIN)
    }

    /// How many batches are worth a commit: while they gather, the wires must not run out of batches that may be in flight.
    pub(crate) fn worth_a_commit(&self) -> usize {
        let live = self.engine.registry.destination(self.id);
        live.map_or(1, |live| (in_flight_max(&live) - live.concurrency()).div_ceil(2).max(1))
    }

    /// Half of the batches that may be in flight.
    pub(crate) fn half_of_flight(&self) -> usize {
        let live = self.engine.registry.destination(self.id);
        live.map_or(1, |live| in_flight_max(&live).div_ceil(2))
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

    fn tell(&self, papers: &mut Papers, aside: Aside) {
        papers.asides.push(aside);
        self.lane.wake();
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Papers {
    fn has_enough_outcomes(&self) -> bool {
        self.enough_outcomes.is_some_and(|enough| self.outcomes.batches >= enough)
    }
}

/// Attempts of a lane that may be on the wire or over and not yet on disk: what a crash can repeat.
fn in_flight_max(live: &LiveDestination) -> usize {
    let concurrency = live.concurrency();
    let is_strict = concurrency <= STRICT_CONCURRENCY_MAX && live.connector.manifest().recognises.is_none();
    if is_strict { concurrency } else { concurrency * OUTCOMES_PER_WIRE }
}
