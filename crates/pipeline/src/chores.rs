//! Chores of a lane: what it hands to the store and does not wait for.
//!
//! A store that is busy is asked again, with a growing pause, for as long as the process runs: an outcome is never
//! dropped because a disk was slow.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::State;
use domain::verdict::PauseReason;
use domain::{DeliveryId, DestinationId, Name};
use storage::{Append, Fence, Memo, NewEvent, OnKnown, StoreError};
use tokio::time::sleep;

use crate::desk::Outcomes;
use crate::engine::Engine;
use crate::lane::Chore;
use crate::memory::Patience;
use crate::registry::RegistryError;

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Most deliveries that are looked at in one step for what they were to bring.
const LOST_PER_STEP_MAX: usize = 256;

/// How often an operational event is tried that hangs on no change in the store.
const ANNOUNCE_TRIES_MAX: u32 = 20;

/// Records outcomes and the operational events they cause.
pub(crate) async fn settle(engine: Arc<Engine>, of: DestinationId, outcomes: Outcomes) -> Chore {
    let Outcomes { settlements, memos, lost, batches, .. } = outcomes;
    // Before they have ended: else a crash in between would lose what they were to bring.
    for some in lost.chunks(LOST_PER_STEP_MAX) {
        // What went wrong has been noted.
        let _ = engine.patiently(Patience::Endless, || engine.identity.tell_instead(of, some)).await;
    }
    let pending = settlements.iter().map(|settlement| settlement.standing).filter(|at| at.state == State::Pending);
    let retries_due = pending.map(|standing| standing.due_at).min();
    let settlements: Arc<[_]> = settlements.into();
    let settled = engine.patiently(Patience::Endless, || engine.store.settle(Arc::clone(&settlements))).await;
    if settled.is_ok() && !memos.is_empty() {
        // After a failure here the next start finds out by itself.
        let _ = engine.remember(of, memos, Patience::Endless).await;
    }
    Chore::Settled { batches, retries_due, settled }
}

/// Gives back deliveries that were not tried.
pub(crate) async fn release(engine: Arc<Engine>, leases: Vec<(DeliveryId, Fence)>) -> Chore {
    // What went wrong has been noted; the leases end by themselves.
    let _ = engine.patiently(Patience::Endless, || engine.store.release(leases.clone())).await;
    Chore::Released(engine.clock.now())
}

/// Changes what is remembered of a destination.
pub(crate) async fn remember(engine: Arc<Engine>, of: DestinationId, memos: Vec<Memo>) -> Chore {
    // What went wrong has been noted; the next start finds out by itself.
    let _ = engine.remember(of, memos, Patience::Endless).await;
    Chore::Remembered
}

/// Pauses a destination because of a verdict.
pub(crate) async fn pause(engine: Arc<Engine>, id: DestinationId, reason: PauseReason, message: String) -> Chore {
    let message = match engine.registry.destination(id) {
        Some(live) => told(&message, &live.destination.name),
        None => message,
    };
    let pause = async || match engine.registry.pause_destination(id, reason, &message).await {
        Ok(_) | Err(RegistryError::Store(StoreError::NotFound { .. })) => Ok(()),
        Err(RegistryError::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Limit(error.to_string())),
    };
    Chore::Paused(engine.patiently(Patience::Endless, pause).await)
}

/// What is said of a pause that a verdict asked for: a connector does not know what its destination is called, and
/// whatever has to be mended, nothing goes on before somebody says so.
fn told(message: &str, name: &Name) -> String {
    let message = message.replace("destinations provision NAME", &format!("destinations provision {name}"));
    if message.contains("resume") {
        message
    } else {
        format!("{message}; then `afterclick destinations resume {name}`")
    }
}

/// Stores an operational event about the breaker.
pub(crate) async fn announce(engine: Arc<Engine>, event: NewEvent) -> Chore {
    let mut pauses = Pauses::default();
    for _ in 0..ANNOUNCE_TRIES_MAX {
        let append = Append { events: vec![event.clone()], on_known: OnKnown::Count };
        match engine.store.append(append).await {
            Err(StoreError::Busy { .. }) if !engine.is_stopping() => pauses.next().await,
            Err(error) => {
                engine.note_failure(&error);
                break;
            }
            Ok(_) => break,
        }
    }
    Chore::Announced
}

/// Pauses that grow.
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE_FIRST)
    }
}

impl Pauses {
    /// Waits for a while, each time a longer one.
    pub(crate) async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_names_the_destination_and_the_last_step() {
        let name = "warehouse".parse().unwrap();
        assert_eq!(
            told("there is no bucket `b`; make it", &name),
            "there is no bucket `b`; make it; then `afterclick destinations resume warehouse`"
        );
        assert_eq!(
            told("run `afterclick destinations provision NAME`, then resume the destination", &name),
            "run `afterclick destinations provision warehouse`, then resume the destination"
        );
    }
}
