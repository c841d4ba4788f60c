//! Checkpoints: moving what the WAL holds into the database, off the commit path.
//!
//! A checkpoint syncs the database, and inside a commit that sync would be in every sender's way. So a thread of its own
//! does a passive one every [`PAUSE`], and only when the WAL has become large, and all of it has just been moved, the
//! writer begins it anew between two commits, when nothing is left to copy. The file keeps its size: to overwrite what
//! is there costs a sync far less than to make a file longer.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use super::failure::{self, Reach};
use super::shared::Shared;

const PAUSE: Duration = Duration::from_millis(200);
/// Beyond this the writer begins the WAL anew, in bytes.
const WAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
const PAGE_BYTES: i64 = 4_096;
/// How long the writer waits for readers when it begins the WAL anew. They are short; the next time will do as well.
const RESTART_PATIENCE: Duration = Duration::from_millis(20);

/// How far the WAL has been moved, in pages.
struct Progress {
    pages: i64,
    moved: i64,
}

/// Does checkpoints until the other end of `stop` is gone.
pub(super) fn run(conn: &Connection, shared: &Shared, stop: &Receiver<()>) {
    while stop.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
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

/// Moves all of the WAL and begins it anew.
pub(super) fn restart(conn: &Connection) -> rusqlite::Result<()> {
    patiently(conn, "RESTART")
}

/// Moves all of the WAL and gives its room back: for a disk that is full.
pub(super) fn truncate(conn: &Connection) -> rusqlite::Result<()> {
    patiently(conn, "TRUNCATE")
}

/// A checkpoint by the writer, which waits for readers only a little. What cannot be done now is put off.
fn patiently(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    conn.busy_timeout(RESTART_PATIENCE)?;
    let outcome = checkpoint(conn, mode);
    conn.busy_timeout(super::connection::BUSY_TIMEOUT)?;
    match outcome {
        Err(error) if failure::reach(&error) == Reach::Store => Err(error),
        _ => Ok(()),
    }
}

fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Progress> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let mut checkpoint = conn.prepare_cached(&sql)?;
    checkpoint.query_row([], |row| Ok(Progress { pages: row.get(1)?, moved: row.get(2)? }))
}
