//! Destinations: configured receivers. A connector, its settings, which events it gets and how it is retried.

use serde::{Deserialize, Serialize};

use crate::connector::BatchLimits;
use crate::id::{AppspaceId, DestinationId};
use crate::name::Name;
use crate::privacy::Privacy;
use crate::retry::RetryPolicy;
use crate::settings::Settings;
use crate::source::Managed;
use crate::subscription::Subscriptions;
use crate::time::Timestamp;
use crate::verdict::PauseReason;
use crate::volume::Volume;

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
    /// How much goes into one batch, if not what the connector says.
    #[serde(default, skip_serializing_if = "BatchWish::is_default")]
    pub batch: BatchWish,
    /// How much of what matches it wants.
    #[serde(default, skip_serializing_if = "Volume::is_everything")]
    pub volume: Volume,
    /// What of a person it does not get, or not as it is.
    #[serde(default, skip_serializing_if = "Privacy::is_open")]
    pub privacy: Privacy,
    /// Whether its breaker may open.
    pub breaker: bool,
    pub settings: Settings,
    /// Set while nothing is sent; deliveries are held, not lost.
    pub paused: Option<Pause>,
    pub managed: Managed,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Longest wait for a batch to fill, in milliseconds (15 minutes).
pub const LINGER_MS_MAX: u64 = 15 * 60 * 1_000;

/// What a destination wants of its batches; what is not said is the connector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchWish {
    /// Most events in one batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
    /// How long the first event of a batch waits for others, in milliseconds; written as `wait = "2s"`.
    #[serde(rename = "wait", with = "crate::wait", skip_serializing_if = "Option::is_none")]
    pub linger_ms: Option<u64>,
}

impl BatchWish {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the ranges against what the connector bears. The message continues "the batch …".
    pub fn check(&self, limits: BatchLimits) -> Result<(), String> {
        match self.items {
            Some(items) if limits.items_max == 1 && items != 1 => {
                return Err("cannot have `items`; this connector sends every event by itself".to_owned());
            }
            Some(items) if !(1..=limits.items_max).contains(&(items as usize)) => {
                return Err(format!("must have 1 to {} `items` with this connector", limits.items_max));
            }
            _ => {}
        }
        if self.linger_ms.is_some_and(|ms| ms > LINGER_MS_MAX) {
            return Err("must not `wait` for more than 15 minutes".to_owned());
        }
        Ok(())
    }

    /// The limits that hold: the connector's, with what is said in their place.
    pub fn over(&self, limits: BatchLimits) -> BatchLimits {
        BatchLimits {
            items: self.items.map_or(limits.items, |items| (items as usize).clamp(1, limits.items_max)),
            linger_ms: self.linger_ms.unwrap_or(limits.linger_ms).min(LINGER_MS_MAX),
            ..limits
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_reads_and_writes_as_people_write_it() {
        let written = json!({"items": 50, "wait": "2s"});
        let wish: BatchWish = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(wish, BatchWish { items: Some(50), linger_ms: Some(2_000) });
        assert_eq!(serde_json::to_value(wish).unwrap(), written);
        assert_eq!(serde_json::to_value(BatchWish::default()).unwrap(), json!({}));
        for bad in [json!({"wait": 2}), json!({"wait": "soon"}), json!({"linger_ms": 2_000})] {
            assert!(serde_json::from_value::<BatchWish>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wish_beyond_what_the_connector_bears_is_refused() {
        let limits = BatchLimits { items: 15, items_max: 100, ..BatchLimits::ONE };
        let check = |items, linger_ms, limits| BatchWish { items, linger_ms }.check(limits);
        assert!(check(Some(100), Some(LINGER_MS_MAX), limits).is_ok());
        assert!(check(Some(1), None, BatchLimits::ONE).is_ok());
        for (items, linger_ms, limits, expect) in [
            (Some(0), None, limits, "1 to 100"),
            (Some(101), None, limits, "1 to 100"),
            (Some(2), None, BatchLimits::ONE, "by itself"),
            (None, Some(LINGER_MS_MAX + 1), limits, "15 minutes"),
        ] {
            let message = check(items, linger_ms, limits).unwrap_err();
            assert!(message.contains(expect), "{message}");
        }
    }
}
