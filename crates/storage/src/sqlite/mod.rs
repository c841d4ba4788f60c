//! The default store: one SQLite file, one writer thread, group commit.
//!
//! How a call travels: [`queue`] → [`writer`], which opens a [`transaction`] for a whole group of calls, lets each do its
//! work ([`append`], [`settle`], [`catalog`] …), commits once and answers all. What became true is then applied to the
//! memory that claims and lists read: [`lanes`] (what waits, who owns what) and [`tail`] (the newest part of the log).
//!
//! Three ideas keep the cost of an event flat however much is stored and however many destinations there are:
//! deduplication by [`fingerprints`] instead of an index on random keys; indexes that are written in sorted runs, long
//! after the commit ([`fold`]); and queues whose healthy part lives in memory and is rebuilt at start ([`window`]).
//!
//! [`checkpoint`] moves the WAL into the database off the commit path, [`reader`] serves reads beside the writer,
//! [`open`] is where to see the order of a start, [`failure`] says what an error means and how far it reaches.

mod append;
mod arriving;
mod backup;
mod blocks;
mod catalog;
mod checkpoint;
mod chores;
mod claim;
mod connection;
mod counters;
mod dead_letters;
mod dedupe;
mod deliveries;
mod erase;
mod events;
mod facts;
mod failure;
mod fingerprints;
mod fold;
mod headroom;
mod kept;
mod lanes;
mod leases;
mod leaving;
mod ledger;
mod load;
mod lock;
mod log;
mod memos;
mod names;
mod numbers;
mod open;
mod options;
mod prune;
mod quarantine;
mod queue;
mod reader;
mod records;
mod refill;
mod replays;
mod rows;
mod schema;
mod sealed;
mod settle;
mod shared;
mod shred;
mod subjects;
mod tail;
#[cfg(test)]
mod tests;
mod transaction;
mod upkeep;
mod vault;
mod window;
mod work;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

pub use backup::{BackupError, backup};
pub use failure::FailureWatch;
pub use options::{DATABASE_FILE, HEADROOM_FILE, LOCK_FILE, OpenError, SqliteOptions};
pub use vault::Vault;

use open::Threads;
use shared::Shared;

/// The version of the SQLite that is built in.
pub fn version() -> &'static str {
    rusqlite::version()
}

/// The store in one SQLite file.
///
/// When it is dropped without [`crate::Upkeep::close`], what is queued is still committed, and the drop waits for that.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl SqliteStore {
    /// Opens the store of a data directory, or makes one. The watch tells when the store has failed: end the process
    /// then.
    ///
    /// Blocking: it reads what memory must know, about a second for a store with millions of events.
    pub fn open(options: SqliteOptions) -> Result<(Self, FailureWatch), OpenError> {
        let (shared, threads) = open::open(options)?;
        let watch = shared.watch();
        Ok((Self { shared, threads: Mutex::new(Some(threads)) }, watch))
    }

    /// Takes nothing more, and hands out the threads to wait for, once.
    fn end(&self) -> Option<Threads> {
        self.shared.queue.close();
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(threads) = self.end() {
            threads.join(&self.shared);
        }
    }
}
