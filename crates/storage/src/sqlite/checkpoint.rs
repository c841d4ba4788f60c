//! Checkpoints: moving what the WAL holds into the database, off the commit path.
//!
//! A checkpoint syncs the database, and inside a commit that sync would be in every sender's way. So a thread of its own
//! does a passive one every [`PAUSE`], and only when the WAL has become large, and all of it has just been moved, the
//! writer begins it anew between two commits, when nothing is left to copy. The file keeps its size: to overwrite what
//! is there costs a sync far less than to make a file longer. Only an erasure has it cut off: the WAL still holds the pages as they
//! were before.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::failure::{self, Reach};
use super::shared::Shared;

const PAUSE: Duration = Duration::from_millis(200);
/// Beyond this the writer begins the WAL anew, in bytes.
const WAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
const PAGE_BYTES: i64 = 4_096;
/// How long the writer waits for readers when it begins the WAL anew. They are short; the next time will do as well.
const RESTART_PATIENCE: Duration = Duration::from_millis(20);

/// How often the WAL is to be emptied while a reader is in the way, before nobody waits for it any longer: 5 s.
const EMPTY_TRIES_MAX: u32 = 25;

/// Who waits for the WAL to be emptied.
#[derive(Debug, Default)]
pub(super) struct Emptying {
    /// How many have asked for it.
    asked: AtomicU64,
    /// How many of them have it.
    done: AtomicU64,
    /// It is to be tried after the next commit.
    is_due: AtomicBool,
    tries: AtomicU32,
    /// How many need not wait any longer.
    over: watch::Sender<u64>,
}

impl Emptying {
    /// Nobody need wait any longer: the writer has ended.
    pub(super) fn end(&self) {
        self.over.send_replace(u64::MAX);
    }

    fn is_owed(&self) -> bool {
        self.asked.load(SeqCst) > self.done.load(SeqCst)
    }
}

/// How far the WAL has been moved, in pages.
struct Progress {
    /// Somebody was in the way.
    is_cut_short: bool,
    pages: i64,
    moved: i64,
}

/// Does checkpoints until the other end of `stop` is gone.
pub(super) fn run(conn: &Connection, shared: &Shared, stop: &Receiver<()>) {
    while stop.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        if shared.emptying.is_owed() {
            shared.emptying.is_due.store(true, SeqCst);
            shared.queue.poke();
        }
        match checkpoint(conn, "PASSIVE") {
            Ok(progress) if progress.pages * PAGE_BYTES > WAL_BYTES_MAX && progress.moved == progress.pages => {
                shared.is_wal_large.store(true, Relaxed);
                shared.queue.poke();
            }
            Ok(_) => {}
            Err(error) if failure::reach(&error) == Reach::Store => return shared.fail(&error.to_string()),
            // What could not be moved stays in the WAL, which is just as durable.
            Err(error) => tracing::debug!(%error, "checkpoint put off"),
        }
    }
}

/// Begins the WAL anew if the checkpointer has asked for it.
pub(super) fn restart_if_asked(conn: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    if !shared.is_wal_large.swap(false, Relaxed) {
        return Ok(());
    }
    restart(conn)
}

/// Waits until the WAL holds nothing of before, or until it is plain that somebody reads it for long. It is then emptied as soon as
/// that reader has gone.
pub(super) async fn emptied(shared: &Shared) {
    let emptying = &shared.emptying;
    let mut over = emptying.over.subscribe();
    let own = emptying.asked.fetch_add(1, SeqCst) + 1;
    emptying.is_due.store(true, SeqCst);
    shared.queue.poke();
    // The sender lives as long as what is shared, so the wait ends with a value.
    let _ = over.wait_for(|over| *over >= own).await;
}

/// Moves all of the WAL and cuts it off, if somebody waits for that.
pub(super) fn empty_if_asked(conn: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let emptying = &shared.emptying;
    if !emptying.is_due.swap(false, SeqCst) || !emptying.is_owed() {
        return Ok(());
    }
    let asked = emptying.asked.load(SeqCst);
    if truncate(conn)? {
        emptying.done.store(asked, SeqCst);
        emptying.tries.store(0, SeqCst);
    } else {
        let tries = emptying.tries.fetch_add(1, SeqCst) + 1;
        if tries < EMPTY_TRIES_MAX {
            return Ok(());
        }
        if tries == EMPTY_TRIES_MAX {
            tracing::warn!(
                "somebody reads the store for long, a backup perhaps; until then the WAL keeps what was erased"
            );
        }
    }
    emptying.over.send_if_modified(|over| asked > std::mem::replace(over, asked.max(*over)));
    Ok(())
}

/// Moves all of the WAL and begins it anew.
pub(super) fn restart(conn: &Connection) -> rusqlite::Result<()> {
    patiently(conn, "RESTART").map(drop)
}

/// Moves all of the WAL and gives its room back. Returns whether nobody was in the way.
pub(super) fn truncate(conn: &Connection) -> rusqlite::Result<bool> {
    patiently(conn, "TRUNCATE")
}

/// A checkpoint by the writer, which waits for readers only a little. What cannot be done now is put off.
fn patiently(conn: &Connection, mode: &str) -> rusqlite::Result<bool> {
    conn.busy_timeout(RESTART_PATIENCE)?;
    let outcome = checkpoint(conn, mode);
    conn.busy_timeout(super::connection::BUSY_TIMEOUT)?;
    match outcome {
        Err(error) if failure::reach(&error) == Reach::Store => Err(error),
        outcome => Ok(outcome.is_ok_and(|progress| !progress.is_cut_short)),
    }
}

fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Progress> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let mut checkpoint = conn.prepare_cached(&sql)?;
    checkpoint.query_row([], |row| Ok(Progress { is_cut_short: row.get(0)?, pages: row.get(1)?, moved: row.get(2)? }))
}
