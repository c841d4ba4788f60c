//! A window onto the pending deliveries of one class of a lane: the first ones in memory, the rest on disk.
//!
//! However long a backlog is, memory holds at most [`ROWS_MAX`] of it, and a claim touches only what it takes. The rows
//! behind the window are read in when it runs dry. A read happens beside the writer, so its snapshot may be older than
//! what the window has learnt meanwhile: while a read is under way, every change is also noted, and what was noted wins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domain::delivery::{Class, Standing, State};
use domain::{EventId, ReplayId, Timestamp};
use foldhash::HashMap;

use super::kept::Kept;
use super::numbers::DeliveryNo;

/// Most rows of one window.
pub(super) const ROWS_MAX: usize = 512;
/// Most rows of one window while all of them together hold more than [`ALL_ROWS_MAX`].
const ROWS_MAX_WHEN_SCARCE: usize = 16;
/// Rows of all windows beyond which each of them must make do with few: ten thousand lanes may have a backlog at once.
const ALL_ROWS_MAX: usize = 65_536;
/// How many rows one read brings in.
const REFILL_ROWS: usize = 256;
/// How many rows leave for one that comes, while there are too many.
const EVICTED_PER_PUT: usize = 2;

/// A pending delivery that nobody has in hand.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) no: DeliveryNo,
    pub(super) event_id: EventId,
    pub(super) due_at: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) spent: u32,
    pub(super) class: Class,
    /// Boxed, because few have one and many wait.
    pub(super) replay: Option<Box<ReplayId>>,
    /// So that the healthy path reads nothing back; `None` once the budget is spent.
    pub(super) event: Option<Kept>,
}

impl Waiting {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            state: State::Pending,
            class: self.class,
            attempts: self.attempts,
            spent: self.spent,
            due_at: self.due_at,
            reason: None,
        }
    }

    /// The same without the event.
    pub(super) fn bare(&self) -> Self {
        Self { replay: self.replay.clone(), event: None, ..*self }
    }

    pub(super) fn stand(&mut self, standing: &Standing) {
        self.class = standing.class;
        self.attempts = standing.attempts;
        self.spent = standing.spent;
        self.due_at = standing.due_at;
    }
}

/// The order within a class. Folded fresh ones lie on disk in the order of the log, so theirs has no time.
pub(super) type Key = (i64, DeliveryNo);

pub(super) fn key_of(class: Class, due_at: Timestamp, no: DeliveryNo) -> Key {
    match class {
        Class::Fresh => (0, no),
        Class::Retry | Class::Replay => (due_at.as_millis(), no),
    }
}

/// The first key of all.
pub(super) const KEY_MIN: Key = (i64::MIN, DeliveryNo(i64::MIN));

/// How many rows all windows of a store hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

impl Room {
    fn is_scarce(&self) -> bool {
        self.0.load(Relaxed) > ALL_ROWS_MAX
    }
}

/// The waiting deliveries of one class.
#[derive(Debug)]
pub(super) struct Window {
    rows: BTreeMap<Key, Waiting>,
    room: Room,
    beyond: Option<Beyond>,
    /// What changed since a read began, by delivery: where it waits now, or `None` if it does not wait any more.
    noted: Option<HashMap<DeliveryNo, Option<Waiting>>>,
}

/// What is on disk only.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    /// Everything up to here is in memory, or leased.
    bound: Key,
    /// The earliest due time behind the bound. It may be too early, never too late.
    due_at: Timestamp,
}

impl Window {
    /// An empty window with nothing behind it.
    pub(super) fn new(room: Room) -> Self {
        Self { rows: BTreeMap::new(), room, beyond: None, noted: None }
    }

    /// There are rows on disk, of which nothing has been read yet.
    pub(super) fn set_unread(&mut self, due_at: Timestamp) {
        self.beyond = Some(Beyond { bound: KEY_MIN, due_at });
    }

    /// Adds a delivery that waits. Its row is on disk already.
    pub(super) fn put(&mut self, waiting: Waiting) {
        let key = key_of(waiting.class, waiting.due_at, waiting.no);
        if let Some(noted) = &mut self.noted {
            noted.insert(waiting.no, Some(waiting.bare()));
        }
        if let Some(beyond) = &mut self.beyond
            && key > beyond.bound
        {
            beyond.due_at = beyond.due_at.min(waiting.due_at);
            return;
        }
        self.keep(key, waiting);
        self.shrink();
    }

    /// Removes a delivery, whether its row is in memory or not.
    pub(super) fn remove(&mut self, no: DeliveryNo, due_at: Timestamp, class: Class) -> Option<Waiting> {
        if let Some(noted) = &mut self.noted {
            noted.insert(no, None);
        }
        self.take(key_of(class, due_at, no))
    }

    /// Takes out a delivery that somebody claims. Its row stays on disk.
    pub(super) fn take(&mut self, key: Key) -> Option<Waiting> {
        let taken = self.rows.remove(&key);
        self.room.0.fetch_sub(usize::from(taken.is_some()), Relaxed);
        taken
    }

    /// The due ones, first things first.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = &Waiting> {
        // Fresh ones are not in the order of time: their keys begin with 0.
        let rows = self.rows.iter().take_while(move |((time, _), waiting)| *time == 0 || waiting.due_at <= now);
        rows.map(|(_, waiting)| waiting).filter(move |waiting| waiting.due_at <= now)
    }

    /// Whether a read could bring in more that is due.
    pub(super) fn has_due_beyond(&self, now: Timestamp) -> bool {
        self.beyond.is_some_and(|beyond| beyond.due_at <= now)
    }

    pub(super) fn has_beyond(&self) -> bool {
        self.beyond.is_some()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Waiting> {
        self.rows.get_mut(&key)
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let first = match self.rows.first_key_value() {
            Some(((0, _), _)) => self.rows.values().map(|waiting| waiting.due_at).min(),
            other => other.map(|(_, waiting)| waiting.due_at),
        };
        let beyond = self.beyond.map(|beyond| beyond.due_at);
        first.into_iter().chain(beyond).min()
    }

    /// How many rows the next read should bring in.
    pub(super) fn rows_to_read(&self) -> usize {
        if self.room.is_scarce() { ROWS_MAX_WHEN_SCARCE } else { REFILL_ROWS }
    }

    pub(super) fn is_being_read(&self) -> bool {
        self.noted.is_some()
    }

    /// Begins a read of what follows the returned key, unless one is under way or there is nothing.
    pub(super) fn begin_read(&mut self) -> Option<Key> {
        let beyond = self.beyond.filter(|_| !self.is_being_read())?;
        self.noted = Some(HashMap::default());
        Some(beyond.bound)
    }

    /// Ends a read: `rows` follow the bound in order, and `next_due` is the first after them that was not read, if any.
    pub(super) fn end_read(
        &mut self,
        rows: Vec<Waiting>,
        next_due: Option<Timestamp>,
        is_leased: impl Fn(DeliveryNo) -> bool,
    ) {
        let noted = self.noted.take().unwrap_or_default();
        let last = rows.last().map(|row| key_of(row.class, row.due_at, row.no));
        self.beyond = match (next_due, self.beyond) {
            (Some(due_at), Some(old)) => Some(Beyond { bound: last.unwrap_or(old.bound), due_at }),
            _ => None,
        };
        let known = rows.into_iter().filter(|row| !noted.contains_key(&row.no) && !is_leased(row.no));
        let known: Vec<Waiting> = known.collect();
        for waiting in known {
            self.keep(key_of(waiting.class, waiting.due_at, waiting.no), waiting);
        }
        for waiting in noted.into_values().flatten().filter(|waiting| !is_leased(waiting.no)) {
            self.put(waiting);
        }
    }

    /// Ends a read that failed.
    pub(super) fn abandon_read(&mut self) {
        self.noted = None;
    }

    fn keep(&mut self, key: Key, waiting: Waiting) {
        let before = self.rows.insert(key, waiting);
        self.room.0.fetch_add(usize::from(before.is_none()), Relaxed);
    }

    /// Lets go of the last rows if there are too many, a few at a time: a claim may just have read them. Not during a
    /// read: the bound must not move under it.
    fn shrink(&mut self) {
        for _ in 0..EVICTED_PER_PUT {
            let rows_max = if self.room.is_scarce() { ROWS_MAX_WHEN_SCARCE } else { ROWS_MAX };
            if self.rows.len() <= rows_max || self.noted.is_some() {
                return;
            }
            let Some((_, evicted)) = self.rows.pop_last() else { return };
            self.room.0.fetch_sub(1, Relaxed);
            let bound = self.rows.last_key_value().map_or(KEY_MIN, |(&key, _)| key);
            let due_at = self.beyond.map_or(evicted.due_at, |beyond| beyond.due_at.min(evicted.due_at));
            self.beyond = Some(Beyond { bound, due_at });
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.rows.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests;
