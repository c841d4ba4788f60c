//! Events: immutable facts, kept as the exact bytes that were received plus what we know about them.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{AppspaceId, EventId, SourceId};
use crate::time::Timestamp;

/// Largest body of one event, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of arrays and objects in a body.
pub const JSON_DEPTH_MAX: usize = 64;
/// Most events in one call of `POST /v1/events`.
pub const PUBLISH_EVENTS_MAX: usize = 1_000;
/// Largest body of `POST /v1/events`, in bytes: room for a full batch of ordinary events.
pub const PUBLISH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One fact: something happened after a click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub appspace: AppspaceId,
    pub source: SourceId,
    /// As received; an alias is never rewritten.
    pub event_type: EventType,
    /// When it happened, by the sender's clock if [`TimeMark`] says so, else when it was received.
    pub occurred_at: Timestamp,
    /// When it was received, by our clock.
    pub received_at: Timestamp,
    pub time_mark: TimeMark,
    /// Two events of one appspace with the same key inside the dedupe window are the same event.
    pub dedupe_key: DedupeKey,
    /// The exact bytes received, a JSON object.
    pub body: Bytes,
}

/// How far [`Event::occurred_at`] can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeMark {
    /// The sender gave a sane time.
    Sender,
    /// The sender gave none, or one that is not a time: the time of receipt stands in.
    Defaulted,
    /// The sender's time lies further ahead of our clock than [`FUTURE_SKEW_MAX_MS`]; kept as given.
    Future,
    /// The sender's time lies further back than [`AGE_ODD_MS`]; kept as given.
    Old,
}

/// How far ahead of our clock a sender's time may lie before it is marked, in milliseconds (5 minutes).
pub const FUTURE_SKEW_MAX_MS: i64 = 5 * 60 * 1_000;
/// How far back a sender's time may lie before it is marked, in milliseconds (24 hours; a Tolinku retry is at most
/// 36 minutes old).
pub const AGE_ODD_MS: i64 = 24 * 60 * 60 * 1_000;

impl TimeMark {
    /// The time to record for an event and how far to trust it. Age never refuses an event.
    pub fn judge(sender: Option<Timestamp>, received_at: Timestamp) -> (Timestamp, Self) {
        let Some(sender) = sender else {
            return (received_at, Self::Defaulted);
        };
        let ahead_ms = sender.as_millis().saturating_sub(received_at.as_millis());
        let mark = match ahead_ms {
            ms if ms > FUTURE_SKEW_MAX_MS => Self::Future,
            ms if ms < -AGE_ODD_MS => Self::Old,
            _ => Self::Sender,
        };
        (sender, mark)
    }
}

/// Identifies an event for deduplication: SHA-256 over what makes it the same event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DedupeKey(pub [u8; 32]);

impl DedupeKey {
    /// The key of an event whose sender gives no id: source and raw body.
    ///
    /// Two genuine events with byte-identical bodies collapse into one; the duplicate counter of the event shows it.
    pub fn of_body(source: SourceId, appspace: AppspaceId, body: &[u8]) -> Self {
        Self::digest(&[b"body", &source.to_bytes(), &appspace.to_bytes(), body])
    }

    /// The key of an event whose sender gives an id.
    pub fn of_sender_id(source: SourceId, appspace: AppspaceId, id: &str) -> Self {
        Self::digest(&[b"id", &source.to_bytes(), &appspace.to_bytes(), id.as_bytes()])
    }

    /// The key of the event at `index` of a publish call with an `Idempotency-Key`.
    pub fn of_idempotency_key(appspace: AppspaceId, key: &str, index: usize) -> Self {
        Self::digest(&[b"idempotency", &appspace.to_bytes(), &(index as u64).to_be_bytes(), key.as_bytes()])
    }

    /// Only the last part may have a variable length, so that no two inputs run into each other.
    fn digest(parts: &[&[u8]]) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }

    /// The first eight bytes: a fingerprint for an in-memory table. A hit must be checked against the whole key.
    pub fn fingerprint(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(first)
    }
}

impl fmt::Debug for DedupeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Longest event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;

/// The type of an event, for example `link.clicked`: 1 to 128 of letters, digits, `.`, `_`, `-`, `:` and `/`.
///
/// Safe in an HTTP header and in a log line. Any well-formed type is accepted; [`crate::catalogue`] is not a gate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Box<str>);

impl EventType {
    /// The type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of our own `afterclick.*` types, which only we may create.
    pub fn is_operational(&self) -> bool {
        self.0.starts_with("afterclick.")
    }
}

/// A text that is not an [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event type; use 1 to 128 letters, digits, `.`, `_`, `-`, `:` or `/`, like `link.clicked`")]
pub struct ParseEventTypeError(String);

impl FromStr for EventType {
    type Err = ParseEventTypeError;

    fn from_str(text: &str) -> Result<Self, ParseEventTypeError> {
        let fits = (1..=EVENT_TYPE_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/".contains(&b)) {
            Ok(Self(text.into()))
        } else {
            Err(ParseEventTypeError(text.chars().take(160).collect()))
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_time_is_marked_and_never_refused() {
        let now = Timestamp::from_secs(1_772_634_728);
        let judge = |offset_ms: i64| TimeMark::judge(Some(Timestamp::from_millis(now.as_millis() + offset_ms)), now).1;
        assert_eq!(TimeMark::judge(None, now), (now, TimeMark::Defaulted));
        assert_eq!(judge(0), TimeMark::Sender);
        assert_eq!(judge(FUTURE_SKEW_MAX_MS), TimeMark::Sender);
        assert_eq!(judge(FUTURE_SKEW_MAX_MS + 1), TimeMark::Future);
        assert_eq!(judge(-AGE_ODD_MS), TimeMark::Sender);
        assert_eq!(judge(-AGE_ODD_MS - 1), TimeMark::Old);
    }

    #[test]
    fn dedupe_keys_keep_sources_bodies_and_ids_apart() {
        let app = AppspaceId::mint(Timestamp::from_millis(1), 1);
        let body = DedupeKey::of_body(SourceId::API, app, b"{}");
        assert_eq!(body, DedupeKey::of_body(SourceId::API, app, b"{}"));
        assert_ne!(body, DedupeKey::of_body(SourceId::AFTERCLICK, app, b"{}"));
        assert_ne!(body, DedupeKey::of_body(SourceId::API, app, b"{ }"));
        assert_ne!(body, DedupeKey::of_sender_id(SourceId::API, app, "{}"));
        assert_ne!(DedupeKey::of_idempotency_key(app, "k", 0), DedupeKey::of_idempotency_key(app, "k", 1));
    }

    #[test]
    fn event_types_are_header_safe() {
        for good in ["link.clicked", "custom.a_b-c", "A:b/c", "test"] {
            assert!(good.parse::<EventType>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\r\nX: y", "é", &"x".repeat(129)] {
            assert!(bad.parse::<EventType>().is_err(), "{bad}");
        }
    }
}
