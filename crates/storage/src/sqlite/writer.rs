//! The writer: one thread, one connection, every change.
//!
//! It takes whatever calls wait, does their work in one transaction, commits, and answers them all. The commit returns
//! after the sync that covers it, so nothing is answered that could still be lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::checkpoint;
use super::failure::{self, Reach};
use super::fold::FoldWork;
use super::headroom::Headroom;
use super::queue::{Job, Round};
use super::shared::Shared;
use super::transaction::{Tx, WriterState};
use crate::StoreError;

/// How often the WAL is to give its room back on a full disk.
const TRUNCATE_PAUSE: Duration = Duration::from_secs(1);
/// How long a fold rests after the disk was full.
const FOLD_REST: Duration = Duration::from_secs(5);

type Group = Vec<Box<dyn Job>>;

/// The writer thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) state: WriterState,
    headroom: Headroom,
    /// When the WAL was last to give its room back.
    truncated_at: Option<Instant>,
    /// No step of a fold is made before this.
    fold_rests_until: Option<Instant>,
}

/// Why a transaction did not come to its end. Everything is as it was before it.
enum Void {
    Sql(rusqlite::Error),
    /// A call was refused after it had written.
    RefusedLate,
}

impl From<rusqlite::Error> for Void {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Why the store must stop.
struct Fatal(String);

impl From<rusqlite::Error> for Fatal {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the writer until the queue has ended. However it ends, no caller is left waiting.
pub(super) fn run(conn: Connection, state: WriterState, headroom: Headroom) {
    let shared = state.shared.clone();
    let mut writer = Writer { conn, state, headroom, truncated_at: None, fold_rests_until: None };
    let served = catch_unwind(AssertUnwindSafe(|| writer.serve()));
    shared.emptying.end();
    let reason = match served {
        Ok(Ok(())) => return,
        Ok(Err(Fatal(reason))) => reason,
        Err(panic) => format!("the writer panicked: {}", panic_text(panic.as_ref())),
    };
    shared.fail(&reason);
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

impl Writer {
    fn serve(&mut self) -> Result<(), Fatal> {
        let shared: Arc<Shared> = self.state.shared.clone();
        loop {
            self.begin_fold_if_due();
            match shared.queue.next(self.folds_alone()) {
                // A short WAL makes a short start.
                Round::End => return Ok(checkpoint::truncate(&self.conn).map(drop)?),
                Round::Calls(group) => self.commit_group(group)?,
            }
            checkpoint::restart_if_asked(&self.conn, &shared)?;
            checkpoint::empty_if_asked(&self.conn, &shared)?;
        }
    }

    /// Commits a group as one, or, if that is not to be, each call for itself.
    fn commit_group(&mut self, group: Group) -> Result<(), Fatal> {
        if group.is_empty() && !self.folds_now() {
            return Ok(());
        }
        if !self.headroom.is_whole() {
            return self.commit_little(group, &failure::disk_full());
        }
        let Some((group, void)) = self.commit_whole(group)? else { return Ok(()) };
        match void {
            Void::Sql(error) if failure::reach(&error) == Reach::DiskFull => {
                self.make_room()?;
                self.commit_little(group, &failure::answer(&error))
            }
            Void::Sql(error) if failure::reach(&error) == Reach::Locked => {
                self.commit_little(group, &failure::answer(&error))
            }
            Void::Sql(_) | Void::RefusedLate => self.commit_each(group),
        }
    }

    /// The disk is full: intake must wait, but outcomes may still fit.
    fn commit_little(&mut self, group: Group, refusal: &StoreError) -> Result<(), Fatal> {
        self.fold_rests_until = Some(Instant::now() + FOLD_REST);
        let (intake, rest): (Group, Group) = group.into_iter().partition(|job| job.is_intake());
        answer_all(intake, &Err(refusal.clone()));
        if rest.is_empty() {
            return Ok(());
        }
        let Some((rest, void)) = self.commit_whole(rest)? else {
            // The WAL must not grow into the little room that is left: it is moved and begun anew each time.
            return Ok(checkpoint::restart(&self.conn)?);
        };
        if matches!(&void, Void::Sql(error) if failure::reach(error) == Reach::DiskFull) {
            self.make_room()?;
        }
        self.commit_each(rest)
    }

    /// Gives up the headroom, so that the WAL can be moved into the database, and with it the room that the WAL takes.
    fn make_room(&mut self) -> Result<(), Fatal> {
        self.headroom.give_up();
        if self.truncated_at.is_some_and(|at| at.elapsed() < TRUNCATE_PAUSE) {
            return Ok(());
        }
        self.truncated_at = Some(Instant::now());
        Ok(checkpoint::truncate(&self.conn).map(drop)?)
    }

    fn commit_each(&mut self, group: Group) -> Result<(), Fatal> {
        for job in group {
            match self.commit_whole(vec![job])? {
                None => {}
                // What it was refused with is its answer.
                Some((job, Void::RefusedLate)) => answer_all(job, &Ok(())),
                Some((job, Void::Sql(error))) => answer_all(job, &Err(failure::answer(&error))),
            }
        }
        Ok(())
    }

    /// Commits a group in one transaction and answers it; gives it back if it was rolled back.
    fn commit_whole(&mut self, mut group: Group) -> Result<Option<(Group, Void)>, Fatal> {
        if let Err(void) = self.attempt(&mut group) {
            self.roll_back(&mut group)?;
            return match void {
                Void::Sql(error) if failure::reach(&error) == Reach::Store => {
                    answer_all(group, &Err(failure::answer(&error)));
                    Err(error.into())
                }
                void => Ok(Some((group, void))),
            };
        }
        answer_all(group, &Ok(()));
        Ok(None)
    }

    /// One transaction. After an error the caller rolls back.
    fn attempt(&mut self, group: &mut Group) -> Result<(), Void> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.fold_a_step()?;
        let mut tx = Tx::new(&self.conn, &mut self.state);
        for job in group.iter_mut() {
            let before = tx.written();
            if !job.run(&mut tx)? && tx.written() != before {
                return Err(Void::RefusedLate);
            }
        }
        tx.finish()?;
        drop(tx);
        let began = Instant::now();
        #[cfg(test)]
        self.break_if_asked()?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.state.shared.counters.count(group.len(), began.elapsed());
        self.state.committed();
        Ok(())
    }

    fn roll_back(&mut self, group: &mut Group) -> Result<(), Fatal> {
        // Some errors have rolled back by themselves.
        let rolled_back = if self.conn.is_autocommit() {
            Ok(0)
        } else {
            self.conn.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]))
        };
        let restored = rolled_back.and_then(|_| self.state.rolled_back(&self.conn));
        restored.map_err(|error| {
            let answer = failure::failed(&error.to_string());
            answer_all(std::mem::take(group), &Err(answer));
            Fatal::from(error)
        })
    }

    fn begin_fold_if_due(&mut self) {
        if self.state.fold.is_none() {
            let tail = self.state.shared.tail();
            if tail.rows() >= self.state.shared.tail_rows_max {
                self.state.fold = FoldWork::begin(&tail);
            }
        }
    }

    fn folds_now(&self) -> bool {
        self.state.fold.is_some() && self.fold_rests_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Whether a fold goes on though no call comes in.
    fn folds_alone(&self) -> bool {
        #[cfg(test)]
        if self.state.shared.folds_beside_calls_only.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        self.folds_now()
    }

    /// The step comes before the calls: it copies from memory what is pending, and their work must see its rows.
    fn fold_a_step(&mut self) -> rusqlite::Result<()> {
        if !self.folds_now() {
            return Ok(());
        }
        let Some(fold) = self.state.fold.take() else { return Ok(()) };
        let step = fold.step(&mut Tx::new(&self.conn, &mut self.state));
        self.state.fold = Some(fold);
        self.state.keep_step(step?);
        Ok(())
    }

    #[cfg(test)]
    fn break_if_asked(&self) -> rusqlite::Result<()> {
        use rusqlite::ffi;
        if self.state.shared.breaks_next_commit.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None));
        }
        Ok(())
    }
}

fn answer_all(group: Group, answer: &Result<(), StoreError>) {
    for job in group {
        job.answer(answer.clone());
    }
}
