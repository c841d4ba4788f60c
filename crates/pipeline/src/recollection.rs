//! Recollection: what a lane finds out from the store about its past.
//!
//! Once per process it reads for how long the vendor wants to be left alone and which batches are sealed. Later it looks where
//! the members are that it waits for, and which batches are done without anybody having noticed: after a crash, or because a
//! person called their members off.

use std::sync::Arc;

use domain::delivery::State;
use domain::{AppspaceId, DeliveryId, Destination};
use storage::StoreError;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::lane::{Chore, LaneState};
use crate::memory::Patience;
use crate::registry::LiveDestination;
use crate::seals::{self, SEALS_MAX, SealId, Seals};
use crate::{gathering, holds};

/// Reads what was remembered of a destination when this process did not run yet.
pub(crate) async fn recollect(engine: Arc<Engine>, state: Arc<LaneState>, live: Arc<LiveDestination>) -> Chore {
    let recollected = async {
        recollect_hold(&engine, &state, &live.destination).await?;
        if gathering::limits(&live).keeps_boundaries {
            recollect_seals(&engine, &state, &live.destination).await?;
        }
        Ok(())
    };
    Chore::Recollected(match recollected.await {
        // Of a destination that is gone there is nothing to remember.
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    })
}

async fn recollect_hold(engine: &Engine, state: &LaneState, destination: &Destination) -> Result<(), StoreError> {
    let found = engine.recall(destination.id, &[holds::KEY.to_owned()], Patience::Endless).await?;
    let until = found.into_iter().flatten().next().and_then(|value| holds::read(&value, destination));
    let left = until.map(|until| until.since(engine.clock.now()));
    state.gates().recollect_hold(left, Instant::now());
    Ok(())
}

async fn recollect_seals(engine: &Engine, state: &LaneState, destination: &Destination) -> Result<(), StoreError> {
    let (mut found, mut after) = (Seals::default(), None::<String>);
    loop {
        let (after_last, now) = (after.as_deref(), engine.clock.now());
        let turn = || engine.store.recall_all(destination.id, seals::PREFIX, after_last, SEALS_MAX, now);
        let page = engine.patiently(Patience::Endless, turn).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (_, value) in &page {
            found.found(value);
        }
    }
    *state.seals() = found;
    sweep(engine, state, destination).await
}

/// Forgets the sealed batches of which no member waits any more.
pub(crate) async fn sweep_seals(engine: Arc<Engine>, state: Arc<LaneState>, live: Arc<LiveDestination>) -> Chore {
    Chore::Swept(sweep(&engine, &state, &live.destination).await)
}

async fn sweep(engine: &Engine, state: &LaneState, destination: &Destination) -> Result<(), StoreError> {
    let all = state.seals().all();
    for (id, members) in all {
        let mut is_done = true;
        for &member in members.iter() {
            if matches!(whereabouts(engine, destination.appspace, member).await?, Whereabouts::Gone) {
                continue;
            }
            is_done = false;
            break;
        }
        if is_done {
            let changes = state.seals().leave(id, Vec::new());
            engine.remember(destination.id, changes, Patience::Endless).await?;
        }
    }
    Ok(())
}

/// Looks where the missing members of a sealed batch are. Those that wait for a later time are made due: the others are, so
/// a person wants to see one of them tried, and all are tried together.
pub(crate) async fn look(
    engine: Arc<Engine>,
    live: Arc<LiveDestination>,
    seal: SealId,
    missing: Vec<DeliveryId>,
) -> Chore {
    let appspace = live.destination.appspace;
    let (mut gone, mut has_woken) = (Vec::new(), false);
    for member in missing {
        match whereabouts(&engine, appspace, member).await {
            Ok(Whereabouts::Gone) => gone.push(member),
            Ok(Whereabouts::WaitsForLater) => {
                has_woken |= engine.store.retry(appspace, member, engine.clock.now()).await.is_ok();
            }
            Ok(Whereabouts::OnItsWay) => {}
            Err(error) => {
                engine.note_failure(&error);
                break;
            }
        }
    }
    Chore::Looked { seal, gone, has_woken }
}

enum Whereabouts {
    /// It has ended: it will never be claimed again, unless a person wants it.
    Gone,
    WaitsForLater,
    /// It is due, or somebody has it in hand.
    OnItsWay,
}

async fn whereabouts(engine: &Engine, appspace: AppspaceId, id: DeliveryId) -> Result<Whereabouts, StoreError> {
    match engine.store.delivery(appspace, id).await {
        Ok((delivery, _)) if delivery.standing.state != State::Pending => Ok(Whereabouts::Gone),
        Ok((delivery, _)) if !delivery.leased && delivery.standing.due_at > engine.clock.now() => {
            Ok(Whereabouts::WaitsForLater)
        }
        Ok(_) => Ok(Whereabouts::OnItsWay),
        Err(StoreError::NotFound { .. }) => Ok(Whereabouts::Gone),
        Err(error) => Err(error),
    }
}
