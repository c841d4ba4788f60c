//! The engine room: what the dispatcher, its lanes and their runners all work with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::DestinationId;
use domain::connector::{Call, Reply};
use storage::{Store, StoreError};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::attempt::{self, ATTEMPT_MAX, Tried};
use crate::clock::Clock;
use crate::dispatcher::DispatcherOptions;
use crate::gathering::Pack;
use crate::identity::Identity;
use crate::lane::LaneState;
use crate::metrics::Metrics;
use crate::registry::{LiveDestination, Registry};
use crate::transport::{Transport, TransportError};

/// What the dispatcher and its lanes work with.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) identity: Arc<Identity>,
    transport: Arc<dyn Transport>,
    options: DispatcherOptions,
    wires: Semaphore,
    lanes: Mutex<HashMap<DestinationId, Arc<LaneState>>>,
    phase: watch::Sender<Phase>,
    failure: watch::Sender<Option<StoreError>>,
}

/// How far the dispatcher has come on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    /// Nothing new is begun.
    Stopping,
    /// What is still on the wire is dropped.
    CutOff,
}

impl Engine {
    /// An engine that is running.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        identity: Arc<Identity>,
        transport: Arc<dyn Transport>,
        options: DispatcherOptions,
    ) -> Self {
        Self {
            store,
            registry,
            clock,
            metrics,
            identity,
            transport,
            options,
            wires: Semaphore::new(options.wires_max),
            lanes: Mutex::default(),
            phase: watch::Sender::new(Phase::Running),
            failure: watch::Sender::new(None),
        }
    }

    /// Tries a batch, as soon as there is a wire. Nothing is tried if its lease ran out or the dispatcher stopped before.
    pub(crate) async fn attempt(&self, lane: &LaneState, live: &Arc<LiveDestination>, pack: &Pack) -> Tried {
        let Ok(_wire) = self.wires.acquire().await else { return Tried::Nothing };
        if pack.lease_until.saturating_duration_since(Instant::now()) < ATTEMPT_MAX {
            return Tried::Nothing;
        }
        attempt::run(self, lane, live, &pack.items).await
    }

    /// Makes one call, within what is `left` of its attempt.
    pub(crate) async fn exchange(
        &self,
        lane: DestinationId,
        call: Call,
        left: Duration,
    ) -> Result<Reply, TransportError> {
        self.transport.exchange(lane, call, self.options.call_max.min(left)).await
    }

    /// Whether nothing new may be begun.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Whether what is on the wire must be dropped.
    pub(crate) fn is_cut_off(&self) -> bool {
        *self.phase.borrow() >= Phase::CutOff
    }

    /// Logs what the store would not do; if it has failed for good, stops.
    pub(crate) fn note_failure(&self, error: &StoreError) {
        match error {
            StoreError::Busy { .. } => tracing::debug!(%error, "the store is asked again"),
            StoreError::Failed(_) => {
                tracing::error!(%error, "deliveries stop");
                self.failure.send_replace(Some(error.clone()));
                self.enter(Phase::CutOff);
            }
            _ => tracing::warn!(%error, "the store refused"),
        }
    }

    /// Follows the phase.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Follows whether the store has failed for good.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<StoreError>> {
        self.failure.subscribe()
    }

    /// Goes on to a phase, never back, and tells everyone.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let moves = *now < phase;
            *now = phase.max(*now);
            moves
        });
        // Attempts that wait for a wire have not begun.
        self.wires.close();
        for lane in self.lanes().values() {
            lane.mark();
        }
    }

    /// What is remembered of a lane, if it had work in this process.
    pub(crate) fn known_lane(&self, id: DestinationId) -> Option<Arc<LaneState>> {
        self.lanes().get(&id).map(Arc::clone)
    }

    /// What is remembered of a lane.
    pub(crate) fn lane(&self, id: DestinationId) -> Arc<LaneState> {
        Arc::clone(self.lanes().entry(id).or_insert_with(|| Arc::new(LaneState::new(Instant::now()))))
    }

    /// Forgets the lane of a destination that is no more.
    pub(crate) fn forget_lane(&self, id: DestinationId) {
        if let Some(lane) = self.lanes().remove(&id)
            && lane.gates().is_tripped()
        {
            self.metrics.breakers_open.dec();
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<DestinationId, Arc<LaneState>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
