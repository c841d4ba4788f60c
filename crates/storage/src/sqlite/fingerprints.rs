//! Deduplication in memory: which event may have a given dedupe key.
//!
//! An index over the keys themselves would dirty one page per event, because keys are random; measured, that cuts the
//! write rate by eight. Instead each commit appends eight bytes per event to `dedupe_log`, and this table, rebuilt from
//! it at start, says which event numbers to look at. It may name one too many, never one too few: the caller compares
//! the whole key with the row.
//!
//! One open-addressing table per day, at eight bytes a slot, so that a day that has left the window goes as a whole.

use std::collections::VecDeque;

use domain::Timestamp;

use super::numbers::EventNo;

const DAY_MS: i64 = 86_400_000;
const SLOTS_MIN: usize = 1 << 10;
/// Most keys in one table. Growing moves every slot, and the writer waits for it.
const KEYS_MAX: usize = 1 << 22;

/// Event numbers by fingerprint, for as long as the window lasts.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    /// By day of receipt, oldest first; a busy day has several.
    tables: VecDeque<Table>,
    /// The latest day in any table.
    newest_day: i64,
}

#[derive(Debug)]
struct Table {
    day: i64,
    base: i64,
    keys: usize,
    /// `0` is empty; else the low half of the fingerprint above the event's distance from `base`, plus one.
    slots: Box<[u64]>,
}

impl Fingerprints {
    /// Makes room for `keys` more of the day of `at`, so that loading does not grow a table many times.
    pub(super) fn reserve(&mut self, at: Timestamp, keys: usize, base: EventNo) {
        let table = Table::new(day_of(at), base, keys.min(KEYS_MAX));
        self.place(table);
    }

    /// Adds events whose numbers follow each other from `first`.
    pub(super) fn extend(&mut self, at: Timestamp, first: EventNo, fingerprints: impl Iterator<Item = u64>) {
        let day = day_of(at);
        for (no, fingerprint) in (first.0..).zip(fingerprints) {
            let fits = |table: &Table| table.day == day && table.has_room_for(no);
            let index = match self.tables.iter().rposition(fits) {
                Some(index) => index,
                None => self.place(Table::new(day, EventNo(no), SLOTS_MIN / 2)),
            };
            self.tables[index].insert(fingerprint, no);
        }
    }

    /// The events that may have this fingerprint, in no particular order.
    pub(super) fn find(&self, fingerprint: u64) -> impl Iterator<Item = EventNo> {
        self.tables.iter().rev().flat_map(move |table| table.find(fingerprint))
    }

    /// Drops the days that no event received at `now` can be compared with.
    pub(super) fn drop_before(&mut self, oldest: Timestamp) {
        let oldest_day = day_of(oldest);
        while self.tables.front().is_some_and(|table| table.day < oldest_day) {
            self.tables.pop_front();
        }
    }

    /// The latest day that has events, as its first moment.
    pub(super) fn newest_day(&self) -> Timestamp {
        Timestamp::from_millis(self.newest_day * DAY_MS)
    }

    /// Puts a table in order of days, after those of the same day.
    fn place(&mut self, table: Table) -> usize {
        let index = self.tables.partition_point(|other| other.day <= table.day);
        self.newest_day = self.newest_day.max(table.day);
        self.tables.insert(index, table);
        index
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.tables.iter().map(|table| table.slots.len() * 8).sum()
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

impl Table {
    fn new(day: i64, base: EventNo, keys: usize) -> Self {
        let slots = (keys * 4 / 3 + 1).next_power_of_two().max(SLOTS_MIN);
        Self { day, base: base.0, keys: 0, slots: vec![0; slots].into_boxed_slice() }
    }

    fn has_room_for(&self, no: i64) -> bool {
        self.keys < KEYS_MAX && no >= self.base && no - self.base < i64::from(u32::MAX)
    }

    fn insert(&mut self, fingerprint: u64, no: i64) {
        if (self.keys + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let distance = u64::try_from(no - self.base).unwrap_or(0);
        self.set((fingerprint << 32) | (distance + 1));
        self.keys += 1;
    }

    fn find(&self, fingerprint: u64) -> impl Iterator<Item = EventNo> {
        let mask = self.slots.len() - 1;
        let start = self.home(fingerprint << 32);
        let probe = (0..self.slots.len()).map(move |step| self.slots[(start + step) & mask]);
        let tag = fingerprint & u64::from(u32::MAX);
        probe
            .take_while(|&slot| slot != 0)
            .filter(move |slot| slot >> 32 == tag)
            .map(|slot| EventNo(self.base + (slot & u64::from(u32::MAX)).cast_signed() - 1))
    }

    /// Doubles the table. A slot's home is the top of its tag, so the slots move in order and memory is walked once.
    fn grow(&mut self) {
        let doubled = vec![0; self.slots.len() * 2].into_boxed_slice();
        let old = std::mem::replace(&mut self.slots, doubled);
        for &slot in old.iter().filter(|&&slot| slot != 0) {
            self.set(slot);
        }
    }

    fn set(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(slot);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Where a slot belongs: the upper bits of its tag.
    fn home(&self, slot: u64) -> usize {
        let bits = self.slots.len().trailing_zeros();
        usize::try_from(slot >> (64 - bits)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn at_day(day: i64) -> Timestamp {
        Timestamp::from_millis(day * DAY_MS + 5)
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(batches in prop::collection::vec((0i64..9, prop::collection::vec(0u64..500, 0..40)), 0..60)) {
            let mut table = Fingerprints::default();
            let mut model: HashMap<u64, Vec<i64>> = HashMap::new();
            let mut no = 1;
            for (day, fingerprints) in batches {
                // Spread them over the whole word, so that homes and tags differ.
                let spread: Vec<u64> = fingerprints.iter().map(|f| f.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
                table.extend(at_day(day), EventNo(no), spread.iter().copied());
                for fingerprint in spread {
                    model.entry(fingerprint).or_default().push(no);
                    no += 1;
                }
            }
            for (fingerprint, expected) in model {
                let mut found: Vec<i64> = table.find(fingerprint).map(|no| no.0).collect();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            prop_assert_eq!(table.find(0x1234_5678_9ABC_DEF1).count(), 0);
        }
    }

    #[test]
    fn a_day_that_has_left_the_window_is_dropped_whole() {
        let mut table = Fingerprints::default();
        for day in 0..10 {
            table.extend(at_day(day), EventNo(day * 100 + 1), [7, 8].into_iter());
        }
        let before = table.bytes();
        table.drop_before(at_day(7));
        let mut left: Vec<i64> = table.find(7).map(|no| no.0).collect();
        left.sort_unstable();
        assert_eq!(left, [701, 801, 901]);
        assert_eq!(table.bytes(), before * 3 / 10);
        assert_eq!(table.newest_day(), Timestamp::from_millis(9 * DAY_MS));
    }

    #[test]
    fn a_clock_that_goes_back_still_finds_its_events() {
        let mut table = Fingerprints::default();
        table.extend(at_day(9), EventNo(1), [7].into_iter());
        table.extend(at_day(3), EventNo(2), [7].into_iter());
        assert_eq!(table.find(7).count(), 2);
        table.drop_before(at_day(9));
        assert_eq!(table.find(7).collect::<Vec<_>>(), [EventNo(1)]);
    }

    #[test]
    fn a_key_costs_at_most_22_bytes() {
        for keys in [10_000, 50_000, 100_000] {
            let mut table = Fingerprints::default();
            let fingerprints = (0..keys as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            table.extend(at_day(1), EventNo(1), fingerprints);
            assert!(table.bytes() <= keys * 22, "{} for {keys}", table.bytes());
        }
    }
}
