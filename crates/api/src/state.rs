//! What the handlers share.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use pipeline::admission::LaneStatus;
use pipeline::metrics::LaneFigures;
use pipeline::registry::LiveDestination;
use pipeline::transport::guard::Guard;
use pipeline::{Clock, Dispatcher, Identity, Intake, Metrics, Pipeline, Provisioner, Registry, Replayer};
use storage::{Store, StoreError};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::extract::LARGE_BODIES_BYTES_MAX;
use crate::listener::Connections;

/// How old the backlog figures of `/metrics` may be: reading them looks at every lane.
const LANES_KEPT: Duration = Duration::from_secs(2);

/// The pipeline as the API sees it. Clones share it.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

/// The parts of an [`ApiState`].
pub struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) replayer: Arc<Replayer>,
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) metrics: Arc<Metrics>,
    dispatcher: Arc<Dispatcher>,
    pub(crate) guard: Guard,
    pub(crate) connections: Arc<Connections>,
    /// What large bodies that are being read may still take, in bytes.
    pub(crate) large_bodies: Semaphore,
    lanes: Mutex<Option<(Instant, Vec<LaneFigures>)>>,
}

impl Deref for ApiState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ApiState {
    /// The state of an API over a pipeline. `guard` judges URLs when they are saved; `connections` are the listener's,
    /// for the metrics.
    pub fn new(pipeline: &Pipeline, guard: Guard, connections: Arc<Connections>) -> Self {
        Self(Arc::new(Parts {
            store: Arc::clone(&pipeline.store),
            clock: Arc::clone(&pipeline.clock),
            registry: Arc::clone(&pipeline.registry),
            intake: Arc::clone(&pipeline.intake),
            identity: Arc::clone(&pipeline.identity),
            replayer: Arc::clone(&pipeline.replayer),
            provisioner: Arc::clone(&pipeline.provisioner),
            metrics: Arc::clone(&pipeline.metrics),
            dispatcher: Arc::clone(&pipeline.dispatcher),
            guard,
            connections,
            large_bodies: Semaphore::new(LARGE_BODIES_BYTES_MAX),
            lanes: Mutex::new(None),
        }))
    }

    /// What a destination's lane is doing.
    pub(crate) fn lane_status(&self, live: &LiveDestination) -> LaneStatus {
        self.dispatcher.lane_status(live)
    }

    /// The backlog of each lane, at most [`LANES_KEPT`] old; concurrent callers share one look.
    pub(crate) async fn lanes(&self) -> Result<Vec<LaneFigures>, StoreError> {
        let mut kept = self.lanes.lock().await;
        if let Some((taken_at, lanes)) = &*kept
            && taken_at.elapsed() < LANES_KEPT
        {
            return Ok(lanes.clone());
        }
        let lanes = self.look_at_lanes().await?;
        *kept = Some((Instant::now(), lanes.clone()));
        Ok(lanes)
    }

    async fn look_at_lanes(&self) -> Result<Vec<LaneFigures>, StoreError> {
        let appspaces: HashMap<_, _> =
            self.registry.appspaces().into_iter().map(|appspace| (appspace.id, appspace.name)).collect();
        let now = self.clock.now();
        let mut figures = Vec::new();
        for lane in self.store.lanes().await? {
            // A destination that is being deleted still has a backlog for a moment, and no name any more.
            let Some(live) = self.registry.destination(lane.destination) else { continue };
            let Some(appspace) = appspaces.get(&live.destination.appspace) else { continue };
            figures.push(LaneFigures {
                name: format!("{appspace}/{}", live.destination.name),
                pending: lane.pending,
                oldest_due_seconds: lane.oldest_due.map_or(0.0, |due_at| now.since(due_at).as_secs_f64()),
            });
        }
        Ok(figures)
    }
}
