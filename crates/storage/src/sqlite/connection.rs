//! Opening connections with the settings that durability rests on, each read back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::options::{DATABASE_FILE, OpenError};

/// The first SQLite whose WAL mode cannot lose a frame on reset.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long to wait for another process, such as a backup, that holds a lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;
const STATEMENTS_KEPT: usize = 128;

pub(super) fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join(DATABASE_FILE)
}

/// The connection that writes; makes the file if it is not there.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::TooOldSqlite(rusqlite::version()));
    }
    let conn = Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_URI)?;
    // Both must be set before the first table is made; later they change nothing.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    set(&conn, "journal_mode", "WAL", "wal")?;
    // What is deleted is overwritten, so that what retention and erasure remove is gone. New events cost nothing more by it;
    // retention writes the pages that it frees.
    set(&conn, "secure_delete", "1", "1")?;
    settings(&conn, WRITER_CACHE_KIB)?;
    Ok(conn)
}

/// A connection that moves the WAL into the database.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settings(&conn, READER_CACHE_KIB)?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settings(&conn, READER_CACHE_KIB)?;
    set(&conn, "query_only", "1", "1")?;
    Ok(conn)
}

fn settings(conn: &Connection, cache_kib: i64) -> Result<(), OpenError> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Else the bundled build, which keeps samples for its planner, prepares a statement again for every new value that
    // is bound to it: more than half the cost of reading one row by its number.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    // FULL: a commit is answered after the sync that covers it.
    set(conn, "synchronous", "FULL", "2")?;
    // Checkpoints are made by a thread of their own, off the commit path.
    set(conn, "wal_autocheckpoint", "0", "0")?;
    set(conn, "mmap_size", "0", "0")?;
    set(conn, "cell_size_check", "1", "1")?;
    set(conn, "trusted_schema", "0", "0")?;
    set(conn, "temp_store", "MEMORY", "2")?;
    if cfg!(target_os = "macos") {
        // Elsewhere a plain sync reaches the medium.
        set(conn, "fullfsync", "1", "1")?;
        set(conn, "checkpoint_fullfsync", "1", "1")?;
    }
    Ok(())
}

/// Sets a pragma and reads it back: SQLite answers an unknown or refused one with silence.
fn set(conn: &Connection, pragma: &'static str, value: &str, expect: &str) -> Result<(), OpenError> {
    conn.pragma_update_and_check(None, pragma, value, |_| Ok(())).or_else(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    })?;
    let answer = conn.pragma_query_value(None, pragma, |row| {
        row.get_ref(0).map(|value| match value {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        })
    });
    let answer = match answer {
        Err(rusqlite::Error::QueryReturnedNoRows) => "0".to_owned(),
        other => other?,
    };
    if answer == expect { Ok(()) } else { Err(OpenError::Setting { pragma, answer }) }
}
