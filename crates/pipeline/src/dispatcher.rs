//! The dispatcher: wakes the lanes that have work, and nothing else.
//!
//! Its loop waits for marks of the store, for lanes that come to rest, and for the time at which a resting lane is due.
//! It never waits for a lane's work, claims nothing and sends nothing, so no destination can hold up another one here.
//! A destination without due work costs an entry in a map; one that is paused or whose breaker is open not even a task.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{DestinationId, Timestamp};
use futures_util::FutureExt;
use storage::{Store, StoreError};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::admission::LaneStatus;
use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::engine::{Engine, Phase};
use crate::identity::Identity;
use crate::lane::{Lane, LaneState};
use crate::metrics::Metrics;
use crate::registry::{LiveDestination, Registry};
use crate::transport::Transport;

/// How often deliveries with an ended lease are given back.
const RESCUE_EVERY: Duration = Duration::from_secs(5);
/// Lanes that begin together after a start, and how long until the next ones do: no crowd goes out at once.
const START_LANES: usize = 64;
const START_EVERY: Duration = Duration::from_millis(10);
/// How long a lane that panicked is left alone.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// How long outcomes may take to reach the store after attempts were cut off.
const CUT_OFF_MAX: Duration = Duration::from_secs(3);

/// How deliveries are made.
#[derive(Debug, Clone, Copy)]
pub struct DispatcherOptions {
    /// Longest time of one call, its body included.
    pub call_max: Duration,
    /// Most attempts on the wire, all destinations together.
    pub wires_max: usize,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self { call_max: Duration::from_secs(10), wires_max: 4_096 }
    }
}

/// The running dispatcher.
pub struct Dispatcher {
    engine: Arc<Engine>,
    tasks: Mutex<Option<[JoinHandle<()>; 2]>>,
}

impl Dispatcher {
    /// Starts delivering.
    pub fn start(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        identity: Arc<Identity>,
        transport: Arc<dyn Transport>,
        options: DispatcherOptions,
    ) -> Self {
        let engine = Arc::new(Engine::new(store, registry, clock, metrics, identity, transport, options));
        let hub = tokio::spawn(Hub::new(Arc::clone(&engine)).run());
        let rescuer = tokio::spawn(rescue(Arc::clone(&engine)));
        Self { engine, tasks: Mutex::new(Some([hub, rescuer])) }
    }

    /// What a lane is doing.
    pub fn lane_status(&self, live: &LiveDestination) -> LaneStatus {
        match self.engine.known_lane(live.destination.id) {
            Some(lane) => lane.gates().status(live, Instant::now(), self.engine.clock.now()),
            None => LaneStatus::untouched(live),
        }
    }

    /// Comes back when the store has failed for good: the process must end.
    pub async fn failed(&self) -> StoreError {
        let mut failure = self.engine.failure();
        let failed = failure.wait_for(Option::is_some).await.map(|error| error.clone());
        match failed {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => {
                unreachable!("the sender lives as long as the dispatcher, and only a failure ends the wait")
            }
        }
    }

    /// Begins nothing new, gives back what was claimed ahead, and waits up to `grace` for what is on the wire. What is
    /// not done then is dropped: its lease runs out and it is tried again. Outcomes reach the store in either case.
    pub async fn stop(&self, grace: Duration) {
        let Some([mut hub, rescuer]) = self.tasks().take() else { return };
        rescuer.abort();
        self.engine.enter(Phase::Stopping);
        if timeout(grace, &mut hub).await.is_ok() {
            return;
        }
        self.engine.enter(Phase::CutOff);
        if timeout(CUT_OFF_MAX, &mut hub).await.is_err() {
            tracing::warn!("the store did not take every outcome in time; the deliveries will be tried again");
            hub.abort();
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Option<[JoinHandle<()>; 2]>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop of the dispatcher.
struct Hub {
    engine: Arc<Engine>,
    tasks: JoinSet<(DestinationId, Option<Timestamp>)>,
    running: HashMap<DestinationId, Arc<LaneState>>,
    alarms: Alarms,
}

impl Hub {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine, tasks: JoinSet::new(), running: HashMap::new(), alarms: Alarms::default() }
    }

    async fn run(mut self) {
        let signal = self.engine.store.signal();
        let mut phase = self.engine.phase();
        let mut backlog = std::pin::pin!(backlog(Arc::clone(&self.engine)).fuse());
        let mut has_backlog = true;
        while *phase.borrow_and_update() == Phase::Running {
            let wait = self.alarms.wait(self.engine.clock.now());
            tokio::select! {
                marked = signal.take() => marked.into_iter().for_each(|id| self.wake(id)),
                Some(rested) = self.tasks.join_next() => self.on_rest(rested.ok()),
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => self.ring(),
                lanes = &mut backlog, if has_backlog => {
                    has_backlog = false;
                    self.alarms.extend(lanes);
                }
                _ = phase.changed() => {}
            }
        }
        // The lanes have been told; they end when their last outcome is in the store.
        while self.tasks.join_next().await.is_some() {}
    }

    /// There may be something to do for a lane.
    fn wake(&mut self, id: DestinationId) {
        if let Some(state) = self.running.get(&id) {
            state.mark();
            return;
        }
        self.alarms.cancel(id);
        let Some(live) = self.engine.registry.destination(id) else {
            self.engine.forget_lane(id);
            return;
        };
        let now = Instant::now();
        let state = self.engine.lane(id);
        if live.destination.paused.is_some() {
            state.gates().notice_change(&live, now);
            return;
        }
        let wall = self.engine.clock.now();
        let shut_until = state.gates().shut_until(&live, now).map(|until| wall + (until - now));
        let digest_at = live.destination.volume.digest_ms.and_then(|_| *state.digest_at());
        match shut_until.max(digest_at.filter(|&at| at > wall)) {
            Some(until) => self.alarms.set(id, until),
            None => self.start(id, state),
        }
    }

    fn start(&mut self, id: DestinationId, state: Arc<LaneState>) {
        let lane = Lane::new(Arc::clone(&self.engine), Arc::clone(&state), id);
        let engine = Arc::clone(&self.engine);
        self.running.insert(id, state);
        self.tasks.spawn(async move {
            let rested = AssertUnwindSafe(lane.run()).catch_unwind().await;
            (
                id,
                rested.unwrap_or_else(|_| {
                    tracing::error!(destination = %id, "a lane panicked; it starts again");
                    Some(engine.clock.now() + AFTER_PANIC)
                }),
            )
        });
    }

    fn on_rest(&mut self, rested: Option<(DestinationId, Option<Timestamp>)>) {
        let Some((id, until)) = rested else { return };
        let was_marked = self.running.remove(&id).is_some_and(|state| state.take_mark());
        if was_marked || self.engine.registry.destination(id).is_none() {
            self.wake(id);
        } else if let Some(until) = until {
            self.alarms.set(id, until);
        }
    }

    /// Wakes the lanes whose time has come.
    fn ring(&mut self) {
        let now = self.engine.clock.now();
        while let Some(id) = self.alarms.next_due(now) {
            self.wake(id);
        }
    }
}

/// The lanes with a backlog at the start, each with the time to begin: when due, and not all at once.
async fn backlog(engine: Arc<Engine>) -> Vec<(DestinationId, Timestamp)> {
    loop {
        match engine.store.lanes().await {
            Ok(lanes) => {
                let now = engine.clock.now();
                let due = lanes.into_iter().filter_map(|lane| Some((lane.destination, lane.oldest_due?)));
                let starts = due.enumerate().map(|(index, (id, due))| {
                    let turn = u32::try_from(index / START_LANES).unwrap_or(u32::MAX);
                    (id, due.max(now + START_EVERY.saturating_mul(turn)))
                });
                return starts.collect();
            }
            Err(error) => {
                engine.note_failure(&error);
                sleep(RESCUE_EVERY).await;
            }
        }
    }
}

/// Gives back deliveries whose lease has ended, until the dispatcher stops.
async fn rescue(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        sleep(RESCUE_EVERY).await;
        match engine.store.rescue(engine.clock.now()).await {
            Ok(0) => {}
            Ok(rescued) => tracing::warn!(rescued, "deliveries were given back because their lease ended"),
            Err(error) => engine.note_failure(&error),
        }
    }
}
