//! Parcels: members of sealed batches that wait in hand for the others of theirs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::DeliveryId;
use storage::Owned;
use tokio::time::Instant;

use super::{Leases, Pack, bytes_of, is_short};
use crate::seals::{Seal, SealId};

/// How long the members of a sealed batch wait for the others before somebody looks where those are.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// Sealed batches of which some members are not in hand.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    waiting: BTreeMap<SealId, Parcel>,
    bytes: usize,
}

/// Members of one that are in hand.
#[derive(Debug)]
struct Parcel {
    members: Arc<[DeliveryId]>,
    items: BTreeMap<DeliveryId, Owned>,
    lease_until: Instant,
    look_at: Instant,
}

impl Parcels {
    /// Takes up a member. Returns the batch if nothing of it is missing any more.
    pub(super) fn lay(
        &mut self,
        id: SealId,
        seal: &Seal,
        owned: Owned,
        lease_until: Instant,
        now: Instant,
    ) -> Option<Pack> {
        let parcel = self.waiting.entry(id).or_insert_with(|| Parcel {
            members: Arc::clone(&seal.members),
            items: BTreeMap::new(),
            lease_until,
            look_at: now,
        });
        parcel.lease_until = parcel.lease_until.min(lease_until);
        parcel.look_at = now + LOOK_AFTER;
        self.bytes += owned.event.body.len();
        // One whose lease was over may be claimed once more; then the older claim is void.
        self.bytes -= bytes_of(parcel.items.insert(owned.id, owned).as_slice());
        self.complete(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many bytes the bodies of those in hand have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When somebody should look where missing members are.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.waiting.values().map(|parcel| parcel.look_at).min()
    }

    /// The batch whose missing members are to be looked for at `now`, and those members.
    pub(super) fn incomplete(&mut self, now: Instant) -> Option<(SealId, Vec<DeliveryId>)> {
        let (id, parcel) = self.waiting.iter_mut().find(|(_, parcel)| parcel.look_at <= now)?;
        parcel.look_at = now + LOOK_AFTER;
        Some((*id, parcel.members.iter().filter(|member| !parcel.items.contains_key(member)).copied().collect()))
    }

    /// Some members are gone for good; what is left is sealed as `left`, if anything is. Returns that batch if nothing of
    /// it is missing.
    pub(super) fn reseal(&mut self, id: SealId, left: Option<(SealId, Arc<[DeliveryId]>)>) -> Option<Pack> {
        let mut parcel = self.take(id)?;
        let (id, members) = left?;
        parcel.members = members;
        self.bytes += bytes_of(parcel.items.values());
        self.waiting.insert(id, parcel);
        self.complete(id)
    }

    /// Takes those out of hand whose lease runs short while they wait.
    pub(super) fn take_short(&mut self, now: Instant) -> Leases {
        let short = self.waiting.extract_if(.., |_, parcel| is_short(parcel.lease_until, now));
        let short: Vec<Owned> = short.flat_map(|(_, parcel)| parcel.items.into_values()).collect();
        self.bytes -= bytes_of(&short);
        short.iter().map(|owned| (owned.id, owned.fence)).collect()
    }

    /// Takes everything out of hand.
    pub(super) fn clear(&mut self) -> Leases {
        let Self { waiting, .. } = std::mem::take(self);
        waiting
            .into_values()
            .flat_map(|parcel| parcel.items.into_values())
            .map(|owned| (owned.id, owned.fence))
            .collect()
    }

    /// Makes a batch of a parcel in which nothing is missing.
    fn complete(&mut self, id: SealId) -> Option<Pack> {
        let parcel = self.waiting.get(&id)?;
        // Counting first: it is asked for every member that comes.
        if parcel.items.len() < parcel.members.len()
            || !parcel.members.iter().all(|member| parcel.items.contains_key(member))
        {
            return None;
        }
        let mut parcel = self.take(id)?;
        let items = parcel.members.iter().filter_map(|member| parcel.items.remove(member)).collect();
        Some(Pack { items, lease_until: parcel.lease_until, seal: Some(id), is_part: false })
    }

    fn take(&mut self, id: SealId) -> Option<Parcel> {
        let parcel = self.waiting.remove(&id)?;
        self.bytes -= bytes_of(parcel.items.values());
        Some(parcel)
    }
}
