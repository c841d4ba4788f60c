//! Replays: durable jobs that owe a range of past events to a destination again.

use serde::{Deserialize, Serialize};

use crate::delivery::State;
use crate::id::{AppspaceId, DestinationId, ReplayId};
use crate::subscription::Subscriptions;
use crate::time::Timestamp;

/// A replay, as asked for and as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    pub id: ReplayId,
    pub appspace: AppspaceId,
    pub destination: DestinationId,
    /// Events received at or after this time.
    pub from: Timestamp,
    /// Events received before this time.
    pub to: Timestamp,
    /// Which types; the destination's own subscriptions, if `None`.
    pub events: Option<Subscriptions>,
    pub select: Select,
    /// Most deliveries made per second.
    pub per_second: Option<f64>,
    pub state: ReplayState,
    /// Events looked at so far.
    pub scanned: u64,
    /// Deliveries made so far.
    pub created: u64,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// Which of the events in range are owed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Those whose last delivery to the destination is dead.
    Failed,
    /// Those that were never owed to the destination: what a new destination needs.
    Missing,
    /// All that match, also those already delivered.
    All,
}

impl Select {
    /// Whether an event is owed again, given the state of its newest delivery to the destination.
    ///
    /// An event that is still pending there is never owed twice.
    pub const fn owes(self, newest: Option<State>) -> bool {
        match (self, newest) {
            (_, Some(State::Pending)) => false,
            (Self::Failed, Some(State::Dead)) | (Self::Missing, None) | (Self::All, _) => true,
            (Self::Failed | Self::Missing, _) => false,
        }
    }
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Making deliveries; goes on after a restart.
    Running,
    /// Every event in range has been looked at.
    Done,
    /// Called off by a person, while running or while deliveries it made were pending; those are cancelled.
    Cancelled,
    /// The destination was deleted meanwhile.
    Failed,
}
