//! How many calls an account has: in any ten seconds, and in a day.

use std::collections::VecDeque;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);

/// The calls so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    lately: VecDeque<Duration>,
    day: u128,
    today: usize,
}

impl Calls {
    /// Counts a call and gives the headers that tell of it; or the name of the policy that refuses it.
    pub(super) fn take(
        &mut self,
        at: Duration,
        per_window: Option<usize>,
        per_day: Option<usize>,
    ) -> Result<Vec<(&'static str, String)>, &'static str> {
        let day = at.as_millis() / DAY.as_millis();
        if day != self.day {
            (self.day, self.today) = (day, 0);
        }
        while self.lately.front().is_some_and(|first| at.saturating_sub(*first) >= WINDOW) {
            self.lately.pop_front();
        }
        if per_day.is_some_and(|most| self.today >= most) {
            return Err("DAILY");
        }
        if per_window.is_some_and(|most| self.lately.len() >= most) {
            return Err("TEN_SECONDLY_ROLLING");
        }
        self.today += 1;
        self.lately.push_back(at);
        let mut headers = Vec::new();
        if let Some(most) = per_window {
            headers.push(("x-hubspot-ratelimit-max", most.to_string()));
            headers.push(("x-hubspot-ratelimit-remaining", (most - self.lately.len()).to_string()));
            headers.push(("x-hubspot-ratelimit-interval-milliseconds", WINDOW.as_millis().to_string()));
        }
        if let Some(most) = per_day {
            headers.push(("x-hubspot-ratelimit-daily", most.to_string()));
            headers.push(("x-hubspot-ratelimit-daily-remaining", (most - self.today).to_string()));
        }
        Ok(headers)
    }
}
