//! A window onto the pending deliveries of one class of a lane: the first ones in memory, the rest on disk.
//!
//! However long a backlog is, memory holds at most [`ROWS_MAX`] of it, and a claim touches only what it takes. The rows
//! behind the window are read in when it runs dry. A read happens beside the writer, so its snapshot may be older than
//! what the window has learnt meanwhile: while a read is under way, every change is also noted, and what was noted wins.

use std::collections::{BTreeMap, HashMap};

use domain::delivery::{Class, Standing, State};
use domain::{EventId, ReplayId, Timestamp};

use super::kept::Kept;
use super::numbers::DeliveryNo;

/// Most rows of one window.
pub(super) const ROWS_MAX: usize = 512;
/// How many rows one read brings in.
pub(super) const REFILL_ROWS: usize = 256;
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

/// The waiting deliveries of one class.
#[derive(Debug, Default)]
pub(super) struct Window {
    rows: BTreeMap<Key, Waiting>,
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
    /// A window of which nothing has been read yet.
    pub(super) fn unread(due_at: Timestamp) -> Self {
        Self { beyond: Some(Beyond { bound: KEY_MIN, due_at }), ..Self::default() }
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
        self.rows.insert(key, waiting);
        self.shrink();
    }

    /// Removes a delivery, whether its row is in memory or not.
    pub(super) fn remove(&mut self, no: DeliveryNo, due_at: Timestamp, class: Class) -> Option<Waiting> {
        if let Some(noted) = &mut self.noted {
            noted.insert(no, None);
        }
        self.rows.remove(&key_of(class, due_at, no))
    }

    /// Takes out a delivery that somebody claims. Its row stays on disk.
    pub(super) fn take(&mut self, key: Key) -> Option<Waiting> {
        self.rows.remove(&key)
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

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let first = match self.rows.first_key_value() {
            Some(((0, _), _)) => self.rows.values().map(|waiting| waiting.due_at).min(),
            other => other.map(|(_, waiting)| waiting.due_at),
        };
        let beyond = self.beyond.map(|beyond| beyond.due_at);
        first.into_iter().chain(beyond).min()
    }

    /// Begins a read of what follows the returned key, unless one is under way or there is nothing.
    pub(super) fn begin_read(&mut self) -> Option<Key> {
        let beyond = self.beyond?;
        if self.noted.is_some() {
            return None;
        }
        self.noted = Some(HashMap::new());
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
            self.rows.insert(key_of(waiting.class, waiting.due_at, waiting.no), waiting);
        }
        for waiting in noted.into_values().flatten().filter(|waiting| !is_leased(waiting.no)) {
            self.put(waiting);
        }
    }

    /// Ends a read that failed.
    pub(super) fn abandon_read(&mut self) {
        self.noted = None;
    }

    /// Lets go of the last rows if there are too many, a few at a time: a claim may just have read them. Not during a
    /// read: the bound must not move under it.
    fn shrink(&mut self) {
        for _ in 0..EVICTED_PER_PUT {
            if self.rows.len() <= ROWS_MAX || self.noted.is_some() {
                return;
            }
            let Some((_, evicted)) = self.rows.pop_last() else { return };
            let bound = self.rows.last_key_value().map_or(KEY_MIN, |(&key, _)| key);
            let due_at = self.beyond.map_or(evicted.due_at, |beyond| beyond.due_at.min(evicted.due_at));
            self.beyond = Some(Beyond { bound, due_at });
        }
    }
}
