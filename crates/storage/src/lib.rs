//! What a store must do, and the stores that do it.
//!
//! The traits are narrow and shaped for many machines: work is owned through leases with a fencing number, ids are
//! made by the caller, no call assumes that this process is the only one. The suite in `conformance` is the definition of
//! their behaviour; a change starts there. [`memory`] is the model, [`sqlite`] the default.
//!
//! Promises that every store keeps:
//!
//! - When [`EventLog::append`] returns `Ok`, the events and every delivery they cause are durable, in one step.
//! - A future that is dropped before it is done either did nothing or everything; never half.
//! - A state of a delivery changes only through the functions of [`domain::delivery`].
//! - [`StoreError::Failed`] is final: the store has stopped, nothing was or will be acknowledged after it.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod memory;
mod memos;
pub mod page;
mod shares;
pub mod signal;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::attempt::Attempt;
use domain::delivery::{Delivery, IllegalTransition, Standing, State};
use domain::event::{DedupeKey, Event, EventType};
use domain::key::Key;
use domain::replay::{Replay, ReplayState};
use domain::verdict::FailureReason;
use domain::{
    Appspace, AppspaceId, DeliveryId, Destination, DestinationId, EventId, KeyId, ReplayId, Source, SourceId, Timestamp,
};

pub use memos::{MEMO_KEY_BYTES_MAX, MEMO_VALUE_BYTES_MAX, MEMOS_PER_CALL_MAX, Memo, Memos};
pub use page::{Page, PageRequest};
pub use signal::WorkSignal;

/// Everything a store does.
pub trait Store: EventLog + Work + DeliveryLog + Catalog + Replays + Memos + Upkeep + Send + Sync {}

impl<T: EventLog + Work + DeliveryLog + Catalog + Replays + Memos + Upkeep + Send + Sync> Store for T {}

/// Why a store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The commit queue is full, or the disk is: nothing was done, the same call may succeed later.
    #[error("the store is busy: {reason}; try again in {} s", retry_after.as_secs())]
    Busy { reason: BusyReason, retry_after: Duration },
    /// What the call names is not there, or not in this appspace.
    #[error("{noun} not found")]
    NotFound { noun: &'static str },
    /// A name that must be unique is taken.
    #[error("the {noun} name `{name}` is taken")]
    NameTaken { noun: &'static str, name: String },
    /// The state machine has no such transition.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// An `Idempotency-Key` was used before with another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyMismatch,
    /// A limit of the store: what it is, for a person.
    #[error("{0}")]
    Limit(String),
    /// A read or write failed. After a failed write the store has stopped for good and the process must end.
    #[error("the store failed: {0}")]
    Failed(Arc<str>),
}

/// Why a store is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusyReason {
    /// Too many commits are waiting.
    QueueFull,
    /// The disk is full; deliveries go on, intake resumes by itself.
    DiskFull,
}

impl std::fmt::Display for BusyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too many commits are waiting",
            Self::DiskFull => "the disk is full",
        })
    }
}

/// The result of every call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

// ---------------------------------------------------------------------------------------------------------------------

/// The log of events.
#[async_trait]
pub trait EventLog {
    /// Stores events and the deliveries they cause: all of `append`, or nothing. Durable when it returns.
    ///
    /// Returns one entry per event, in order. An event whose dedupe key was seen in its appspace within the window is
    /// not stored again: the first one's counter is raised and its id returned. The window counts from the first one:
    /// an event is new again when it was received the whole window later, or when retention has removed the first one.
    /// With [`OnKnown::MustBeIdentical`] a call that is not the one that was made before fails the whole call with
    /// [`StoreError::IdempotencyMismatch`].
    ///
    /// The log keeps the order of storing, and "newest" and "oldest" mean that order. An event is stored whether or not
    /// the catalog knows its source: a source can be deleted while its last events are on their way.
    async fn append(&self, append: Append) -> Result<Vec<Appended>>;

    /// One event of an appspace.
    async fn event(&self, appspace: AppspaceId, id: EventId) -> Result<EventRecord>;

    /// Events of an appspace, newest first.
    async fn events(&self, query: EventQuery, page: PageRequest) -> Result<Page<EventRecord>>;

    /// Keeps a signed body that is no event, once per source and body hash, at most [`QUARANTINE_MAX`] per source
    /// (the oldest make room). Returns whether it was new.
    async fn quarantine(&self, entry: Quarantined) -> Result<bool>;

    /// The quarantine of one source, newest first.
    async fn quarantined(&self, appspace: AppspaceId, source: SourceId, page: PageRequest)
    -> Result<Page<Quarantined>>;
}

/// For how long a dedupe key is remembered, unless a store is opened with another window: 7 days.
pub const DEDUPE_WINDOW_DEFAULT: Duration = Duration::from_hours(7 * 24);

/// Most deliveries of one event, those of replays and resends included. Beyond it, `append` and `resend` answer
/// [`StoreError::Limit`], and a replay passes over the event.
pub const DELIVERIES_PER_EVENT_MAX: usize = u16::MAX as usize;

/// Most quarantined bodies kept per source.
pub const QUARANTINE_MAX: usize = 200;

/// Events to store in one durable step.
#[derive(Debug, Clone)]
pub struct Append {
    pub events: Vec<NewEvent>,
    pub on_known: OnKnown,
}

/// What to do with an event whose dedupe key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnKnown {
    /// Count it on the first one.
    Count,
    /// The body of each must be the same, either all events of the call are known or none, and `next` must not be known:
    /// it is the key that one more event of the same call would have had.
    MustBeIdentical { next: DedupeKey },
}

/// An event and what it causes.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub event: Arc<Event>,
    /// One delivery per entry, in this order. A destination that has been deleted meanwhile is left out.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery that an event causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    pub destination: DestinationId,
    /// Why it is dead at once, and the message: a filter failed. `None` for the ordinary pending delivery.
    pub stillborn: Option<(FailureReason, String)>,
}

impl NewDelivery {
    /// An ordinary pending delivery.
    pub const fn to(destination: DestinationId) -> Self {
        Self { destination, stillborn: None }
    }
}

/// What became of one event of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored, with this many deliveries.
    Stored { id: EventId, deliveries: u16 },
    /// Known already: the first event's id and how often it was sent again, this time included.
    Duplicate { id: EventId, duplicates: u64 },
}

impl Appended {
    /// The id to answer with.
    pub const fn id(self) -> EventId {
        match self {
            Self::Stored { id, .. } | Self::Duplicate { id, .. } => id,
        }
    }
}

/// An event as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    pub event: Arc<Event>,
    /// How often it was sent again.
    pub duplicates: u64,
}

/// Which events to list. All conditions must hold.
#[derive(Debug, Clone)]
pub struct EventQuery {
    pub appspace: AppspaceId,
    pub source: Option<SourceId>,
    pub event_type: Option<EventType>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub to: Option<Timestamp>,
}

/// A signed body that could not be read as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    pub appspace: AppspaceId,
    pub source: SourceId,
    pub received_at: Timestamp,
    /// What is wrong with it.
    pub reason: String,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    pub body: bytes::Bytes,
}

// ---------------------------------------------------------------------------------------------------------------------

/// A worker's proof that it owns a delivery. A number is never used twice in the life of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// The queue side of deliveries: owning and settling work.
#[async_trait]
pub trait Work {
    /// Leases up to `limit` due deliveries of one destination until `lease_until`, and says when to come back.
    ///
    /// Order: fresh ones first, by age; then due retries by due time; then due replays. When fresh ones alone would
    /// fill the claim, one place in five still goes to a due retry, and when fresh ones and retries would, one in ten
    /// to a due replay, so that nothing starves. Places are counted on from claim to claim of a destination: a busy lane
    /// asks for one at a time. Whether the lane is open is the caller's business: this leases what it is asked for, and
    /// nothing of a destination that is not there.
    async fn claim(
        &self,
        destination: DestinationId,
        now: Timestamp,
        limit: usize,
        lease_until: Timestamp,
    ) -> Result<Claimed>;

    /// Records outcomes, all in one durable step together with the operational events they cause. A settlement whose
    /// fence no longer owns the delivery changes nothing and is reported as stale; its event is not stored.
    /// A lease that is over still owns its delivery until [`Work::rescue`] takes it away: late news is news.
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>>;

    /// Gives back deliveries that were claimed and not tried; they keep their place. Stale fences are ignored.
    async fn release(&self, leases: Vec<(DeliveryId, Fence)>) -> Result<()>;

    /// Gives back deliveries whose lease ended before `now`; returns how many.
    async fn rescue(&self, now: Timestamp) -> Result<usize>;

    /// Marked with each destination that may have work it did not have before.
    fn signal(&self) -> Arc<WorkSignal>;

    /// Backlog of each destination that has one.
    async fn lanes(&self) -> Result<Vec<Lane>>;
}

/// Deliveries now owned by the caller.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    pub work: Vec<Owned>,
    /// When the next delivery of this destination that is not leased falls due: in the past if more is due now;
    /// `None` if nothing is waiting. It may be too early when something was called off, never too late, and never in
    /// the past when the claim took less than its limit.
    pub next_due: Option<Timestamp>,
}

/// One delivery in hand.
#[derive(Debug, Clone)]
pub struct Owned {
    pub id: DeliveryId,
    pub destination: DestinationId,
    pub fence: Fence,
    pub event: Arc<Event>,
    pub standing: Standing,
    pub created_at: Timestamp,
    pub replay: Option<ReplayId>,
}

/// The outcome of one attempt.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub id: DeliveryId,
    pub fence: Fence,
    pub attempt: Attempt,
    /// Where the delivery stands now, from [`Standing::after`].
    pub standing: Standing,
    pub now: Timestamp,
    /// The operational event that the outcome causes.
    pub news: Option<NewEvent>,
}

/// Whether a settlement took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Done,
    /// Another worker owns the delivery now, or it was cancelled meanwhile. The attempt was not recorded.
    Stale,
}

/// Backlog of one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    pub destination: DestinationId,
    /// Deliveries that are pending, leased ones included.
    pub pending: u64,
    /// The earliest due time among those not leased, for a person: what was resent or called off lately can make it
    /// inexact until the next claim.
    pub oldest_due: Option<Timestamp>,
}

// ---------------------------------------------------------------------------------------------------------------------

/// The record side of deliveries: looking at them, and what a person may do to them.
#[async_trait]
pub trait DeliveryLog {
    /// One delivery of an appspace with all its attempts, oldest first.
    async fn delivery(&self, appspace: AppspaceId, id: DeliveryId) -> Result<(Delivery, Vec<Attempt>)>;

    /// Deliveries of an appspace, newest event first; those of one event by falling ordinal, so the latest one first.
    async fn deliveries(&self, query: DeliveryQuery, page: PageRequest) -> Result<Page<DeliverySummary>>;

    /// Dead letters of an appspace, the latest to die first.
    async fn dead_letters(&self, query: DeadLetterQuery, page: PageRequest) -> Result<Page<DeliverySummary>>;

    /// How many dead letters of an appspace fit the query.
    async fn dead_letter_count(&self, query: DeadLetterQuery) -> Result<u64>;

    /// Makes a pending delivery due at once, or a dead one pending again ([`Standing::retry_now`]). A lease stays: what
    /// a worker has in hand is being tried already.
    async fn retry(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery>;

    /// Calls off a delivery ([`Standing::cancel`]). One that is leased is cancelled too: the worker's settlement will
    /// be stale.
    async fn cancel(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery>;

    /// Owes an event to the destination of `id` once more, as a new fresh delivery of the same event, whatever became
    /// of the old one. A destination that was deleted is not found.
    async fn resend(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery>;

    /// Retries up to `limit` dead letters that fit the query; returns how many. Call again while it returns `limit`.
    async fn redrive(&self, query: DeadLetterQuery, now: Timestamp, limit: usize) -> Result<usize>;
}

/// Which deliveries to list. All conditions must hold.
#[derive(Debug, Clone)]
pub struct DeliveryQuery {
    pub appspace: AppspaceId,
    pub destination: Option<DestinationId>,
    pub event: Option<EventId>,
    pub state: Option<State>,
    pub event_type: Option<EventType>,
    pub replay: Option<ReplayId>,
}

/// Which dead letters are meant. All conditions must hold.
#[derive(Debug, Clone)]
pub struct DeadLetterQuery {
    pub appspace: AppspaceId,
    pub destination: Option<DestinationId>,
    pub reason: Option<FailureReason>,
    /// Died at or after; the [`Delivery::ended_at`] of a dead delivery is when it died.
    pub from: Option<Timestamp>,
    /// Died before.
    pub to: Option<Timestamp>,
}

/// A delivery and its newest attempt, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySummary {
    pub delivery: Delivery,
    pub last_attempt: Option<Attempt>,
}

// ---------------------------------------------------------------------------------------------------------------------

/// Appspaces, sources, destinations and keys: few, small, and read whole at start.
///
/// `put_*` creates or replaces by id. A name must be unique among its kind in its appspace, else
/// [`StoreError::NameTaken`]. To delete what is not there is [`StoreError::NotFound`]. Everything is durable when the
/// call returns.
#[async_trait]
pub trait Catalog {
    /// All of it.
    async fn load_catalog(&self) -> Result<CatalogSnapshot>;

    async fn put_appspace(&self, appspace: Appspace) -> Result<()>;
    async fn put_source(&self, source: Source) -> Result<()>;
    async fn delete_source(&self, id: SourceId) -> Result<()>;

    /// `events` are operational events that the change causes, stored in the same step.
    ///
    /// A destination that was deleted cannot come back, it is not found: a verdict that pauses it may arrive late.
    async fn put_destination(&self, destination: Destination, events: Vec<NewEvent>) -> Result<()>;

    /// Deletes a destination: nothing of it is claimed or created from now on, what workers have in hand turns stale,
    /// its running replays fail, its open and dead deliveries become cancelled and its memos are forgotten, at once or
    /// by and by through [`Upkeep::tidy`]. The log stays, the name is free.
    async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()>;

    async fn put_key(&self, key: Key) -> Result<()>;
    async fn delete_key(&self, id: KeyId) -> Result<()>;
}

/// The whole catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogSnapshot {
    pub appspaces: Vec<Appspace>,
    pub sources: Vec<Source>,
    pub destinations: Vec<Destination>,
    pub keys: Vec<Key>,
}

// ---------------------------------------------------------------------------------------------------------------------

/// Replays: durable jobs with a cursor.
#[async_trait]
pub trait Replays {
    /// Keeps a new replay; its destination must be there.
    async fn create_replay(&self, replay: Replay) -> Result<()>;
    async fn replay(&self, appspace: AppspaceId, id: ReplayId) -> Result<Replay>;
    /// Newest first.
    async fn replays(&self, appspace: AppspaceId, page: PageRequest) -> Result<Page<Replay>>;
    /// Every replay that is [`ReplayState::Running`], with the event it has come to; for the runner after a start.
    async fn running_replays(&self) -> Result<Vec<(Replay, Option<EventId>)>>;

    /// Up to `limit` events of the appspace received in `from..to` after the event `after`, oldest first, each with the
    /// state of its newest delivery to `destination`. If retention has removed `after`, the scan goes on with the first
    /// event that has a higher id.
    async fn replay_scan(&self, scan: ReplayScan) -> Result<Vec<(Arc<Event>, Option<State>)>>;

    /// Moves a replay's cursor from `from_cursor` to `to_cursor` and makes a delivery for each of `owed`, in one durable
    /// step. Fenced by `from_cursor`: if the replay has moved on, is not running or its destination is gone, nothing
    /// happens and the replay is returned as it is. Events that retention has removed meanwhile are passed over.
    async fn advance_replay(&self, step: ReplayStep) -> Result<Replay>;

    /// Ends a replay as cancelled and cancels those of its deliveries that are pending, at once or by and by through
    /// [`Upkeep::tidy`]. That goes for a running one, and for one that is done as long as any of its deliveries is
    /// pending; any other is returned as it is.
    async fn cancel_replay(&self, appspace: AppspaceId, id: ReplayId, now: Timestamp) -> Result<Replay>;
}

/// Which events a replay looks at next.
#[derive(Debug, Clone)]
pub struct ReplayScan {
    pub appspace: AppspaceId,
    pub destination: DestinationId,
    pub from: Timestamp,
    pub to: Timestamp,
    pub after: Option<EventId>,
    pub limit: usize,
}

/// One durable step of a replay.
#[derive(Debug, Clone)]
pub struct ReplayStep {
    pub id: ReplayId,
    pub from_cursor: Option<EventId>,
    /// `None` together with [`ReplayState::Done`] when there was nothing left.
    pub to_cursor: Option<EventId>,
    pub scanned: u64,
    pub owed: Vec<EventId>,
    /// [`ReplayState::Running`] or [`ReplayState::Done`].
    pub state: ReplayState,
    pub now: Timestamp,
}

// ---------------------------------------------------------------------------------------------------------------------

/// Keeping the store healthy.
#[async_trait]
pub trait Upkeep {
    /// Removes up to `limit` events received before `before`, with their deliveries and attempts, oldest first, and up to
    /// as many quarantined bodies of that age. Never removes an event with a pending or dead delivery. Returns how many
    /// were removed and whether a whole pass has come to its end; the call after that begins a new pass.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned>;

    /// Does a bounded piece of work that was put off: folding indexes, cancelling deliveries of deleted destinations
    /// and cancelled replays, forgetting memos that are over or whose destination was deleted. Returns whether more is
    /// left.
    async fn tidy(&self, now: Timestamp) -> Result<bool>;

    /// Whether the store can commit: what `/readyz` answers with.
    async fn check(&self) -> Result<()>;

    /// Figures for metrics, since the store was opened.
    fn figures(&self) -> Figures;

    /// Commits what is queued and closes; later calls fail.
    async fn close(&self) -> Result<()>;
}

/// What a step of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    pub events: usize,
    pub quarantined: usize,
    pub done: bool,
}

/// Counters and distributions of a store. Bounds are upper bounds of buckets; the last bucket has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    pub commits: u64,
    /// Commits by number of queued calls they carried: at most 1, 4, 16, 64, 256, more.
    pub commit_sizes: [u64; 6],
    pub commit_size_sum: u64,
    /// Commits by time of the durable write, in seconds: at most 0.0001, 0.001, 0.01, 0.1, 1, more.
    pub sync_seconds: [u64; 6],
    pub sync_seconds_sum: f64,
    /// Calls waiting in the commit queue.
    pub queued: u64,
}

/// Upper bounds of [`Figures::commit_sizes`].
pub const COMMIT_SIZE_BOUNDS: [u64; 5] = [1, 4, 16, 64, 256];
/// Upper bounds of [`Figures::sync_seconds`].
pub const SYNC_SECONDS_BOUNDS: [f64; 5] = [0.000_1, 0.001, 0.01, 0.1, 1.0];
