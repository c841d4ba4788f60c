//! Destinations: configured receivers. A connector, its settings, which events it gets and how it is retried.

use serde::{Deserialize, Serialize};

use crate::id::{AppspaceId, DestinationId};
use crate::name::Name;
use crate::retry::RetryPolicy;
use crate::settings::Settings;
use crate::source::Managed;
use crate::subscription::Subscriptions;
use crate::time::Timestamp;
use crate::verdict::PauseReason;

/// How many requests may be on the wire to one destination unless it says otherwise.
pub const CONCURRENCY_DEFAULT: u16 = 8;
/// Most requests on the wire to one destination.
pub const CONCURRENCY_MAX: u16 = 256;
/// Most destinations of one appspace.
pub const DESTINATIONS_MAX: usize = 4_096;

/// A configured receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    pub id: DestinationId,
    pub appspace: AppspaceId,
    /// Unique in its appspace.
    pub name: Name,
    /// Which file of the `connectors` crate speaks to it.
    pub connector: String,
    /// Which event types it gets.
    pub events: Subscriptions,
    /// A filter over the event; only events for which it is true are owed. See [`crate::expression`].
    pub when: Option<String>,
    pub retry: RetryPolicy,
    /// Requests on the wire at once, 1 to [`CONCURRENCY_MAX`].
    pub concurrency: u16,
    pub rate: Option<RateLimit>,
    /// Whether its breaker may open.
    pub breaker: bool,
    pub settings: Settings,
    /// Set while nothing is sent; deliveries are held, not lost.
    pub paused: Option<Pause>,
    pub managed: Managed,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Most requests per second to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateLimit {
    /// Requests per second, more than 0 and at most 100,000; below 1 means one request each `1 / per_second` seconds.
    pub per_second: f64,
}

impl RateLimit {
    /// A limit, if `per_second` is in range.
    pub fn new(per_second: f64) -> Option<Self> {
        (per_second > 0.0 && per_second <= 100_000.0).then_some(Self { per_second })
    }
}

/// Why and since when a destination is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub reason: PauseReason,
    /// For a person: what happened and what to do.
    pub message: String,
    pub since: Timestamp,
}
