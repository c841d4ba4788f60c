//! Limits that depend on time: the rate of a destination, and the wait that a destination asked for.
//!
//! Pure: the time is passed in, and it is monotonic, so that a clock that is set back holds nothing up.

use std::time::Duration;

use domain::destination::RateLimit;
use tokio::time::Instant;

/// Longest wait that a destination can ask for.
pub const HOLD_MAX: Duration = Duration::from_hours(24);

/// How late a start may be and still count as being on time: timers are coarse and tasks wait for a core. Whoever is
/// later than this was idle, and idle time is not saved up.
const LATE_MAX: Duration = Duration::from_millis(10);

/// Spaces starts evenly: no burst, however long nothing was sent. In any stretch of time there are at most as many
/// starts as the rate allows, give or take what [`LATE_MAX`] holds.
#[derive(Debug, Clone, Copy)]
pub struct Spacing {
    /// When the next start is due by the rate.
    next: Instant,
}

impl Spacing {
    /// A first start may happen at once.
    pub const fn new(now: Instant) -> Self {
        Self { next: now }
    }

    /// How many starts may happen at `now`.
    pub fn free(&self, limit: RateLimit, now: Instant) -> usize {
        match now.checked_duration_since(self.next) {
            None => 0,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
            Some(late) if late <= LATE_MAX => 1 + (late.as_secs_f64() * limit.per_second) as usize,
            Some(_) => 1,
        }
    }

    /// When the next start may happen.
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// A start happens at `now`, which [`Spacing::free`] allowed.
    pub fn start(&mut self, limit: RateLimit, now: Instant) {
        // A thousand seconds and more between two starts still fit; the clamp keeps the sum within what time can hold.
        let step = Duration::from_secs_f64((1.0 / limit.per_second).min(HOLD_MAX.as_secs_f64()));
        let is_late = now.saturating_duration_since(self.next) <= LATE_MAX;
        self.next = if is_late { self.next } else { now } + step;
    }
}

/// The wait that a destination asked for with `Retry-After`. It holds all its deliveries, not only the one that was
/// answered with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hold {
    until: Option<Instant>,
}

impl Hold {
    /// The destination asks to be left alone for `wait`, of which at most [`HOLD_MAX`] is granted. A shorter wait does
    /// not cut a longer one.
    pub fn ask(&mut self, wait: Duration, now: Instant) {
        self.until = self.until.max(Some(now + wait.min(HOLD_MAX)));
    }

    /// Until when nothing may be sent, if that lies ahead.
    pub fn until(self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Start times in milliseconds of as many starts as fit into `within`, by a worker who wakes with the grain of
    /// `wake` after the time it asked for.
    fn starts(per_second: f64, wake: Duration, within: Duration) -> Vec<u128> {
        let limit = RateLimit::new(per_second).unwrap();
        let begin = Instant::now();
        let mut spacing = Spacing::new(begin);
        let (mut now, mut starts) = (begin, Vec::new());
        while now < begin + within {
            for _ in 0..spacing.free(limit, now) {
                spacing.start(limit, now);
                starts.push((now - begin).as_millis());
            }
            let wait = (spacing.next() - now).as_nanos().max(1).div_ceil(wake.as_nanos());
            now += wake * u32::try_from(wait).unwrap();
        }
        starts
    }

    #[test]
    fn a_slow_rate_spaces_starts_evenly() {
        assert_eq!(starts(4.0, MS, Duration::from_secs(1)), [0, 250, 500, 750]);
        assert_eq!(starts(0.5, MS, Duration::from_secs(5)), [0, 2_000, 4_000]);
    }

    #[test]
    fn a_rate_that_fits_no_timer_is_kept_on_average_and_never_exceeded() {
        for (per_second, expect) in [(3.0, 30), (300.0, 3_000), (7_000.0, 70_000), (100_000.0, 1_000_000)] {
            let starts = starts(per_second, MS, Duration::from_secs(10));
            assert!(
                starts.len() <= expect + 1_000 && starts.len() * 100 >= expect * 99,
                "{per_second}: {}",
                starts.len()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_stretch_of_time_holds_more_starts_than_the_rate_allows(
            per_second in 0.5_f64..5_000.0,
            sleeps_us in proptest::collection::vec(0_u64..20_000, 1..200),
        ) {
            let limit = RateLimit::new(per_second).unwrap();
            let begin = Instant::now();
            let mut spacing = Spacing::new(begin);
            let (mut now, mut starts) = (begin, Vec::new());
            for sleep in sleeps_us {
                now += Duration::from_micros(sleep);
                for _ in 0..spacing.free(limit, now).min(64) {
                    spacing.start(limit, now);
                    starts.push((now - begin).as_secs_f64());
                }
            }
            for (index, from) in starts.iter().enumerate() {
                for (count, to) in starts[index..].iter().enumerate() {
                    let allowed = (to - from + LATE_MAX.as_secs_f64()) * per_second + 1.0;
                    proptest::prop_assert!(count as f64 <= allowed + 1e-6, "{} in {} s", count + 1, to - from);
                }
            }
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let limit = RateLimit::new(10.0).unwrap();
        let begin = Instant::now();
        let mut spacing = Spacing::new(begin);
        spacing.start(limit, begin);
        let later = begin + Duration::from_secs(100);
        assert_eq!(spacing.free(limit, later), 1);
        spacing.start(limit, later);
        assert_eq!(spacing.free(limit, later), 0);
        assert_eq!(spacing.next(), later + 100 * MS);
    }

    #[test]
    fn a_hold_is_clamped_and_never_cut_short() {
        let now = Instant::now();
        let mut hold = Hold::default();
        assert_eq!(hold.until(now), None);
        hold.ask(Duration::from_mins(1), now);
        hold.ask(Duration::from_secs(5), now);
        assert_eq!(hold.until(now), Some(now + Duration::from_mins(1)));
        assert_eq!(hold.until(now + Duration::from_mins(1)), None);
        hold.ask(Duration::MAX, now);
        assert_eq!(hold.until(now), Some(now + HOLD_MAX));
    }
}
