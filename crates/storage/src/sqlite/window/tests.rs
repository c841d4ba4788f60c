//! A window against a plain list, whatever happens to it while it is read.

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
