//! What is remembered of each destination: sealed values by key.
//!
//! The one table here that is written at random places, since keys are hashes. That costs a page per memo, but off the
//! way of arriving events; see the decision about random keys in `0001_first.sql`.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{DestinationId, SubjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::failure::{TxResult, not_found, unreadable};
use super::numbers::{DestinationNo, sql_limit};
use super::options::OpenError;
use super::reader::{self, in_snapshot};
use super::rows::malformed;
use super::shared::Shared;
use super::transaction::{Tx, millis};
use super::vault::{SealedRow, Unsealable, Vault};
use crate::memos::{check_changes, check_keys};
use crate::{MEMOS_PER_CALL_MAX, Memo, Memos, Result, binding_key};

/// Asks of all destinations at once, by the index that is made for it.
pub(super) const IS_BOUND: &str = "SELECT 1 FROM memos WHERE key = ?1 AND key >= 'bind:' AND key < 'bind;'";
/// Memos removed in one step of upkeep.
const STEP_ROWS: usize = 1_000;

#[async_trait]
impl Memos for SqliteStore {
    async fn remember(
        &self,
        destination: DestinationId,
        changes: Vec<Memo>,
        now: Timestamp,
    ) -> Result<Vec<Option<Bytes>>> {
        check_changes(&changes)?;
        self.shared.queue.command(move |tx| remember(tx, destination, &changes, now)).await
    }

    async fn recall(
        &self,
        destination: DestinationId,
        keys: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Option<Bytes>>> {
        check_keys(&keys)?;
        let recall = move |conn: &Connection, shared: &Shared| {
            let drawer = Drawer::of(shared, destination)?;
            let values = |conn: &Connection| keys.iter().map(|key| drawer.find(conn, key, now)).collect();
            in_snapshot(conn, values).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, recall).await
    }

    async fn recall_all(
        &self,
        destination: DestinationId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Bytes)>> {
        let (prefix, after) = (prefix.to_owned(), after.unwrap_or_default().to_owned());
        let recall_all = move |conn: &Connection, shared: &Shared| {
            let drawer = Drawer::of(shared, destination)?;
            let limit = limit.min(MEMOS_PER_CALL_MAX);
            drawer.list(conn, &prefix, &after, limit, now).map_err(|error| unreadable(&error))
        };
        reader::read(&self.shared, recall_all).await
    }
}

/// The memos of one destination.
struct Drawer<'a> {
    vault: &'a Vault,
    destination: DestinationId,
    no: DestinationNo,
}

impl<'a> Drawer<'a> {
    fn of(shared: &'a Shared, destination: DestinationId) -> Result<Self> {
        let no = shared.lanes().find(destination).ok_or(not_found("destination"))?;
        Ok(Self { vault: &shared.vault, destination, no })
    }

    fn find(&self, conn: &Connection, key: &str, now: Timestamp) -> rusqlite::Result<Option<Bytes>> {
        let sql = "SELECT sealed FROM memos WHERE destination_no = ?1 AND key = ?2 \
                   AND (expires_at IS NULL OR expires_at > ?3)";
        let mut find = conn.prepare_cached(sql)?;
        find.query_row(params![self.no, key, now.as_millis()], |row| self.open(key, row, 0)).optional()
    }

    fn list(
        &self,
        conn: &Connection,
        prefix: &str,
        after: &str,
        limit: usize,
        now: Timestamp,
    ) -> rusqlite::Result<Vec<(String, Bytes)>> {
        let sql = "SELECT key, sealed FROM memos WHERE destination_no = ?1 AND key >= ?2 AND key <> ?3 \
                   AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key";
        let mut find = conn.prepare_cached(sql)?;
        let mut rows = find.query(params![self.no, prefix.max(after), after, now.as_millis()])?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let key: String = row.get(0)?;
            if !key.starts_with(prefix) {
                break;
            }
            let value = self.open(&key, row, 1)?;
            found.push((key, value));
        }
        Ok(found)
    }

    fn put(&self, conn: &Connection, key: &str, value: &[u8], expires_at: Option<Timestamp>) -> rusqlite::Result<()> {
        let sealed = self.vault.seal(sealed_row(&row_id(self.destination.to_bytes(), key)), value);
        let sql = "INSERT INTO memos (destination_no, key, sealed, expires_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (destination_no, key) DO UPDATE SET sealed = ?3, expires_at = ?4";
        conn.prepare_cached(sql)?.execute(params![self.no, key, sealed, millis(expires_at)]).map(drop)
    }

    /// Returns whether there was anything.
    fn forget(&self, conn: &Connection, key: &str) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM memos WHERE destination_no = ?1 AND key = ?2";
        Ok(conn.prepare_cached(sql)?.execute(params![self.no, key])? > 0)
    }

    fn open(&self, key: &str, row: &Row<'_>, at: usize) -> rusqlite::Result<Bytes> {
        let id = row_id(self.destination.to_bytes(), key);
        let plain = self.vault.open(sealed_row(&id), row.get_ref(at)?.as_blob()?);
        plain.map(|plain| Bytes::copy_from_slice(&plain)).map_err(|_| malformed(at, "memo"))
    }
}

/// What a sealed value is bound to: a destination's id has a fixed length, so no two memos share one.
fn row_id(destination: [u8; 16], key: &str) -> Vec<u8> {
    [&destination, key.as_bytes()].concat()
}

const fn sealed_row(id: &[u8]) -> SealedRow<'_> {
    SealedRow { table: "memos", id }
}

fn remember(
    tx: &mut Tx<'_>,
    destination: DestinationId,
    changes: &[Memo],
    now: Timestamp,
) -> TxResult<Vec<Option<Bytes>>> {
    let no = tx.state.names.destination(destination).ok_or(not_found("destination"))?;
    let drawer = Drawer { vault: &tx.state.shared.vault, destination, no };
    let mut found = Vec::with_capacity(changes.len());
    for change in changes {
        let before = drawer.find(tx.conn, change.key(), now)?;
        match change {
            Memo::PutIfAbsent { .. } if before.is_some() => {}
            Memo::Put { key, value, expires_at } | Memo::PutIfAbsent { key, value, expires_at } => {
                drawer.put(tx.conn, key, value, *expires_at)?;
            }
            Memo::Forget { key } => drop(drawer.forget(tx.conn, key)?),
        }
        found.push(before);
    }
    Ok(found)
}

/// Removes these; returns how many there were. Of a destination that was deleted nothing is remembered.
pub(super) fn forget_all(tx: &Tx<'_>, memos: &[(DestinationId, String)]) -> rusqlite::Result<usize> {
    let mut forgotten = 0;
    for (destination, key) in memos {
        let Some(no) = tx.state.names.destination(*destination) else { continue };
        let drawer = Drawer { vault: &tx.state.shared.vault, destination: *destination, no };
        forgotten += usize::from(drawer.forget(tx.conn, key)?);
    }
    Ok(forgotten)
}

/// Whether any destination remembers a record of a subject.
pub(super) fn is_bound(conn: &Connection, subject: SubjectId) -> rusqlite::Result<bool> {
    conn.prepare_cached(IS_BOUND)?.exists([binding_key(&subject.to_string())])
}

/// Removes some memos that have come to their end; returns whether there may be more.
pub(super) fn forget_expired(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM memos WHERE (destination_no, key) IN \
               (SELECT destination_no, key FROM memos WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    let removed = tx.conn.prepare_cached(sql)?.execute(params![now.as_millis(), sql_limit(STEP_ROWS)])?;
    Ok(removed == STEP_ROWS)
}

/// Removes some memos of a destination that was deleted; returns whether there were any.
pub(super) fn forget_some_of(tx: &Tx<'_>, destination: DestinationNo) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM memos WHERE (destination_no, key) IN \
               (SELECT destination_no, key FROM memos WHERE destination_no = ?1 LIMIT ?2)";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![destination, sql_limit(STEP_ROWS)])? > 0)
}

/// Seals every memo anew, after the key has changed.
pub(super) fn reseal(conn: &Connection, vault: &Vault) -> Result<(), OpenError> {
    let sql = "SELECT m.destination_no, m.key, m.sealed, n.value FROM memos m JOIN names n ON n.no = m.destination_no \
               WHERE (m.destination_no, m.key) > (?1, ?2) ORDER BY m.destination_no, m.key LIMIT ?3";
    let mut some = conn.prepare(sql)?;
    let mut update = conn.prepare("UPDATE memos SET sealed = ?3 WHERE destination_no = ?1 AND key = ?2")?;
    let mut last: (DestinationNo, String) = (0, String::new());
    loop {
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let rows = some.query_map(params![last.0, last.1, sql_limit(STEP_ROWS)], row)?;
        let rows: Vec<(DestinationNo, String, Vec<u8>, [u8; 16])> = rows.collect::<Result<_, _>>()?;
        for (no, key, sealed, destination) in &rows {
            let id = row_id(*destination, key);
            let plain = vault.open(sealed_row(&id), sealed).map_err(|unsealable| match unsealable {
                Unsealable::UnknownKey => OpenError::WrongKey,
                Unsealable::Altered => OpenError::Altered(format!("memo {key}")),
            })?;
            update.execute(params![no, key, vault.seal(sealed_row(&id), &plain)])?;
        }
        match rows.into_iter().next_back() {
            Some((no, key, ..)) => last = (no, key),
            None => return Ok(()),
        }
    }
}
