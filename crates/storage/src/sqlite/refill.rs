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

/// Reads the next rows of a window, or waits for another thread that does; returns whether there may be more to take.
pub(super) fn refill(conn: &Connection, shared: &Shared, destination: DestinationNo, class: Class) -> Result<bool> {
    let (after, limit) = {
        let mut lanes = shared.lanes();
        let Some(lane) = lanes.lane_mut(destination) else { return Ok(false) };
        let window = lane.window(class);
        match window.begin_read() {
            Some(after) => (after, window.rows_to_read()),
            None if window.is_being_read() => {
                drop(shared.read_ended.wait(lanes));
                return Ok(true);
            }
            None => return Ok(false),
        }
    };
    let mut reading = Reading { shared, destination, class, is_ended: false };
    let read = reader::in_snapshot(conn, |conn| {
        let nos = match class {
            Class::Fresh => fresh_after(conn, shared, destination, after, limit)?,
            Class::Retry | Class::Replay => due_after(conn, destination, class, after, limit)?,
        };
        waiting_of(conn, shared, &nos, limit)
    });
    let (rows, next_due) = read.map_err(|error| failure::unreadable(&error))?;
    let is_any = !rows.is_empty();
    shared.lanes().end_read(destination, class, rows, next_due);
    reading.is_ended = true;
    Ok(is_any)
}

/// A read under way. However it ends, whoever waits for it goes on.
struct Reading<'a> {
    shared: &'a Shared,
    destination: DestinationNo,
    class: Class,
    /// The window has learnt what was read, and another read may be under way by now.
    is_ended: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.is_ended
            && let Some(lane) = self.shared.lanes().lane_mut(self.destination)
        {
            lane.window(self.class).abandon_read();
        }
        self.shared.read_ended.notify_all();
    }
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
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryNo>> {
    // The list of folds is taken after the read has begun: a fold that ends later is among what is noted.
    let folds: Vec<FoldNo> = {
        let tail = shared.tail();
        let first = if after == KEY_MIN { None } else { tail.fold_of(after.1.event()) };
        let all = tail.folds.iter().map(|fold| fold.no);
        all.filter(|&fold| first.is_none_or(|first| fold >= first)).collect()
    };
    let mut find = conn.prepare_cached(
        "SELECT delivery_no FROM fresh WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no > ?3 \
         ORDER BY delivery_no LIMIT ?4",
    )?;
    let mut nos = Vec::new();
    for fold in folds {
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
        let event = if shared.budget_ahead.has_room() { rows::event(conn, no.event())? } else { None };
        let kept = event.and_then(|event| shared.budget_ahead.keep(&event));
        let replay = row.replay.map(Box::new);
        found.push(ledger::waiting(no, row.event_id, &row.standing, row.created_at, replay, kept));
    }
    let next = more.first().map(|&no| rows::delivery_row(conn, no)).transpose()?.flatten();
    Ok((found, next.map(|row| row.standing.due_at)))
}
