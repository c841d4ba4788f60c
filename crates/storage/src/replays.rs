//! Replays: durable jobs with a cursor.

use std::sync::Arc;

use async_trait::async_trait;
use domain::delivery::State;
use domain::event::Event;
use domain::replay::{Replay, ReplayState};
use domain::{AppspaceId, DestinationId, EventId, ReplayId, Timestamp};

use crate::{Page, PageRequest, Result};

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
    /// [`Upkeep::tidy`](crate::Upkeep::tidy). That goes for a running one, and for one that is done as long as any of its deliveries is
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
    /// Those of them that may say who somebody is. One of which nobody knows whose it is comes onto the list of
    /// [`crate::Subjects::unfolded`], before its delivery is there: it may be from before there was such a list.
    pub unread: Vec<EventId>,
    /// [`ReplayState::Running`] or [`ReplayState::Done`].
    pub state: ReplayState,
    pub now: Timestamp,
}
