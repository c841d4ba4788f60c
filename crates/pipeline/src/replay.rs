//! Replays: owing a range of past events to a destination again, as durable jobs.
//!
//! A replay moves a cursor over the log and makes deliveries as it goes, each step one durable commit fenced by the
//! cursor. A crash between two steps repeats nothing and skips nothing. What it makes yields to live traffic: its
//! deliveries stand in a class of their own, behind fresh ones and retries.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::State;
use domain::id::ReplayId;
use domain::identity::Fact;
use domain::replay::{Replay, ReplayState};
use domain::{AppspaceId, Event, EventId, Reading};
use storage::{ReplayScan, ReplayStep, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::registry::{LiveDestination, Registry};
use crate::route::{Decision, decide};

/// Events looked at in one step.
const STEP_EVENTS_MAX: usize = 500;
/// How often the runner looks for replays that somebody else made.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the store refused a step.
const BACKOFF: Duration = Duration::from_secs(1);

/// Runs replays, one step of each in turn.
pub struct Replayer {
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    wake: Notify,
}

impl Replayer {
    /// A runner over a registry and its store.
    pub fn new(registry: Arc<Registry>, store: Arc<dyn Store>, clock: Arc<Clock>) -> Self {
        Self { registry, store, clock, wake: Notify::new() }
    }

    /// Stores a replay; the runner begins with it at once.
    pub async fn create(&self, replay: Replay) -> Result<(), StoreError> {
        self.store.create_replay(replay).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Calls off a replay and those of its deliveries that are still pending.
    pub async fn cancel(&self, appspace: AppspaceId, id: ReplayId) -> Result<Replay, StoreError> {
        self.store.cancel_replay(appspace, id, self.clock.now()).await
    }

    /// How many deliveries a replay would make, without making any.
    pub async fn dry_run(&self, replay: &Replay) -> Result<u64, StoreError> {
        let mut cursor = None;
        let mut owed = 0;
        loop {
            let look = self.look(replay, cursor).await?;
            owed += look.owed.len() as u64;
            match look.last {
                Some(last) => cursor = Some(last),
                None => return Ok(owed),
            }
        }
    }

    /// Works until the task is dropped.
    pub async fn run(&self) {
        let mut next_step: std::collections::HashMap<ReplayId, Instant> = std::collections::HashMap::new();
        loop {
            let running = match self.store.running_replays().await {
                Ok(running) => running,
                Err(error) => {
                    tracing::warn!(%error, "could not look for replays");
                    let _ = timeout(BACKOFF, self.wake.notified()).await;
                    continue;
                }
            };
            next_step.retain(|id, _| running.iter().any(|(replay, _)| replay.id == *id));
            let now = Instant::now();
            for (replay, cursor) in running {
                if next_step.get(&replay.id).is_none_or(|at| *at <= now) {
                    let wait = self.step(&replay, cursor).await;
                    next_step.insert(replay.id, Instant::now() + wait);
                }
            }
            match next_step.values().min() {
                Some(at) => {
                    let at = (*at).min(Instant::now() + LOOK_EVERY);
                    tokio::select! { () = sleep_until(at) => {}, () = self.wake.notified() => {} }
                }
                None => {
                    let _ = timeout(LOOK_EVERY, self.wake.notified()).await;
                }
            }
        }
    }

    /// Makes one step and says how long to wait before the next.
    async fn step(&self, replay: &Replay, cursor: Option<EventId>) -> Duration {
        let stepped = async {
            let look = self.look(replay, cursor).await?;
            let made = look.owed.len();
            self.store
                .advance_replay(ReplayStep {
                    id: replay.id,
                    from_cursor: cursor,
                    to_cursor: look.last.or(cursor),
                    scanned: look.scanned,
                    owed: look.owed,
                    unread: look.unread,
                    state: if look.last.is_some() { ReplayState::Running } else { ReplayState::Done },
                    now: self.clock.now(),
                })
                .await?;
            Ok::<usize, StoreError>(made)
        };
        match stepped.await {
            Ok(made) => replay.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(made as f64 / rate)),
            Err(error) => {
                tracing::warn!(replay = %replay.id, %error, "a replay could not go on; it will try again");
                BACKOFF
            }
        }
    }

    /// Looks at the next events of a replay and decides which are owed.
    async fn look(&self, replay: &Replay, after: Option<EventId>) -> Result<Look, StoreError> {
        let live = self.registry.destination(replay.destination).ok_or(StoreError::NotFound { noun: "destination" })?;
        // A capped replay takes steps of about a second, so that its pace is even.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the float is in 1..=STEP_EVENTS_MAX"
        )]
        let limit = replay.per_second.map_or(STEP_EVENTS_MAX, |rate| rate.clamp(1.0, STEP_EVENTS_MAX as f64) as usize);
        let scan = ReplayScan {
            appspace: replay.appspace,
            destination: replay.destination,
            from: replay.from,
            to: replay.to,
            after,
            limit,
        };
        let events = self.store.replay_scan(scan).await?;
        let wanted = |event: &Event| self.wants(replay, &live, event);
        let is_owed = |(event, newest): &&(Arc<Event>, Option<State>)| replay.select.owes(*newest) && wanted(event);
        let owed: Vec<&Arc<Event>> = events.iter().filter(is_owed).map(|(event, _)| event).collect();
        // Who keeps people would otherwise be told of an event from before people were kept that it names nobody.
        let unread = |event: &&Arc<Event>| live.wants_people && Fact::may_be_in(&event.body);
        Ok(Look {
            scanned: events.len() as u64,
            last: events.last().map(|(event, _)| event.id),
            unread: owed.iter().copied().filter(unread).map(|event| event.id).collect(),
            owed: owed.into_iter().map(|event| event.id).collect(),
        })
    }

    /// Whether the replay's types (or else the destination's own) and the destination's filter and volume take an event.
    fn wants(&self, replay: &Replay, live: &LiveDestination, event: &Event) -> bool {
        let events = replay.events.as_ref().unwrap_or(&live.destination.events);
        events.matches(&event.event_type)
            && decide(live, event, &Reading::new(self.registry.source_name(event.source))) == Decision::Owed
    }
}

/// What a look at the log found.
struct Look {
    scanned: u64,
    /// The last event looked at; `None` at the end of the range.
    last: Option<EventId>,
    owed: Vec<EventId>,
    /// Those of them that may have to be read for whom they are about.
    unread: Vec<EventId>,
}
