//! The clock and the dice: the only places where time and randomness enter.

use std::sync::Mutex;
use std::time::SystemTime;

use domain::Timestamp;
use tokio::time::Instant;

/// Tells the time and rolls dice.
#[derive(Debug)]
pub struct Clock(Kind);

#[derive(Debug)]
enum Kind {
    /// The wall clock and the operating system's generator.
    System(Mutex<Box<Pool>>),
    /// Follows tokio's clock, which tests pause and advance; dice from a seed.
    Simulated { start: Timestamp, started: Instant, seed: Mutex<u64> },
}

/// Random bytes fetched ahead, so that an id does not cost a system call.
#[derive(Debug)]
struct Pool {
    bytes: [u8; 1_024],
    used: usize,
}

impl Clock {
    /// The real thing.
    pub fn system() -> Self {
        Self(Kind::System(Mutex::new(Box::new(Pool { bytes: [0; 1_024], used: 1_024 }))))
    }

    /// Time that begins at `start` and passes as tokio's clock does; the same dice for the same seed.
    pub fn simulated(start: Timestamp, seed: u64) -> Self {
        Self(Kind::Simulated { start, started: Instant::now(), seed: Mutex::new(seed) })
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System(_) => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(0) + since
            }
            Kind::Simulated { start, started, .. } => *start + started.elapsed(),
        }
    }

    /// 128 random bits, for ids.
    pub fn random(&self) -> u128 {
        match &self.0 {
            Kind::System(pool) => pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner).draw(),
            Kind::Simulated { seed, .. } => {
                let mut seed = seed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                (u128::from(split_mix(&mut seed)) << 64) | u128::from(split_mix(&mut seed))
            }
        }
    }

    /// A random number in `0.0..1.0`, for jitter.
    pub fn jitter(&self) -> f64 {
        // 53 bits fill a double's mantissa.
        ((self.random() >> 75) as u64) as f64 / (1_u64 << 53) as f64
    }
}

impl Pool {
    fn draw(&mut self) -> u128 {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes).expect("the operating system has no randomness to give");
            self.used = 0;
        }
        let mut bits = [0; 16];
        bits.copy_from_slice(&self.bytes[self.used..self.used + 16]);
        self.used += 16;
        u128::from_ne_bytes(bits)
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): enough for dice in tests.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_draws_differ_and_jitter_stays_below_one() {
        let clock = Clock::system();
        let draws: std::collections::HashSet<u128> = (0..200).map(|_| clock.random()).collect();
        assert_eq!(draws.len(), 200);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&clock.jitter())));
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_time_follows_the_paused_clock() {
        let clock = Clock::simulated(Timestamp::from_secs(100), 1);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert_eq!(clock.now(), Timestamp::from_secs(105));
    }
}
