//! One open transaction: what it has written, and what must become true in memory once it is committed.
//!
//! Work inside a transaction never touches the shared memory directly. It leaves [`Change`]s, which are applied after the
//! commit and forgotten after a rollback. Only three things are done at once and undone by a rollback: leases are marked
//! as ending, lanes as closed, and names are interned.

use std::sync::Arc;

use domain::delivery::Standing;
use domain::{DestinationId, Timestamp};
use rusqlite::{CachedStatement, Connection, Params, params};

use super::dedupe::Dedupe;
use super::fold::{FoldStep, FoldWork};
use super::lanes::Lanes;
use super::names::Names;
use super::numbers::{DeliveryNo, DestinationNo, EventNo, FoldNo};
use super::shared::Shared;
use super::tail::{Fold, Tail, TailEvent};
use super::window::Waiting;
use crate::Fence;

/// What becomes true with a commit.
#[derive(Debug)]
pub(super) enum Change {
    /// An event was stored.
    Logged(TailEvent),
    /// A delivery was made.
    Listed {
        no: DeliveryNo,
        destination: DestinationNo,
    },
    /// A pending delivery was made, or a dead one is pending again.
    Owed {
        destination: DestinationNo,
        waiting: Waiting,
    },
    /// An attempt ended.
    Settled {
        fence: Fence,
        standing: Standing,
    },
    /// A person made a pending delivery due.
    Moved {
        destination: DestinationNo,
        was: Standing,
        waiting: Waiting,
    },
    /// A pending delivery was called off.
    Ended {
        destination: DestinationNo,
        no: DeliveryNo,
        was: Standing,
    },
    LaneOpened {
        destination: DestinationId,
        no: DestinationNo,
    },
    LaneClosed {
        no: DestinationNo,
    },
    LaneRemoved {
        no: DestinationNo,
    },
    Folded(Fold),
    FoldRemoved(FoldNo),
}

/// What the writer knows beside the database.
#[derive(Debug)]
pub(super) struct WriterState {
    pub(super) names: Names,
    pub(super) dedupe: Dedupe,
    pub(super) shared: Arc<Shared>,
    /// The fold that is under way.
    pub(super) fold: Option<FoldWork>,
    last_event_no: EventNo,
    /// The last event before the open transaction.
    committed_event_no: EventNo,
    changes: Vec<Change>,
    /// Leases that the open transaction ends.
    ending: Vec<Fence>,
    /// Lanes that the open transaction closes.
    closing: Vec<DestinationNo>,
    /// The fold's part of the open transaction.
    fold_step: Option<FoldStep>,
}

/// The open transaction.
pub(super) struct Tx<'w> {
    pub(super) conn: &'w Connection,
    pub(super) state: &'w mut WriterState,
    /// The statements of every event and of nearly every outcome, looked up once per transaction and not each time.
    insert_event: Option<CachedStatement<'w>>,
    insert_fresh: Option<CachedStatement<'w>>,
    arrive: Option<CachedStatement<'w>>,
    await_fold: Option<CachedStatement<'w>>,
}

impl WriterState {
    pub(super) fn new(names: Names, dedupe: Dedupe, shared: Arc<Shared>, last_event_no: EventNo) -> Self {
        Self {
            names,
            dedupe,
            shared,
            fold: None,
            last_event_no,
            committed_event_no: last_event_no,
            changes: Vec::new(),
            ending: Vec::new(),
            closing: Vec::new(),
            fold_step: None,
        }
    }

    /// Applies what the committed transaction changed, then wakes the lanes that may have work.
    pub(super) fn committed(&mut self) {
        self.names.committed();
        self.dedupe.committed();
        self.committed_event_no = self.last_event_no;
        self.ending.clear();
        self.closing.clear();
        if let (Some(step), Some(fold)) = (self.fold_step.take(), &mut self.fold)
            && fold.advance(step)
        {
            self.fold = None;
        }
        let mut woken = Vec::new();
        {
            let mut tail = self.shared.tail_mut();
            let mut lanes = self.shared.lanes();
            for change in self.changes.drain(..) {
                change.apply(&mut tail, &mut lanes, &mut woken);
            }
        }
        woken.sort_unstable();
        woken.dedup();
        if !woken.is_empty() {
            self.shared.signal.mark(woken);
        }
    }

    /// Keeps the fold's part of the open transaction until that is committed.
    pub(super) fn keep_step(&mut self, step: FoldStep) {
        self.fold_step = Some(step);
    }

    /// Makes everything as it was before the transaction.
    pub(super) fn rolled_back(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.changes.clear();
        self.fold_step = None;
        self.last_event_no = self.committed_event_no;
        self.dedupe.rolled_back();
        {
            let mut lanes = self.shared.lanes();
            for fence in self.ending.drain(..) {
                lanes.undo_end(fence);
            }
            for destination in self.closing.drain(..) {
                lanes.undo_close(destination);
            }
        }
        self.names.rolled_back(conn)
    }
}

impl<'w> Tx<'w> {
    pub(super) fn new(conn: &'w Connection, state: &'w mut WriterState) -> Self {
        Self { conn, state, insert_event: None, insert_fresh: None, arrive: None, await_fold: None }
    }

    /// Writes the row of an event: number, id, appspace, source, type, two times, mark, key, body.
    pub(super) fn insert_event(&mut self, values: impl Params) -> rusqlite::Result<()> {
        let sql = "INSERT INTO events (no, id, appspace_no, source_no, type_no, occurred_at, received_at, time_mark, \
                   dedupe_key, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        prepared(&mut self.insert_event, self.conn, sql)?.execute(values).map(drop)
    }

    /// Writes the row of an ordinary new delivery: number, destination, time. It is as large as it will be when the delivery
    /// has arrived.
    pub(super) fn insert_fresh(&mut self, values: impl Params) -> rusqlite::Result<()> {
        let sql = "INSERT INTO deliveries (no, destination_no, state, class, attempts, spent, due_at, created_at, \
                   ended_at, tried_at, tried_ms, tried_status) VALUES (?1, ?2, 0, 0, 0, 0, ?3, ?3, ?3, ?3, 2, 200)";
        prepared(&mut self.insert_fresh, self.conn, sql)?.execute(values).map(drop)
    }

    /// Writes that a fresh delivery has arrived at its first try: end and beginning of the try, how long it took, status, reply,
    /// and the number of the delivery.
    pub(super) fn arrive(&mut self, values: impl Params) -> rusqlite::Result<()> {
        let sql = "UPDATE deliveries SET state = 1, attempts = 1, ended_at = ?1, tried_at = ?2, tried_ms = ?3, \
                   tried_status = ?4, tried_reply = ?5 WHERE no = ?6";
        prepared(&mut self.arrive, self.conn, sql)?.execute(values).map(drop)
    }

    /// Puts an event on the list of those that are still to be read for facts. Their numbers rise, so this writes at the right
    /// edge.
    pub(super) fn await_fold(&mut self, no: EventNo) -> rusqlite::Result<()> {
        let sql = "INSERT INTO unfolded (event_no) VALUES (?1)";
        prepared(&mut self.await_fold, self.conn, sql)?.execute([no.0]).map(drop)
    }

    /// The number of an event about to be stored.
    pub(super) fn next_event_no(&mut self) -> EventNo {
        self.state.last_event_no = self.state.last_event_no.next();
        self.state.last_event_no
    }

    pub(super) fn change(&mut self, change: Change) {
        self.state.changes.push(change);
    }

    /// Notes that the transaction ends a lease, so that a rollback can undo the mark.
    pub(super) fn ends(&mut self, fences: impl IntoIterator<Item = Fence>) {
        self.state.ending.extend(fences);
    }

    /// Closes the lane of a destination that is deleted; what workers have in hand turns stale at once.
    pub(super) fn closes(&mut self, destination: DestinationNo) {
        let ending = self.state.shared.lanes().begin_close(destination);
        self.ends(ending);
        self.state.closing.push(destination);
    }

    /// The fold whose run holds, or is just being given, the rows of an event.
    pub(super) fn fold_of(&self, no: EventNo) -> Option<FoldNo> {
        match &self.state.fold {
            Some(fold) if fold.covers(no) => Some(fold.no()),
            _ => self.state.shared.tail().fold_of(no),
        }
    }

    /// How much has been written and changed so far: two equal answers mean that nothing happened between them.
    pub(super) fn written(&self) -> (u64, usize, usize) {
        (self.conn.total_changes(), self.state.changes.len(), self.state.ending.len())
    }

    /// Writes what the transaction owes at its end: the fingerprints of its events, in one row.
    pub(super) fn finish(&mut self) -> rusqlite::Result<()> {
        let first = self.state.committed_event_no.next();
        let Some((received_at, fingerprints)) = self.state.dedupe.logged() else { return Ok(()) };
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO dedupe_log (first_event_no, received_at, fingerprints) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![first.0, received_at.as_millis(), fingerprints])?;
        Ok(())
    }
}

impl Change {
    fn apply(self, tail: &mut Tail, lanes: &mut Lanes, woken: &mut Vec<DestinationId>) {
        let wake = |lanes: &Lanes, no: DestinationNo| lanes.lane(no).map(|lane| lane.destination);
        match self {
            Self::Logged(event) => tail.events.push_back(event),
            // A fold that ends with this very commit has taken it along.
            Self::Listed { no, .. } if no.event() <= tail.folded_to() => {}
            Self::Listed { no, destination } => drop(tail.deliveries.insert(no, destination)),
            Self::Owed { destination, waiting } => {
                lanes.owe(destination, waiting);
                woken.extend(wake(lanes, destination));
            }
            Self::Settled { fence, standing } => {
                let lane = lanes.settled(fence, &standing);
                woken.extend(lane.filter(|_| standing.state == domain::delivery::State::Pending));
            }
            Self::Moved { destination, was, waiting } => {
                lanes.moved(destination, &was, waiting);
                woken.extend(wake(lanes, destination));
            }
            Self::Ended { destination, no, was } => lanes.ended(destination, no, &was),
            Self::LaneOpened { destination, no } => drop(lanes.open_lane(destination, no)),
            Self::LaneClosed { no } => lanes.close_lane(no),
            Self::LaneRemoved { no } => lanes.remove_lane(no),
            Self::Folded(fold) => {
                tail.folded(fold);
                lanes.folded(fold.last);
            }
            Self::FoldRemoved(no) => tail.folds.retain(|fold| fold.no != no),
        }
    }
}

fn prepared<'s, 'w>(
    slot: &'s mut Option<CachedStatement<'w>>,
    conn: &'w Connection,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'w>> {
    Ok(match slot {
        Some(statement) => statement,
        None => slot.insert(conn.prepare_cached(sql)?),
    })
}

/// For rows that have a time or none.
pub(super) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}
