//! The queue side of deliveries: owning work through leases, and settling it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::attempt::Attempt;
use domain::delivery::Standing;
use domain::event::Event;
use domain::{DeliveryId, DestinationId, ReplayId, Timestamp};

use crate::{NewEvent, Result, WorkSignal};

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
    async fn settle(&self, settlements: Arc<[Settlement]>) -> Result<Vec<Settled>>;

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
