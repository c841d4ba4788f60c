//! The queue side of deliveries: lanes, leases, and the fair shares of a claim.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::delivery::{Class, Standing};
use domain::{DeliveryId, DestinationId, Timestamp};

use super::{DeliveryNo, MemoryStore, State};
use crate::shares::{CLASSES, share_out};
use crate::{Claimed, Fence, OnKnown, Owned, Result, Settled, Settlement, Work, WorkSignal};

/// A delivery that waits, in the order in which its class is claimed.
type Waiting = (Class, Timestamp, DeliveryNo);

/// The pending deliveries of one destination.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Those that nobody has in hand.
    waiting: BTreeSet<Waiting>,
    leased: BTreeSet<DeliveryNo>,
    /// Places given out so far: decides whose turn it is.
    places: u64,
}

/// Who owns a delivery, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    fence: Fence,
    until: Timestamp,
}

#[async_trait]
impl Work for MemoryStore {
    async fn claim(
        &self,
        destination: DestinationId,
        now: Timestamp,
        limit: usize,
        lease_until: Timestamp,
    ) -> Result<Claimed> {
        Ok(self.open()?.claim(destination, now, limit, lease_until))
    }

    async fn settle(&self, settlements: Arc<[Settlement]>) -> Result<Vec<Settled>> {
        let mut state = self.commit()?;
        // The only step that can be refused goes first.
        for settlement in settlements.iter() {
            state.check_append(settlement.news.as_slice(), OnKnown::Count)?;
        }
        settlements.iter().map(|settlement| state.settle(settlement)).collect()
    }

    async fn release(&self, leases: Vec<(DeliveryId, Fence)>) -> Result<()> {
        let mut state = self.open()?;
        for (id, fence) in leases {
            if let Some(no) = state.owned(id, fence) {
                state.give_back(no);
            }
        }
        Ok(())
    }

    async fn rescue(&self, now: Timestamp) -> Result<usize> {
        let mut state = self.open()?;
        let ended = state.leases.iter().filter(|(_, lease)| lease.until < now);
        let ended: Vec<DeliveryNo> = ended.map(|(&no, _)| no).collect();
        for &no in &ended {
            state.give_back(no);
        }
        Ok(ended.len())
    }

    fn signal(&self) -> Arc<WorkSignal> {
        self.signal.clone()
    }

    async fn lanes(&self) -> Result<Vec<crate::Lane>> {
        let state = self.open()?;
        let lanes = state.lanes.iter().map(|(&destination, lane)| crate::Lane {
            destination,
            pending: (lane.waiting.len() + lane.leased.len()) as u64,
            oldest_due: lane.next_due(),
        });
        Ok(lanes.filter(|lane| lane.pending > 0).collect())
    }
}

impl State {
    fn claim(&mut self, destination: DestinationId, now: Timestamp, limit: usize, lease_until: Timestamp) -> Claimed {
        let Some(lane) = self.lanes.get_mut(&destination) else { return Claimed::default() };
        let chosen = lane.choose(now, limit);
        for waiting in &chosen {
            lane.waiting.remove(waiting);
            lane.leased.insert(waiting.2);
        }
        let next_due = lane.next_due();
        let work = chosen.into_iter().map(|(_, _, no)| self.lease(no, lease_until)).collect();
        Claimed { work, next_due }
    }

    fn lease(&mut self, no: DeliveryNo, until: Timestamp) -> Owned {
        let fence = Fence(self.next_no());
        self.leases.insert(no, Lease { fence, until });
        let row = &self.deliveries[&no];
        Owned {
            id: self.delivery_id(no),
            destination: row.destination,
            fence,
            event: self.events[&no.0].event.clone(),
            standing: row.standing,
            created_at: row.created_at,
            replay: row.replay,
        }
    }

    /// The delivery, if the fence still owns it.
    fn owned(&self, id: DeliveryId, fence: Fence) -> Option<DeliveryNo> {
        let no = (*self.event_nos.get(&id.event)?, id.ordinal);
        self.leases.get(&no).is_some_and(|lease| lease.fence == fence).then_some(no)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<Settled> {
        let Some(no) = self.owned(settlement.id, settlement.fence) else { return Ok(Settled::Stale) };
        if let Some(row) = self.deliveries.get_mut(&no) {
            row.attempts.push(settlement.attempt.clone());
        }
        self.leases.remove(&no);
        self.change(no, settlement.standing, settlement.now);
        self.append(settlement.news.iter().cloned().collect(), OnKnown::Count)?;
        Ok(Settled::Done)
    }

    fn give_back(&mut self, no: DeliveryNo) {
        self.leases.remove(&no);
        if let Some(lane) = self.lanes.get_mut(&self.deliveries[&no].destination) {
            lane.leased.remove(&no);
        }
        self.wait(no);
    }

    pub(super) fn void_leases(&mut self) {
        let leased: Vec<DeliveryNo> = self.leases.keys().copied().collect();
        for no in leased {
            self.give_back(no);
        }
    }

    /// Puts a pending delivery into its lane, and says so if somebody could claim it.
    pub(super) fn wait(&mut self, no: DeliveryNo) {
        let row = &self.deliveries[&no];
        let lane = self.lanes.entry(row.destination).or_default();
        if self.leases.contains_key(&no) {
            lane.leased.insert(no);
        } else {
            lane.waiting.insert(waiting(no, &row.standing));
            self.signal.mark([row.destination]);
        }
    }
}

fn waiting(no: DeliveryNo, standing: &Standing) -> Waiting {
    (standing.class, standing.due_at, no)
}

impl Lane {
    pub(super) fn remove(&mut self, no: DeliveryNo, standing: &Standing) {
        self.waiting.remove(&waiting(no, standing));
        self.leased.remove(&no);
    }

    /// Up to `limit` due deliveries, place by place, each to the class whose turn it is.
    fn choose(&mut self, now: Timestamp, limit: usize) -> Vec<Waiting> {
        let due = |class| self.of_class(class).take_while(|(_, due_at, _)| *due_at <= now).take(limit);
        let due = CLASSES.map(|class| due(class).copied().collect());
        let mut chosen = share_out(self.places, limit, due);
        self.places += chosen.len() as u64;
        chosen.sort_unstable();
        chosen
    }

    fn next_due(&self) -> Option<Timestamp> {
        CLASSES.into_iter().filter_map(|class| self.of_class(class).next()).map(|&(_, due_at, _)| due_at).min()
    }

    fn of_class(&self, class: Class) -> impl Iterator<Item = &Waiting> {
        let first = (class, Timestamp::from_millis(i64::MIN), (0, 0));
        self.waiting.range(first..).take_while(move |waiting| waiting.0 == class)
    }
}
