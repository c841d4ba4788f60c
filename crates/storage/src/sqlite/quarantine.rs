//! The quarantine: signed bodies that could not be read, a bounded number per source.

use bytes::Bytes;
use domain::{AppspaceId, SourceId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::failure::TxResult;
use super::log::Gather;
use super::numbers::{below_of, cursor_of, sql_limit};
use super::transaction::Tx;
use crate::{Page, PageRequest, QUARANTINE_MAX, Quarantined};

/// Keeps a body once per source; the oldest makes room.
pub(super) fn keep(tx: &mut Tx<'_>, entry: &Quarantined) -> TxResult<bool> {
    let (appspace, source) = (entry.appspace.to_bytes(), entry.source.to_bytes());
    let sql = "INSERT OR IGNORE INTO quarantine (appspace, source, received_at, reason, body_hash, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let is_new = tx.conn.prepare_cached(sql)?.execute(params![
        appspace,
        source,
        entry.received_at.as_millis(),
        entry.reason,
        entry.body_hash,
        &entry.body[..],
    ])? > 0;
    if is_new {
        let sql = "DELETE FROM quarantine WHERE no IN (SELECT no FROM quarantine WHERE appspace = ?1 AND source = ?2 \
                   ORDER BY no DESC LIMIT -1 OFFSET ?3)";
        tx.conn.prepare_cached(sql)?.execute(params![appspace, source, sql_limit(QUARANTINE_MAX)])?;
    }
    Ok(is_new)
}

/// Removes up to `limit` bodies received before `before`; returns how many.
pub(super) fn forget(tx: &Tx<'_>, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM quarantine WHERE no IN \
               (SELECT no FROM quarantine WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)";
    tx.conn.prepare_cached(sql)?.execute(params![before.as_millis(), sql_limit(limit)])
}

/// What is kept of one source, newest first.
pub(super) fn list(
    conn: &Connection,
    appspace: AppspaceId,
    source: SourceId,
    page: &PageRequest,
) -> rusqlite::Result<Page<Quarantined>> {
    let mut find = conn.prepare_cached(
        "SELECT no, received_at, reason, body_hash, body FROM quarantine WHERE appspace = ?1 AND source = ?2 \
         AND no < ?3 ORDER BY no DESC",
    )?;
    let entry = |row: &Row<'_>| -> rusqlite::Result<Quarantined> {
        Ok(Quarantined {
            appspace,
            source,
            received_at: Timestamp::from_millis(row.get(1)?),
            reason: row.get(2)?,
            body_hash: row.get(3)?,
            body: Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?),
        })
    };
    let mut gather = Gather::new(page);
    let mut rows = find.query(params![appspace.to_bytes(), source.to_bytes(), below_of(page.cursor)])?;
    while let Some(row) = rows.next()? {
        if gather.look(cursor_of(row.get(0)?), Some(entry(row)?)).is_break() {
            break;
        }
    }
    Ok(gather.finish())
}
