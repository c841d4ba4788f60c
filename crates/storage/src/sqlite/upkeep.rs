//! Keeping the store healthy, as the seam asks for it.

use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use domain::Timestamp;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::checkpoint;
use super::chores;
use super::erase;
use super::failure::{self, TxResult};
use super::memos;
use super::numbers::{EventNo, sql_limit};
use super::prune;
use super::transaction::Tx;
use crate::{Figures, Pruned, Result, Upkeep};

/// Rows of `dedupe_log` looked at in one step.
const LOG_STEP_ROWS: usize = 500;
/// Free pages are given back once they are more than this, and a quarter of the file: fewer are soon used again.
const FREE_PAGES_MIN: i64 = 4_096;
/// Pages given back in one step.
const VACUUM_PAGES: i64 = 256;

#[async_trait]
impl Upkeep for SqliteStore {
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        let from = EventNo(self.shared.prune_at.load(Relaxed));
        let step = self.shared.queue.command(move |tx| prune::step(tx, before, limit, from)).await?;
        self.shared.prune_at.store(step.at.0, Relaxed);
        Ok(step.pruned)
    }

    async fn tidy(&self, now: Timestamp) -> Result<bool> {
        let tidy = move |tx: &mut Tx<'_>| {
            let wiped = erase::is_to_be_wiped(tx)?;
            let more = [
                chores::step(tx, now)?,
                prune::drop_empty_fold(tx)?,
                forget_fingerprints(tx)?,
                memos::forget_expired(tx, now)?,
                give_back_pages(tx.conn)?,
            ];
            Ok((more.contains(&true), wiped && !erase::is_to_be_wiped(tx)?))
        };
        let (more, has_wiped_all) = self.shared.queue.command(tidy).await?;
        if has_wiped_all {
            checkpoint::emptied(&self.shared).await;
        }
        Ok(more)
    }

    async fn check(&self) -> Result<()> {
        // A write, so that it answers as an append would.
        let sql = "UPDATE meta SET value = value WHERE key = 'run'";
        let check = move |tx: &mut Tx<'_>| -> TxResult<()> {
            tx.conn.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        self.shared.queue.command(check).await
    }

    fn figures(&self) -> Figures {
        self.shared.counters.figures(self.shared.queue.len())
    }

    async fn close(&self) -> Result<()> {
        let threads = self.end().ok_or_else(failure::closed)?;
        let shared = self.shared.clone();
        let join = tokio::task::spawn_blocking(move || threads.join(&shared));
        join.await.map_err(|error| failure::failed(&error.to_string()))?;
        self.shared.watch().reason().map_or(Ok(()), |reason| Err(failure::failed(&reason)))
    }
}

/// Removes rows of `dedupe_log` that have left the window; returns whether there may be more.
fn forget_fingerprints(tx: &mut Tx<'_>) -> rusqlite::Result<bool> {
    let oldest = tx.state.dedupe.oldest().as_millis();
    let sql = "SELECT first_event_no, received_at < ?1 FROM dedupe_log ORDER BY first_event_no LIMIT ?2";
    let mut first = tx.conn.prepare_cached(sql)?;
    let first = first.query_map(params![oldest, sql_limit(LOG_STEP_ROWS)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let first: Vec<(i64, bool)> = first.collect::<Result<_, _>>()?;
    let old: Vec<i64> = first.iter().take_while(|(_, is_old)| *is_old).map(|&(no, _)| no).collect();
    if let Some(last) = old.last() {
        tx.conn.prepare_cached("DELETE FROM dedupe_log WHERE first_event_no <= ?1")?.execute([last])?;
    }
    Ok(old.len() == LOG_STEP_ROWS)
}

/// Gives free pages back to the file system; returns whether there are more.
fn give_back_pages(conn: &Connection) -> rusqlite::Result<bool> {
    let figure = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (free, all) = (figure("freelist_count")?, figure("page_count")?);
    if free < FREE_PAGES_MIN || free < all / 4 {
        return Ok(false);
    }
    let mut vacuum = conn.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}
