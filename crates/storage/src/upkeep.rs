//! Keeping a store healthy: retention, work that was put off, figures.

use async_trait::async_trait;
use domain::Timestamp;

use crate::Result;

/// Keeping the store healthy.
#[async_trait]
pub trait Upkeep {
    /// Removes up to `limit` events received before `before`, with their deliveries and attempts, oldest first, and up to
    /// as many quarantined bodies of that age. Never removes an event with a pending or dead delivery. Returns how many
    /// were removed and whether a whole pass has come to its end; the call after that begins a new pass.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned>;

    /// Does a bounded piece of work that was put off: folding indexes, cancelling deliveries of deleted destinations
    /// and cancelled replays, forgetting memos that are over or whose destination was deleted. Returns whether more is
    /// left.
    async fn tidy(&self, now: Timestamp) -> Result<bool>;

    /// Whether the store can commit: what `/readyz` answers with.
    async fn check(&self) -> Result<()>;

    /// Figures for metrics, since the store was opened.
    fn figures(&self) -> Figures;

    /// Commits what is queued and closes; later calls fail.
    async fn close(&self) -> Result<()>;
}

/// What a step of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    pub events: usize,
    pub quarantined: usize,
    pub done: bool,
}

/// Counters and distributions of a store. Bounds are upper bounds of buckets; the last bucket has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    pub commits: u64,
    /// Commits by number of queued calls they carried: at most 1, 4, 16, 64, 256, more.
    pub commit_sizes: [u64; 6],
    pub commit_size_sum: u64,
    /// Commits by time of the durable write, in seconds: at most 0.0001, 0.001, 0.01, 0.1, 1, more.
    pub sync_seconds: [u64; 6],
    pub sync_seconds_sum: f64,
    /// Calls waiting in the commit queue.
    pub queued: u64,
}

/// Upper bounds of [`Figures::commit_sizes`].
pub const COMMIT_SIZE_BOUNDS: [u64; 5] = [1, 4, 16, 64, 256];
/// Upper bounds of [`Figures::sync_seconds`].
pub const SYNC_SECONDS_BOUNDS: [f64; 5] = [0.000_1, 0.001, 0.01, 0.1, 1.0];
