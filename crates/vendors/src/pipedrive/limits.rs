//! Calls in two seconds, searches in two seconds, tokens in a day, and the edge that blocks those who go on.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Pipedrive, words};
use crate::answer::Answer;

const WINDOW: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_hours(24);
/// So many refusals within [`PATIENCE`] are too many.
const REFUSALS_MAX: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);
const BLOCKED_FOR: Duration = Duration::from_mins(5);

/// What a call costs, and whether it is a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    tokens: u64,
    is_search: bool,
}

pub(super) fn cost(method: &str, version: u8, parts: &[&str]) -> Cost {
    let is_search = matches!(parts, ["itemSearch", ..] | ["persons", "search"]);
    let tokens = match (method, parts) {
        _ if version == 1 => 40,
        _ if is_search => 20,
        ("GET", ["persons" | "deals", _]) => 1,
        ("GET", ["pipelines" | "stages"]) => 5,
        ("GET", _) => 10,
        ("DELETE", _) => 3,
        _ => 5,
    };
    Cost { tokens, is_search }
}

/// What was used so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    calls: VecDeque<Duration>,
    searches: VecDeque<Duration>,
    refusals: VecDeque<Duration>,
    day: u128,
    pub(super) tokens: u64,
    blocked_until: Duration,
}

impl Usage {
    pub(super) fn is_blocked(&self, at: Duration) -> bool {
        at < self.blocked_until
    }

    fn refuse(&mut self, at: Duration) -> Answer {
        forget(&mut self.refusals, at, PATIENCE);
        self.refusals.push_back(at);
        if self.refusals.len() > REFUSALS_MAX {
            self.blocked_until = at + BLOCKED_FOR;
        }
        words::limited()
    }
}

fn forget(times: &mut VecDeque<Duration>, at: Duration, window: Duration) {
    while times.front().is_some_and(|time| *time + window <= at) {
        times.pop_front();
    }
}

impl Pipedrive {
    /// Takes a call into account, or refuses it.
    pub(super) fn take(&mut self, at: Duration, cost: Cost) -> Result<(), Answer> {
        let day = at.as_millis() / DAY.as_millis();
        if day != self.usage.day {
            (self.usage.day, self.usage.tokens) = (day, 0);
        }
        forget(&mut self.usage.calls, at, WINDOW);
        forget(&mut self.usage.searches, at, WINDOW);
        let is_out = self.tokens_per_day.is_some_and(|all| self.usage.tokens + cost.tokens > all);
        let is_fast = self.per_two_seconds.is_some_and(|all| self.usage.calls.len() >= all);
        let searches_fast = self.searches_per_two_seconds.is_some_and(|all| self.usage.searches.len() >= all);
        if is_out || is_fast || (cost.is_search && searches_fast) {
            let refused = self.usage.refuse(at);
            let all = self.tokens_per_day.unwrap_or_default().to_string();
            return Err(if is_out {
                // What is left may not be enough and not be nothing; the vendor says nothing then.
                let refused = refused.with("x-daily-ratelimit-token-limit", all);
                refused.with("x-daily-ratelimit-token-remaining", "0").with("x-ratelimit-reset", "2")
            } else {
                refused.with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", "2")
            });
        }
        self.usage.calls.push_back(at);
        if cost.is_search {
            self.usage.searches.push_back(at);
        }
        self.usage.tokens += cost.tokens;
        Ok(())
    }

    /// The headers of every answer.
    pub(super) fn standing(&self, at: Duration) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(all) = self.per_two_seconds {
            let left = all.saturating_sub(self.usage.calls.len());
            let reset = self.usage.calls.front().map_or(WINDOW, |first| (*first + WINDOW).saturating_sub(at));
            headers.push(("x-ratelimit-limit", all.to_string()));
            headers.push(("x-ratelimit-remaining", left.to_string()));
            headers.push(("x-ratelimit-reset", reset.as_secs().max(1).to_string()));
        }
        if let Some(all) = self.tokens_per_day {
            headers.push(("x-daily-ratelimit-token-limit", all.to_string()));
            headers.push(("x-daily-ratelimit-token-remaining", all.saturating_sub(self.usage.tokens).to_string()));
        }
        headers
    }
}
