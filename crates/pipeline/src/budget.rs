//! The budget of a day: how many calls a vendor takes between two midnights of UTC.
//!
//! Calls are counted on disk a block at a time, before they are made. What is left of a block when the process ends counts
//! as used, so a crash can only mean that fewer calls are made than might be.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{DestinationId, Timestamp};
use storage::{Memo, StoreError};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::lane::Chore;
use crate::memory::Patience;

/// A block is this part of the day's calls.
const BLOCKS: u32 = 100;
/// How long a day's count is kept when it is over.
const KEPT_FOR: Duration = Duration::from_hours(24);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What may be called today.
#[derive(Debug, Default)]
pub(crate) struct DayBudget {
    /// Calls that are counted and not made; negative if an exchange needed more than the block had.
    left: i64,
    /// The end of the day that this is about.
    ends: Option<Instant>,
    is_used_up: bool,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// So many calls.
    Calls(usize),
    /// Another block must be counted first.
    MustReserve,
    UsedUpUntil(Instant),
}

/// The next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// None are left if it is 0.
    calls: u32,
    ends: Instant,
}

impl DayBudget {
    /// How it stands at `now`.
    pub(crate) fn allowance(&self, now: Instant) -> Allowance {
        match self.ends {
            Some(ends) if now < ends && self.left > 0 => Allowance::Calls(usize::try_from(self.left).unwrap_or(0)),
            Some(ends) if now < ends && self.is_used_up => Allowance::UsedUpUntil(ends),
            _ => Allowance::MustReserve,
        }
    }

    /// Until when nothing may be called, if that lies ahead.
    pub(crate) fn used_up_until(&self, now: Instant) -> Option<Instant> {
        match self.allowance(now) {
            Allowance::UsedUpUntil(until) => Some(until),
            Allowance::Calls(_) | Allowance::MustReserve => None,
        }
    }

    /// A call goes out.
    pub(crate) fn called(&mut self) {
        self.left -= 1;
    }

    /// A block was counted.
    pub(crate) fn reserved(&mut self, block: Block, now: Instant) {
        if self.ends.is_none_or(|ends| ends <= now) {
            // What was left of another day is gone with it.
            self.left = 0;
        }
        self.left += i64::from(block.calls);
        self.ends = Some(block.ends);
        self.is_used_up = block.calls == 0;
    }
}

/// Counts the next block of today's calls, of which there are `per_day`.
pub(crate) async fn reserve(engine: Arc<Engine>, of: DestinationId, per_day: u32) -> Chore {
    Chore::Reserved(reserve_block(&engine, of, per_day).await)
}

async fn reserve_block(engine: &Engine, of: DestinationId, per_day: u32) -> Result<Block, StoreError> {
    let (now, instant) = (engine.clock.now(), Instant::now());
    let midnight = midnight_after(now);
    let ends = instant + midnight.since(now);
    let key = key(now);
    let found = engine.recall(of, std::slice::from_ref(&key), Patience::Endless).await?;
    let used = found.into_iter().flatten().next().and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    let used: u32 = used.unwrap_or(0);
    let calls = block_after(used, per_day);
    if calls > 0 {
        let value = Bytes::from((used + calls).to_string());
        let expires_at = Some(midnight + KEPT_FOR);
        engine.remember(of, vec![Memo::Put { key, value, expires_at }], Patience::Endless).await?;
    }
    Ok(Block { calls, ends })
}

/// How many calls the block has that comes after `used` ones.
fn block_after(used: u32, per_day: u32) -> u32 {
    (per_day / BLOCKS).max(1).min(per_day.saturating_sub(used))
}

/// `day:2026-03-04`.
fn key(now: Timestamp) -> String {
    format!("day:{}", day(now))
}

/// The day of UTC that a time is in: `2026-03-04`.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or(text.clone(), |(day, _)| day.to_owned())
}

/// The midnight of UTC that comes next.
fn midnight_after(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(DAY_MS) + 1) * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_add_up_to_the_day_and_not_to_more() {
        for per_day in [0, 1, 7, 99, 100, 101, 1_050, 500_000] {
            let (mut used, mut blocks) = (0, 0);
            while block_after(used, per_day) > 0 {
                used += block_after(used, per_day);
                blocks += 1;
            }
            assert_eq!(used, per_day);
            assert!(blocks <= 2 * BLOCKS, "{per_day}: {blocks}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight_and_takes_what_is_left_with_it() {
        let now = Timestamp::from_secs(1_772_634_728);
        assert_eq!(
            (day(now), midnight_after(now).to_string()),
            ("2026-03-04".to_owned(), "2026-03-05T00:00:00.000Z".to_owned())
        );
        let begin = Instant::now();
        let ends = begin + Duration::from_secs(10);
        let mut budget = DayBudget::default();
        assert_eq!(budget.allowance(begin), Allowance::MustReserve);
        budget.reserved(Block { calls: 2, ends }, begin);
        budget.called();
        assert_eq!(budget.allowance(begin), Allowance::Calls(1));
        assert_eq!(budget.allowance(ends), Allowance::MustReserve);
        budget.reserved(Block { calls: 2, ends: ends + Duration::from_secs(10) }, ends);
        assert_eq!(budget.allowance(ends), Allowance::Calls(2));
    }

    #[test]
    fn an_exchange_of_many_calls_is_paid_from_the_next_block() {
        let begin = Instant::now();
        let ends = begin + Duration::from_secs(10);
        let mut budget = DayBudget::default();
        budget.reserved(Block { calls: 1, ends }, begin);
        (0..3).for_each(|_| budget.called());
        assert_eq!(budget.allowance(begin), Allowance::MustReserve);
        budget.reserved(Block { calls: 3, ends }, begin);
        assert_eq!(budget.allowance(begin), Allowance::Calls(1));
        budget.called();
        budget.reserved(Block { calls: 0, ends }, begin);
        assert_eq!(budget.allowance(begin), Allowance::UsedUpUntil(ends));
    }
}
