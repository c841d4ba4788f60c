//! Attempts: what was sent, what came back, how long it took.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::verdict::FailureReason;

/// How much of a reply is kept with an attempt, in bytes.
pub const REPLY_KEPT_BYTES_MAX: usize = 2_048;

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first try; continues over redrives.
    pub number: u32,
    pub started_at: Timestamp,
    /// From start to verdict, in milliseconds.
    pub duration_ms: u32,
    /// The HTTP status, if a reply came.
    pub status: Option<u16>,
    /// Why it failed; `None` when it did not.
    pub reason: Option<FailureReason>,
    /// What went wrong, for a person: no secrets, no internal addresses.
    pub error: Option<String>,
    /// The beginning of the reply, at most [`REPLY_KEPT_BYTES_MAX`] bytes, as text with replacement characters.
    pub reply: Option<String>,
}
