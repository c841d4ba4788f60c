//! Leases: who has which delivery in hand.
//!
//! A lease that the open transaction ends is marked until that is committed or rolled back. Meanwhile nobody can release,
//! rescue or settle it, so that what is being written and what memory says never drift apart.

use domain::{DeliveryId, DestinationId, Timestamp};

use super::lanes::Lanes;
use super::numbers::{DeliveryNo, DestinationNo};
use super::window::Waiting;
use crate::Fence;

/// Who owns a delivery, and for how long.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) destination: DestinationNo,
    pub(super) waiting: Waiting,
    pub(super) until: Timestamp,
    /// The open transaction ends this lease: nobody else may touch it until that is committed or rolled back.
    pub(super) is_ending: bool,
}

impl Lanes {
    pub(super) fn lease(&mut self, destination: DestinationNo, waiting: Waiting, until: Timestamp) -> Fence {
        self.last_fence += 1;
        let fence = Fence(self.last_fence);
        self.fences.insert(waiting.no, fence);
        if let Some(lane) = self.by_no.get_mut(&destination) {
            lane.leased.insert(fence);
        }
        self.leases.insert(fence, Lease { destination, waiting, until, is_ending: false });
        fence
    }

    pub(super) fn is_leased(&self, no: DeliveryNo) -> bool {
        self.fences.contains_key(&no)
    }

    /// The lease of a delivery, for the transaction that ends it; `None` if the fence does not own it any more.
    pub(super) fn begin_end(&mut self, id: DeliveryId, fence: Fence) -> Option<&Lease> {
        let lease = self.leases.get_mut(&fence)?;
        let owns = lease.waiting.event_id == id.event && lease.waiting.no.ordinal() == id.ordinal;
        if !owns || lease.is_ending {
            return None;
        }
        lease.is_ending = true;
        Some(lease)
    }

    /// The same for a delivery that is called off while somebody may have it in hand.
    pub(super) fn begin_end_of(&mut self, no: DeliveryNo) -> Option<Fence> {
        let fence = *self.fences.get(&no)?;
        let lease = self.leases.get_mut(&fence)?;
        (!std::mem::replace(&mut lease.is_ending, true)).then_some(fence)
    }

    /// The same for all of a destination that is deleted. From now on nothing is claimed from it.
    pub(super) fn begin_close(&mut self, destination: DestinationNo) -> Vec<Fence> {
        let Some(lane) = self.by_no.get_mut(&destination) else { return Vec::new() };
        lane.is_closed = true;
        let mut begun = Vec::new();
        for &fence in &lane.leased {
            if let Some(lease) = self.leases.get_mut(&fence)
                && !std::mem::replace(&mut lease.is_ending, true)
            {
                begun.push(fence);
            }
        }
        begun
    }

    /// The transaction was rolled back: the destination is still there.
    pub(super) fn undo_close(&mut self, destination: DestinationNo) {
        if let Some(lane) = self.by_no.get_mut(&destination) {
            lane.is_closed = false;
        }
    }

    /// The transaction was rolled back: the lease goes on.
    pub(super) fn undo_end(&mut self, fence: Fence) {
        if let Some(lease) = self.leases.get_mut(&fence) {
            lease.is_ending = false;
        }
    }

    /// Gives back one delivery that was not tried.
    pub(super) fn release(&mut self, id: DeliveryId, fence: Fence) -> Option<DestinationId> {
        let lease = self.leases.get(&fence)?;
        let owns = lease.waiting.event_id == id.event && lease.waiting.no.ordinal() == id.ordinal;
        if owns && !lease.is_ending { self.give_back(fence) } else { None }
    }

    /// Gives back what was leased until before `now`.
    pub(super) fn rescue(&mut self, now: Timestamp) -> (usize, Vec<DestinationId>) {
        let ended = self.leases.iter().filter(|(_, lease)| lease.until < now && !lease.is_ending);
        let ended: Vec<Fence> = ended.map(|(&fence, _)| fence).collect();
        let lanes = ended.iter().filter_map(|&fence| self.give_back(fence)).collect();
        (ended.len(), lanes)
    }

    pub(super) fn give_back(&mut self, fence: Fence) -> Option<DestinationId> {
        let lease = self.end_lease(fence)?;
        let lane = self.by_no.get_mut(&lease.destination)?;
        lane.wait(lease.waiting, self.folded_to);
        Some(lane.destination)
    }

    pub(super) fn end_lease(&mut self, fence: Fence) -> Option<Lease> {
        let lease = self.leases.remove(&fence)?;
        self.fences.remove(&lease.waiting.no);
        if let Some(lane) = self.by_no.get_mut(&lease.destination) {
            lane.leased.remove(&fence);
        }
        Some(lease)
    }
}
