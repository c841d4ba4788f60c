//! Rows into values: how the columns of events, deliveries and attempts are read.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::delivery::{Class, Delivery, Standing, State};
use domain::event::{DedupeKey, EventType, TimeMark};
use domain::verdict::FailureReason;
use domain::{AppspaceId, Attempt, DeliveryId, DestinationId, Event, EventId, ReplayId, SourceId, Timestamp};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, EventNo, SourceNo, TypeNo};

/// A delivery as it is stored, as far as a change needs to know it.
#[derive(Debug, Clone)]
pub(super) struct DeliveryRow {
    pub(super) no: DeliveryNo,
    pub(super) event_id: EventId,
    pub(super) appspace: AppspaceNo,
    pub(super) destination: DestinationNo,
    pub(super) standing: Standing,
    pub(super) created_at: Timestamp,
    pub(super) replay: Option<ReplayId>,
    pub(super) dead_no: Option<i64>,
}

/// One event by its number.
pub(super) fn event(conn: &Connection, no: EventNo) -> rusqlite::Result<Option<Arc<Event>>> {
    let mut find = conn.prepare_cached(
        "SELECT e.id, a.value, s.value, t.value, e.occurred_at, e.received_at, e.time_mark, e.dedupe_key, e.body \
         FROM events e JOIN names a ON a.no = e.appspace_no JOIN names s ON s.no = e.source_no \
         JOIN names t ON t.no = e.type_no WHERE e.no = ?1",
    )?;
    find.query_row([no.0], event_at).optional()
}

/// The number and appspace of an event.
pub(super) fn event_no(conn: &Connection, id: EventId) -> rusqlite::Result<Option<(EventNo, AppspaceNo)>> {
    let mut find = conn.prepare_cached("SELECT no, appspace_no FROM events WHERE id = ?1")?;
    find.query_row([id.to_bytes()], |row| Ok((EventNo(row.get(0)?), row.get(1)?))).optional()
}

fn event_at(row: &Row<'_>) -> rusqlite::Result<Arc<Event>> {
    Ok(Arc::new(Event {
        id: EventId::from_bytes(row.get(0)?),
        appspace: AppspaceId::from_bytes(row.get(1)?),
        source: SourceId::from_bytes(row.get(2)?),
        event_type: event_type_at(row, 3)?,
        occurred_at: Timestamp::from_millis(row.get(4)?),
        received_at: Timestamp::from_millis(row.get(5)?),
        time_mark: time_mark_at(row, 6)?,
        dedupe_key: DedupeKey(row.get(7)?),
        body: Bytes::copy_from_slice(row.get_ref(8)?.as_blob()?),
    }))
}

/// The columns of an event beside its id, as [`MetNames::event_at`] reads them.
pub(super) const EVENT_COLUMNS: &str =
    "e.appspace_no, e.source_no, e.type_no, e.occurred_at, e.received_at, e.time_mark, e.dedupe_key, e.body";

/// Names that were met in one read of many events: they are few, and looking up three of them for each would cost more than
/// the event.
#[derive(Debug, Default)]
pub(super) struct MetNames {
    appspaces: HashMap<AppspaceNo, AppspaceId>,
    sources: HashMap<SourceNo, SourceId>,
    types: HashMap<TypeNo, EventType>,
}

impl MetNames {
    /// Reads an event whose [`EVENT_COLUMNS`] begin at `at`.
    pub(super) fn event_at(
        &mut self,
        conn: &Connection,
        row: &Row<'_>,
        id: EventId,
        at: usize,
    ) -> rusqlite::Result<Arc<Event>> {
        Ok(Arc::new(Event {
            id,
            appspace: met(&mut self.appspaces, conn, row.get(at)?, |row| Ok(AppspaceId::from_bytes(row.get(0)?)))?,
            source: met(&mut self.sources, conn, row.get(at + 1)?, |row| Ok(SourceId::from_bytes(row.get(0)?)))?,
            event_type: met(&mut self.types, conn, row.get(at + 2)?, |row| event_type_at(row, 0))?,
            occurred_at: Timestamp::from_millis(row.get(at + 3)?),
            received_at: Timestamp::from_millis(row.get(at + 4)?),
            time_mark: time_mark_at(row, at + 5)?,
            dedupe_key: DedupeKey(row.get(at + 6)?),
            body: Bytes::copy_from_slice(row.get_ref(at + 7)?.as_blob()?),
        }))
    }
}

fn met<T: Clone>(
    names: &mut HashMap<i64, T>,
    conn: &Connection,
    no: i64,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if let Some(name) = names.get(&no) {
        return Ok(name.clone());
    }
    let name = conn.prepare_cached("SELECT value FROM names WHERE no = ?1")?.query_row([no], read)?;
    names.insert(no, name.clone());
    Ok(name)
}

pub(super) fn event_type_at(row: &Row<'_>, at: usize) -> rusqlite::Result<EventType> {
    let text = row.get_ref(at)?.as_blob()?;
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| malformed(at, "event type"))
}

/// Reads a standing whose columns begin at `at` (six of them).
pub(super) fn standing_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Standing> {
    Ok(Standing {
        state: state_at(row, at)?,
        class: class_at(row, at + 1)?,
        attempts: row.get(at + 2)?,
        spent: row.get(at + 3)?,
        due_at: Timestamp::from_millis(row.get(at + 4)?),
        reason: reason_at(row, at + 5)?,
    })
}

pub(super) fn time_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

pub(super) fn reason_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<FailureReason>> {
    match row.get_ref(at)?.as_str_or_null()? {
        None => Ok(None),
        Some(code) => FailureReason::from_code(code).map(Some).ok_or_else(|| malformed(at, "reason")),
    }
}

pub(super) fn replay_id_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<ReplayId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(at)?.map(ReplayId::from_bytes))
}

/// A delivery as a change needs it.
pub(super) fn delivery_row(conn: &Connection, no: DeliveryNo) -> rusqlite::Result<Option<DeliveryRow>> {
    let mut find = conn.prepare_cached(
        "SELECT d.state, d.class, d.attempts, d.spent, d.due_at, d.reason, d.created_at, d.destination_no, d.dead_no, \
         r.id, e.id, e.appspace_no FROM deliveries d JOIN events e ON e.no = ?2 \
         LEFT JOIN replays r ON r.no = d.replay_no WHERE d.no = ?1",
    )?;
    let row = find.query_row(params![no.0, no.event().0], |row| {
        Ok(DeliveryRow {
            no,
            standing: standing_at(row, 0)?,
            created_at: Timestamp::from_millis(row.get(6)?),
            destination: row.get(7)?,
            dead_no: row.get(8)?,
            replay: replay_id_at(row, 9)?,
            event_id: EventId::from_bytes(row.get(10)?),
            appspace: row.get(11)?,
        })
    });
    row.optional()
}

/// A delivery as the log shows it and its appspace; without the lease, which only memory knows.
pub(super) fn delivery(conn: &Connection, no: DeliveryNo) -> rusqlite::Result<Option<(AppspaceNo, Delivery)>> {
    let mut find = conn.prepare_cached(
        "SELECT d.state, d.class, d.attempts, d.spent, d.due_at, d.reason, d.created_at, d.ended_at, d.note, \
         r.id, e.id, t.value, n.value, e.appspace_no FROM deliveries d JOIN events e ON e.no = ?2 JOIN names t ON t.no = e.type_no \
         JOIN names n ON n.no = d.destination_no LEFT JOIN replays r ON r.no = d.replay_no WHERE d.no = ?1",
    )?;
    let row = find.query_row(params![no.0, no.event().0], |row| {
        let standing = standing_at(row, 0)?;
        let delivery = Delivery {
            id: DeliveryId { event: EventId::from_bytes(row.get(10)?), ordinal: no.ordinal() },
            destination: DestinationId::from_bytes(row.get(12)?),
            event_type: event_type_at(row, 11)?,
            standing,
            created_at: Timestamp::from_millis(row.get(6)?),
            ended_at: time_at(row, 7)?.filter(|_| standing.state != State::Pending),
            replay: replay_id_at(row, 9)?,
            note: row.get(8)?,
            leased: false,
        };
        Ok((row.get(13)?, delivery))
    });
    row.optional()
}

/// The state of the newest delivery of an event to a destination.
pub(super) fn newest_state(
    conn: &Connection,
    event: EventNo,
    destination: DestinationNo,
) -> rusqlite::Result<Option<State>> {
    let mut find = conn.prepare_cached(
        "SELECT state FROM deliveries WHERE no BETWEEN ?1 AND ?2 AND destination_no = ?3 ORDER BY no DESC LIMIT 1",
    )?;
    let range = params![event.first_delivery().0, event.last_delivery().0, destination];
    find.query_row(range, |row| state_at(row, 0)).optional()
}

/// Attempts of a delivery: one that arrived at its first try has it in its own row.
const ATTEMPTS: &str = "SELECT 1 AS number, tried_at, tried_ms, tried_status, NULL, NULL, tried_reply FROM deliveries \
                        WHERE no = ?1 AND state = 1 AND tried_at IS NOT NULL UNION ALL \
                        SELECT number, started_at, duration_ms, status, reason, error, reply FROM attempts \
                        WHERE delivery_no = ?1";

/// All attempts of a delivery, oldest first.
pub(super) fn attempts(conn: &Connection, no: DeliveryNo) -> rusqlite::Result<Vec<Attempt>> {
    let mut find = conn.prepare_cached(&format!("{ATTEMPTS} ORDER BY number"))?;
    find.query_map([no.0], attempt_at)?.collect()
}

/// The newest attempt of a delivery.
pub(super) fn last_attempt(conn: &Connection, no: DeliveryNo) -> rusqlite::Result<Option<Attempt>> {
    let mut find = conn.prepare_cached(&format!("{ATTEMPTS} ORDER BY number DESC LIMIT 1"))?;
    find.query_row([no.0], attempt_at).optional()
}

fn attempt_at(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        number: row.get(0)?,
        started_at: Timestamp::from_millis(row.get(1)?),
        duration_ms: row.get(2)?,
        status: row.get(3)?,
        reason: reason_at(row, 4)?,
        error: row.get(5)?,
        reply: row.get(6)?,
    })
}

/// The stored value of a state. Written out, because what is on disk must not follow the order of an enum.
pub(super) const fn state_code(state: State) -> i64 {
    match state {
        State::Pending => 0,
        State::Delivered => 1,
        State::Dead => 2,
        State::Cancelled => 3,
        State::Skipped => 4,
    }
}

pub(super) const fn class_code(class: Class) -> i64 {
    match class {
        Class::Fresh => 0,
        Class::Retry => 1,
        Class::Replay => 2,
    }
}

pub(super) const fn time_mark_code(mark: TimeMark) -> i64 {
    match mark {
        TimeMark::Sender => 0,
        TimeMark::Defaulted => 1,
        TimeMark::Future => 2,
        TimeMark::Old => 3,
    }
}

fn state_at(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    Ok(match row.get::<_, i64>(at)? {
        0 => State::Pending,
        1 => State::Delivered,
        2 => State::Dead,
        3 => State::Cancelled,
        4 => State::Skipped,
        _ => return Err(malformed(at, "state")),
    })
}

pub(super) fn class_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Class> {
    Ok(match row.get::<_, i64>(at)? {
        0 => Class::Fresh,
        1 => Class::Retry,
        2 => Class::Replay,
        _ => return Err(malformed(at, "class")),
    })
}

fn time_mark_at(row: &Row<'_>, at: usize) -> rusqlite::Result<TimeMark> {
    Ok(match row.get::<_, i64>(at)? {
        0 => TimeMark::Sender,
        1 => TimeMark::Defaulted,
        2 => TimeMark::Future,
        3 => TimeMark::Old,
        _ => return Err(malformed(at, "time mark")),
    })
}

/// Whether it is a row that cannot be understood, and not the disk that cannot be read.
pub(super) const fn is_malformed(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..))
}

pub(super) fn malformed(column: usize, what: &'static str) -> rusqlite::Error {
    let error = FromSqlError::Other(format!("the {what} cannot be read").into());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}
