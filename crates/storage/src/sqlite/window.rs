//! A window onto the pending deliveries of one class of a lane: the first ones in memory, the rest on disk.
//!
//! However long a backlog is, memory holds at most [`ROWS_MAX`] of it, and a claim touches only what it takes. The rows
//! behind the window are read in when it runs dry. A read happens beside the writer, so its snapshot may be older than
//! what the window has learnt meanwhile: while a read is under way, every change is also noted, and what was noted wins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domain::delivery::{Class, Standing, State};
use domain::{EventId, ReplayId, Timestamp};

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
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// One thing that happens to a lane of retries.
    #[derive(Debug, Clone)]
    enum Step {
        /// A delivery of this number waits from now on until this time.
        Put(i64, i64),
        End(usize),
        Claim(usize),
        Release(usize),
        /// A claimed one failed and waits until this time.
        Fail(usize, i64),
        BeginRead,
        /// What the read saw was on disk this many changes ago, but not before it began.
        EndRead(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0i64..5_000, 0i64..300).prop_map(|(no, due)| Step::Put(no, due)),
            2 => any::<usize>().prop_map(Step::End),
            5 => (1usize..60).prop_map(Step::Claim),
            2 => any::<usize>().prop_map(Step::Release),
            3 => (any::<usize>(), 0i64..300).prop_map(|(n, due)| Step::Fail(n, due)),
            3 => Just(Step::BeginRead),
            3 => any::<usize>().prop_map(Step::EndRead),
        ]
    }

    /// A window, the disk behind it, and everything the disk was since a read began.
    struct Lane {
        window: Window,
        disk: BTreeSet<Key>,
        leased: Vec<Key>,
        read: Option<(Key, Vec<BTreeSet<Key>>)>,
    }

    impl Lane {
        fn new() -> Self {
            Self { window: Window::new(Room::default()), disk: BTreeSet::new(), leased: Vec::new(), read: None }
        }

        fn changed(&mut self) {
            if let Some((_, disks)) = &mut self.read {
                disks.push(self.disk.clone());
            }
        }

        fn take(&mut self, step: &Step) {
            match *step {
                Step::Put(no, due) => {
                    if self.disk.iter().all(|key| key.1.0 != no) {
                        self.disk.insert((due, DeliveryNo(no)));
                        // On disk first, in memory after the commit: a read may see the one without the other.
                        self.changed();
                        self.window.put(row(due, no));
                    }
                }
                Step::End(n) => {
                    let free: Vec<Key> = self.disk.iter().copied().filter(|key| !self.leased.contains(key)).collect();
                    if let Some(&(due, no)) = free.get(n % free.len().max(1)) {
                        self.disk.remove(&(due, no));
                        self.changed();
                        self.window.remove(no, Timestamp::from_millis(due), Class::Retry);
                    }
                }
                Step::Claim(count) => {
                    let keys: Vec<Key> = self.window.rows.keys().copied().take(count).collect();
                    for key in keys {
                        self.window.take(key).expect("a row");
                        self.leased.push(key);
                    }
                }
                Step::Release(_) | Step::Fail(..) if self.leased.is_empty() => {}
                Step::Release(n) => {
                    let (due, no) = self.leased.swap_remove(n % self.leased.len());
                    self.window.put(row(due, no.0));
                }
                Step::Fail(n, later) => {
                    let (due, no) = self.leased.swap_remove(n % self.leased.len());
                    self.disk.remove(&(due, no));
                    self.disk.insert((later, no));
                    self.changed();
                    self.window.remove(no, Timestamp::from_millis(due), Class::Retry);
                    self.window.put(row(later, no.0));
                }
                Step::BeginRead => {
                    if let Some(after) = self.window.begin_read() {
                        self.read = Some((after, vec![self.disk.clone()]));
                    }
                }
                Step::EndRead(ago) => self.end_read(ago),
            }
        }

        fn end_read(&mut self, ago: usize) {
            let Some((after, disks)) = self.read.take() else { return };
            let seen = &disks[ago % disks.len()];
            let mut behind = seen.iter().copied().filter(|key| *key > after);
            let rows: Vec<Waiting> = behind.by_ref().take(20).map(|(due, no)| row(due, no.0)).collect();
            let next = behind.next().map(|(due, _)| Timestamp::from_millis(due));
            let leased: BTreeSet<DeliveryNo> = self.leased.iter().map(|key| key.1).collect();
            self.window.end_read(rows, next, |no| leased.contains(&no));
        }

        /// Claims everything, as a worker would, and returns it.
        fn drain(&mut self) -> Vec<Key> {
            self.end_read(0);
            let mut all = Vec::new();
            loop {
                let rows: Vec<Key> = self.window.rows.keys().copied().collect();
                for key in rows {
                    self.window.take(key);
                    self.leased.push(key);
                    all.push(key);
                }
                self.take(&Step::BeginRead);
                if self.read.is_none() {
                    return all;
                }
                self.end_read(0);
            }
        }
    }

    fn row(due: i64, no: i64) -> Waiting {
        Waiting {
            no: DeliveryNo(no),
            event_id: EventId::from_bytes([0; 16]),
            due_at: Timestamp::from_millis(due),
            created_at: Timestamp::from_millis(0),
            attempts: 1,
            spent: 1,
            class: Class::Retry,
            replay: None,
            event: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn whatever_waits_is_found_once_and_in_order(steps in prop::collection::vec(step(), 0..1_000)) {
            let mut lane = Lane::new();
            for step in &steps {
                lane.take(step);
                let first = lane.disk.iter().find(|key| !lane.leased.contains(key));
                let first = first.map(|key| Timestamp::from_millis(key.0));
                let known = lane.window.next_due();
                prop_assert!(known.is_some() || first.is_none(), "what waits is forgotten");
                prop_assert!(first.is_none() || lane.read.is_some() || known <= first, "it would come too late");
            }
            let waiting: Vec<Key> = lane.disk.iter().copied().filter(|key| !lane.leased.contains(key)).collect();
            prop_assert_eq!(lane.drain(), waiting);
        }
    }

    #[test]
    fn a_window_lets_go_of_what_is_too_much() {
        let room = Room::default();
        let mut window = Window::new(room.clone());
        for no in 0..10_000 {
            window.put(row(no, no));
        }
        assert_eq!(window.rows.len(), ROWS_MAX);
        assert!(window.has_due_beyond(Timestamp::from_millis(600)));
        let mut others: Vec<Window> = (0..1_000).map(|_| Window::new(room.clone())).collect();
        for window in &mut others {
            (0..1_000).for_each(|no| window.put(row(no, no)));
        }
        assert!(room.0.load(Relaxed) <= ALL_ROWS_MAX + 1_000 * ROWS_MAX_WHEN_SCARCE);
        drop((window, others));
        assert_eq!(room.0.load(Relaxed), 0);
    }
}
