//! Reading what lies behind a window.

use domain::delivery::Class;
use domain::{EventId, Timestamp};
use rusqlite::{Connection, Params, params};

use super::failure;
use super::ledger;
use super::numbers::{DeliveryNo, DestinationNo, FoldNo, sql_limit};
use super::reader;
use super::rows::{self, MetNames};
use super::shared::Shared;
use super::window::{KEY_MIN, Key, Waiting, key_of};
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
        let rows = Rows::after(conn, shared, (destination, class), after, limit)?;
        Ok((rows.found, rows.next_due))
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

/// Rows that are being read into a window.
struct Rows<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
    class: Class,
    limit: usize,
    found: Vec<Waiting>,
    /// When the first one is due that did not fit.
    next_due: Option<Timestamp>,
    /// Events are read with the rows for as long as they find room.
    has_room: bool,
    names: MetNames,
}

impl<'a> Rows<'a> {
    /// The rows after a key.
    fn after(
        conn: &'a Connection,
        shared: &'a Shared,
        (destination, class): (DestinationNo, Class),
        mut after: Key,
        limit: usize,
    ) -> rusqlite::Result<Self> {
        let (has_room, names) = (shared.budget_ahead.has_room(), MetNames::default());
        let mut rows = Self { conn, shared, class, limit, found: Vec::new(), next_due: None, has_room, names };
        loop {
            let is_through = match class {
                Class::Fresh => rows.read_fresh(destination, after)?,
                Class::Retry | Class::Replay => rows.read_due(destination, after)?,
            };
            match rows.found.last() {
                Some(last) if !is_through => after = key_of(class, last.due_at, last.no),
                _ => return Ok(rows),
            }
        }
    }

    /// Reads what is in `due` after a key.
    fn read_due(&mut self, destination: DestinationNo, after: Key) -> rusqlite::Result<bool> {
        let queue = "due q WHERE destination_no = ?1 AND class = ?2 AND (due_at, delivery_no) > (?3, ?4) \
                     ORDER BY due_at, delivery_no LIMIT ?5";
        let limit = sql_limit(self.limit + 1 - self.found.len());
        self.read(queue, params![destination, rows::class_code(self.class), after.0, after.1.0, limit])
    }

    /// Reads what is in `fresh` after a key, fold by fold.
    fn read_fresh(&mut self, destination: DestinationNo, after: Key) -> rusqlite::Result<bool> {
        // The list of folds is taken after the read has begun: a fold that ends later is among what is noted.
        let folds: Vec<FoldNo> = {
            let tail = self.shared.tail();
            let first = if after == KEY_MIN { None } else { tail.fold_of(after.1.event()) };
            let all = tail.folds.iter().map(|fold| fold.no);
            all.filter(|&fold| first.is_none_or(|first| fold >= first)).collect()
        };
        let queue = "fresh q WHERE fold_no = ?1 AND destination_no = ?2 AND delivery_no > ?3 \
                     ORDER BY delivery_no LIMIT ?4";
        for fold in folds {
            let limit = sql_limit(self.limit + 1 - self.found.len());
            if !self.read(queue, params![fold, destination, after.1.0, limit])? {
                return Ok(false);
            }
            if self.next_due.is_some() {
                break;
            }
        }
        Ok(true)
    }

    /// Reads the rows of a queue together with what they stand for. Returns whether it came to the end: where the room for
    /// events is used up it stops, so that the rest is read without them.
    fn read(&mut self, queue: &str, key: impl Params) -> rusqlite::Result<bool> {
        let with_events = self.has_room;
        let event_columns = if with_events { rows::EVENT_COLUMNS } else { "NULL" };
        let mut find = self.conn.prepare_cached(&format!(
            "SELECT d.no, d.state, d.class, d.attempts, d.spent, d.due_at, d.reason, d.created_at, r.id, e.id, \
             {event_columns} FROM (SELECT delivery_no FROM {queue}) q CROSS JOIN deliveries d ON d.no = q.delivery_no \
             CROSS JOIN events e ON e.no = q.delivery_no >> 16 LEFT JOIN replays r ON r.no = d.replay_no",
        ))?;
        let mut found = find.query(key)?;
        while let Some(row) = found.next()? {
            let standing = rows::standing_at(row, 1)?;
            if self.found.len() == self.limit {
                self.next_due = Some(standing.due_at);
                return Ok(true);
            }
            let event_id = EventId::from_bytes(row.get(9)?);
            let kept = if with_events {
                let event = self.names.event_at(self.conn, row, event_id, 10)?;
                self.shared.budget_ahead.keep(&event)
            } else {
                None
            };
            self.has_room = kept.is_some();
            let created_at = Timestamp::from_millis(row.get(7)?);
            let replay = rows::replay_id_at(row, 8)?.map(Box::new);
            let no = DeliveryNo(row.get(0)?);
            self.found.push(ledger::waiting(no, event_id, &standing, created_at, replay, kept));
            if with_events && !self.has_room {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
