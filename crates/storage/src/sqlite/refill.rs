//! Reading what lies behind a window.

use domain::Timestamp;
use domain::delivery::Class;
use rusqlite::{Connection, params};

use super::failure;
use super::ledger;
use super::numbers::{DeliveryNo, DestinationNo, FoldNo, sql_limit};
use super::reader;
use super::rows;
use super::shared::Shared;
use super::window::{KEY_MIN, Key, Waiting};
use crate::Result;

/// Reads the next rows of a window; returns whether there were any. Another read of the same window comes first.
pub(super) fn refill(conn: &Connection, shared: &Shared, destination: DestinationNo, class: Class) -> Result<bool> {
    // The list of folds is taken before the read begins, so that a fold that ends meanwhile is among what is noted.
    let folds: Vec<FoldNo> = shared.tail().folds.iter().map(|fold| fold.no).collect();
    let begun = shared.lanes().lane_mut(destination).and_then(|lane| {
        let window = lane.window(class);
        window.begin_read().map(|after| (after, window.rows_to_read()))
    });
    let Some((after, limit)) = begun else { return Ok(false) };
    let read = reader::in_snapshot(conn, |conn| {
        let nos = match class {
            Class::Fresh => fresh_after(conn, shared, destination, after, &folds, limit)?,
            Class::Retry | Class::Replay => due_after(conn, destination, class, after, limit)?,
        };
        waiting_of(conn, shared, &nos, limit)
    });
    let mut lanes = shared.lanes();
    let Ok((rows, next_due)) = read.map_err(|error| failure::unreadable(&error)) else {
        if let Some(lane) = lanes.lane_mut(destination) {
            lane.window(class).abandon_read();
        }
        return Err(failure::failed("a read failed"));
    };
    let is_any = !rows.is_empty();
    lanes.end_read(destination, class, rows, next_due);
    Ok(is_any)
}

/// The deliveries in `due` after a key, and one more than fits.
fn due_after(
    conn: &Connection,
    destination: DestinationNo,
    class: Class,
    after: Key,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryNo>> {
    let mut find = conn.prepare_cached(
        "SELECT delivery_no FROM due WHERE destination_no = ?1 AND class = ?2 AND (due_at, delivery_no) > (?3, ?4) \
         ORDER BY due_at, delivery_no LIMIT ?5",
    )?;
    let key = params![destination, rows::class_code(class), after.0, after.1.0, sql_limit(limit + 1)];
    find.query_map(key, |row| row.get(0).map(DeliveryNo))?.collect()
}

/// The deliveries in `fresh` after a key, fold by fold, and one more than fits.
fn fresh_after(
    conn: &Connection,
    shared: &Shared,
    destination: DestinationNo,
    after: Key,
    folds: &[FoldNo],
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryNo>> {
    let first = if after == KEY_MIN { None } else { shared.tail().fold_of(after.1.event()) };
    let mut find = conn.prepare_cached(
        "SELECT delivery_no FROM fresh WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no > ?3 \
         ORDER BY delivery_no LIMIT ?4",
    )?;
    let mut nos = Vec::new();
    for &fold in folds.iter().filter(|&&fold| first.is_none_or(|first| fold >= first)) {
        let key = params![fold, destination, after.1.0, sql_limit(limit + 1 - nos.len())];
        for no in find.query_map(key, |row| row.get(0).map(DeliveryNo))? {
            nos.push(no?);
        }
        if nos.len() > limit {
            break;
        }
    }
    Ok(nos)
}

/// What memory keeps of these deliveries, and when the one that did not fit is due.
fn waiting_of(
    conn: &Connection,
    shared: &Shared,
    nos: &[DeliveryNo],
    limit: usize,
) -> rusqlite::Result<(Vec<Waiting>, Option<Timestamp>)> {
    let (nos, more) = nos.split_at(nos.len().min(limit));
    let mut found = Vec::with_capacity(nos.len());
    for &no in nos {
        let Some(row) = rows::delivery_row(conn, no)? else { continue };
        let event = if shared.budget.has_room() { rows::event(conn, no.event())? } else { None };
        let kept = event.and_then(|event| shared.budget.keep(&event));
        let replay = row.replay.map(Box::new);
        found.push(ledger::waiting(no, row.event_id, &row.standing, row.created_at, replay, kept));
    }
    let next = more.first().map(|&no| rows::delivery_row(conn, no)).transpose()?.flatten();
    Ok((found, next.map(|row| row.standing.due_at)))
}
