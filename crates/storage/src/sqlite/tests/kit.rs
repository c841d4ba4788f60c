//! A store in a directory of its own, and what the tests may do to it that no caller can.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::conformance::Backend;
use crate::conformance::kit::Kit;
use crate::sqlite::transaction::Tx;
use crate::sqlite::{DATABASE_FILE, FailureWatch, SqliteOptions, SqliteStore, Vault};
use crate::{EventLog as _, Store};

/// The key of every vault here.
pub(super) const KEY: [u8; 32] = [7; 32];

/// How a test wants its options.
pub(super) type Change = fn(SqliteOptions) -> SqliteOptions;

/// Options for a directory.
pub(super) fn options(dir: &Path) -> SqliteOptions {
    SqliteOptions { headroom_bytes: 10_000, ..SqliteOptions::new(dir, Vault::new(vec![KEY])) }
}

/// What takes each migration back, the newest first.
const BACK: [(usize, &str); 4] = [
    (5, "DROP INDEX memos_of_subjects;"),
    (
        4,
        "DROP TABLE unfolded; DROP TABLE facts; DROP TABLE identifier_events; DROP TABLE identifiers; DROP TABLE subjects; \
         DELETE FROM meta WHERE key = 'identifier_key';",
    ),
    (
        3,
        "ALTER TABLE deliveries DROP COLUMN tried_at; ALTER TABLE deliveries DROP COLUMN tried_ms; \
         ALTER TABLE deliveries DROP COLUMN tried_status; ALTER TABLE deliveries DROP COLUMN tried_reply;",
    ),
    (2, "DROP TABLE memos; DROP INDEX quarantine_by_time;"),
];

/// Makes a store what it was in the time of an older version.
pub(super) fn take_back(conn: &Connection, to_version: usize) {
    for (version, back) in BACK {
        if version > to_version {
            conn.execute_batch(&format!("{back} PRAGMA user_version = {};", version - 1)).expect("an older store");
        }
    }
}

/// The store as a [`Backend`].
pub(super) struct OnDisk {
    dir: Arc<TempDir>,
    change: Change,
    opened: Arc<Mutex<Opened>>,
}

/// What was opened last.
#[derive(Default)]
struct Opened {
    store: Weak<SqliteStore>,
    watch: Option<FailureWatch>,
}

/// The inside of the store under test.
pub(super) struct Probe {
    dir: Arc<TempDir>,
    opened: Arc<Mutex<Opened>>,
}

impl OnDisk {
    pub(super) fn new(change: Change) -> Self {
        Self { dir: Arc::new(TempDir::new().expect("a directory")), change, opened: Arc::default() }
    }

    /// A kit on a new store, and a way inside.
    pub(super) async fn kit(change: Change) -> (Kit, Probe) {
        let backend = Self::new(change);
        let probe = Probe { dir: backend.dir.clone(), opened: backend.opened.clone() };
        (Kit::open(Box::new(backend)).await, probe)
    }

    /// A backend whose first opening finds the files of `dir`.
    pub(super) fn on(dir: TempDir, change: Change) -> Self {
        Self { dir: Arc::new(dir), change, opened: Arc::default() }
    }
}

#[async_trait]
impl Backend for OnDisk {
    async fn open(&mut self) -> Arc<dyn Store> {
        let options = (self.change)(options(self.dir.path()));
        let (store, watch) = SqliteStore::open(options).expect("the store opens");
        let store = Arc::new(store);
        let opened = Opened { store: Arc::downgrade(&store), watch: Some(watch) };
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        store
    }
}

impl Probe {
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn store(&self) -> Arc<SqliteStore> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.store.upgrade().expect("the store is open")
    }

    pub(super) fn watch(&self) -> FailureWatch {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.watch.clone().expect("the store was opened")
    }

    /// Runs a statement on the connection that writes, outside of any promise.
    pub(super) async fn execute(&self, sql: &'static str) {
        let run = move |tx: &mut Tx<'_>| Ok(tx.conn.execute_batch(sql)?);
        self.store().shared.queue.command(run).await.expect("a statement");
    }

    /// What the disk would hold if the machine stopped now: everything that was written, nothing from memory. The
    /// writer makes the copy itself, so that it is of one moment.
    pub(super) async fn copy(&self) -> TempDir {
        let from = self.dir().to_owned();
        let copy = move |_: &mut Tx<'_>| {
            let copy = TempDir::new().expect("a directory");
            // The database first: what a checkpoint moves meanwhile is still in the WAL. The shared memory is no part
            // of it.
            for file in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
                fs::copy(from.join(&file), copy.path().join(&file)).expect("copy a file");
            }
            Ok(copy)
        };
        self.store().shared.queue.command(copy).await.expect("a copy")
    }
}

/// Whether the store has every one of these events.
pub(super) async fn has_all(store: &SqliteStore, kit: &Kit, events: &[crate::NewEvent]) -> bool {
    for new in events {
        match store.event(kit.app, new.event.id).await {
            Ok(record) => assert_eq!(record.event, new.event),
            Err(_) => return false,
        }
    }
    true
}
