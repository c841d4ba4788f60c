//! The model: a store in plain maps under one lock.
//!
//! It is what the other stores are compared with, so it is written to be read: every call takes the lock, does its
//! work at once and returns. It has no threads and no timers, so it also carries the scenario tests of the delivery
//! engine, which run on paused time. Nothing survives the process.
//!
//! `State` holds the maps; each file beside this one is one noun of the seam.

mod catalog;
mod deliveries;
mod events;
mod memos;
mod replays;
mod subjects;
mod upkeep;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::identity::Identifier;
use domain::key::Key;
use domain::{
    Appspace, AppspaceId, DeliveryId, Destination, DestinationId, EventId, KeyId, Source, SourceId, SubjectId,
    Timestamp,
};

use crate::{DEDUPE_WINDOW_DEFAULT, IdentifierRecord, Quarantined, Result, StoreError, SubjectRecord, WorkSignal};
use deliveries::DeliveryRow;
use events::EventRow;
use memos::Kept;
use replays::ReplayRow;
use work::{Lane, Lease};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    signal: Arc<WorkSignal>,
}

/// What may be set of a [`MemoryStore`].
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    /// For how long a dedupe key is remembered.
    pub dedupe_window: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { dedupe_window: DEDUPE_WINDOW_DEFAULT }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_options(MemoryOptions::default())
    }

    /// An empty store with other options.
    pub fn with_options(options: MemoryOptions) -> Self {
        let signal = Arc::new(WorkSignal::default());
        Self { state: Mutex::new(State::new(options, signal.clone())), signal }
    }

    /// Does what the end of the process and a new start would do: leases are void, everything else is as it was.
    pub fn reopen(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = false;
        state.void_leases();
    }

    /// The state, unless the store is closed.
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Failed("the store is closed".into())) } else { Ok(state) }
    }

    /// The state for a call that changes it, counted as a commit.
    fn commit(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.open()?;
        state.commits += 1;
        Ok(state)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// The position of an event in the log: the order of storing.
type EventNo = u64;

/// The position of a delivery: its event, and its ordinal there.
type DeliveryNo = (EventNo, u16);

/// Everything the store knows.
#[derive(Debug)]
struct State {
    closed: bool,
    commits: u64,
    dedupe_window: Duration,
    signal: Arc<WorkSignal>,
    /// The last number given out, for whatever needs one: numbers rise and are never used twice.
    last_no: u64,

    events: BTreeMap<EventNo, EventRow>,
    event_nos: BTreeMap<EventId, EventNo>,
    /// The newest event with each dedupe key.
    seen: BTreeMap<(AppspaceId, [u8; 32]), EventNo>,
    quarantine: BTreeMap<u64, Quarantined>,

    deliveries: BTreeMap<DeliveryNo, DeliveryRow>,
    /// Dead letters in the order in which they died.
    dead: BTreeMap<u64, DeliveryNo>,
    lanes: BTreeMap<DestinationId, Lane>,
    leases: BTreeMap<DeliveryNo, Lease>,

    appspaces: BTreeMap<AppspaceId, Appspace>,
    sources: BTreeMap<SourceId, Source>,
    destinations: BTreeMap<DestinationId, Destination>,
    /// Destinations that were deleted; they cannot come back.
    deleted: BTreeSet<DestinationId>,
    keys: BTreeMap<KeyId, Key>,
    replays: BTreeMap<u64, ReplayRow>,
    memos: BTreeMap<(DestinationId, String), Kept>,

    /// Events with facts that nobody has read yet.
    unfolded: BTreeSet<EventNo>,
    /// To whom the fact of an event belongs.
    facts: BTreeMap<EventNo, Identifier>,
    identifiers: BTreeMap<(AppspaceId, Identifier), IdentifierRecord>,
    subjects: BTreeMap<(AppspaceId, SubjectId), SubjectRecord>,
}

impl State {
    fn new(options: MemoryOptions, signal: Arc<WorkSignal>) -> Self {
        Self {
            closed: false,
            commits: 0,
            dedupe_window: options.dedupe_window,
            signal,
            last_no: 0,
            events: BTreeMap::new(),
            event_nos: BTreeMap::new(),
            seen: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            dead: BTreeMap::new(),
            lanes: BTreeMap::new(),
            leases: BTreeMap::new(),
            appspaces: BTreeMap::new(),
            sources: BTreeMap::new(),
            destinations: BTreeMap::new(),
            deleted: BTreeSet::new(),
            keys: BTreeMap::new(),
            replays: BTreeMap::new(),
            memos: BTreeMap::new(),
            unfolded: BTreeSet::new(),
            facts: BTreeMap::new(),
            identifiers: BTreeMap::new(),
            subjects: BTreeMap::new(),
        }
    }

    fn next_no(&mut self) -> u64 {
        self.last_no += 1;
        self.last_no
    }

    fn delivery_id(&self, (event_no, ordinal): DeliveryNo) -> DeliveryId {
        DeliveryId { event: self.events[&event_no].event.id, ordinal }
    }

    /// Whether `at` lies in `from..to`.
    fn is_within(at: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
        from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
    }
}

const fn not_found(noun: &'static str) -> StoreError {
    StoreError::NotFound { noun }
}
