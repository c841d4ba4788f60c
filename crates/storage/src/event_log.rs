//! The log of events: storing them with what they cause, finding them, and the quarantine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{DedupeKey, Event, EventType};
use domain::identity::Fact;
use domain::verdict::FailureReason;
use domain::{AppspaceId, DestinationId, EventId, SourceId, Timestamp};

use crate::{Page, PageRequest, Result};

/// The log of events.
#[async_trait]
pub trait EventLog {
    /// Stores events and the deliveries they cause: all of `append`, or nothing. Durable when it returns.
    ///
    /// Returns one entry per event, in order. An event whose dedupe key was seen in its appspace within the window is
    /// not stored again: the first one's counter is raised and its id returned. The window counts from the first one:
    /// an event is new again when it was received the whole window later, or when retention has removed the first one.
    /// With [`OnKnown::MustBeIdentical`] a call that is not the one that was made before fails the whole call with
    /// [`StoreError::IdempotencyMismatch`](crate::StoreError::IdempotencyMismatch).
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
/// [`StoreError::Limit`](crate::StoreError::Limit), and a replay passes over the event.
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
    /// Whether it may say who somebody is; it is then on the list of [`crate::Subjects::unfolded`].
    pub has_facts: bool,
}

impl NewEvent {
    /// An event that causes these deliveries, read for facts by its body alone.
    pub fn new(event: Event, deliveries: Vec<NewDelivery>) -> Self {
        let has_facts = Fact::may_be_in(&event.body);
        Self { event: Arc::new(event), deliveries, has_facts }
    }
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
