//! What the writer, the checkpointer, the readers and the callers share.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ring::hmac;
use tokio::sync::watch;

use super::checkpoint::Emptying;
use super::counters::Counters;
use super::failure;
use super::kept::Budget;
use super::lanes::Lanes;
use super::lock::DirLock;
use super::queue::CommitQueue;
use super::reader::Readers;
use super::tail::Tail;
use super::vault::Vault;
use crate::{Result, WorkSignal};

/// Everything that more than one thread touches. Locks are taken in the order of the fields and never held over I/O.
#[derive(Debug)]
pub(super) struct Shared {
    tail: RwLock<Tail>,
    lanes: Mutex<Lanes>,
    /// A read of what lies behind a window has ended.
    pub(super) read_ended: Condvar,
    pub(super) queue: CommitQueue,
    pub(super) readers: Readers,
    pub(super) signal: Arc<WorkSignal>,
    /// For events that arrive.
    pub(super) budget: Budget,
    /// For events that are read ahead. Its own, so that arrivals of a lane that is far behind cannot take it.
    pub(super) budget_ahead: Budget,
    pub(super) counters: Counters,
    pub(super) vault: Vault,
    /// For the hashes by which identifiers are found.
    pub(super) identifier_key: hmac::Key,
    pub(super) dir_lock: DirLock,
    pub(super) tail_rows_max: usize,
    /// The event that the present pass of retention has come to.
    pub(super) prune_at: AtomicI64,
    /// The checkpointer asks the writer to begin the WAL anew.
    pub(super) is_wal_large: AtomicBool,
    pub(super) emptying: Emptying,
    failure: watch::Sender<Option<Arc<str>>>,
    /// The next commit fails as if the disk had.
    #[cfg(test)]
    pub(super) breaks_next_commit: AtomicBool,
    /// A fold makes its next step only when a call comes in.
    #[cfg(test)]
    pub(super) folds_beside_calls_only: AtomicBool,
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) tail: Tail,
    pub(super) lanes: Lanes,
    pub(super) readers: Readers,
    pub(super) budget: Budget,
    pub(super) vault: Vault,
    pub(super) identifier_key: hmac::Key,
    pub(super) dir_lock: DirLock,
    pub(super) tail_rows_max: usize,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            tail: RwLock::new(parts.tail),
            lanes: Mutex::new(parts.lanes),
            read_ended: Condvar::new(),
            queue: CommitQueue::new(),
            readers: parts.readers,
            signal: Arc::default(),
            budget_ahead: parts.budget.another(),
            budget: parts.budget,
            counters: Counters::default(),
            vault: parts.vault,
            identifier_key: parts.identifier_key,
            dir_lock: parts.dir_lock,
            tail_rows_max: parts.tail_rows_max,
            prune_at: AtomicI64::new(0),
            is_wal_large: AtomicBool::new(false),
            emptying: Emptying::default(),
            failure: watch::Sender::new(None),
            #[cfg(test)]
            breaks_next_commit: AtomicBool::new(false),
            #[cfg(test)]
            folds_beside_calls_only: AtomicBool::new(false),
        }
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) -> failure::FailureWatch {
        failure::FailureWatch(self.failure.subscribe())
    }

    /// The end of the store: nothing is acknowledged after this.
    pub(super) fn fail(&self, reason: &str) {
        tracing::error!(reason, "the store has failed");
        self.queue.fail(&failure::failed(reason));
        self.failure.send_replace(Some(reason.into()));
    }

    /// Refuses a call to a store that is closed or has failed.
    pub(super) fn check_open(&self) -> Result<()> {
        self.queue.ended().map_or(Ok(()), Err)
    }
}
