//! Appspaces, sources, destinations and keys.

use async_trait::async_trait;
use domain::key::{Key, KeyHash, Scope};
use domain::{Appspace, AppspaceId, Destination, DestinationId, KeyId, Name, Source, SourceId, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use super::SqliteStore;
use super::append;
use super::chores;
use super::failure::{TxResult, not_found, unreadable};
use super::reader::{self, in_snapshot};
use super::replays;
use super::rows::{malformed, time_at};
use super::sealed;
use super::transaction::{Change, Tx, millis};
use super::vault::{SealedRow, Vault};
use crate::{Catalog, CatalogSnapshot, NewEvent, OnKnown, Result, StoreError};

#[async_trait]
impl Catalog for SqliteStore {
    async fn load_catalog(&self) -> Result<CatalogSnapshot> {
        let load = |conn: &Connection, vault: &Vault| {
            Ok(CatalogSnapshot {
                appspaces: appspaces(conn)?,
                sources: unsealed(conn, vault, "sources")?,
                destinations: unsealed(conn, vault, "destinations")?,
                keys: keys(conn)?,
            })
        };
        let read = move |conn: &Connection, shared: &super::Shared| {
            in_snapshot(conn, |conn| load(conn, &shared.vault)).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, read).await
    }

    async fn put_appspace(&self, appspace: Appspace) -> Result<()> {
        self.shared.queue.command(move |tx| put_appspace(tx, &appspace)).await
    }

    async fn put_source(&self, source: Source) -> Result<()> {
        self.shared.queue.command(move |tx| put_source(tx, &source)).await
    }

    async fn delete_source(&self, id: SourceId) -> Result<()> {
        self.shared.queue.command(move |tx| delete(tx, "source", "sources", &id.to_bytes())).await
    }

    async fn put_destination(&self, destination: Destination, events: Vec<NewEvent>) -> Result<()> {
        self.shared.queue.command(move |tx| put_destination(tx, &destination, &events)).await
    }

    async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()> {
        self.shared.queue.command(move |tx| delete_destination(tx, id, now)).await
    }

    async fn put_key(&self, key: Key) -> Result<()> {
        self.shared.queue.command(move |tx| put_key(tx, &key)).await
    }

    async fn delete_key(&self, id: KeyId) -> Result<()> {
        self.shared.queue.command(move |tx| delete(tx, "key", "keys", &id.to_bytes())).await
    }
}

fn put_appspace(tx: &mut Tx<'_>, appspace: &Appspace) -> TxResult<()> {
    let id = appspace.id.to_bytes();
    let sql = "SELECT 1 FROM appspaces WHERE name = ?1 AND id <> ?2";
    if tx.conn.prepare_cached(sql)?.exists(params![appspace.name.as_str(), id])? {
        return Err(name_taken("appspace", &appspace.name).into());
    }
    let record = serde_json::to_string(appspace).map_err(|_| malformed(0, "record"))?;
    let sql = "INSERT INTO appspaces (id, name, record) VALUES (?1, ?2, ?3) \
               ON CONFLICT (id) DO UPDATE SET name = ?2, record = ?3";
    tx.conn.prepare_cached(sql)?.execute(params![id, appspace.name.as_str(), record])?;
    Ok(())
}

fn put_source(tx: &mut Tx<'_>, source: &Source) -> TxResult<()> {
    let id = source.id.to_bytes();
    check_name(tx, "source", "sources", &id, source.appspace, &source.name)?;
    let row = SealedRow { table: "sources", id: &id };
    let (record, sealed) = sealed::split(&tx.state.shared.vault, row, source)?;
    Ok(put(tx, "sources", &id, source.appspace, &source.name, &record, &sealed)?)
}

fn put_destination(tx: &mut Tx<'_>, destination: &Destination, events: &[NewEvent]) -> TxResult<()> {
    let id = destination.id.to_bytes();
    // Whatever may be refused comes before the first write.
    if tx.state.names.is_deleted(tx.conn, destination.id)? {
        return Err(not_found("destination").into());
    }
    check_name(tx, "destination", "destinations", &id, destination.appspace, &destination.name)?;
    append::check(tx, events, OnKnown::Count)?;
    let row = SealedRow { table: "destinations", id: &id };
    let (record, sealed) = sealed::split(&tx.state.shared.vault, row, destination)?;
    put(tx, "destinations", &id, destination.appspace, &destination.name, &record, &sealed)?;
    if tx.state.names.destination(destination.id).is_none() {
        let no = tx.state.names.add_destination(tx.conn, destination.id)?;
        tx.change(Change::LaneOpened { destination: destination.id, no });
    }
    append::append(tx, events, OnKnown::Count).map(drop)
}

fn delete_destination(tx: &mut Tx<'_>, id: DestinationId, now: Timestamp) -> TxResult<()> {
    let Some(no) = tx.state.names.destination(id) else { return Err(not_found("destination").into()) };
    tx.conn.prepare_cached("DELETE FROM destinations WHERE id = ?1")?.execute([id.to_bytes()])?;
    tx.state.names.remove_destination(id);
    // What workers have in hand turns stale at once.
    tx.closes(no);
    tx.change(Change::LaneClosed { no });
    replays::fail_all_of(tx, no, now)?;
    chores::add(tx, chores::Kind::DeletedDestination, no)?;
    Ok(())
}

fn put_key(tx: &mut Tx<'_>, key: &Key) -> TxResult<()> {
    let sql = "INSERT OR REPLACE INTO keys (id, appspace, scope, label, hash, tail, created_at, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let scope = serde_json::to_string(&key.scope).map_err(|_| malformed(2, "scope"))?;
    tx.conn.prepare_cached(sql)?.execute(params![
        key.id.to_bytes(),
        key.appspace.map(AppspaceId::to_bytes),
        scope,
        key.label,
        key.hash.0,
        key.tail,
        key.created_at.as_millis(),
        millis(key.expires_at),
    ])?;
    Ok(())
}

fn delete(tx: &mut Tx<'_>, noun: &'static str, table: &'static str, id: &[u8; 16]) -> TxResult<()> {
    let sql = format!("DELETE FROM {table} WHERE id = ?1");
    match tx.conn.prepare_cached(&sql)?.execute([id])? {
        0 => Err(not_found(noun).into()),
        _ => Ok(()),
    }
}

/// Refuses a name that another object of the appspace has.
fn check_name(
    tx: &Tx<'_>,
    noun: &'static str,
    table: &'static str,
    id: &[u8; 16],
    appspace: AppspaceId,
    name: &Name,
) -> TxResult<()> {
    let sql = format!("SELECT 1 FROM {table} WHERE appspace = ?1 AND name = ?2 AND id <> ?3");
    let is_taken = tx.conn.prepare_cached(&sql)?.exists(params![appspace.to_bytes(), name.as_str(), id])?;
    if is_taken { Err(name_taken(noun, name).into()) } else { Ok(()) }
}

fn name_taken(noun: &'static str, name: &Name) -> StoreError {
    StoreError::NameTaken { noun, name: name.to_string() }
}

fn put(
    tx: &Tx<'_>,
    table: &'static str,
    id: &[u8; 16],
    appspace: AppspaceId,
    name: &Name,
    record: &str,
    sealed: &[u8],
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {table} (id, appspace, name, record, sealed) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET appspace = ?2, name = ?3, record = ?4, sealed = ?5"
    );
    tx.conn.prepare_cached(&sql)?.execute(params![id, appspace.to_bytes(), name.as_str(), record, sealed])?;
    Ok(())
}

fn appspaces(conn: &Connection) -> rusqlite::Result<Vec<Appspace>> {
    let mut all = conn.prepare_cached("SELECT record FROM appspaces ORDER BY id")?;
    let record = |row: &Row<'_>| serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|_| malformed(0, "record"));
    all.query_map([], record)?.collect()
}

fn unsealed<T: DeserializeOwned>(conn: &Connection, vault: &Vault, table: &'static str) -> rusqlite::Result<Vec<T>> {
    let mut all = conn.prepare_cached(&format!("SELECT id, record, sealed FROM {table} ORDER BY id"))?;
    let record = |row: &Row<'_>| {
        let id: [u8; 16] = row.get(0)?;
        let sealed_row = SealedRow { table, id: &id };
        sealed::join(vault, sealed_row, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?)
    };
    all.query_map([], record)?.collect()
}

fn keys(conn: &Connection) -> rusqlite::Result<Vec<Key>> {
    let sql = "SELECT id, appspace, scope, label, hash, tail, created_at, expires_at FROM keys ORDER BY id";
    let key = |row: &Row<'_>| {
        Ok(Key {
            id: KeyId::from_bytes(row.get(0)?),
            appspace: row.get::<_, Option<[u8; 16]>>(1)?.map(AppspaceId::from_bytes),
            scope: serde_json::from_str::<Scope>(row.get_ref(2)?.as_str()?).map_err(|_| malformed(2, "scope"))?,
            label: row.get(3)?,
            hash: KeyHash(row.get(4)?),
            tail: row.get(5)?,
            created_at: Timestamp::from_millis(row.get(6)?),
            expires_at: time_at(row, 7)?,
        })
    };
    conn.prepare_cached(sql)?.query_map([], key)?.collect()
}
