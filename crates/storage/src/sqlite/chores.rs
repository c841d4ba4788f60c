//! Chores: clearing up what a deleted destination, a cancelled replay or an erasure has left, a bounded piece at a time.
//!
//! A chore is a row that is written in the same step as what causes it, so a restart does not forget it.

use domain::Timestamp;
use domain::delivery::State;
use rusqlite::{OptionalExtension as _, params};

use super::deliveries;
use super::erase;
use super::failure::TxResult;
use super::lanes::TAIL_KEY_MIN;
use super::memos;
use super::numbers::{DeliveryNo, DestinationNo, EventNo, sql_limit};
use super::rows;
use super::transaction::{Change, Tx};

/// Deliveries cancelled in one step.
const STEP_ROWS: usize = 1_000;

/// What a chore is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    DeletedDestination = 1,
    CancelledReplay = 2,
    /// The places around an event that was emptied.
    Wipe = 3,
}

/// A chore under way.
struct Chore {
    no: i64,
    kind: i64,
    subject: i64,
    cursor: i64,
}

/// Puts work off.
pub(super) fn add(tx: &mut Tx<'_>, kind: Kind, subject: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO chores (kind, subject_no, cursor) VALUES (?1, ?2, 0)";
    tx.conn.prepare_cached(sql)?.execute(params![kind as i64, subject])?;
    Ok(())
}

/// Does a piece of the first chore; returns whether there may be more.
pub(super) fn step(tx: &mut Tx<'_>, now: Timestamp) -> TxResult<bool> {
    let sql = "SELECT no, kind, subject_no, cursor FROM chores ORDER BY no LIMIT 1";
    let first = tx.conn.prepare_cached(sql)?.query_row([], |row| {
        Ok(Chore { no: row.get(0)?, kind: row.get(1)?, subject: row.get(2)?, cursor: row.get(3)? })
    });
    let Some(chore) = first.optional()? else { return Ok(false) };
    if chore.kind == Kind::Wipe as i64 {
        return Ok(erase::wipe(tx)?);
    }
    let next = if chore.kind == Kind::DeletedDestination as i64 {
        step_destination(tx, &chore, now)?
    } else {
        step_replay(tx, &chore, now)?
    };
    match next {
        Some(cursor) => {
            let sql = "UPDATE chores SET cursor = ?2 WHERE no = ?1";
            tx.conn.prepare_cached(sql)?.execute(params![chore.no, cursor])?;
        }
        None => {
            tx.conn.prepare_cached("DELETE FROM chores WHERE no = ?1")?.execute([chore.no])?;
        }
    }
    Ok(true)
}

/// What some of the chores of a kind are about, in order.
pub(super) fn some_of(tx: &Tx<'_>, kind: Kind, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT subject_no FROM chores WHERE kind = ?1 ORDER BY subject_no LIMIT ?2";
    tx.conn.prepare_cached(sql)?.query_map(params![kind as i64, sql_limit(limit)], |row| row.get(0))?.collect()
}

/// One is done.
pub(super) fn remove(tx: &Tx<'_>, kind: Kind, subject: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM chores WHERE kind = ?1 AND subject_no = ?2";
    tx.conn.prepare_cached(sql)?.execute(params![kind as i64, subject]).map(drop)
}

/// First what is pending, wherever it waits, then what is remembered, then the dead, from the cursor on. Nothing new can
/// come: the destination is not in the catalog.
fn step_destination(tx: &mut Tx<'_>, chore: &Chore, now: Timestamp) -> TxResult<Option<i64>> {
    let pending = pending_of(tx, chore.subject)?;
    if !pending.is_empty() {
        cancel_all(tx, &pending, now)?;
        return Ok(Some(chore.cursor));
    }
    if memos::forget_some_of(tx, chore.subject)? {
        return Ok(Some(chore.cursor));
    }
    let sql = "SELECT no, delivery_no, destination_no FROM dead WHERE no > ?1 ORDER BY no LIMIT ?2";
    let dead = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, DeliveryNo(row.get(1)?), row.get::<_, i64>(2)?));
    let range = params![chore.cursor, sql_limit(STEP_ROWS)];
    let looked_at: Vec<(i64, DeliveryNo, DestinationNo)> =
        tx.conn.prepare_cached(sql)?.query_map(range, dead)?.collect::<Result<_, _>>()?;
    let of_it = looked_at.iter().filter(|(_, _, destination)| *destination == chore.subject);
    let of_it: Vec<DeliveryNo> = of_it.map(|&(_, no, _)| no).collect();
    cancel_all(tx, &of_it, now)?;
    let Some(&(last, _, _)) = looked_at.last() else {
        tx.change(Change::LaneRemoved { no: chore.subject });
        return Ok(None);
    };
    Ok(Some(last))
}

fn step_replay(tx: &mut Tx<'_>, chore: &Chore, now: Timestamp) -> TxResult<Option<i64>> {
    let sql = "SELECT delivery_no FROM replay_deliveries WHERE replay_no = ?1 AND delivery_no > ?2 \
               ORDER BY delivery_no LIMIT ?3";
    let range = params![chore.subject, chore.cursor, sql_limit(STEP_ROWS)];
    let nos = numbers(tx, sql, range)?;
    let mut pending = Vec::new();
    for &no in &nos {
        if rows::delivery_row(tx.conn, no)?.is_some_and(|row| row.standing.state == State::Pending) {
            pending.push(no);
        }
    }
    cancel_all(tx, &pending, now)?;
    Ok(nos.last().map(|no| no.0))
}

/// Some of the pending deliveries of a destination.
fn pending_of(tx: &Tx<'_>, destination: DestinationNo) -> rusqlite::Result<Vec<DeliveryNo>> {
    let sql = "SELECT delivery_no FROM due WHERE destination_no = ?1 LIMIT ?2";
    let mut found = numbers(tx, sql, params![destination, sql_limit(STEP_ROWS)])?;
    let folds: Vec<i64> = tx.state.shared.tail().folds.iter().map(|fold| fold.no).collect();
    for fold in folds {
        if found.len() >= STEP_ROWS {
            return Ok(found);
        }
        let sql = "SELECT delivery_no FROM fresh WHERE fold_no = ?1 AND destination_no = ?2 LIMIT ?3";
        found.extend(numbers(tx, sql, params![fold, destination, sql_limit(STEP_ROWS)])?);
    }
    let all = EventNo(i64::MAX);
    found.extend(tx.state.shared.lanes().fresh_of_tail(destination, TAIL_KEY_MIN, all, STEP_ROWS).0);
    Ok(found)
}

fn numbers(tx: &Tx<'_>, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<DeliveryNo>> {
    tx.conn.prepare_cached(sql)?.query_map(params, |row| row.get(0).map(DeliveryNo))?.collect()
}

fn cancel_all(tx: &mut Tx<'_>, nos: &[DeliveryNo], now: Timestamp) -> TxResult<()> {
    for &no in nos {
        let row = rows::delivery_row(tx.conn, no)?;
        // Another call of the same commit may have ended it already.
        if let Some(row) = row.filter(|row| row.standing.state.keeps_event()) {
            deliveries::cancel(tx, &row, now)?;
        }
    }
    Ok(())
}
