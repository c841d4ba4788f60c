//! The record of deliveries, and what a person may do to one.

use std::ops::ControlFlow;

use async_trait::async_trait;
use domain::delivery::{Class, Delivery, IllegalTransition, Standing, State};
use domain::{AppspaceId, Attempt, DeliveryId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::append;
use super::dead_letters;
use super::failure::{TxResult, not_found, unreadable};
use super::ledger::{self, NewRow};
use super::log::{self, Gather, Span};
use super::names::{self, Kind};
use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, EventNo, below_of, cursor_of};
use super::reader::{self, in_snapshot};
use super::rows::{self, DeliveryRow};
use super::shared::Shared;
use super::transaction::{Change, Tx};
use crate::{DeadLetterQuery, DeliveryLog, DeliveryQuery, DeliverySummary, Page, PageRequest, Result, StoreError};

#[async_trait]
impl DeliveryLog for SqliteStore {
    async fn delivery(&self, appspace: AppspaceId, id: DeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
        let find = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| view_of(conn, shared, appspace, id)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, find).await?.ok_or(not_found("delivery"))
    }

    async fn deliveries(&self, query: DeliveryQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        let list = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| list(conn, shared, &query, &page)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, list).await
    }

    async fn dead_letters(&self, query: DeadLetterQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        let list = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| dead_letters::list(conn, shared, &query, &page))
                .map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, list).await
    }

    async fn dead_letter_count(&self, query: DeadLetterQuery) -> Result<u64> {
        let count = move |conn: &Connection, _: &Shared| {
            in_snapshot(conn, |conn| dead_letters::count(conn, &query)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, count).await
    }

    async fn retry(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let retry = move |tx: &mut Tx<'_>| {
            let row = find(tx, appspace, id)?;
            retry(tx, &row, now)?;
            view(tx, row.no)
        };
        self.shared.queue.command(retry).await
    }

    async fn cancel(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let cancel = move |tx: &mut Tx<'_>| {
            let row = find(tx, appspace, id)?;
            cancel(tx, &row, now)?;
            Ok(Delivery { leased: false, ..view(tx, row.no)? })
        };
        self.shared.queue.command(cancel).await
    }

    async fn resend(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let resend = move |tx: &mut Tx<'_>| {
            let row = find(tx, appspace, id)?;
            let no = resend(tx, &row, now)?;
            view(tx, no)
        };
        self.shared.queue.command(resend).await
    }

    async fn redrive(&self, query: DeadLetterQuery, now: Timestamp, limit: usize) -> Result<usize> {
        self.shared.queue.command(move |tx| dead_letters::redrive(tx, &query, now, limit)).await
    }
}

/// Makes a pending delivery due, or a dead one pending again.
pub(super) fn retry(tx: &mut Tx<'_>, row: &DeliveryRow, now: Timestamp) -> TxResult<()> {
    if row.standing.state.keeps_event() && !is_in_catalog(tx, row.destination) {
        // It is only a matter of time until it is cancelled.
        return Err(StoreError::from(IllegalTransition { from: State::Cancelled, action: "retried" }).into());
    }
    let to = row.standing.retry_now(now).map_err(StoreError::from)?;
    ledger::change(tx, row, &to, now)?;
    let replay = row.replay.map(Box::new);
    let waiting = ledger::waiting(row.no, row.event_id, &to, row.created_at, replay, None);
    tx.change(match row.standing.state {
        State::Pending => Change::Moved { destination: row.destination, was: row.standing, waiting },
        _ => Change::Owed { destination: row.destination, waiting },
    });
    Ok(())
}

/// Calls a delivery off, also one that somebody has in hand.
pub(super) fn cancel(tx: &mut Tx<'_>, row: &DeliveryRow, now: Timestamp) -> TxResult<()> {
    let to = row.standing.cancel().map_err(StoreError::from)?;
    ledger::change(tx, row, &to, now)?;
    if row.standing.state == State::Pending {
        let ending = tx.state.shared.lanes().begin_end_of(row.no);
        tx.ends(ending);
        tx.change(Change::Ended { destination: row.destination, no: row.no, was: row.standing });
    }
    Ok(())
}

fn resend(tx: &mut Tx<'_>, row: &DeliveryRow, now: Timestamp) -> TxResult<DeliveryNo> {
    if !is_in_catalog(tx, row.destination) {
        return Err(not_found("destination").into());
    }
    let no = ledger::next_delivery(tx, row.no.event())?.ok_or_else(append::too_many_deliveries)?;
    let new = NewRow {
        no,
        event_id: row.event_id,
        appspace: row.appspace,
        destination: row.destination,
        standing: Standing::new(Class::Fresh, now),
        created_at: now,
        replay: None,
        note: None,
        event: None,
    };
    ledger::insert(tx, new)?;
    Ok(no)
}

/// Whether a destination is in the catalog.
pub(super) fn is_in_catalog(tx: &Tx<'_>, destination: DestinationNo) -> bool {
    tx.state.shared.lanes().lane(destination).is_some_and(|lane| !lane.is_closed)
}

fn find(tx: &Tx<'_>, appspace: AppspaceId, id: DeliveryId) -> TxResult<DeliveryRow> {
    let no = number_of(tx.conn, appspace, id)?.ok_or(not_found("delivery"))?;
    Ok(rows::delivery_row(tx.conn, no)?.ok_or(not_found("delivery"))?)
}

fn view(tx: &Tx<'_>, no: DeliveryNo) -> TxResult<Delivery> {
    let (_, delivery) = rows::delivery(tx.conn, no)?.ok_or(not_found("delivery"))?;
    Ok(Delivery { leased: tx.state.shared.lanes().is_leased(no), ..delivery })
}

/// The number of a delivery, if its event belongs to the appspace.
fn number_of(conn: &Connection, appspace: AppspaceId, id: DeliveryId) -> rusqlite::Result<Option<DeliveryNo>> {
    let appspace = names::find(conn, Kind::Appspace, &appspace.to_bytes())?;
    let event = rows::event_no(conn, id.event)?;
    Ok(event.filter(|&(_, of)| Some(of) == appspace).map(|(event, _)| event.delivery(id.ordinal)))
}

fn view_of(
    conn: &Connection,
    shared: &Shared,
    appspace: AppspaceId,
    id: DeliveryId,
) -> rusqlite::Result<Option<(Delivery, Vec<Attempt>)>> {
    let Some(no) = number_of(conn, appspace, id)? else { return Ok(None) };
    let Some((_, delivery)) = rows::delivery(conn, no)? else { return Ok(None) };
    let delivery = Delivery { leased: shared.lanes().is_leased(no), ..delivery };
    Ok(Some((delivery, rows::attempts(conn, no)?)))
}

/// A delivery with its newest attempt.
pub(super) fn summary(
    conn: &Connection,
    shared: &Shared,
    delivery: Delivery,
    no: DeliveryNo,
) -> rusqlite::Result<DeliverySummary> {
    let delivery = Delivery { leased: shared.lanes().is_leased(no), ..delivery };
    Ok(DeliverySummary { last_attempt: rows::last_attempt(conn, no)?, delivery })
}

/// The narrowest walk that a query allows; everything else is a filter on the rows it finds.
fn list(
    conn: &Connection,
    shared: &Shared,
    query: &DeliveryQuery,
    page: &PageRequest,
) -> rusqlite::Result<Page<DeliverySummary>> {
    let mut gather = Gather::new(page);
    let below = DeliveryNo(below_of(page.cursor));
    let Some(appspace) = names::find(conn, Kind::Appspace, &query.appspace.to_bytes())? else {
        return Ok(gather.finish());
    };
    let mut look = |no: DeliveryNo| {
        let fitting = rows::delivery(conn, no)?.filter(|(of, delivery)| *of == appspace && fits(query, delivery));
        let item = fitting.map(|(_, delivery)| summary(conn, shared, delivery, no)).transpose()?;
        Ok(gather.look(cursor_of(no.0), item))
    };
    if let Some(event) = query.event {
        if let Some((event, _)) = rows::event_no(conn, event)? {
            // Where the walk ends, the page ends: nothing follows it.
            let _ = deliveries_of(conn, event, below, &mut look)?;
        }
    } else if let Some(replay) = query.replay {
        let mut find = conn.prepare_cached("SELECT no FROM replays WHERE id = ?1")?;
        if let Some(replay) = find.query_row([replay.to_bytes()], |row| row.get::<_, i64>(0)).optional()? {
            let sql = "SELECT delivery_no FROM replay_deliveries WHERE replay_no = ?1 AND delivery_no < ?2 \
                       ORDER BY delivery_no DESC";
            let _ = visit(conn, sql, params![replay, below.0], &mut look)?;
        }
    } else if let Some(destination) = query.destination {
        if let Some(destination) = names::find(conn, Kind::Destination, &destination.to_bytes())? {
            log::deliveries_below(conn, shared, destination, below, look)?;
        }
    } else {
        of_appspace(conn, shared, query, appspace, below, &mut look)?;
    }
    Ok(gather.finish())
}

/// Walks all deliveries of an appspace, event by event.
fn of_appspace(
    conn: &Connection,
    shared: &Shared,
    query: &DeliveryQuery,
    appspace: AppspaceNo,
    below: DeliveryNo,
    look: &mut impl FnMut(DeliveryNo) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let wanted = query.event_type.as_ref();
    let wanted = wanted.map(|name| names::find(conn, Kind::EventType, name.as_str().as_bytes())).transpose()?;
    // The event of `below` may have more deliveries before it.
    let from = if below.0 == i64::MAX { EventNo(i64::MAX) } else { below.event().next() };
    log::events_below(conn, shared, appspace, from, Span::default(), |event| {
        if wanted.is_some_and(|wanted| wanted != Some(event.event_type)) {
            // Looking at its first place counts it, so that a page does not walk without end.
            return look(event.no.first_delivery());
        }
        deliveries_of(conn, event.no, below, look)
    })
}

fn deliveries_of(
    conn: &Connection,
    event: EventNo,
    below: DeliveryNo,
    look: &mut impl FnMut(DeliveryNo) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    let sql = "SELECT no FROM deliveries WHERE no >= ?1 AND no <= ?2 AND no < ?3 ORDER BY no DESC";
    visit(conn, sql, params![event.first_delivery().0, event.last_delivery().0, below.0], look)
}

fn visit(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    look: &mut impl FnMut(DeliveryNo) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut find = conn.prepare_cached(sql)?;
    let mut found = find.query(params)?;
    while let Some(row) = found.next()? {
        if look(DeliveryNo(row.get(0)?))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn fits(query: &DeliveryQuery, delivery: &Delivery) -> bool {
    query.destination.is_none_or(|destination| delivery.destination == destination)
        && query.event.is_none_or(|event| delivery.id.event == event)
        && query.state.is_none_or(|state| delivery.standing.state == state)
        && query.event_type.as_ref().is_none_or(|event_type| delivery.event_type == *event_type)
        && query.replay.is_none_or(|replay| delivery.replay == Some(replay))
}
