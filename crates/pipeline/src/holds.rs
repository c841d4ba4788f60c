//! Holds that survive a restart: a vendor that asked to be left alone for long does not care which process asks next.

use std::time::Duration;

use domain::{Destination, Timestamp};
use serde::{Deserialize, Serialize};
use storage::Memo;

/// Only longer ones are worth a place on disk.
pub(crate) const KEPT_FROM: Duration = Duration::from_mins(1);
/// Where it lies.
pub(crate) const KEY: &str = "hold";

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    until: Timestamp,
    /// The destination that was asked: whoever changes it wants to see whether it works now.
    of: String,
}

/// Keeps a hold of a destination.
pub(crate) fn keep(destination: &Destination, until: Timestamp) -> Memo {
    let kept = Kept { until, of: fingerprint(destination) };
    let value = serde_json::to_vec(&kept).expect("a time and a text are always JSON").into();
    Memo::Put { key: KEY.to_owned(), value, expires_at: Some(until) }
}

/// Until when a destination is to be left alone, if it is still the one that asked for it.
pub(crate) fn read(value: &[u8], destination: &Destination) -> Option<Timestamp> {
    let kept: Kept = serde_json::from_slice(value).ok()?;
    (kept.of == fingerprint(destination)).then_some(kept.until)
}

/// Gives up a hold.
pub(crate) fn forget() -> Memo {
    Memo::Forget { key: KEY.to_owned() }
}

fn fingerprint(destination: &Destination) -> String {
    let text = serde_json::to_vec(destination).unwrap_or_default();
    hex::encode(ring::digest::digest(&ring::digest::SHA256, &text))
}
