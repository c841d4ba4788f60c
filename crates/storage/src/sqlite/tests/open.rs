//! Opening: one process at a time, the settings that durability rests on, and versions.

use rusqlite::Connection;
use tempfile::TempDir;

use super::kit::{OnDisk, options};
use crate::Upkeep as _;
use crate::sqlite::{DATABASE_FILE, OpenError, SqliteStore};

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_directory() {
    let dir = TempDir::new().unwrap();
    let (store, _watch) = SqliteStore::open(options(dir.path())).unwrap();
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked { .. }), "{text}");
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");

    store.close().await.unwrap();
    SqliteStore::open(options(dir.path())).expect("a closed store lets go");
}

#[test]
fn a_dropped_store_lets_go() {
    let dir = TempDir::new().unwrap();
    for _ in 0..3 {
        SqliteStore::open(options(dir.path())).unwrap();
    }
}

#[tokio::test]
async fn the_settings_that_durability_rests_on_are_set() {
    let (_kit, probe) = OnDisk::kit(|options| options).await;
    let read = |tx: &mut crate::sqlite::transaction::Tx<'_>| {
        let text = |pragma| tx.conn.pragma_query_value(None, pragma, |row| row.get::<_, String>(0));
        let number = |pragma| tx.conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        Ok((text("journal_mode")?, number("synchronous")?, number("wal_autocheckpoint")?, number("auto_vacuum")?))
    };
    let settings = probe.store().shared.queue.command(read).await.unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2, 0, 2));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(SqliteStore::open(options(dir.path())).unwrap());
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }), "{error}");
    assert_eq!(conn.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)), Ok(99));
}

#[test]
fn a_database_of_somebody_else_is_refused() {
    let dir = TempDir::new().unwrap();
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    conn.execute_batch("CREATE TABLE bookmarks (url TEXT); PRAGMA user_version = 1;").unwrap();
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join(DATABASE_FILE), "not a database, but long enough to be looked at").unwrap();
    assert!(matches!(SqliteStore::open(options(dir.path())), Err(OpenError::Database(_))));
}

#[cfg(unix)]
#[test]
fn the_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("a/b");
    drop(SqliteStore::open(options(&dir)).unwrap());
    assert_eq!(std::fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
}
