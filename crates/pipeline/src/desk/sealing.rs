//! Sealing: what the desk does for a vendor that recognises a batch by its boundaries ([`crate::seals`]).

use std::sync::Arc;

use domain::DeliveryId;
use domain::connector::BatchLimits;
use domain::delivery::{Standing, State};
use storage::Memo;
use tokio::time::Instant;

use super::Desk;
use crate::attempt::Tried;
use crate::gathering::{LEASE_LEFT_MIN, Leases, Pack};
use crate::memory::Patience;
use crate::registry::LiveDestination;
use crate::seals::SealId;

impl Desk {
    /// Whether batches may begin that are not sealed yet.
    pub(crate) fn may_seal(&self, limits: &BatchLimits) -> bool {
        !limits.keeps_boundaries || !self.lane.seals().is_full()
    }

    /// Takes back what is in no sealed batch.
    pub(crate) fn clear_loose(&self) -> Leases {
        self.papers().gathering.clear_loose()
    }

    /// Takes back what has waited for other members of its batch for too long.
    pub(crate) fn take_short_parcels(&self, now: Instant) -> Leases {
        self.papers().gathering.take_short_parcels(now)
    }

    /// When somebody should look for the missing members of a sealed batch.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        self.papers().gathering.look_at()
    }

    /// A sealed batch whose missing members are to be looked for now, and those members.
    pub(crate) fn incomplete(&self, now: Instant) -> Option<(SealId, Vec<DeliveryId>)> {
        self.papers().gathering.incomplete(now)
    }

    /// Some members of a sealed batch are gone; returns what is to be forgotten.
    pub(crate) fn reseal(&self, id: SealId, gone: &[DeliveryId]) -> Vec<Memo> {
        let mut papers = self.papers();
        let mut seals = self.lane.seals();
        let Some(seal) = seals.get(id) else { return Vec::new() };
        let left: Vec<DeliveryId> = seal.members.iter().filter(|member| !gone.contains(member)).copied().collect();
        let first = left.first().copied();
        let memos = seals.leave(id, left);
        let new = first.and_then(|member| seals.of(member));
        let new = new.and_then(|new| Some((new, Arc::clone(&seals.get(new)?.members))));
        papers.gathering.reseal(id, new);
        memos
    }

    /// Tries a batch when its boundaries are on disk.
    pub(super) async fn try_sealed(&self, live: &Arc<LiveDestination>, pack: &Pack, memos: Vec<Memo>) -> Tried {
        if let (Some(id), false) = (pack.seal, memos.is_empty()) {
            let patience = Patience::Until(pack.lease_until - LEASE_LEFT_MIN);
            if self.engine.remember(self.id, memos, patience).await.is_err() {
                return Tried::Nothing;
            }
            self.lane.seals().is_on_disk(id);
        }
        self.engine.attempt(&self.lane, live, pack).await
    }

    /// A batch was refused whole. That says nothing of the destination's health, and no attempt is recorded.
    pub(super) async fn put_back_halves(&self, pack: Pack) {
        let seal = pack.seal;
        let mut halves = pack.halves();
        if let Some(seal) = seal {
            let members = [halves[0].members(), halves[1].members()];
            let (ids, memos) = self.lane.seals().split(seal, members);
            // If this fails no half is sent before it has taken the place of the whole by itself.
            if self.engine.remember(self.id, memos, Patience::Endless).await.is_ok() {
                let mut seals = self.lane.seals();
                for id in ids {
                    seals.is_on_disk(id);
                }
            }
            halves.iter_mut().zip(ids).for_each(|(half, id)| half.seal = Some(id));
        }
        self.engine.metrics.in_flight.dec();
        self.lane.gates().abandon();
        self.papers().gathering.put_first(halves.into_iter());
        // This runner goes on with one half; the other one may find a slot of its own.
        self.lane.wake();
    }

    /// Makes sure that a batch is sealed; returns what must be on disk before it is sent.
    pub(super) fn seal(&self, pack: &mut Pack) -> Vec<Memo> {
        let mut seals = self.lane.seals();
        let id = match pack.seal {
            Some(id) if seals.get(id).is_some() => id,
            _ => seals.seal(pack.members()),
        };
        pack.seal = Some(id);
        seals.changes(id)
    }

    /// What is left of a sealed batch is tried again together, at one time. Returns what is to be forgotten when the
    /// outcomes are in the store.
    pub(super) fn leave(&self, id: SealId, pack: &Pack, standings: &mut [Standing]) -> Vec<Memo> {
        let is_left = |standing: &Standing| standing.state == State::Pending;
        let due_at = standings.iter().filter(|standing| is_left(standing)).map(|standing| standing.due_at).max();
        for standing in standings.iter_mut().filter(|standing| is_left(standing)) {
            standing.due_at = due_at.unwrap_or(standing.due_at);
        }
        let left = pack.items.iter().zip(&*standings).filter(|(_, standing)| is_left(standing));
        self.lane.seals().leave(id, left.map(|(owned, _)| owned.id).collect())
    }
}
