//! Upkeep: retention, put-off work of the store, leases that ran out.

use std::sync::Arc;
use std::time::Duration;

use storage::{Store, StoreError};
use tokio::time::sleep;

use crate::clock::Clock;

/// How long events are kept unless configured otherwise: 30 days.
pub const RETENTION_DEFAULT: Duration = Duration::from_hours(30 * 24);
/// Events removed in one step, so that no commit behind it waits long.
const PRUNE_STEP_EVENTS: usize = 500;
/// Pause between two passes of retention.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Pause between two looks for put-off work.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Pause between two steps of either, to let others in.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// Removes what is older than `retention`, in small steps, until the task is dropped.
pub async fn retain(store: Arc<dyn Store>, clock: Arc<Clock>, retention: Duration) {
    loop {
        let pause = match store.prune(clock.now() - retention, PRUNE_STEP_EVENTS).await {
            Ok(pruned) if !pruned.done => STEP_PAUSE,
            Ok(_) => PRUNE_EVERY,
            Err(error) => told(&error, "retention could not go on; it will try again"),
        };
        sleep(pause).await;
    }
}

/// Does the store's put-off work, until the task is dropped.
pub async fn tidy(store: Arc<dyn Store>, clock: Arc<Clock>) {
    loop {
        let pause = match store.tidy(clock.now()).await {
            Ok(true) => STEP_PAUSE,
            Ok(false) => TIDY_EVERY,
            Err(error) => told(&error, "put-off work could not go on; it will try again"),
        };
        sleep(pause).await;
    }
}

fn told(error: &StoreError, what: &'static str) -> Duration {
    tracing::warn!(%error, "{what}");
    PRUNE_EVERY
}
