//! A lane: the work for one destination, while there is any.
//!
//! A lane is one task that claims, starts runners and settles; the runners make the attempts ([`crate::desk`]). It asks
//! the gates before it claims; with a backlog it claims ahead, so that a free slot never waits for the store; and it
//! hands outcomes to the store in groups: while one group is being committed the next one gathers. An attempt that has
//! ended frees its slot at once, but only so many outcomes may be unsettled, so that a slow store slows the lane
//! instead of filling memory. Everything is counted in batches; a batch that is not full waits for more until its time
//! is over, and the lane with it.
//!
//! When there is nothing to do until some later time the task ends and says until when; the dispatcher wakes the lane
//! again. What must be remembered meanwhile is in its [`LaneState`].

mod claims;
mod errands;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{DeliveryId, DestinationId, Timestamp};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use storage::{Claimed, Settled, StoreError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::claims::Claims;
use self::errands::Errands;
use crate::admission::Admission;
use crate::budget::Block;
use crate::desk::{Aside, Desk};
use crate::engine::Engine;
use crate::gathering::Leases;
use crate::registry::LiveDestination;
use crate::seals::SealId;
use crate::{chores, gathering, holds};

pub(crate) use self::state::LaneState;

/// A lane that waits for longer than this ends its task, and gives back what it has claimed ahead. Many vendors want a second
/// between two calls, and what is in hand is not given back for that.
const REST_AFTER: Duration = Duration::from_secs(2);
/// How long a lane is left alone that should be paused and could not be.
const PAUSE_AGAIN: Duration = Duration::from_mins(1);

/// The task of a lane.
pub(crate) struct Lane {
    engine: Arc<Engine>,
    state: Arc<LaneState>,
    id: DestinationId,
    desk: Arc<Desk>,
    runners: JoinSet<()>,
    chores: FuturesUnordered<BoxFuture<'static, Chore>>,
    settles: usize,
    claims: Claims,
    errands: Errands,
    is_cut_off: bool,
}

/// Something that was handed to the store.
pub(crate) enum Chore {
    Claimed {
        asked: usize,
        claimed: Result<Claimed, StoreError>,
        lease_until: Instant,
    },
    Settled {
        batches: usize,
        retries_due: Option<Timestamp>,
        settled: Result<Vec<Settled>, StoreError>,
    },
    Released(Timestamp),
    Recollected(Result<(), StoreError>),
    /// These members of a sealed batch have ended; others were made due.
    Looked {
        seal: SealId,
        gone: Vec<DeliveryId>,
        has_woken: bool,
    },
    Swept(Result<(), StoreError>),
    Reserved(Result<Block, StoreError>),
    Remembered,
    Paused(Result<(), StoreError>),
    Announced,
}

/// What the lane waits for when it has done what it can.
enum Wait {
    /// For something to come back or a mark, and at most until this time.
    Until(Option<Instant>),
    /// For nothing that is under way: the task ends, and the lane is to be woken then.
    Rest(Option<Timestamp>),
}

impl Lane {
    /// A lane that begins by looking for due work.
    pub(crate) fn new(engine: Arc<Engine>, state: Arc<LaneState>, id: DestinationId) -> Self {
        // Left behind by a lane that panicked: its attempts are gone with it.
        let lost = state.gates().forget_in_flight();
        engine.metrics.in_flight.dec_by(i64::try_from(lost).unwrap_or_default());
        Self {
            desk: Arc::new(Desk::new(Arc::clone(&engine), Arc::clone(&state), id)),
            claims: Claims::new(engine.clock.now()),
            engine,
            state,
            id,
            runners: JoinSet::new(),
            chores: FuturesUnordered::new(),
            settles: 0,
            errands: Errands::default(),
            is_cut_off: false,
        }
    }

    /// Works until there is nothing to do for a while; returns when to come back.
    pub(crate) async fn run(mut self) -> Option<Timestamp> {
        loop {
            let until = match self.step() {
                Wait::Rest(until) => return until,
                Wait::Until(until) => until,
            };
            let timer = sleep_until(until.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(ended) = self.runners.join_next() => self.on_runner(ended),
                Some(chore) = self.chores.next() => self.on_chore(chore),
                () = self.state.wake.notified() => {}
                () = timer, if until.is_some() => {}
            }
            while let Some(ended) = self.runners.try_join_next() {
                self.on_runner(ended);
            }
        }
    }

    /// Does everything that can be done without waiting.
    fn step(&mut self) -> Wait {
        if self.state.take_mark() {
            self.claims.learn(self.engine.clock.now());
        }
        let now = Instant::now();
        let live = self.engine.registry.destination(self.id).filter(|_| !self.engine.is_stopping());
        let wait = match live {
            Some(live) if !self.desk.is_pausing() => self.step_open(&live, now),
            _ => {
                self.give_back(self.desk.clear());
                None
            }
        };
        if self.engine.is_cut_off() && !self.is_cut_off {
            self.is_cut_off = true;
            self.runners.abort_all();
        }
        self.see_to_asides();
        let wait = [wait, self.settle(now)].into_iter().flatten().min();
        if self.runners.is_empty() && self.chores.is_empty() && self.desk.is_empty() {
            // Nothing is under way, so only time can bring something.
            match wait {
                None => return Wait::Rest(None),
                Some(until) if until.saturating_duration_since(now) > REST_AFTER => {
                    return Wait::Rest(Some(self.engine.clock.now() + (until - now)));
                }
                Some(_) => {}
            }
        }
        Wait::Until(wait)
    }

    /// Starts and claims what the gates allow; returns when to look again if nothing comes back before.
    fn step_open(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        if !self.state.is_recollected.load(Ordering::Acquire) {
            return self.recollect(live, now);
        }
        loop {
            match self.desk.admit(live, now) {
                Admission::Paused => {
                    self.give_back(self.desk.clear());
                    return None;
                }
                Admission::Later(until) => {
                    if until.saturating_duration_since(now) > REST_AFTER {
                        self.put_off(live);
                    }
                    let work_at = if self.desk.in_hand().0 == 0 { self.due_instant(live, now)? } else { now };
                    return Some(until.max(work_at));
                }
                Admission::Reserve { per_day } => return self.reserve(live, per_day, now),
                Admission::Open { start, ahead } => {
                    let may_start = if self.is_gathering_digest(live) { 0 } else { start };
                    if !self.start(may_start) {
                        let limits = gathering::limits(live);
                        let look_at =
                            if limits.keeps_boundaries { self.see_to_seals(live, &limits, now) } else { None };
                        let claim_at = self.claim(live, start, ahead, now);
                        let ripe_at = self.desk.ripe_at(&limits, now).filter(|&at| may_start > 0 && at > now);
                        return [claim_at, ripe_at, look_at].into_iter().flatten().min();
                    }
                }
            }
        }
    }

    /// Starts up to `slots` runners; returns whether there was work for one.
    fn start(&mut self, slots: usize) -> bool {
        let jobs = std::iter::from_fn(|| self.desk.next()).take(slots);
        let mut has_started = false;
        for job in jobs {
            self.runners.spawn(Arc::clone(&self.desk).run(job));
            has_started = true;
        }
        has_started
    }

    /// A runner found nothing more to do, or came to grief.
    fn on_runner(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            // Cut off at a stop, or a bug outside the connector: the lease runs out and the delivery is tried again.
            if error.is_panic() {
                tracing::error!(destination = %self.id, "an attempt was lost to a panic; its lease will run out");
            }
            self.engine.metrics.in_flight.dec();
            self.state.gates().abandon();
        }
    }

    fn see_to_asides(&mut self) {
        let mut untried = Vec::new();
        for aside in self.desk.take_asides() {
            let engine = Arc::clone(&self.engine);
            match aside {
                Aside::Untried(leases) => untried.extend(leases),
                Aside::News(event) => self.chores.push(Box::pin(chores::announce(engine, event))),
                Aside::Pause(reason, message) => {
                    self.chores.push(Box::pin(chores::pause(engine, self.id, reason, message)));
                }
                Aside::Hold(memo) => self.chores.push(Box::pin(chores::remember(engine, self.id, vec![memo]))),
            }
        }
        if self.state.gates().take_outdated_hold() {
            let engine = Arc::clone(&self.engine);
            self.chores.push(Box::pin(chores::remember(engine, self.id, vec![holds::forget()])));
        }
        self.give_back(untried);
    }

    /// Hands the gathered outcomes to the store, so that a sync never waits for long and is seldom spent on a few. If no group is
    /// on its way, one goes that is worth a commit, and any when nothing is under way that it could wait for or it has waited
    /// long enough; behind one that is being committed goes half of what may be in flight. Returns when to look again.
    fn settle(&mut self, now: Instant) -> Option<Instant> {
        let settle_at = self.desk.settle_at().filter(|_| self.settles == 0);
        let enough = match self.settles {
            0 if self.runners.is_empty() || settle_at.is_some_and(|at| at <= now) => Some(1),
            0 => Some(self.desk.worth_a_commit()),
            1 => Some(self.desk.half_of_flight()),
            _ => None,
        };
        let Some(outcomes) = self.desk.take_outcomes(enough) else { return settle_at };
        self.settles += 1;
        self.chores.push(Box::pin(chores::settle(Arc::clone(&self.engine), self.id, outcomes)));
        None
    }

    fn give_back(&self, leases: Leases) {
        if !leases.is_empty() {
            self.chores.push(Box::pin(chores::release(Arc::clone(&self.engine), leases)));
        }
    }

    fn on_chore(&mut self, chore: Chore) {
        match chore {
            Chore::Claimed { asked, claimed, lease_until } => self.on_claimed(asked, claimed, lease_until),
            Chore::Settled { batches, retries_due, settled } => {
                self.settles -= 1;
                self.desk.settled(batches);
                // An error has been noted where it was met.
                self.on_settled(&settled.unwrap_or_default());
                if let Some(due) = retries_due {
                    self.claims.learn(due);
                }
            }
            Chore::Released(now) => self.claims.learn(now),
            Chore::Paused(result) => {
                // From here on the registry shows the pause, or the destination is gone.
                self.desk.end_pausing();
                if result.is_err() {
                    self.state.gates().hold(PAUSE_AGAIN, Instant::now());
                }
            }
            Chore::Recollected(result) => self.on_recollected(result),
            Chore::Reserved(result) => self.on_reserved(result),
            Chore::Looked { seal, gone, has_woken } => self.on_looked(seal, &gone, has_woken),
            Chore::Swept(result) => self.on_swept(result),
            Chore::Announced | Chore::Remembered => {}
        }
    }

    fn on_settled(&self, settled: &[Settled]) {
        let stale = settled.iter().filter(|settled| **settled == Settled::Stale).count();
        if stale > 0 {
            tracing::debug!(destination = %self.id, stale, "outcomes came too late to count");
        }
    }
}
