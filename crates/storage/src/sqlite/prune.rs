//! Retention: removing old events with all that belongs to them, and old bodies of the quarantine, a bounded piece at a
//! time.
//!
//! The rows of an event in the runs stay until its whole fold is empty: lists pass over rows whose event is gone, and a
//! run that is removed as a whole costs far less than one that is picked apart.

use domain::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::facts;
use super::failure::TxResult;
use super::numbers::{EventNo, FoldNo, sql_limit};
use super::quarantine;
use super::shared::Shared;
use super::transaction::{Change, Tx};
use crate::Pruned;

/// Rows of a run removed in one step.
const STEP_ROWS: usize = 2_000;
/// Fewest events looked at in one step.
const LOOK_MIN: usize = 1_000;

/// A step of retention: what it did, and the event it has come to.
pub(super) struct Step {
    pub(super) pruned: Pruned,
    pub(super) at: EventNo,
}

/// Removes up to `limit` events received before `before` that nobody waits for, from after `from` on, and as many bodies
/// of the quarantine.
pub(super) fn step(tx: &mut Tx<'_>, before: Timestamp, limit: usize, from: EventNo) -> TxResult<Step> {
    let mut step = step_events(tx, before, limit, from)?;
    step.pruned.quarantined = quarantine::forget(tx, before, limit)?;
    step.pruned.done &= step.pruned.quarantined < limit;
    Ok(step)
}

fn step_events(tx: &mut Tx<'_>, before: Timestamp, limit: usize, from: EventNo) -> TxResult<Step> {
    let end = last_before(&tx.state.shared, before);
    let look_max = LOOK_MIN.max(limit.saturating_mul(4));
    let sql = "SELECT no, received_at < ?2 AND NOT EXISTS (SELECT 1 FROM deliveries d \
               WHERE d.no BETWEEN e.no << 16 AND (e.no << 16) + 65535 AND d.state IN (0, 2)) \
               AND NOT EXISTS (SELECT 1 FROM unfolded u WHERE u.event_no = e.no) FROM events e WHERE no > ?1 AND no <= ?3 ORDER BY no LIMIT ?4";
    let range = params![from.0, before.as_millis(), end.0, sql_limit(look_max)];
    let mut find = tx.conn.prepare_cached(sql)?;
    let looked_at = find.query_map(range, |row| Ok((EventNo(row.get(0)?), row.get::<_, bool>(1)?)))?;
    let looked_at: Vec<(EventNo, bool)> = looked_at.collect::<Result<_, _>>()?;
    let mut step = Step { pruned: Pruned { events: 0, quarantined: 0, done: looked_at.len() < look_max }, at: from };
    for (no, is_removable) in looked_at {
        if step.pruned.events == limit {
            step.pruned.done = false;
            break;
        }
        if is_removable {
            remove(tx, no)?;
            step.pruned.events += 1;
        }
        step.at = no;
    }
    if step.pruned.done {
        step.at = EventNo(0);
    }
    Ok(step)
}

/// The last event that may have been received before a moment.
fn last_before(shared: &Shared, before: Timestamp) -> EventNo {
    let tail = shared.tail();
    let of_tail = tail.events.iter().rev().find(|event| event.received_at < before).map(|event| event.no);
    let of_folds = tail.folds.iter().rev().find(|fold| fold.min_received_at < before).map(|fold| fold.last);
    of_tail.or(of_folds).unwrap_or(EventNo(0))
}

fn remove(tx: &Tx<'_>, no: EventNo) -> rusqlite::Result<()> {
    facts::forget(tx, no)?;
    let range = [no.first_delivery().0, no.last_delivery().0];
    let of_event = [
        "DELETE FROM replay_deliveries WHERE (replay_no, delivery_no) IN \
         (SELECT replay_no, no FROM deliveries WHERE no BETWEEN ?1 AND ?2 AND replay_no IS NOT NULL)",
        "DELETE FROM attempts WHERE delivery_no BETWEEN ?1 AND ?2",
        "DELETE FROM deliveries WHERE no BETWEEN ?1 AND ?2",
    ];
    for sql in of_event {
        tx.conn.prepare_cached(sql)?.execute(range)?;
    }
    tx.conn.prepare_cached("DELETE FROM event_duplicates WHERE event_no = ?1")?.execute([no.0])?;
    tx.conn.prepare_cached("DELETE FROM events WHERE no = ?1")?.execute([no.0])?;
    Ok(())
}

/// Removes a piece of the oldest run if all of its events are gone; returns whether it did.
pub(super) fn drop_empty_fold(tx: &mut Tx<'_>) -> rusqlite::Result<bool> {
    // The newest one stays: it says how far the log is folded.
    let sql = "SELECT no FROM folds f WHERE no < (SELECT max(no) FROM folds) \
               AND NOT EXISTS (SELECT 1 FROM events WHERE no <= f.last_event_no) ORDER BY no LIMIT 1";
    let oldest: Option<FoldNo> = tx.conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    let Some(fold) = oldest else { return Ok(false) };
    let pieces = [
        "DELETE FROM event_runs WHERE (fold_no, appspace_no, first_no) IN \
         (SELECT fold_no, appspace_no, first_no FROM event_runs WHERE fold_no = ?1 LIMIT ?2)",
        "DELETE FROM delivery_runs WHERE (fold_no, destination_no, first_no) IN \
         (SELECT fold_no, destination_no, first_no FROM delivery_runs WHERE fold_no = ?1 LIMIT ?2)",
        "DELETE FROM late_deliveries WHERE (fold_no, destination_no, delivery_no) IN \
         (SELECT fold_no, destination_no, delivery_no FROM late_deliveries WHERE fold_no = ?1 LIMIT ?2)",
    ];
    let mut removed = 0;
    for sql in pieces {
        removed += tx.conn.prepare_cached(sql)?.execute(params![fold, sql_limit(STEP_ROWS)])?;
    }
    if removed == 0 {
        tx.conn.prepare_cached("DELETE FROM folds WHERE no = ?1")?.execute([fold])?;
        tx.change(Change::FoldRemoved(fold));
    }
    Ok(true)
}
