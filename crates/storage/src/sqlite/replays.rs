//! Replays: durable jobs with a cursor.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use domain::delivery::{Class, Standing, State};
use domain::replay::{Replay, ReplayState};
use domain::{AppspaceId, Event, EventId, ReplayId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::blocks::EventRef;
use super::chores;
use super::facts;
use super::failure::{TxResult, not_found, unreadable};
use super::ledger::{self, NewRow};
use super::log::{self, Gather, Span};
use super::names::{self, Kind};
use super::numbers::{DestinationNo, EventNo, below_of, cursor_of};
use super::reader::{self, in_snapshot};
use super::rows::{self, malformed};
use super::shared::Shared;
use super::transaction::Tx;
use crate::{Page, PageRequest, ReplayScan, ReplayStep, Replays, Result};

#[async_trait]
impl Replays for SqliteStore {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        self.shared.queue.command(move |tx| create(tx, &replay)).await
    }

    async fn replay(&self, appspace: AppspaceId, id: ReplayId) -> Result<Replay> {
        let find = move |conn: &Connection, _: &Shared| find(conn, id).map_err(|error| unreadable(&error));
        let found = reader::read(&self.shared, find).await?;
        let found = found.filter(|row| row.replay.appspace == appspace);
        found.map(|row| row.replay).ok_or(not_found("replay"))
    }

    async fn replays(&self, appspace: AppspaceId, page: PageRequest) -> Result<Page<Replay>> {
        let list = move |conn: &Connection, _: &Shared| list(conn, appspace, &page).map_err(|error| unreadable(&error));
        reader::read(&self.shared, list).await
    }

    async fn running_replays(&self) -> Result<Vec<(Replay, Option<EventId>)>> {
        let list = move |conn: &Connection, _: &Shared| running(conn).map_err(|error| unreadable(&error));
        reader::read(&self.shared, list).await
    }

    async fn replay_scan(&self, scan: ReplayScan) -> Result<Vec<(Arc<Event>, Option<State>)>> {
        let look = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| look(conn, shared, &scan)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, look).await
    }

    async fn advance_replay(&self, step: ReplayStep) -> Result<Replay> {
        self.shared.queue.command(move |tx| advance(tx, &step)).await
    }

    async fn cancel_replay(&self, appspace: AppspaceId, id: ReplayId, now: Timestamp) -> Result<Replay> {
        self.shared.queue.command(move |tx| cancel(tx, appspace, id, now)).await
    }
}

/// A replay as it is stored.
struct ReplayRow {
    no: i64,
    destination: DestinationNo,
    /// The last event it has looked at.
    cursor: Option<EventId>,
    replay: Replay,
}

const COLUMNS: &str = "no, destination_no, cursor, record";

fn create(tx: &mut Tx<'_>, replay: &Replay) -> TxResult<()> {
    let Some(destination) = tx.state.names.destination(replay.destination) else {
        return Err(not_found("destination").into());
    };
    let appspace = tx.state.names.appspace(tx.conn, replay.appspace)?;
    let sql = "INSERT INTO replays (id, appspace_no, destination_no, is_running, record) VALUES (?1, ?2, ?3, ?4, ?5)";
    let is_running = replay.state == ReplayState::Running;
    let values = params![replay.id.to_bytes(), appspace, destination, is_running, record(replay)?];
    tx.conn.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn advance(tx: &mut Tx<'_>, step: &ReplayStep) -> TxResult<Replay> {
    let mut row = find(tx.conn, step.id)?.ok_or(not_found("replay"))?;
    if row.replay.state != ReplayState::Running || row.cursor != step.from_cursor {
        return Ok(row.replay);
    }
    row.cursor = step.to_cursor.or(row.cursor);
    row.replay.scanned += step.scanned;
    if step.state != ReplayState::Running {
        row.end(step.state, step.now);
    }
    for &event in &step.unread {
        if let Some((no, _)) = rows::event_no(tx.conn, event)? {
            facts::read_again(tx.conn, no)?;
        }
    }
    for &event in &step.owed {
        row.replay.created += u64::from(owe_again(tx, &row, event, step.now)?);
    }
    save(tx, &row)?;
    Ok(row.replay)
}

/// Makes a delivery of a replay, unless the event is gone or can have no more.
fn owe_again(tx: &mut Tx<'_>, row: &ReplayRow, event_id: EventId, now: Timestamp) -> rusqlite::Result<bool> {
    let Some((event, appspace)) = rows::event_no(tx.conn, event_id)? else { return Ok(false) };
    let Some(no) = ledger::next_delivery(tx, event)? else { return Ok(false) };
    let new = NewRow {
        no,
        event_id,
        appspace,
        destination: row.destination,
        standing: Standing::new(Class::Replay, now),
        created_at: now,
        replay: Some((row.replay.id, row.no)),
        note: None,
        event: None,
    };
    ledger::insert(tx, new)?;
    Ok(true)
}

fn cancel(tx: &mut Tx<'_>, appspace: AppspaceId, id: ReplayId, now: Timestamp) -> TxResult<Replay> {
    let found = find(tx.conn, id)?.filter(|row| row.replay.appspace == appspace);
    let mut row = found.ok_or(not_found("replay"))?;
    let may_end = match row.replay.state {
        ReplayState::Running => true,
        ReplayState::Done => owes(tx, row.no)?,
        ReplayState::Cancelled | ReplayState::Failed => false,
    };
    if may_end {
        row.end(ReplayState::Cancelled, now);
        save(tx, &row)?;
        chores::add(tx, chores::Kind::CancelledReplay, row.no)?;
    }
    Ok(row.replay)
}

/// Whether a replay has a delivery that is pending.
fn owes(tx: &Tx<'_>, replay_no: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM replay_deliveries AS made JOIN deliveries ON no = made.delivery_no \
               WHERE made.replay_no = ?1 AND state = ?2)";
    let values = params![replay_no, rows::state_code(State::Pending)];
    tx.conn.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

/// Ends the running replays of a destination that is deleted.
pub(super) fn fail_all_of(tx: &mut Tx<'_>, destination: DestinationNo, now: Timestamp) -> rusqlite::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE is_running AND destination_no = ?1");
    let of_it: Vec<ReplayRow> =
        tx.conn.prepare_cached(&sql)?.query_map([destination], row_at)?.collect::<Result<_, _>>()?;
    for mut row in of_it {
        row.end(ReplayState::Failed, now);
        save(tx, &row)?;
    }
    Ok(())
}

fn save(tx: &Tx<'_>, row: &ReplayRow) -> rusqlite::Result<()> {
    let sql = "UPDATE replays SET is_running = ?2, cursor = ?3, record = ?4 WHERE no = ?1";
    let is_running = row.replay.state == ReplayState::Running;
    let cursor = row.cursor.map(EventId::to_bytes);
    tx.conn.prepare_cached(sql)?.execute(params![row.no, is_running, cursor, record(&row.replay)?])?;
    Ok(())
}

fn find(conn: &Connection, id: ReplayId) -> rusqlite::Result<Option<ReplayRow>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = ?1");
    conn.prepare_cached(&sql)?.query_row([id.to_bytes()], row_at).optional()
}

fn list(conn: &Connection, appspace: AppspaceId, page: &PageRequest) -> rusqlite::Result<Page<Replay>> {
    let mut gather = Gather::new(page);
    let Some(appspace) = names::find(conn, Kind::Appspace, &appspace.to_bytes())? else { return Ok(gather.finish()) };
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE appspace_no = ?1 AND no < ?2 ORDER BY no DESC");
    let mut find = conn.prepare_cached(&sql)?;
    for row in find.query_map(params![appspace, below_of(page.cursor)], row_at)? {
        let row = row?;
        if gather.look(cursor_of(row.no), Some(row.replay)).is_break() {
            break;
        }
    }
    Ok(gather.finish())
}

fn running(conn: &Connection) -> rusqlite::Result<Vec<(Replay, Option<EventId>)>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE is_running ORDER BY no");
    let mut find = conn.prepare_cached(&sql)?;
    find.query_map([], |row| row_at(row).map(|row| (row.replay, row.cursor)))?.collect()
}

fn look(conn: &Connection, shared: &Shared, scan: &ReplayScan) -> rusqlite::Result<Vec<(Arc<Event>, Option<State>)>> {
    let mut found = Vec::new();
    let Some(appspace) = names::find(conn, Kind::Appspace, &scan.appspace.to_bytes())? else { return Ok(found) };
    let destination = names::find(conn, Kind::Destination, &scan.destination.to_bytes())?;
    let first = scan.after.map_or(Ok(EventNo(0)), |after| first_after(conn, after))?;
    let span = Span { from: Some(scan.from), to: Some(scan.to) };
    log::events_from(conn, shared, appspace, first, span, |EventRef { no, .. }| {
        if found.len() == scan.limit {
            return Ok(ControlFlow::Break(()));
        }
        let event = rows::event(conn, no)?.filter(|event| span.holds(event.received_at));
        if let Some(event) = event {
            let newest = destination.map(|destination| rows::newest_state(conn, no, destination)).transpose()?;
            found.push((event, newest.flatten()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Where to go on after an event. If retention has removed it, ids tell: they rise as the log does.
pub(super) fn first_after(conn: &Connection, id: EventId) -> rusqlite::Result<EventNo> {
    let mut last = conn.prepare_cached("SELECT no FROM events WHERE id <= ?1 ORDER BY id DESC LIMIT 1")?;
    let last = last.query_row([id.to_bytes()], |row| row.get(0).map(EventNo)).optional()?;
    Ok(last.map_or(EventNo(0), EventNo::next))
}

impl ReplayRow {
    fn end(&mut self, state: ReplayState, now: Timestamp) {
        self.replay.state = state;
        self.replay.ended_at = Some(now);
    }
}

fn row_at(row: &Row<'_>) -> rusqlite::Result<ReplayRow> {
    Ok(ReplayRow {
        no: row.get(0)?,
        destination: row.get(1)?,
        cursor: row.get::<_, Option<[u8; 16]>>(2)?.map(EventId::from_bytes),
        replay: serde_json::from_str(row.get_ref(3)?.as_str()?).map_err(|_| malformed(3, "replay"))?,
    })
}

fn record(replay: &Replay) -> rusqlite::Result<String> {
    serde_json::to_string(replay).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
