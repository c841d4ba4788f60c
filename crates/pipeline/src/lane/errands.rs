//! Errands: what a lane has found out about its past, its budget and its sealed batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::DeliveryId;
use domain::connector::BatchLimits;
use storage::StoreError;
use tokio::time::Instant;

use super::Lane;
use super::claims::CLAIM_AGAIN;
use crate::budget::{self, Block};
use crate::registry::LiveDestination;
use crate::seals::SealId;
use crate::{chores, recollection};

/// How often a lane in which nothing else may be sealed looks whether a sealed batch is done.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What is being found out about what the store remembers.
#[derive(Default)]
pub(super) struct Errands {
    /// Somebody reads what was remembered before this process began.
    is_recollecting: bool,
    /// Somebody counts the next block of the day's calls.
    is_reserving: bool,
    /// Somebody looks for members of sealed batches.
    is_looking: bool,
    /// When batches that are done were last looked for.
    swept_at: Option<Instant>,
}

impl Lane {
    /// Reads what was remembered before this process began; returns when to try again.
    pub(super) fn recollect(&mut self, live: &Arc<LiveDestination>, now: Instant) -> Option<Instant> {
        if self.claims.not_before > now {
            return Some(self.claims.not_before);
        }
        if !std::mem::replace(&mut self.errands.is_recollecting, true) {
            let (engine, state) = (Arc::clone(&self.engine), Arc::clone(&self.state));
            self.chores.push(Box::pin(recollection::recollect(engine, state, Arc::clone(live))));
        }
        None
    }

    /// Has another block of the day's calls counted, if there is work for it; returns when to try again.
    pub(super) fn reserve(&mut self, live: &LiveDestination, per_day: u32, now: Instant) -> Option<Instant> {
        let work_at = if self.desk.is_empty() { self.due_instant(live, now)? } else { now };
        let at = work_at.max(self.claims.not_before);
        if at > now {
            return Some(at);
        }
        if !std::mem::replace(&mut self.errands.is_reserving, true) {
            self.chores.push(Box::pin(budget::reserve(Arc::clone(&self.engine), self.id, per_day)));
        }
        None
    }

    /// Looks for members of sealed batches that are missing, and makes room for them; returns when to look again.
    pub(super) fn see_to_seals(
        &mut self,
        live: &Arc<LiveDestination>,
        limits: &BatchLimits,
        now: Instant,
    ) -> Option<Instant> {
        self.give_back(self.desk.take_short_parcels(now));
        if !self.desk.may_seal(limits) {
            // Only what is sealed can begin; the rest would be in the way of its members.
            self.give_back(self.desk.clear_loose());
            if !self.errands.is_looking && self.errands.swept_at.is_none_or(|at| now >= at + SWEEP_EVERY) {
                (self.errands.is_looking, self.errands.swept_at) = (true, Some(now));
                let (engine, state) = (Arc::clone(&self.engine), Arc::clone(&self.state));
                self.chores.push(Box::pin(recollection::sweep_seals(engine, state, Arc::clone(live))));
            }
        }
        if !self.errands.is_looking
            && let Some((seal, missing)) = self.desk.incomplete(now)
        {
            self.errands.is_looking = true;
            let engine = Arc::clone(&self.engine);
            self.chores.push(Box::pin(recollection::look(engine, Arc::clone(live), seal, missing)));
        }
        self.desk.look_at().filter(|_| !self.errands.is_looking)
    }

    /// What was remembered has been read.
    pub(super) fn on_recollected(&mut self, result: Result<(), StoreError>) {
        self.errands.is_recollecting = false;
        match result {
            Ok(()) => self.state.is_recollected.store(true, Ordering::Release),
            Err(error) => self.try_later(&error),
        }
    }

    /// Another block of the day's calls was counted.
    pub(super) fn on_reserved(&mut self, result: Result<Block, StoreError>) {
        self.errands.is_reserving = false;
        match result {
            Ok(block) => self.state.gates().reserved(block, Instant::now()),
            Err(error) => self.try_later(&error),
        }
    }

    /// Somebody has looked for the missing members of a sealed batch.
    pub(super) fn on_looked(&mut self, seal: SealId, gone: &[DeliveryId], has_woken: bool) {
        self.errands.is_looking = false;
        if has_woken {
            self.claims.learn(self.engine.clock.now());
        }
        if !gone.is_empty() {
            let memos = self.desk.reseal(seal, gone);
            self.chores.push(Box::pin(chores::remember(Arc::clone(&self.engine), self.id, memos)));
        }
    }

    /// Somebody has looked whether sealed batches are done.
    pub(super) fn on_swept(&mut self, result: Result<(), StoreError>) {
        self.errands.is_looking = false;
        if let Err(error) = result {
            self.engine.note_failure(&error);
        }
    }

    fn try_later(&mut self, error: &StoreError) {
        self.engine.note_failure(error);
        self.claims.not_before = Instant::now() + CLAIM_AGAIN;
    }
}
