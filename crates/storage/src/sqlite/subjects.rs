//! Who somebody is, as the seam asks for it.

use std::sync::{Arc, Once};

use async_trait::async_trait;
use domain::identity::Identifier;
use domain::{AppspaceId, Event, EventId, SubjectId};
use rusqlite::Connection;

use super::SqliteStore;
use super::append;
use super::checkpoint;
use super::erase;
use super::facts;
use super::failure::{TxResult, unreadable};
use super::names::{self, Kind};
use super::numbers::{AppspaceNo, EventNo};
use super::reader::{self, in_snapshot};
use super::records::Records;
use super::replays;
use super::rows;
use super::shared::Shared;
use super::transaction::Tx;
use crate::subjects::{Room, check_count, check_erasure, check_fold};
use crate::{Erased, Erasure, Fold, IdentifierRecord, OnKnown, Result, SubjectRecord, Subjects};

#[async_trait]
impl Subjects for SqliteStore {
    async fn unfolded(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Arc<Event>>> {
        let find = move |conn: &Connection, _: &Shared| {
            let first = after.map_or(Ok(EventNo(0)), |after| replays::first_after(conn, after))?;
            let nos = facts::unfolded(conn, first, Room::events_max(limit))?;
            events(conn, nos, limit, readable)
        };
        self.look_up(find).await
    }

    async fn are_folded(&self, events: &[EventId]) -> Result<bool> {
        check_count(events.len())?;
        let events = events.to_vec();
        let look = move |conn: &Connection, _: &Shared| {
            for id in events {
                if let Some((no, _)) = rows::event_no(conn, id)?
                    && facts::is_unfolded(conn, no)?
                {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        self.look_up(look).await
    }

    async fn identifiers(&self, appspace: AppspaceId, of: &[Identifier]) -> Result<Vec<Option<IdentifierRecord>>> {
        check_count(of.len())?;
        let of = of.to_vec();
        let find = move |conn: &Connection, shared: &Shared| {
            let Some(appspace) = appspace_no(conn, appspace)? else { return Ok(vec![None; of.len()]) };
            let records = Records::new(conn, shared, appspace);
            of.iter().map(|identifier| records.identifier(identifier)).collect()
        };
        self.look_up(find).await
    }

    async fn subjects(&self, appspace: AppspaceId, ids: &[SubjectId]) -> Result<Vec<Option<SubjectRecord>>> {
        check_count(ids.len())?;
        let ids = ids.to_vec();
        let find = move |conn: &Connection, shared: &Shared| {
            let Some(appspace) = appspace_no(conn, appspace)? else { return Ok(vec![None; ids.len()]) };
            let records = Records::new(conn, shared, appspace);
            ids.iter().map(|&id| records.subject(id)).collect()
        };
        self.look_up(find).await
    }

    async fn fold(&self, fold: Fold) -> Result<()> {
        check_fold(&fold)?;
        self.shared.queue.command(move |tx| write(tx, &fold)).await
    }

    async fn events_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>> {
        check_count(identifiers.len())?;
        let identifiers = identifiers.to_vec();
        let find = move |conn: &Connection, shared: &Shared| {
            let Some(appspace) = appspace_no(conn, appspace)? else { return Ok(Vec::new()) };
            let nos = Records::new(conn, shared, appspace).nos(&identifiers)?;
            let first = after.map_or(Ok(EventNo(0)), |after| replays::first_after(conn, after))?;
            let nos = facts::events_of(conn, &nos, first, Room::events_max(limit))?;
            events(conn, nos, limit, rows::event)
        };
        self.look_up(find).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<Erased> {
        check_erasure(&erasure)?;
        self.shared.queue.command(move |tx| erase::erase(tx, &erasure)).await
    }

    async fn wipe(&self) -> Result<bool> {
        let more = self.shared.queue.command(|tx| Ok(erase::wipe(tx)?)).await?;
        if !more {
            // Whatever went before is in the WAL as it was, and goes with it.
            checkpoint::emptied(&self.shared).await;
        }
        Ok(more)
    }
}

impl SqliteStore {
    /// Reads beside the writer, all of it of one moment.
    async fn look_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let look = move |conn: &Connection, shared: &Shared| {
            in_snapshot(conn, |conn| work(conn, shared)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, look).await
    }
}

fn appspace_no(conn: &Connection, id: AppspaceId) -> rusqlite::Result<Option<AppspaceNo>> {
    names::find(conn, Kind::Appspace, &id.to_bytes())
}

/// Of events that cannot be read one is told of: they are met again and again.
static MALFORMED: Once = Once::new();

/// Reads an event. Nobody waits for one whose row cannot be understood.
fn readable(conn: &Connection, no: EventNo) -> rusqlite::Result<Option<Arc<Event>>> {
    match rows::event(conn, no) {
        Err(error) if rows::is_malformed(&error) => {
            MALFORMED.call_once(|| tracing::error!(%error, no = no.0, "an event is never read for who it is about"));
            Ok(None)
        }
        event => event,
    }
}

/// Reads as many of these events as an answer has room for.
fn events(
    conn: &Connection,
    nos: impl IntoIterator<Item = EventNo>,
    limit: usize,
    read: impl Fn(&Connection, EventNo) -> rusqlite::Result<Option<Arc<Event>>>,
) -> rusqlite::Result<Vec<Arc<Event>>> {
    let mut room = Room::new(limit);
    let mut events = Vec::new();
    for no in nos {
        let Some(event) = read(conn, no)? else { continue };
        if !room.takes(&event) {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

fn write(tx: &mut Tx<'_>, fold: &Fold) -> TxResult<()> {
    // Before everything else: only this can be refused, and what the news say belongs to somebody too.
    append::append(tx, &fold.news, OnKnown::Count)?;
    let appspace = tx.state.names.appspace(tx.conn, fold.appspace)?;
    let records = Records::new(tx.conn, &tx.state.shared, appspace);
    for record in &fold.identifiers {
        records.put_identifier(record)?;
    }
    for record in &fold.subjects {
        records.put_subject(record)?;
    }
    for (id, identifier) in &fold.events {
        // One that retention has removed, or of another appspace, is nobody's.
        let Some((no, of)) = rows::event_no(tx.conn, *id)? else { continue };
        if of == appspace {
            let owner = identifier.as_ref().map(|identifier| records.no(identifier)).transpose()?;
            facts::belong(tx.conn, no, owner)?;
        }
    }
    Ok(())
}
