//! Seals: which deliveries make up a batch, for a vendor that recognises a batch by its boundaries.
//!
//! Such a vendor takes a batch that it has seen before for a repetition, and one that differs by a single event for a new
//! one. So the members of a batch and their order are on disk before it is sent for the first time, and every retry sends
//! the very same, also after a restart. The halves of a batch that was refused whole are batches of their own. What is left
//! of a batch of which some members have ended, or are gone, is another batch.
//!
//! Pure, but for the changes it hands out for others to make durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use domain::DeliveryId;
use domain::id::EventId;
use storage::{MEMO_VALUE_BYTES_MAX, Memo};

/// Most batches of one destination that are sealed and not done. Beyond it nothing new is sealed until one is, except the
/// halves of one that is.
pub(crate) const SEALS_MAX: usize = 64;
/// Most members of one batch: what fits into a memo.
pub(crate) const MEMBERS_MAX: usize = MEMO_VALUE_BYTES_MAX / MEMBER_BYTES;
/// What all keys begin with.
pub(crate) const PREFIX: &str = "batch:";

/// An event's id and the ordinal of the delivery.
const MEMBER_BYTES: usize = 16 + 2;

/// Names a batch by its members and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SealId([u8; 32]);

/// The sealed batches of one destination that are not done.
#[derive(Debug, Default)]
pub(crate) struct Seals {
    open: BTreeMap<SealId, Seal>,
    of: HashMap<DeliveryId, SealId>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) members: Arc<[DeliveryId]>,
    is_durable: bool,
    /// Those on disk that this one takes the place of.
    replaces: Vec<SealId>,
}

impl Seals {
    /// Takes up a seal that was found on disk. One that cannot be read holds nothing together.
    pub(crate) fn found(&mut self, value: &[u8]) {
        let members = decode(value);
        let seal = Seal { is_durable: true, ..Seal::new(members.into(), Vec::new()) };
        self.add(seal);
    }

    /// The seal of a delivery, if it has one.
    pub(crate) fn of(&self, delivery: DeliveryId) -> Option<SealId> {
        self.of.get(&delivery).copied()
    }

    /// One seal.
    pub(crate) fn get(&self, id: SealId) -> Option<&Seal> {
        self.open.get(&id)
    }

    /// All seals with their members.
    pub(crate) fn all(&self) -> Vec<(SealId, Arc<[DeliveryId]>)> {
        self.open.iter().map(|(id, seal)| (*id, Arc::clone(&seal.members))).collect()
    }

    /// Whether nothing new may be sealed.
    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= SEALS_MAX
    }

    /// Seals a batch.
    pub(crate) fn seal(&mut self, members: Vec<DeliveryId>) -> SealId {
        self.add(Seal::new(members.into(), Vec::new()))
    }

    /// What must be durable before the batch is sent; nothing if it is already.
    pub(crate) fn changes(&self, id: SealId) -> Vec<Memo> {
        match self.open.get(&id) {
            Some(seal) if !seal.is_durable => {
                std::iter::once(put(id, &seal.members)).chain(seal.replaces.iter().map(|id| forget(*id))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The changes of a batch are on disk: nobody else needs to forget what it took the place of.
    pub(crate) fn is_on_disk(&mut self, id: SealId) {
        let Some(seal) = self.open.get_mut(&id) else { return };
        seal.is_durable = true;
        let replaced = std::mem::take(&mut seal.replaces);
        if !replaced.is_empty() {
            for seal in self.open.values_mut() {
                seal.replaces.retain(|id| !replaced.contains(id));
            }
        }
    }

    /// Seals both halves of a batch in its place; returns what makes that durable in one step. Without it either half
    /// takes the place by itself before it is sent, so that none is ever on disk beside the whole.
    pub(crate) fn split(&mut self, id: SealId, halves: [Vec<DeliveryId>; 2]) -> ([SealId; 2], Vec<Memo>) {
        let replaces = self.remove(id).map(|seal| seal.on_disk(id)).unwrap_or_default();
        let ids = halves.map(|members| self.add(Seal::new(members.into(), replaces.clone())));
        let new = ids.iter().filter_map(|id| Some(put(*id, &self.open.get(id)?.members)));
        let changes = new.chain(replaces.into_iter().map(forget)).collect();
        (ids, changes)
    }

    /// Only these are left of a batch, in its order; returns what is to be forgotten when that is on disk. What is left is
    /// another batch, which is sealed before it is sent.
    pub(crate) fn leave(&mut self, id: SealId, left: Vec<DeliveryId>) -> Vec<Memo> {
        let Some(seal) = self.open.get(&id) else { return Vec::new() };
        let replaces = seal.on_disk(id);
        if left.is_empty() {
            self.remove(id);
            return replaces.into_iter().map(forget).collect();
        }
        if *seal.members == *left {
            return Vec::new();
        }
        self.remove(id);
        self.add(Seal::new(left.into(), replaces));
        Vec::new()
    }

    /// A batch that was sealed was not sent and need not be this one.
    pub(crate) fn break_unsent(&mut self, id: SealId) {
        if self.open.get(&id).is_some_and(|seal| !seal.is_durable && seal.replaces.is_empty()) {
            self.remove(id);
        }
    }

    fn add(&mut self, seal: Seal) -> SealId {
        let id = SealId::of(&seal.members);
        self.of.extend(seal.members.iter().map(|member| (*member, id)));
        self.open.insert(id, seal);
        id
    }

    fn remove(&mut self, id: SealId) -> Option<Seal> {
        let seal = self.open.remove(&id)?;
        for member in seal.members.iter() {
            if self.of.get(member) == Some(&id) {
                self.of.remove(member);
            }
        }
        Some(seal)
    }
}

impl Seal {
    const fn new(members: Arc<[DeliveryId]>, replaces: Vec<SealId>) -> Self {
        Self { members, is_durable: false, replaces }
    }

    /// What lies on disk of it and of those before it.
    fn on_disk(&self, id: SealId) -> Vec<SealId> {
        self.replaces.iter().copied().chain(self.is_durable.then_some(id)).collect()
    }
}

impl SealId {
    fn of(members: &[DeliveryId]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &encode(members)).as_ref());
        Self(id)
    }

    fn key(self) -> String {
        format!("{PREFIX}{}", hex::encode(self.0))
    }
}

fn put(id: SealId, members: &[DeliveryId]) -> Memo {
    Memo::Put { key: id.key(), value: Bytes::from(encode(members)), expires_at: None }
}

fn forget(id: SealId) -> Memo {
    Memo::Forget { key: id.key() }
}

fn encode(members: &[DeliveryId]) -> Vec<u8> {
    members.iter().flat_map(|id| id.event.to_bytes().into_iter().chain(id.ordinal.to_be_bytes())).collect()
}

fn decode(value: &[u8]) -> Vec<DeliveryId> {
    let (members, _) = value.as_chunks::<MEMBER_BYTES>();
    let member = |bytes: &[u8; MEMBER_BYTES]| {
        let (mut event, mut ordinal) = ([0; 16], [0; 2]);
        event.copy_from_slice(&bytes[..16]);
        ordinal.copy_from_slice(&bytes[16..]);
        DeliveryId { event: EventId::from_bytes(event), ordinal: u16::from_be_bytes(ordinal) }
    };
    members.iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::Timestamp;

    use super::*;

    fn member(number: u16) -> DeliveryId {
        DeliveryId { event: EventId::mint(Timestamp::from_millis(1), u128::from(number)), ordinal: number }
    }

    fn members(numbers: std::ops::Range<u16>) -> Vec<DeliveryId> {
        numbers.map(member).collect()
    }

    /// The keys on disk after changes.
    #[derive(Default)]
    struct Disk(BTreeSet<String>);

    impl Disk {
        fn apply(&mut self, changes: Vec<Memo>) {
            for change in changes {
                match change {
                    Memo::Forget { key } => assert!(self.0.remove(&key), "what is forgotten was there"),
                    Memo::Put { key, value, .. } => {
                        assert_eq!(SealId::of(&decode(&value)).key(), key);
                        self.0.insert(key);
                    }
                    Memo::PutIfAbsent { .. } => panic!("nothing is claimed here"),
                }
            }
        }
    }

    #[test]
    fn members_survive_the_disk_in_their_order_and_a_full_batch_fits() {
        let all: Vec<DeliveryId> = (0..u16::try_from(MEMBERS_MAX).unwrap()).rev().map(member).collect();
        assert_eq!(decode(&encode(&all)), all);
        assert!(encode(&all).len() <= MEMO_VALUE_BYTES_MAX);
        assert_ne!(SealId::of(&all), SealId::of(&all.iter().rev().copied().collect::<Vec<_>>()));
    }

    #[test]
    fn what_is_left_of_a_batch_takes_its_place_and_the_last_one_clears_the_disk() {
        let (mut seals, mut disk) = (Seals::default(), Disk::default());
        let whole = seals.seal(members(0..4));
        disk.apply(seals.changes(whole));
        seals.is_on_disk(whole);
        assert!(seals.changes(whole).is_empty());

        assert!(seals.leave(whole, members(0..4)).is_empty(), "all of it is tried again");
        assert_eq!(seals.of(member(0)), Some(whole));
        disk.apply(seals.leave(whole, members(1..3)));
        assert_eq!((seals.of(member(0)), disk.0.len()), (None, 1), "until it is sent the old one stays on disk");
        let left = seals.of(member(1)).unwrap();
        disk.apply(seals.leave(left, members(2..3)));
        let last = seals.of(member(2)).unwrap();
        disk.apply(seals.changes(last));
        seals.is_on_disk(last);
        assert_eq!(disk.0, BTreeSet::from([last.key()]));
        disk.apply(seals.leave(last, Vec::new()));
        assert!(disk.0.is_empty() && seals.all().is_empty());
    }

    #[test]
    fn halves_are_batches_of_their_own() {
        let (mut seals, mut disk) = (Seals::default(), Disk::default());
        let whole = seals.seal(members(0..5));
        disk.apply(seals.changes(whole));
        seals.is_on_disk(whole);
        let ([one, two], changes) = seals.split(whole, [members(0..3), members(3..5)]);
        disk.apply(changes);
        assert_eq!(disk.0, BTreeSet::from([one.key(), two.key()]));
        assert_eq!((seals.of(member(2)), seals.of(member(3))), (Some(one), Some(two)));
        let mut again = Seals::default();
        again.found(&encode(&members(0..3)));
        assert_eq!(again.of(member(0)), Some(one));
    }

    #[test]
    fn halves_that_did_not_get_onto_the_disk_are_never_there_beside_the_whole() {
        for first in [0, 1] {
            let (mut seals, mut disk) = (Seals::default(), Disk::default());
            let whole = seals.seal(members(0..5));
            disk.apply(seals.changes(whole));
            seals.is_on_disk(whole);
            let (halves, _refused) = seals.split(whole, [members(0..3), members(3..5)]);
            // They keep their boundaries also when nothing of them could be sent for now.
            for half in halves {
                seals.break_unsent(half);
            }
            assert_eq!((seals.of(member(0)), seals.of(member(4))), (Some(halves[0]), Some(halves[1])));

            let (one, other) = (halves[first], halves[1 - first]);
            disk.apply(seals.changes(one));
            seals.is_on_disk(one);
            assert_eq!(disk.0, BTreeSet::from([one.key()]));
            disk.apply(seals.changes(other));
            seals.is_on_disk(other);
            assert_eq!(disk.0, BTreeSet::from([one.key(), other.key()]));
            assert!(halves.iter().all(|half| seals.changes(*half).is_empty()));
        }
    }

    #[test]
    fn a_half_of_which_nothing_is_left_takes_the_whole_off_the_disk_too() {
        let (mut seals, mut disk) = (Seals::default(), Disk::default());
        let whole = seals.seal(members(0..5));
        disk.apply(seals.changes(whole));
        seals.is_on_disk(whole);
        let ([one, two], _refused) = seals.split(whole, [members(0..3), members(3..5)]);
        assert!(seals.leave(two, members(3..4)).is_empty(), "what is left of the other one is not sent yet");
        disk.apply(seals.leave(one, Vec::new()));
        assert!(disk.0.is_empty());
    }

    #[test]
    fn a_batch_that_was_never_sent_need_not_be_kept_together() {
        let mut seals = Seals::default();
        let id = seals.seal(members(0..2));
        seals.break_unsent(id);
        assert_eq!(seals.of(member(0)), None);
        let id = seals.seal(members(0..2));
        seals.is_on_disk(id);
        seals.break_unsent(id);
        assert_eq!(seals.of(member(0)), Some(id));
    }
}
