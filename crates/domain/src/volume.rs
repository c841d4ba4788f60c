//! Volume: how much a destination wants of what matches it.
//!
//! Two of the wishes are decided when an event comes in, from the event alone: [`Volume::sample`] and
//! [`Volume::threshold`]. The other two need what happened before, so they are decided when it is sent: an event that is
//! not the first of its subject on its day is skipped, and a digest is one message about many events.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connector::Manifest;
use crate::event::Event;
use crate::fields::Fields;
use crate::time::Timestamp;

/// Shortest interval of a digest, in milliseconds.
pub const DIGEST_MS_MIN: u64 = 1_000;
/// Longest interval of a digest, in milliseconds (1 day).
pub const DIGEST_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// How much a destination wants. The default is everything.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Volume {
    /// The part of events wanted, more than 0 and at most 1. Which ones follows from their ids, so that a retry, a replay
    /// and another machine come to the same result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// Of events that carry a value, only those of at least this one; none whose value is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// One message per interval of this many milliseconds, about everything that happened in it; written as
    /// `digest = "30s"`.
    #[serde(rename = "digest", with = "crate::wait", skip_serializing_if = "Option::is_none")]
    pub digest_ms: Option<u64>,
    /// Of the events of one type about one subject, only the first of each day (UTC).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first_per_subject_per_day: bool,
}

/// Why an event is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// It is not in the sample.
    Sample,
    /// Its value is too small.
    Threshold,
    /// Its value is no number, so that nobody can say whether it is too small.
    NoNumber,
}

impl Unwanted {
    /// In words, after "the event …".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Sample => "is not in the sample",
            Self::Threshold => "has a value below the threshold",
            Self::NoNumber => "has a value that is no number, and there is a threshold",
        }
    }
}

impl Volume {
    /// Whether nothing is held back.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the ranges, and against what the connector can do. The message continues "the volume …".
    pub fn check(&self, manifest: &Manifest) -> Result<(), &'static str> {
        if self.sample.is_some_and(|sample| !(sample > 0.0 && sample <= 1.0)) {
            return Err("has a `sample` that is not more than 0 and at most 1");
        }
        if self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err("has a `threshold` that is not a number");
        }
        if self.digest_ms.is_some_and(|ms| !(DIGEST_MS_MIN..=DIGEST_MS_MAX).contains(&ms)) {
            return Err("has a `digest` that is not between 1 second and 1 day");
        }
        if self.digest_ms.is_some() && !manifest.digests() {
            return Err("has a `digest`, but only chat and mail make one message of many events; use `batch.wait`");
        }
        Ok(())
    }

    /// When the digest goes out that gathers what is due at this time: at the first multiple of the interval, by the wall clock
    /// of UTC, that comes after it. `None` without a digest.
    pub fn digest_after(&self, due: Timestamp) -> Option<Timestamp> {
        let interval_ms = i64::try_from(self.digest_ms?).unwrap_or(i64::MAX).max(1);
        Some(Timestamp::from_millis((due.as_millis().div_euclid(interval_ms) + 1).saturating_mul(interval_ms)))
    }

    /// Why an event is not wanted, as far as the event alone can say. `data` is asked only for a threshold.
    pub fn judge<'d>(&self, event: &Event, data: impl FnOnce() -> &'d Value) -> Option<Unwanted> {
        if self.sample.is_some_and(|sample| share(event) >= sample) {
            return Some(Unwanted::Sample);
        }
        let (threshold, data) = (self.threshold?, data());
        match Fields::of(data).revenue {
            Some(value) => (value < threshold).then_some(Unwanted::Threshold),
            None => Fields::has_unreadable_revenue(data).then_some(Unwanted::NoNumber),
        }
    }
}

/// A number in `0.0..1.0` that belongs to an event. Its id is random beyond the time, and hashing it leaves no pattern.
fn share(event: &Event) -> f64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, &event.id.to_bytes());
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&digest.as_ref()[..4]);
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connector::{BatchLimits, Category};
    use crate::event::{DedupeKey, TimeMark};
    use crate::{AppspaceId, EventId, SourceId};

    fn event(number: u128) -> Event {
        let now = Timestamp::from_millis(1_772_634_728_441);
        let appspace = AppspaceId::mint(now, 1);
        Event {
            id: EventId::mint(now, number),
            appspace,
            source: SourceId::API,
            event_type: "link.clicked".parse().unwrap(),
            occurred_at: now,
            received_at: now,
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_body(SourceId::API, appspace, b"{}"),
            body: b"{}".as_slice().into(),
        }
    }

    fn judge(volume: Volume, event: &Event, data: &Value) -> Option<Unwanted> {
        volume.judge(event, || data)
    }

    #[test]
    fn a_sample_is_about_the_part_that_was_asked_for_and_always_the_same_one() {
        let volume = Volume { sample: Some(0.1), ..Volume::default() };
        let wanted = |number| judge(volume, &event(number), &Value::Null).is_none();
        let count = (0..10_000).filter(|&number| wanted(number)).count();
        assert!((900..1_100).contains(&count), "{count}");
        assert!((0..100).all(|number| wanted(number) == wanted(number)));
    }

    #[test]
    fn a_threshold_looks_at_events_that_carry_a_value() {
        let volume = Volume { threshold: Some(100.0), ..Volume::default() };
        for (data, expect) in [
            (json!({"revenue": 99.99}), Some(Unwanted::Threshold)),
            (json!({"revenue": 100}), None),
            (json!({"revenue": "250.00"}), None),
            (json!({}), None),
            (json!({"revenue": null}), None),
            (json!({"value": ""}), None),
            (json!({"revenue": "$5"}), Some(Unwanted::NoNumber)),
            (json!({"revenue": "5 EUR"}), Some(Unwanted::NoNumber)),
            (json!({"value": {"amount": 5, "currency": "EUR"}}), Some(Unwanted::NoNumber)),
            (json!({"value": "abc"}), Some(Unwanted::NoNumber)),
            (json!({"revenue": "abc", "value": 250}), None),
            (json!({"revenue": null, "value": 5}), Some(Unwanted::Threshold)),
        ] {
            assert_eq!(judge(volume, &event(1), &data), expect, "{data}");
        }
    }

    #[test]
    fn wishes_read_and_write_as_people_write_them() {
        let written = json!({"sample": 0.1, "threshold": 100.0, "digest": "30s", "first_per_subject_per_day": true});
        let volume: Volume = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(volume.digest_ms, Some(30_000));
        assert_eq!(serde_json::to_value(volume).unwrap(), written);
        assert!(serde_json::from_value::<Volume>(json!({"digest_ms": 30_000})).is_err());
    }

    const fn manifest(category: Category) -> Manifest {
        Manifest {
            name: "test",
            title: "Test",
            summary: "A test.",
            category,
            notes: "",
            fields: &[],
            events: &["*"],
            batch: BatchLimits::ONE,
            rate: None,
            provisions: false,
            recognises: None,
        }
    }

    #[test]
    fn wishes_out_of_range_are_refused() {
        let chat = manifest(Category::Chat);
        for volume in [
            Volume { sample: Some(0.0), ..Volume::default() },
            Volume { sample: Some(1.1), ..Volume::default() },
            Volume { threshold: Some(f64::NAN), ..Volume::default() },
            Volume { digest_ms: Some(10), ..Volume::default() },
        ] {
            assert!(volume.check(&chat).is_err(), "{volume:?}");
        }
        let digest = Volume { sample: Some(1.0), digest_ms: Some(30_000), ..Volume::default() };
        assert!(digest.check(&chat).is_ok());
        assert!(digest.check(&manifest(Category::Warehouse)).unwrap_err().contains("only chat and mail"));
    }
}
