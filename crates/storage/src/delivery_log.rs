//! The record side of deliveries: looking at them, and what a person may do to them.

use async_trait::async_trait;
use domain::attempt::Attempt;
use domain::delivery::{Delivery, State};
use domain::event::EventType;
use domain::verdict::FailureReason;
use domain::{AppspaceId, DeliveryId, DestinationId, EventId, ReplayId, Timestamp};

use crate::{Page, PageRequest, Result};

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

    /// Makes a pending delivery due at once, or a dead one pending again ([`Standing::retry_now`](domain::delivery::Standing::retry_now)). A lease stays: what
    /// a worker has in hand is being tried already.
    async fn retry(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery>;

    /// Calls off a delivery ([`Standing::cancel`](domain::delivery::Standing::cancel)). One that is leased is cancelled too: the worker's settlement will
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
