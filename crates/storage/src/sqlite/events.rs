//! The log of events, as the seam asks for it.

use async_trait::async_trait;
use domain::{AppspaceId, EventId, SourceId};
use rusqlite::{Connection, OptionalExtension as _};

use super::SqliteStore;
use super::append;
use super::blocks::EventRef;
use super::failure::{not_found, unreadable};
use super::log::{self, Gather, Span};
use super::names::{self, Kind};
use super::numbers::{EventNo, below_of, cursor_of};
use super::quarantine;
use super::reader::{self, in_snapshot};
use super::rows;
use super::shared::Shared;
use crate::{Append, Appended, EventLog, EventQuery, EventRecord, NewEvent, Page, PageRequest, Quarantined, Result};

#[async_trait]
impl EventLog for SqliteStore {
    async fn append(&self, append: Append) -> Result<Vec<Appended>> {
        let Append { events, on_known } = append;
        let bytes = events.iter().map(cost).sum();
        self.shared.queue.append(bytes, move |tx| append::append(tx, &events, on_known)).await
    }

    async fn event(&self, appspace: AppspaceId, id: EventId) -> Result<EventRecord> {
        let find = move |conn: &Connection| {
            let no = rows::event_no(conn, id)?;
            no.map(|(no, _)| record(conn, no)).transpose().map(Option::flatten)
        };
        let found = reader::read(&self.shared, move |conn, _| find(conn).map_err(|error| unreadable(&error))).await?;
        found.filter(|record| record.event.appspace == appspace).ok_or(not_found("event"))
    }

    async fn events(&self, query: EventQuery, page: PageRequest) -> Result<Page<EventRecord>> {
        let list = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| list(conn, shared, &query, &page)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, list).await
    }

    async fn quarantine(&self, entry: Quarantined) -> Result<bool> {
        self.shared.queue.command(move |tx| quarantine::keep(tx, &entry)).await
    }

    async fn quarantined(
        &self,
        appspace: AppspaceId,
        source: SourceId,
        page: PageRequest,
    ) -> Result<Page<Quarantined>> {
        let list = move |conn: &Connection, _: &Shared| {
            quarantine::list(conn, appspace, source, &page).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, list).await
    }
}

/// What an event weighs in the queue, in bytes.
fn cost(new: &NewEvent) -> usize {
    new.event.body.len() + 64 * new.deliveries.len()
}

fn record(conn: &Connection, no: EventNo) -> rusqlite::Result<Option<EventRecord>> {
    let Some(event) = rows::event(conn, no)? else { return Ok(None) };
    let mut count = conn.prepare_cached("SELECT count FROM event_duplicates WHERE event_no = ?1")?;
    let duplicates: Option<i64> = count.query_row([no.0], |row| row.get(0)).optional()?;
    Ok(Some(EventRecord { event, duplicates: duplicates.unwrap_or(0).cast_unsigned() }))
}

fn list(
    conn: &Connection,
    shared: &Shared,
    query: &EventQuery,
    page: &PageRequest,
) -> rusqlite::Result<Page<EventRecord>> {
    let mut gather = Gather::new(page);
    let source = query.source.map(|id| names::find(conn, Kind::Source, &id.to_bytes())).transpose()?;
    let event_type = query.event_type.as_ref();
    let event_type = event_type.map(|name| names::find(conn, Kind::EventType, name.as_str().as_bytes())).transpose()?;
    let Some(appspace) = names::find(conn, Kind::Appspace, &query.appspace.to_bytes())? else {
        return Ok(gather.finish());
    };
    let span = Span { from: query.from, to: query.to };
    // A name that was never stored has no number, and nothing fits it.
    let fits = |event: &EventRef| {
        source.is_none_or(|no| no == Some(event.source)) && event_type.is_none_or(|no| no == Some(event.event_type))
    };
    log::events_below(conn, shared, appspace, EventNo(below_of(page.cursor)), span, |event| {
        let record = if fits(&event) { record(conn, event.no)? } else { None };
        let record = record.filter(|record| span.holds(record.event.received_at));
        Ok(gather.look(cursor_of(event.no.0), record))
    })?;
    Ok(gather.finish())
}
