//! Points in time on the command line: an RFC 3339 timestamp, or how long ago.

use std::str::FromStr;
use std::time::SystemTime;

use domain::Timestamp;
use domain::retry::parse_wait;

/// A point in time, as `2026-03-04T14:00:00Z` or as `2h` for two hours ago.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When(pub(crate) Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self(now()));
        }
        if let Ok(ago) = parse_wait(text) {
            return Ok(Self(now() - ago));
        }
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not a time; write `2026-03-04T14:00:00Z`, or how long ago: `30m`, `2h`, `7d`")
        })
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(0) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
