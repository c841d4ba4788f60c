//! The two ways in which deliveries are written: a new one, and one that changes.
//!
//! Both keep the row, the tables that queue and list it, and what memory must learn, in step. Nothing else writes to
//! `deliveries`, `due`, `fresh` or `dead`.

use domain::delivery::{Class, Standing, State};
use domain::verdict::FailureReason;
use domain::{EventId, ReplayId, Timestamp};
use rusqlite::params;

use super::kept::Kept;
use super::leaving::Leaving;
use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, EventNo};
use super::rows::{self, DeliveryRow};
use super::transaction::{Change, Tx};
use super::window::Waiting;
use crate::DELIVERIES_PER_EVENT_MAX;

/// A delivery about to be made.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) no: DeliveryNo,
    pub(super) event_id: EventId,
    pub(super) appspace: AppspaceNo,
    pub(super) destination: DestinationNo,
    pub(super) standing: Standing,
    pub(super) created_at: Timestamp,
    /// The replay that makes it, and its number.
    pub(super) replay: Option<(ReplayId, i64)>,
    pub(super) note: Option<&'a str>,
    pub(super) event: Option<Kept>,
}

/// Writes a new delivery.
pub(super) fn insert(tx: &mut Tx<'_>, new: NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { no, destination, standing, created_at, .. } = new;
    let replay_no = new.replay.map(|(_, no)| no);
    if standing == Standing::new(Class::Fresh, created_at) && replay_no.is_none() {
        enter(tx, no, new.appspace, destination, &standing, created_at)?;
        tx.insert_fresh(params![no.0, destination, created_at.as_millis()])?;
    } else {
        insert_row(tx, &new)?;
    }
    list(tx, no, destination, replay_no)?;
    if standing.state == State::Pending {
        let replay = new.replay.map(|(id, _)| Box::new(id));
        let waiting = waiting(no, new.event_id, &standing, created_at, replay, new.event);
        tx.change(Change::Owed { destination, waiting });
    }
    Ok(())
}

/// Writes the row of a delivery that is not an ordinary one.
fn insert_row(tx: &Tx<'_>, new: &NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { no, destination, standing, created_at, .. } = *new;
    let dead_no = enter(tx, no, new.appspace, destination, &standing, created_at)?;
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO deliveries (no, destination_no, state, class, attempts, spent, due_at, created_at, reason, \
         ended_at, replay_no, dead_no, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    insert.execute(params![
        no.0,
        destination,
        rows::state_code(standing.state),
        rows::class_code(standing.class),
        standing.attempts,
        standing.spent,
        standing.due_at.as_millis(),
        created_at.as_millis(),
        standing.reason.map(FailureReason::code),
        (standing.state != State::Pending).then_some(created_at.as_millis()),
        new.replay.map(|(_, no)| no),
        dead_no,
        new.note,
    ])?;
    Ok(())
}

/// Changes a delivery to `to`: the row, and the tables that queue it. What memory must learn is the caller's part.
pub(super) fn change(tx: &mut Tx<'_>, row: &DeliveryRow, to: &Standing, now: Timestamp) -> rusqlite::Result<()> {
    let mut leaving = Leaving::default();
    change_with(tx, row, to, now, &mut leaving)?;
    leaving.end(tx)
}

/// The same, as one of many whose rows leave `fresh` together.
pub(super) fn change_with(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    to: &Standing,
    now: Timestamp,
    leaving: &mut Leaving,
) -> rusqlite::Result<()> {
    if !(is_in_fresh(&row.standing) && is_in_fresh(to)) {
        leave(tx, row, leaving)?;
    }
    let dead_no = enter(tx, row.no, row.appspace, row.destination, to, now)?;
    let mut update = tx.conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, class = ?3, attempts = ?4, spent = ?5, due_at = ?6, reason = ?7, \
         ended_at = ?8, dead_no = ?9, tried_at = NULL, tried_ms = NULL, tried_status = NULL, tried_reply = NULL \
         WHERE no = ?1",
    )?;
    update.execute(params![
        row.no.0,
        rows::state_code(to.state),
        rows::class_code(to.class),
        to.attempts,
        to.spent,
        to.due_at.as_millis(),
        to.reason.map(FailureReason::code),
        (to.state != State::Pending).then_some(now.as_millis()),
        dead_no,
    ])?;
    Ok(())
}

/// The number of the next delivery of an event, if it may have one more.
pub(super) fn next_delivery(tx: &Tx<'_>, event: EventNo) -> rusqlite::Result<Option<DeliveryNo>> {
    let mut last = tx.conn.prepare_cached("SELECT max(no) FROM deliveries WHERE no BETWEEN ?1 AND ?2")?;
    let range = params![event.first_delivery().0, event.last_delivery().0];
    let last: Option<i64> = last.query_row(range, |row| row.get(0))?;
    let next = last.map_or(0, |last| usize::from(DeliveryNo(last).ordinal()) + 1);
    let ordinal = u16::try_from(next).ok().filter(|_| next < DELIVERIES_PER_EVENT_MAX);
    Ok(ordinal.map(|ordinal| event.delivery(ordinal)))
}

/// What memory keeps of a pending delivery.
pub(super) fn waiting(
    no: DeliveryNo,
    event_id: EventId,
    standing: &Standing,
    created_at: Timestamp,
    replay: Option<Box<ReplayId>>,
    event: Option<Kept>,
) -> Waiting {
    let Standing { class, attempts, spent, due_at, .. } = *standing;
    Waiting { no, event_id, due_at, created_at, attempts, spent, class, replay, event }
}

/// Whether a delivery with this standing is queued in `fresh`, where it keeps its place whatever its time.
fn is_in_fresh(standing: &Standing) -> bool {
    (standing.state, standing.class) == (State::Pending, Class::Fresh)
}

/// Removes a delivery from the table that queues it.
fn leave(tx: &Tx<'_>, row: &DeliveryRow, leaving: &mut Leaving) -> rusqlite::Result<()> {
    let standing = &row.standing;
    match (standing.state, standing.class) {
        (State::Pending, Class::Fresh) => leaving.add(tx, row.no, row.destination),
        (State::Pending, class) => {
            let sql = "DELETE FROM due WHERE destination_no = ?1 AND class = ?2 AND due_at = ?3 AND delivery_no = ?4";
            let key = params![row.destination, rows::class_code(class), standing.due_at.as_millis(), row.no.0];
            tx.conn.prepare_cached(sql)?.execute(key)?;
        }
        (State::Dead, _) => {
            tx.conn.prepare_cached("DELETE FROM dead WHERE no = ?1")?.execute([row.dead_no])?;
        }
        (State::Delivered | State::Cancelled | State::Skipped, _) => {}
    }
    Ok(())
}

/// Adds a delivery to the table that queues it; returns its number among the dead.
fn enter(
    tx: &Tx<'_>,
    no: DeliveryNo,
    appspace: AppspaceNo,
    destination: DestinationNo,
    standing: &Standing,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    match (standing.state, standing.class) {
        (State::Pending, Class::Fresh) => {
            // In the tail, memory is its only queue.
            if let Some(fold) = tx.fold_of(no.event()) {
                let sql = "INSERT OR IGNORE INTO fresh (fold_no, destination_no, delivery_no) VALUES (?1, ?2, ?3)";
                tx.conn.prepare_cached(sql)?.execute(params![fold, destination, no.0])?;
            }
        }
        (State::Pending, class) => {
            let sql = "INSERT INTO due (destination_no, class, due_at, delivery_no) VALUES (?1, ?2, ?3, ?4)";
            let key = params![destination, rows::class_code(class), standing.due_at.as_millis(), no.0];
            tx.conn.prepare_cached(sql)?.execute(key)?;
        }
        (State::Dead, _) => {
            let sql = "INSERT INTO dead (appspace_no, destination_no, delivery_no, reason, died_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let reason = standing.reason.map(FailureReason::code);
            let dead = params![appspace, destination, no.0, reason, now.as_millis()];
            return tx.conn.prepare_cached(sql)?.insert(dead).map(Some);
        }
        (State::Delivered | State::Cancelled | State::Skipped, _) => {}
    }
    Ok(None)
}

/// Makes a new delivery appear in the lists.
fn list(tx: &mut Tx<'_>, no: DeliveryNo, destination: DestinationNo, replay: Option<i64>) -> rusqlite::Result<()> {
    if let Some(replay) = replay {
        let sql = "INSERT INTO replay_deliveries (replay_no, delivery_no) VALUES (?1, ?2)";
        tx.conn.prepare_cached(sql)?.execute(params![replay, no.0])?;
    }
    if let Some(fold) = tx.fold_of(no.event()) {
        let sql = "INSERT OR IGNORE INTO late_deliveries (fold_no, destination_no, delivery_no) VALUES (?1, ?2, ?3)";
        tx.conn.prepare_cached(sql)?.execute(params![fold, destination, no.0])?;
    }
    tx.change(Change::Listed { no, destination });
    Ok(())
}
