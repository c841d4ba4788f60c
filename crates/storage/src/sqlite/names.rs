//! Interning: small numbers for appspaces, sources, destinations and event types.
//!
//! Owned by the writer. A name once numbered keeps its number for ever, also when what it stood for is deleted, so that
//! the log can still say whose it was.

use std::collections::HashMap;

use domain::event::EventType;
use domain::{AppspaceId, DestinationId, SourceId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::numbers::{AppspaceNo, DestinationNo, SourceNo, TypeNo};

/// The values of the column `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Appspace = 1,
    Source = 2,
    Destination = 3,
    EventType = 4,
}

/// Most event types kept in memory. Senders choose them, so they may be without end; beyond this the table is asked.
const TYPES_KEPT_MAX: usize = 16_384;

/// The writer's view of the table `names`.
#[derive(Debug, Default)]
pub(super) struct Names {
    appspaces: HashMap<AppspaceId, AppspaceNo>,
    sources: HashMap<SourceId, SourceNo>,
    /// Only those that are in the catalog: no delivery is made for any other.
    destinations: HashMap<DestinationId, DestinationNo>,
    types: HashMap<EventType, TypeNo>,
    /// Whether this was changed by the open transaction and must be read again if that is rolled back.
    is_changed: bool,
}

impl Names {
    /// Reads what is in use; event types come in as they are met.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut names = Self::default();
        let mut rows = conn
            .prepare_cached("SELECT n.no, n.value FROM destinations d JOIN names n ON n.kind = 3 AND n.value = d.id")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            names.destinations.insert(DestinationId::from_bytes(row.get(1)?), row.get(0)?);
        }
        Ok(names)
    }

    pub(super) fn appspace(&mut self, conn: &Connection, id: AppspaceId) -> rusqlite::Result<AppspaceNo> {
        if let Some(&no) = self.appspaces.get(&id) {
            return Ok(no);
        }
        let no = self.intern(conn, Kind::Appspace, &id.to_bytes())?;
        self.appspaces.insert(id, no);
        Ok(no)
    }

    pub(super) fn source(&mut self, conn: &Connection, id: SourceId) -> rusqlite::Result<SourceNo> {
        if let Some(&no) = self.sources.get(&id) {
            return Ok(no);
        }
        let no = self.intern(conn, Kind::Source, &id.to_bytes())?;
        self.sources.insert(id, no);
        Ok(no)
    }

    pub(super) fn event_type(&mut self, conn: &Connection, event_type: &EventType) -> rusqlite::Result<TypeNo> {
        if let Some(&no) = self.types.get(event_type) {
            return Ok(no);
        }
        let no = self.intern(conn, Kind::EventType, event_type.as_str().as_bytes())?;
        if self.types.len() >= TYPES_KEPT_MAX {
            self.types.clear();
        }
        self.types.insert(event_type.clone(), no);
        Ok(no)
    }

    /// The number of a destination that is in the catalog.
    pub(super) fn destination(&self, id: DestinationId) -> Option<DestinationNo> {
        self.destinations.get(&id).copied()
    }

    /// Whether a destination was in the catalog and is not any more: it cannot come back.
    pub(super) fn is_deleted(&self, conn: &Connection, id: DestinationId) -> rusqlite::Result<bool> {
        Ok(!self.destinations.contains_key(&id) && find(conn, Kind::Destination, &id.to_bytes())?.is_some())
    }

    /// Numbers a destination that enters the catalog.
    pub(super) fn add_destination(&mut self, conn: &Connection, id: DestinationId) -> rusqlite::Result<DestinationNo> {
        let no = self.intern(conn, Kind::Destination, &id.to_bytes())?;
        self.destinations.insert(id, no);
        Ok(no)
    }

    /// A destination that leaves the catalog; its number stays.
    pub(super) fn remove_destination(&mut self, id: DestinationId) {
        self.is_changed = true;
        self.destinations.remove(&id);
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = (DestinationId, DestinationNo)> {
        self.destinations.iter().map(|(&id, &no)| (id, no))
    }

    pub(super) fn committed(&mut self) {
        self.is_changed = false;
    }

    pub(super) fn rolled_back(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.is_changed {
            *self = Self::load(conn)?;
        }
        Ok(())
    }

    fn intern(&mut self, conn: &Connection, kind: Kind, value: &[u8]) -> rusqlite::Result<i64> {
        if let Some(no) = find(conn, kind, value)? {
            return Ok(no);
        }
        self.is_changed = true;
        let mut insert = conn.prepare_cached("INSERT INTO names (kind, value) VALUES (?1, ?2)")?;
        insert.insert(params![kind as i64, value])
    }
}

/// The number of a name, if it has one.
pub(super) fn find(conn: &Connection, kind: Kind, value: &[u8]) -> rusqlite::Result<Option<i64>> {
    let mut find = conn.prepare_cached("SELECT no FROM names WHERE kind = ?1 AND value = ?2")?;
    find.query_row(params![kind as i64, value], |row| row.get(0)).optional()
}
