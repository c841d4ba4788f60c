//! Figures for metrics, counted by the writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::{COMMIT_SIZE_BOUNDS, Figures, SYNC_SECONDS_BOUNDS};

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    commit_sizes: [AtomicU64; 6],
    commit_size_sum: AtomicU64,
    sync_seconds: [AtomicU64; 6],
    sync_nanos_sum: AtomicU64,
}

impl Counters {
    /// A commit that carried `calls` and was durable after `sync`.
    pub(super) fn count(&self, calls: usize, sync: Duration) {
        let calls = calls as u64;
        let size = COMMIT_SIZE_BOUNDS.iter().position(|&bound| calls <= bound).unwrap_or(COMMIT_SIZE_BOUNDS.len());
        let seconds = sync.as_secs_f64();
        let time = SYNC_SECONDS_BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(SYNC_SECONDS_BOUNDS.len());
        self.commits.fetch_add(1, Relaxed);
        self.commit_sizes[size].fetch_add(1, Relaxed);
        self.commit_size_sum.fetch_add(calls, Relaxed);
        self.sync_seconds[time].fetch_add(1, Relaxed);
        self.sync_nanos_sum.fetch_add(u64::try_from(sync.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn figures(&self, queued: usize) -> Figures {
        Figures {
            commits: self.commits.load(Relaxed),
            commit_sizes: std::array::from_fn(|at| self.commit_sizes[at].load(Relaxed)),
            commit_size_sum: self.commit_size_sum.load(Relaxed),
            sync_seconds: std::array::from_fn(|at| self.sync_seconds[at].load(Relaxed)),
            sync_seconds_sum: Duration::from_nanos(self.sync_nanos_sum.load(Relaxed)).as_secs_f64(),
            queued: queued as u64,
        }
    }
}
