//! Retry policies: how long to wait after a failed try, and when to give up.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most entries of a custom list.
pub const WAITS_MAX: usize = 32;
/// Longest single wait: 7 days.
pub const WAIT_MAX: Duration = Duration::from_hours(7 * 24);

/// The documented schedule of Tolinku, exact: 1, 5 and 30 minutes, four tries in all.
const TOLINKU: [u64; 3] = [60, 300, 1_800];
/// 5 s, 30 s, 2 m, 10 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: about 76 hours, twelve tries in all.
const STANDARD: [u64; 11] = [5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// When a failed delivery is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryPolicy {
    /// About 76 hours, with jitter; the default.
    Standard,
    /// 60, 300 and 1,800 seconds exactly.
    Tolinku,
    /// The wait after each failed try, exact; n entries are n + 1 tries.
    Custom(Vec<Duration>),
}

impl RetryPolicy {
    /// The wait after the `spent`-th failed try of this schedule (1 for the first), or `None` to give up.
    /// `jitter` is a random number in `0.0..1.0`.
    ///
    /// Waits of `standard` below a minute are spread by ±20 %, longer ones over their upper half, so that a crowd
    /// that failed together does not come back together.
    pub fn wait_after(&self, spent: u32, jitter: f64) -> Option<Duration> {
        let index = spent.checked_sub(1)? as usize;
        match self {
            Self::Tolinku => TOLINKU.get(index).map(|&secs| Duration::from_secs(secs)),
            Self::Custom(waits) => waits.get(index).copied(),
            Self::Standard => STANDARD.get(index).map(|&secs| {
                let factor = if secs < 60 { 0.8 + 0.4 * jitter } else { 0.5 + 0.5 * jitter };
                Duration::from_secs(secs).mul_f64(factor)
            }),
        }
    }

    /// Tries in all, the first one included.
    pub fn tries(&self) -> usize {
        1 + match self {
            Self::Standard => STANDARD.len(),
            Self::Tolinku => TOLINKU.len(),
            Self::Custom(waits) => waits.len(),
        }
    }
}

/// A retry policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryPolicyError {
    #[error("`{0}` is not a retry policy; use `standard`, `tolinku` or a list of waits like [\"1s\", \"10s\", \"5m\"]")]
    UnknownPreset(String),
    #[error("`{0}` is not a wait; write a whole number and a unit: `500ms`, `10s`, `5m`, `2h` or `1d`, at most 7 days")]
    Wait(String),
    #[error("more than {WAITS_MAX} waits in a retry policy")]
    TooMany,
}

/// Reads `500ms`, `10s`, `5m`, `2h`, `1d`: a whole number and one unit.
pub fn parse_wait(text: &str) -> Result<Duration, RetryPolicyError> {
    let error = || RetryPolicyError::Wait(text.chars().take(64).collect());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| error())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    let wait = Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(error)?);
    if wait > WAIT_MAX { Err(error()) } else { Ok(wait) }
}

/// Writes a wait in the largest unit that holds it exactly; the inverse of [`parse_wait`].
pub fn format_wait(wait: Duration) -> String {
    let ms = wait.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms > 0 && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Preset(String),
    Waits(Vec<String>),
}

impl Serialize for RetryPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::Standard => Written::Preset("standard".to_owned()),
            Self::Tolinku => Written::Preset("tolinku".to_owned()),
            Self::Custom(waits) => Written::Waits(waits.iter().copied().map(format_wait).collect()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RetryPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Written::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Written> for RetryPolicy {
    type Error = RetryPolicyError;

    fn try_from(written: Written) -> Result<Self, RetryPolicyError> {
        match written {
            Written::Preset(name) => match name.as_str() {
                "standard" => Ok(Self::Standard),
                "tolinku" => Ok(Self::Tolinku),
                _ => Err(RetryPolicyError::UnknownPreset(name)),
            },
            Written::Waits(waits) if waits.len() > WAITS_MAX => Err(RetryPolicyError::TooMany),
            Written::Waits(waits) => {
                waits.iter().map(|wait| parse_wait(wait)).collect::<Result<_, _>>().map(Self::Custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &RetryPolicy, jitter: f64) -> Vec<f64> {
        (1..).map_while(|spent| policy.wait_after(spent, jitter)).map(|wait| wait.as_secs_f64()).collect()
    }

    #[test]
    fn the_tolinku_preset_is_exact_whatever_the_jitter() {
        for jitter in [0.0, 0.5, 0.999] {
            assert_eq!(waits(&RetryPolicy::Tolinku, jitter), [60.0, 300.0, 1_800.0]);
        }
        assert_eq!(RetryPolicy::Tolinku.tries(), 4);
    }

    #[test]
    fn the_standard_preset_spans_about_76_hours() {
        let longest: f64 = waits(&RetryPolicy::Standard, 1.0).iter().sum();
        assert!((75.0..77.0).contains(&(longest / 3_600.0)), "{longest}");
        assert_eq!(RetryPolicy::Standard.tries(), 12);
    }

    #[test]
    fn jitter_stays_in_its_band() {
        for (spent, secs) in (1..).zip(STANDARD) {
            let wait = |jitter| RetryPolicy::Standard.wait_after(spent, jitter).unwrap().as_secs_f64() / secs as f64;
            let (low, high) = if secs < 60 { (0.8, 1.2) } else { (0.5, 1.0) };
            assert!((wait(0.0) - low).abs() < 1e-9 && wait(0.999_999) <= high, "{secs}");
        }
    }

    #[test]
    fn a_list_is_one_try_more_than_its_entries() {
        let policy: RetryPolicy = serde_json::from_str(r#"["1s", "10s", "5m"]"#).unwrap();
        assert_eq!(waits(&policy, 0.3), [1.0, 10.0, 300.0]);
        assert_eq!(policy.tries(), 4);
        assert_eq!(serde_json::to_string(&policy).unwrap(), r#"["1s","10s","5m"]"#);
        let never: RetryPolicy = serde_json::from_str("[]").unwrap();
        assert_eq!(never.wait_after(1, 0.0), None);
    }

    #[test]
    fn malformed_policies_are_refused_with_what_to_write() {
        for bad in
            [r#""fast""#, r#"["1"]"#, r#"["s"]"#, r#"["-1s"]"#, r#"["1.5s"]"#, r#"["8d"]"#, r#"["99999999999999d"]"#]
        {
            assert!(serde_json::from_str::<RetryPolicy>(bad).is_err(), "{bad}");
        }
    }
}
