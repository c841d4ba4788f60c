//! The queue side of deliveries, in memory: what waits in each lane, and who owns what.
//!
//! The writer brings every change here after the commit that made it durable, so what is here is always true. Claims
//! take from here without touching the disk unless a window has run dry. Leases live only here: the lock on the data
//! directory says that no other process can hold one.

use std::collections::BTreeMap;
use std::ops::Bound;

use domain::delivery::{Class, Standing, State};
use domain::{DestinationId, Timestamp};
use foldhash::{HashMap, HashSet};

use super::kept::Kept;
use super::leases::Lease;
use super::numbers::{DeliveryNo, DestinationNo, EventNo};
use super::window::{Room, Waiting, Window};
use crate::Fence;

/// The order of fresh deliveries in the tail: by age.
pub(super) type TailKey = (Timestamp, DeliveryNo);

/// Before every fresh delivery of the tail.
pub(super) const TAIL_KEY_MIN: TailKey = (Timestamp::from_millis(i64::MIN), DeliveryNo(i64::MIN));

/// Most events that arrivals of one lane keep in memory.
const KEPT_PER_LANE_MAX: usize = 4_096;

/// Every lane and every lease. The maps are asked several times for each delivery, and nobody outside chooses their keys, so
/// they hash fast.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) by_id: HashMap<DestinationId, DestinationNo>,
    pub(super) by_no: HashMap<DestinationNo, Lane>,
    pub(super) leases: HashMap<Fence, Lease>,
    pub(super) fences: HashMap<DeliveryNo, Fence>,
    pub(super) last_fence: u64,
    /// Fresh deliveries of events up to here have rows in `fresh`; later ones are only in memory.
    pub(super) folded_to: EventNo,
    room: Room,
}

/// The pending deliveries of one destination.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) destination: DestinationId,
    /// All that are pending, leased ones included.
    pub(super) pending: u64,
    /// A deleted destination: nothing is claimed, what is left waits to be cancelled.
    pub(super) is_closed: bool,
    /// Fresh ones of the tail: all of them, by age.
    pub(super) tail: BTreeMap<TailKey, Waiting>,
    windows: [Window; 3],
    pub(super) leased: HashSet<Fence>,
    /// Somebody is on the way to read what the next claims will take.
    pub(super) is_ahead_asked: bool,
    /// Places given out so far: decides whose turn it is.
    pub(super) places: u64,
}

impl Lanes {
    /// Without lanes. `last_fence` must lie above every fence that was ever given out.
    pub(super) fn new(last_fence: u64, folded_to: EventNo) -> Self {
        Self {
            by_id: HashMap::default(),
            by_no: HashMap::default(),
            leases: HashMap::default(),
            fences: HashMap::default(),
            last_fence,
            folded_to,
            room: Room::default(),
        }
    }

    pub(super) fn open_lane(&mut self, destination: DestinationId, no: DestinationNo) -> &mut Lane {
        self.by_id.insert(destination, no);
        self.by_no.entry(no).or_insert_with(|| Lane::new(destination, &self.room))
    }

    /// Nothing is claimed from it any more, and whoever has something in hand does not own it any more.
    pub(super) fn close_lane(&mut self, no: DestinationNo) {
        let Some(lane) = self.by_no.get_mut(&no) else { return };
        lane.is_closed = true;
        self.by_id.remove(&lane.destination);
        for fence in lane.leased.iter().copied().collect::<Vec<_>>() {
            self.give_back(fence);
        }
    }

    pub(super) fn remove_lane(&mut self, no: DestinationNo) {
        self.by_no.remove(&no);
    }

    pub(super) fn lane(&self, no: DestinationNo) -> Option<&Lane> {
        self.by_no.get(&no)
    }

    pub(super) fn lane_mut(&mut self, no: DestinationNo) -> Option<&mut Lane> {
        self.by_no.get_mut(&no)
    }

    /// The lane of a destination that is in the catalog.
    pub(super) fn find(&self, destination: DestinationId) -> Option<DestinationNo> {
        let no = *self.by_id.get(&destination)?;
        self.by_no.get(&no).is_some_and(|lane| !lane.is_closed).then_some(no)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (DestinationNo, &Lane)> {
        self.by_no.iter().map(|(&no, lane)| (no, lane))
    }

    /// A new pending delivery.
    pub(super) fn owe(&mut self, destination: DestinationNo, mut waiting: Waiting) {
        if let Some(lane) = self.by_no.get_mut(&destination) {
            if lane.is_deep() {
                waiting.event = None;
            }
            lane.pending += 1;
            lane.wait(waiting, self.folded_to);
        }
    }

    /// The outcome of a lease.
    pub(super) fn settled(&mut self, fence: Fence, standing: &Standing) -> Option<DestinationId> {
        let lease = self.end_lease(fence)?;
        let mut waiting = lease.waiting;
        let lane = self.by_no.get_mut(&lease.destination)?;
        lane.forget(&waiting);
        if standing.state == State::Pending {
            waiting.stand(standing);
            lane.wait(waiting, self.folded_to);
        } else {
            lane.pending = lane.pending.saturating_sub(1);
        }
        Some(lane.destination)
    }

    /// A pending delivery that was changed by a person; `waiting` is what it is now. A lease stays: what a worker has in
    /// hand is being tried already.
    pub(super) fn moved(&mut self, destination: DestinationNo, was: &Standing, mut waiting: Waiting) {
        let lease = self.fences.get(&waiting.no).and_then(|fence| self.leases.get_mut(fence));
        if let Some(lease) = lease {
            lease.waiting.stand(&waiting.standing());
        } else if let Some(lane) = self.by_no.get_mut(&destination) {
            waiting.event = lane.remove(waiting.no, was).and_then(|old| old.event);
            lane.wait(waiting, self.folded_to);
        }
    }

    /// A pending delivery that was called off; whoever has it in hand does not own it any more.
    pub(super) fn ended(&mut self, destination: DestinationNo, no: DeliveryNo, was: &Standing) {
        if let Some(&fence) = self.fences.get(&no) {
            self.end_lease(fence);
        }
        if let Some(lane) = self.by_no.get_mut(&destination) {
            lane.remove(no, was);
            lane.pending = lane.pending.saturating_sub(1);
        }
    }

    /// Ends a read of what lies behind a window.
    pub(super) fn end_read(
        &mut self,
        destination: DestinationNo,
        class: Class,
        rows: Vec<Waiting>,
        next_due: Option<Timestamp>,
    ) {
        let fences = &self.fences;
        if let Some(lane) = self.by_no.get_mut(&destination) {
            lane.window(class).end_read(rows, next_due, |no| fences.contains_key(&no));
        }
    }

    /// The fold has come to `folded_to`: what waits up to there has its row on disk and need not stay in memory.
    pub(super) fn folded(&mut self, folded_to: EventNo) {
        self.folded_to = folded_to;
        for lane in self.by_no.values_mut() {
            for (key, waiting) in std::mem::take(&mut lane.tail) {
                if waiting.no.event() <= folded_to {
                    lane.windows[Class::Fresh as usize].put(waiting);
                } else {
                    lane.tail.insert(key, waiting);
                }
            }
        }
    }

    /// The next fresh deliveries of the tail that are pending, for a fold: up to `limit` that wait, after `after`, and
    /// all that are leased, of events up to `up_to`. Returns the last one that waits, if there may be more.
    ///
    /// The leased ones come with every piece: one that is claimed before the walk comes to it, and released behind it,
    /// is met in between.
    pub(super) fn fresh_of_tail(
        &self,
        destination: DestinationNo,
        after: TailKey,
        up_to: EventNo,
        limit: usize,
    ) -> (Vec<DeliveryNo>, Option<TailKey>) {
        let Some(lane) = self.by_no.get(&destination) else { return (Vec::new(), None) };
        let is_meant = |no: DeliveryNo| no.event() <= up_to && no.event() > self.folded_to;
        let leased = lane.leased.iter().filter_map(|fence| self.leases.get(fence)).map(|lease| &lease.waiting);
        let leased = leased.filter(|waiting| waiting.class == Class::Fresh).map(|waiting| waiting.no);
        let mut nos: Vec<DeliveryNo> = leased.filter(|&no| is_meant(no)).collect();
        let all = nos.len() + limit;
        let waiting = lane.tail.range((Bound::Excluded(after), Bound::Unbounded)).map(|(&key, _)| key);
        let mut last = None;
        for key in waiting.filter(|&(_, no)| is_meant(no)) {
            nos.push(key.1);
            if nos.len() == all {
                last = Some(key);
                break;
            }
        }
        (nos, last)
    }
}

impl Lane {
    fn new(destination: DestinationId, room: &Room) -> Self {
        Self {
            destination,
            pending: 0,
            is_closed: false,
            tail: BTreeMap::new(),
            windows: std::array::from_fn(|_| Window::new(room.clone())),
            leased: HashSet::default(),
            is_ahead_asked: false,
            places: 0,
        }
    }

    pub(super) fn window(&mut self, class: Class) -> &mut Window {
        &mut self.windows[class as usize]
    }

    /// The due ones of a class, first things first.
    pub(super) fn due(&self, class: Class, now: Timestamp) -> impl Iterator<Item = &Waiting> {
        let tail = (class == Class::Fresh).then_some(&self.tail);
        let tail =
            tail.into_iter().flat_map(move |tail| tail.values().take_while(move |waiting| waiting.due_at <= now));
        // Folded ones are older than those of the tail.
        self.windows[class as usize].due(now).chain(tail)
    }

    /// The due ones of a class that are not in the tail.
    pub(super) fn due_of_window(&self, class: Class, now: Timestamp) -> impl Iterator<Item = &Waiting> {
        self.windows[class as usize].due(now)
    }

    /// Whether more of a class is due than memory knows.
    pub(super) fn has_due_beyond(&self, class: Class, now: Timestamp) -> bool {
        self.windows[class as usize].has_due_beyond(now)
    }

    pub(super) fn is_being_read(&self, class: Class) -> bool {
        self.windows[class as usize].is_being_read()
    }

    /// Whether what arrives now will wait so long that its event need not stay in memory.
    fn is_deep(&self) -> bool {
        self.tail.len() >= KEPT_PER_LANE_MAX || self.windows[Class::Fresh as usize].has_beyond()
    }

    /// Puts an event that was read ahead beside the delivery that waits for it, if that still waits.
    pub(super) fn give_event(&mut self, no: DeliveryNo, standing: &Standing, kept: Kept) {
        let of_tail = self.tail.get_mut(&(standing.due_at, no)).filter(|_| standing.class == Class::Fresh);
        let key = super::window::key_of(standing.class, standing.due_at, no);
        let window = &mut self.windows[standing.class as usize];
        if let Some(waiting) = of_tail.or_else(|| window.get_mut(key)) {
            waiting.event.get_or_insert(kept);
        }
    }

    /// When the next one that nobody has in hand is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let tail = self.tail.first_key_value().map(|(&(due_at, _), _)| due_at);
        let windows = self.windows.iter().filter_map(Window::next_due);
        tail.into_iter().chain(windows).min()
    }

    /// Puts a pending delivery where it belongs.
    pub(super) fn wait(&mut self, waiting: Waiting, folded_to: EventNo) {
        if waiting.class == Class::Fresh && waiting.no.event() > folded_to {
            self.tail.insert((waiting.due_at, waiting.no), waiting);
        } else {
            self.windows[waiting.class as usize].put(waiting);
        }
    }

    /// Takes out one that somebody claims.
    pub(super) fn take(&mut self, no: DeliveryNo, standing: &Standing) -> Option<Waiting> {
        if standing.class == Class::Fresh
            && let Some(waiting) = self.tail.remove(&(standing.due_at, no))
        {
            return Some(waiting);
        }
        self.windows[standing.class as usize].take(super::window::key_of(standing.class, standing.due_at, no))
    }

    /// Removes one that changes, and says so to a read that is under way.
    fn remove(&mut self, no: DeliveryNo, standing: &Standing) -> Option<Waiting> {
        if standing.class == Class::Fresh
            && let Some(waiting) = self.tail.remove(&(standing.due_at, no))
        {
            return Some(waiting);
        }
        self.windows[standing.class as usize].remove(no, standing.due_at, standing.class)
    }

    /// The same for one that was leased and thus is not here, but may be in what is being read.
    fn forget(&mut self, waiting: &Waiting) {
        self.windows[waiting.class as usize].remove(waiting.no, waiting.due_at, waiting.class);
    }
}
