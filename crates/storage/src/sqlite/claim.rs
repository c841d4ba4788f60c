//! Claims: taking due deliveries in fair shares, from memory where it can be, else from disk.

use std::sync::Arc;

use domain::delivery::{Class, Standing};
use domain::{DeliveryId, DestinationId, Event, ReplayId, Timestamp};
use rusqlite::Connection;

use super::failure;
use super::lanes::{Lane, Lanes};
use super::numbers::{DeliveryNo, DestinationNo};
use super::refill;
use super::rows;
use super::shared::Shared;
use super::window::Waiting;
use crate::shares::{CLASSES, share_out};
use crate::{Claimed, Fence, Owned, Result};

/// How often a claim reads ahead before it makes do with what there is; the next claim finds the rest.
const ROUNDS_MAX: usize = 4;

/// Fewer due rows than this in memory, and more on disk: time to read ahead.
const LOW_ROWS: usize = 128;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) destination: DestinationId,
    pub(super) now: Timestamp,
    pub(super) limit: usize,
    pub(super) lease_until: Timestamp,
}

/// A delivery in hand, its event perhaps still to be read.
#[derive(Debug)]
struct Taken {
    no: DeliveryNo,
    id: DeliveryId,
    fence: Fence,
    standing: Standing,
    created_at: Timestamp,
    replay: Option<ReplayId>,
    event: Option<Arc<Event>>,
}

/// A claim on its way to a caller who may be gone: dropped on the way, it gives everything back.
#[derive(Debug)]
pub(super) struct Handover {
    shared: Arc<Shared>,
    claimed: Claimed,
}

/// Claims from memory alone, and says what it would be well to read ahead; `None` if the disk has to be asked.
pub(super) fn from_memory(shared: &Arc<Shared>, claim: &Claim) -> Option<(Claimed, Option<Ahead>)> {
    let mut lanes = shared.lanes();
    let Some(destination) = lanes.find(claim.destination) else { return Some((Claimed::default(), None)) };
    let lane = lanes.lane(destination)?;
    if CLASSES.into_iter().any(|class| needs_read(lane, class, claim)) {
        return None;
    }
    let chosen = choose(lane, claim.now, claim.limit);
    if chosen.iter().any(|chosen| !chosen.has_event) {
        return None;
    }
    let (taken, next_due) = take(&mut lanes, destination, &chosen, claim);
    let ahead =
        lanes.lane_mut(destination).filter(|lane| !lane.is_ahead_asked && wants_more(lane, claim)).map(|lane| {
            lane.is_ahead_asked = true;
            Ahead { shared: shared.clone(), destination, claim: *claim }
        });
    let work = taken.into_iter().filter_map(|taken| taken.into_owned(claim.destination, None)).collect();
    Some((Claimed { work, next_due }, ahead))
}

/// What the next claims of a lane will take, to be read before they come. It is asked for once at a time.
#[derive(Debug)]
pub(super) struct Ahead {
    shared: Arc<Shared>,
    destination: DestinationNo,
    claim: Claim,
}

impl Ahead {
    pub(super) fn read(self, conn: &Connection) -> Result<()> {
        for class in CLASSES {
            let is_low =
                self.shared.lanes().lane(self.destination).is_some_and(|lane| is_low(lane, class, &self.claim));
            if is_low {
                refill::refill(conn, &self.shared, self.destination, class)?;
            }
        }
        self.read_events(conn)
    }

    /// Rows of the tail may have come when there was no room for their events.
    fn read_events(&self, conn: &Connection) -> Result<()> {
        let missing: Vec<Chosen> = match self.shared.lanes().lane(self.destination) {
            Some(lane) => CLASSES.into_iter().flat_map(|class| without_event(lane, class, &self.claim)).collect(),
            None => Vec::new(),
        };
        for chosen in missing {
            let event = rows::event(conn, chosen.no.event()).map_err(|error| failure::unreadable(&error))?;
            let Some(kept) = event.and_then(|event| self.shared.budget_ahead.keep(&event)) else { return Ok(()) };
            if let Some(lane) = self.shared.lanes().lane_mut(self.destination) {
                lane.give_event(chosen.no, &chosen.standing, kept);
            }
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(lane) = self.shared.lanes().lane_mut(self.destination) {
            lane.is_ahead_asked = false;
        }
    }
}

fn wants_more(lane: &Lane, claim: &Claim) -> bool {
    let soon = |class| lane.due(class, claim.now).take(LOW_ROWS);
    CLASSES.into_iter().any(|class| is_low(lane, class, claim) || soon(class).any(|waiting| waiting.event.is_none()))
}

/// The next ones of a class whose event is not in memory.
fn without_event(lane: &Lane, class: Class, claim: &Claim) -> Vec<Chosen> {
    let soon = lane.due(class, claim.now).take(2 * LOW_ROWS).filter(|waiting| waiting.event.is_none());
    soon.map(Chosen::of).collect()
}

/// Claims, reading what memory does not have. Runs on a blocking thread.
pub(super) fn from_disk(conn: &Connection, shared: Arc<Shared>, claim: &Claim) -> Result<Handover> {
    let Some(destination) = shared.lanes().find(claim.destination) else {
        return Ok(Handover { shared, claimed: Claimed::default() });
    };
    // A fold that ends meanwhile can move what was about to be taken behind the window, so it is looked at again.
    for _ in 0..ROUNDS_MAX {
        if !read_ahead(conn, &shared, destination, claim)? {
            break;
        }
    }
    let (taken, next_due) = {
        let mut lanes = shared.lanes();
        let chosen = lanes.lane(destination).map(|lane| choose(lane, claim.now, claim.limit)).unwrap_or_default();
        take(&mut lanes, destination, &chosen, claim)
    };
    let leases: Vec<_> = taken.iter().map(|taken| (taken.id, taken.fence)).collect();
    match taken.into_iter().map(|taken| read_event(conn, taken, claim.destination)).collect::<Result<Vec<Owned>>>() {
        Ok(work) => Ok(Handover { shared, claimed: Claimed { work, next_due } }),
        Err(error) => {
            release(&shared, leases);
            Err(error)
        }
    }
}

/// Reads until every class has what might be taken, or has no more; returns whether anything was read.
fn read_ahead(conn: &Connection, shared: &Shared, destination: DestinationNo, claim: &Claim) -> Result<bool> {
    let mut has_read = false;
    for class in CLASSES {
        let is_short = || shared.lanes().lane(destination).is_some_and(|lane| needs_read(lane, class, claim));
        while is_short() && refill::refill(conn, shared, destination, class)? {
            has_read = true;
        }
    }
    Ok(has_read)
}

/// Gives back deliveries that were not tried.
pub(super) fn release(shared: &Shared, leases: impl IntoIterator<Item = (DeliveryId, Fence)>) {
    let mut lanes = shared.lanes();
    let freed: Vec<_> = leases.into_iter().filter_map(|(id, fence)| lanes.release(id, fence)).collect();
    drop(lanes);
    shared.signal.mark(freed);
}

impl Handover {
    pub(super) fn take(mut self) -> Claimed {
        std::mem::take(&mut self.claimed)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let work = std::mem::take(&mut self.claimed.work);
        if !work.is_empty() {
            release(&self.shared, work.iter().map(|owned| (owned.id, owned.fence)));
        }
    }
}

/// Whether a class has fewer due ones in memory than might be taken, and more on disk.
fn needs_read(lane: &Lane, class: Class, claim: &Claim) -> bool {
    lane.has_due_beyond(class, claim.now)
        && lane.due_of_window(class, claim.now).take(claim.limit).count() < claim.limit
}

/// Whether a class will soon have fewer in memory than are due, and nobody is about to read them.
fn is_low(lane: &Lane, class: Class, claim: &Claim) -> bool {
    lane.has_due_beyond(class, claim.now)
        && !lane.is_being_read(class)
        && lane.due_of_window(class, claim.now).nth(LOW_ROWS).is_none()
}

/// What a claim takes.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    no: DeliveryNo,
    standing: Standing,
    has_event: bool,
}

impl Chosen {
    fn of(waiting: &Waiting) -> Self {
        Self { no: waiting.no, standing: waiting.standing(), has_event: waiting.event.is_some() }
    }
}

/// Up to `limit` due deliveries, place by place, each to the class whose turn it is.
fn choose(lane: &Lane, now: Timestamp, limit: usize) -> Vec<Chosen> {
    let due = CLASSES.map(|class| lane.due(class, now).take(limit).map(Chosen::of).collect());
    let mut chosen = share_out(lane.places, limit, due);
    chosen.sort_by_key(|chosen| chosen.standing.class);
    chosen
}

fn take(
    lanes: &mut Lanes,
    destination: DestinationNo,
    chosen: &[Chosen],
    claim: &Claim,
) -> (Vec<Taken>, Option<Timestamp>) {
    let mut taken = Vec::with_capacity(chosen.len());
    for Chosen { no, standing, .. } in chosen {
        let Some(lane) = lanes.lane_mut(destination) else { break };
        let Some(mut waiting) = lane.take(*no, standing) else { continue };
        let event = waiting.event.take().map(|kept| kept.event().clone());
        let (no, event_id, standing) = (waiting.no, waiting.event_id, waiting.standing());
        let (created_at, replay) = (waiting.created_at, waiting.replay.as_deref().copied());
        let id = DeliveryId { event: event_id, ordinal: no.ordinal() };
        let fence = lanes.lease(destination, waiting, claim.lease_until);
        taken.push(Taken { no, id, fence, standing, created_at, replay, event });
    }
    let Some(lane) = lanes.lane_mut(destination) else { return (taken, None) };
    lane.places += chosen.len() as u64;
    (taken, lane.next_due())
}

impl Taken {
    fn into_owned(self, destination: DestinationId, read: Option<Arc<Event>>) -> Option<Owned> {
        let Self { id, fence, standing, created_at, replay, event, .. } = self;
        Some(Owned { id, destination, fence, event: event.or(read)?, standing, created_at, replay })
    }
}

fn read_event(conn: &Connection, taken: Taken, destination: DestinationId) -> Result<Owned> {
    let read = match taken.event {
        Some(_) => None,
        None => rows::event(conn, taken.no.event()).map_err(|error| failure::unreadable(&error))?,
    };
    let id = taken.id;
    taken.into_owned(destination, read).ok_or_else(|| failure::failed(&format!("the event of `{id}` is missing")))
}
