//! Points in time on the command line: an RFC 3339 timestamp, or how long ago.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use domain::Timestamp;

/// A point in time, as `2026-03-04T14:00:00Z` or as `2h` for two hours ago.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When(pub(crate) Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self(now()));
        }
        if let Some(ago) = ago(text) {
            return Ok(Self(now() - ago));
        }
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not a time; write `2026-03-04T14:00:00Z`, or how long ago: `30m`, `2h`, `30d`")
        })
    }
}

/// `30d`. Events are kept for longer than anything here waits, so this knows no longest.
fn ago(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(u64::from(number.parse::<u32>().ok()?) * unit_seconds))
}

/// The time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(0) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_reaches_as_far_back_as_events_are_kept() {
        let days = |text: &str| text.parse::<When>().map(|when| now().since(when.0).as_secs() / (24 * 60 * 60));
        assert_eq!((days("30d"), days("4w"), days("8760h")), (Ok(30), Ok(28), Ok(365)));
        let written: When = "2026-03-04T14:00:00Z".parse().unwrap();
        assert_eq!(written.0.to_string(), "2026-03-04T14:00:00.000Z");
        for wrong in ["", "d", "30", "30 d", "yesterday", "99999999999d"] {
            let message = wrong.parse::<When>().unwrap_err();
            assert!(message.ends_with("how long ago: `30m`, `2h`, `30d`"), "{message}");
        }
    }
}
