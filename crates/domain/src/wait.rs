//! Waits in files, answers and stored records: `"2s"`, the same text everywhere, while the code counts milliseconds.
//!
//! For `#[serde(with = "crate::wait")]` on an `Option<u64>` of milliseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

use crate::retry::{format_wait, parse_wait};

/// Writes the wait in the largest unit that holds it.
#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(crate) fn serialize<S: Serializer>(wait_ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match wait_ms {
        Some(wait_ms) => serializer.serialize_str(&format_wait(Duration::from_millis(*wait_ms))),
        None => serializer.serialize_none(),
    }
}

/// Reads a whole number and a unit.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let wait = parse_wait(&text).map_err(serde::de::Error::custom)?;
    Ok(Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}
