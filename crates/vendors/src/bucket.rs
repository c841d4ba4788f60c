//! A rate that a vendor grants.

use std::time::Duration;

/// So many at once, and so many more each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    per_s: f64,
    burst: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_s: f64, burst: f64) -> Self {
        Self { per_s, burst, level: burst, at: Duration::ZERO }
    }

    /// Takes one, or says how long there will be none.
    pub fn take(&mut self, at: Duration) -> Result<(), Duration> {
        let since = at.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + since * self.per_s).min(self.burst);
        self.at = self.at.max(at);
        if self.level >= 1.0 - TOLERANCE {
            self.level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.level) / self.per_s))
    }
}

/// Sums of fractions of a second do not quite reach the whole.
const TOLERANCE: f64 = 1e-6;

/// A wait in whole seconds, as `Retry-After` wants it; at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_and_then_the_rate() {
        let mut bucket = Bucket::new(2.0, 2.0);
        assert_eq!([bucket.take(Duration::ZERO), bucket.take(Duration::ZERO)], [Ok(()), Ok(())]);
        assert_eq!(bucket.take(Duration::ZERO), Err(Duration::from_millis(500)));
        assert_eq!(bucket.take(Duration::from_millis(500)), Ok(()));
        assert_eq!(whole_seconds(Duration::from_millis(500)), 1);
    }
}
