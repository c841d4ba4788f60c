//! What memory must know at a start, read from the database.
//!
//! All of it is bounded: the tail by its limit, the lanes by the number of destinations. A backlog is only counted.

use domain::delivery::Class;
use domain::{DestinationId, EventId, Timestamp};
use rusqlite::{Connection, params};

use super::kept::Budget;
use super::lanes::Lanes;
use super::ledger;
use super::names::Names;
use super::numbers::{DeliveryNo, DestinationNo, EventNo};
use super::rows;
use super::tail::{Fold, Tail, TailEvent};

/// Fences of one run of the process lie above this many bits of the number of the run.
const FENCE_BITS: u32 = 40;

/// Removes what a fold has written that did not come to its end.
pub(super) fn clear_interrupted_fold(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "BEGIN IMMEDIATE;
         DELETE FROM event_runs WHERE fold_no > (SELECT coalesce(max(no), 0) FROM folds);
         DELETE FROM delivery_runs WHERE fold_no > (SELECT coalesce(max(no), 0) FROM folds);
         DELETE FROM late_deliveries WHERE fold_no > (SELECT coalesce(max(no), 0) FROM folds);
         DELETE FROM fresh WHERE fold_no > (SELECT coalesce(max(no), 0) FROM folds);
         COMMIT;",
    )
}

/// The last event number that was ever given out and may still be referred to.
pub(super) fn last_event_no(conn: &Connection) -> rusqlite::Result<EventNo> {
    conn.query_row(
        "SELECT max(
             (SELECT coalesce(max(no), 0) FROM events),
             (SELECT coalesce(max(last_event_no), 0) FROM folds),
             (SELECT coalesce(max(first_event_no + length(fingerprints) / 8 - 1), 0) FROM
                 (SELECT first_event_no, fingerprints FROM dedupe_log ORDER BY first_event_no DESC LIMIT 1)))",
        [],
        |row| row.get(0).map(EventNo),
    )
}

/// The part of the log that is not folded.
pub(super) fn tail(conn: &Connection) -> rusqlite::Result<Tail> {
    let mut tail = Tail { folds: folds(conn)?, ..Tail::default() };
    let folded_to = tail.folded_to();
    let mut events = conn.prepare(
        "SELECT no, appspace_no, type_no, source_no, received_at, dedupe_key FROM events WHERE no > ?1 ORDER BY no",
    )?;
    let mut events = events.query([folded_to.0])?;
    while let Some(row) = events.next()? {
        let key = domain::event::DedupeKey(row.get(5)?);
        tail.events.push_back(TailEvent {
            no: EventNo(row.get(0)?),
            appspace: row.get(1)?,
            event_type: row.get(2)?,
            source: row.get(3)?,
            received_at: Timestamp::from_millis(row.get(4)?),
            fingerprint: key.fingerprint(),
        });
    }
    let mut deliveries = conn.prepare("SELECT no, destination_no FROM deliveries WHERE no > ?1 ORDER BY no")?;
    let mut deliveries = deliveries.query([folded_to.last_delivery().0])?;
    while let Some(row) = deliveries.next()? {
        tail.deliveries.insert(DeliveryNo(row.get(0)?), row.get(1)?);
    }
    Ok(tail)
}

fn folds(conn: &Connection) -> rusqlite::Result<Vec<Fold>> {
    let mut folds =
        conn.prepare("SELECT no, last_event_no, min_received_at, max_received_at FROM folds ORDER BY no")?;
    let fold_of = |row: &rusqlite::Row<'_>| {
        Ok(Fold {
            no: row.get(0)?,
            last: EventNo(row.get(1)?),
            min_received_at: Timestamp::from_millis(row.get(2)?),
            max_received_at: Timestamp::from_millis(row.get(3)?),
        })
    };
    folds.query_map([], fold_of)?.collect()
}

/// The lanes of all destinations, those that were deleted and still have something to cancel included.
pub(super) fn lanes(conn: &Connection, names: &Names, tail: &Tail, budget: &Budget) -> rusqlite::Result<Lanes> {
    let mut lanes = Lanes::new(next_run(conn)? << FENCE_BITS, tail.folded_to());
    for (destination, no) in names.destinations() {
        lanes.open_lane(destination, no);
    }
    let mut closed =
        conn.prepare("SELECT n.no, n.value FROM chores c JOIN names n ON n.no = c.subject_no WHERE c.kind = 1")?;
    let mut closed = closed.query([])?;
    while let Some(row) = closed.next()? {
        let no = row.get(0)?;
        lanes.open_lane(DestinationId::from_bytes(row.get(1)?), no);
        lanes.close_lane(no);
    }
    count_due(conn, &mut lanes)?;
    count_fresh(conn, &mut lanes)?;
    fill_tail(conn, &mut lanes, tail, budget)?;
    Ok(lanes)
}

/// The number of this run of the process. It is part of every fence, so no fence is ever used twice.
fn next_run(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row(
        "INSERT INTO meta (key, value) VALUES ('run', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1
         RETURNING value",
        [],
        |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
    )
}

fn count_due(conn: &Connection, lanes: &mut Lanes) -> rusqlite::Result<()> {
    let mut counts =
        conn.prepare("SELECT destination_no, class, count(*), min(due_at) FROM due GROUP BY destination_no, class")?;
    let mut counts = counts.query([])?;
    while let Some(row) = counts.next()? {
        let class = rows::class_at(row, 1)?;
        unread(lanes, row.get(0)?, class, row.get(2)?, Timestamp::from_millis(row.get(3)?));
    }
    Ok(())
}

fn count_fresh(conn: &Connection, lanes: &mut Lanes) -> rusqlite::Result<()> {
    let mut counts = conn.prepare(
        "SELECT f.destination_no, f.count, d.due_at FROM
             (SELECT destination_no, sum(count) AS count, min(first) AS first FROM
                 (SELECT destination_no, count(*) AS count, min(delivery_no) AS first FROM fresh
                  GROUP BY fold_no, destination_no)
              GROUP BY destination_no) f
         JOIN deliveries d ON d.no = f.first",
    )?;
    let mut counts = counts.query([])?;
    while let Some(row) = counts.next()? {
        unread(lanes, row.get(0)?, Class::Fresh, row.get(1)?, Timestamp::from_millis(row.get(2)?));
    }
    Ok(())
}

fn unread(lanes: &mut Lanes, destination: DestinationNo, class: Class, count: i64, due_at: Timestamp) {
    if let Some(lane) = lanes.lane_mut(destination) {
        lane.pending += count.cast_unsigned();
        lane.window(class).set_unread(due_at);
    }
}

/// Fresh deliveries of the tail: memory is their only queue.
fn fill_tail(conn: &Connection, lanes: &mut Lanes, tail: &Tail, budget: &Budget) -> rusqlite::Result<()> {
    let mut pending = conn.prepare(
        "SELECT d.no, d.destination_no, d.state, d.class, d.attempts, d.spent, d.due_at, d.reason, d.created_at, e.id
         FROM deliveries d JOIN events e ON e.no = d.no >> 16
         WHERE d.no > ?1 AND d.state = 0 AND d.class = 0 ORDER BY d.no",
    )?;
    let mut pending = pending.query(params![tail.folded_to().last_delivery().0])?;
    while let Some(row) = pending.next()? {
        let no = DeliveryNo(row.get(0)?);
        let standing = rows::standing_at(row, 2)?;
        let created_at = Timestamp::from_millis(row.get(8)?);
        let event_id = EventId::from_bytes(row.get(9)?);
        // The first ones to be claimed need not be read again.
        let event = if budget.has_room() { rows::event(conn, no.event())? } else { None };
        let kept = event.and_then(|event| budget.keep(&event));
        lanes.owe(row.get(1)?, ledger::waiting(no, event_id, &standing, created_at, None, kept));
    }
    Ok(())
}
