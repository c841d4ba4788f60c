//! Gathering: what a lane has in hand and not begun, and when it is enough for a batch.
//!
//! A batch begins when as many deliveries lie ready as it takes, or as many bytes, or when the oldest of them has waited
//! for as long as it may. Halves of a batch that was refused whole go before everything else, each as it is. Members of a
//! sealed batch ([`crate::seals`]) wait for each other in a parcel of their own ([`parcels`]).
//!
//! Pure: the time is passed in.

mod parcels;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::DeliveryId;
use domain::connector::BatchLimits;
use storage::{Fence, Owned};
use tokio::time::Instant;

use self::parcels::Parcels;
use crate::attempt::ATTEMPT_MAX;
use crate::registry::LiveDestination;
use crate::seals::{self, SealId, Seals};

/// A lease with less than this left is given back instead of tried.
pub(crate) const LEASE_LEFT_MIN: Duration = Duration::from_secs(ATTEMPT_MAX.as_secs() + 10);
/// Most deliveries of one digest. A vendor that takes one message at a time takes one about so many events.
const DIGEST_ITEMS_MAX: usize = 10_000;
/// Batches that have grown beyond this are narrow no more.
const NARROWED_MAX: usize = 16_384;

/// What is needed to give a delivery back.
pub(crate) type Leases = Vec<(DeliveryId, Fence)>;

/// Deliveries that are tried together, in this order. There is always at least one.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) items: Vec<Owned>,
    pub(crate) lease_until: Instant,
    pub(crate) seal: Option<SealId>,
    /// It is a part of a batch that was refused whole.
    is_part: bool,
}

/// What a lane has in hand and not begun.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// In the order in which they were claimed.
    loose: VecDeque<Laid>,
    /// What a batch of them would have: packs and parcels do not make it full.
    loose_bytes: usize,
    /// Batches that are complete as they are.
    packs: VecDeque<Pack>,
    packed: usize,
    packed_bytes: usize,
    parcels: Parcels,
    /// Most items of a batch while one that is refused whole is being narrowed down over several claims.
    narrowed_to: Option<usize>,
}

#[derive(Debug)]
struct Laid {
    owned: Owned,
    lease_until: Instant,
    since: Instant,
}

/// How much goes into a batch of this destination.
pub(crate) fn limits(live: &LiveDestination) -> BatchLimits {
    let mut limits = live.connector.manifest().batch;
    if live.destination.volume.digest_ms.is_some() {
        // What belongs into a digest is claimed when its time has come, and the lane begins when it has all of it.
        let items = if limits.items_max > 1 { limits.items_max.min(DIGEST_ITEMS_MAX) } else { DIGEST_ITEMS_MAX };
        limits = BatchLimits { items, linger_ms: 0, ..limits };
    } else {
        limits = live.destination.batch.over(limits);
    }
    if limits.keeps_boundaries {
        limits.items = limits.items.min(seals::MEMBERS_MAX);
    }
    limits
}

impl Pack {
    /// Both halves of a batch of more than one.
    pub(crate) fn halves(self) -> [Self; 2] {
        let Self { mut items, lease_until, .. } = self;
        let rest = items.split_off(items.len().div_ceil(2));
        [items, rest].map(|items| Self { items, lease_until, seal: None, is_part: true })
    }

    /// Its deliveries.
    pub(crate) fn members(&self) -> Vec<DeliveryId> {
        self.items.iter().map(|owned| owned.id).collect()
    }

    /// What is needed to give it back.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (DeliveryId, Fence)> {
        self.items.iter().map(|owned| (owned.id, owned.fence))
    }
}

impl Gathering {
    /// Nothing in hand, and batches of at most `narrowed_to`, if one that was refused whole is being narrowed down.
    pub(crate) fn new(narrowed_to: Option<usize>) -> Self {
        Self { narrowed_to, ..Self::default() }
    }

    /// Most items of a batch, if one that was refused whole is being narrowed down.
    pub(crate) fn narrowed_to(&self) -> Option<usize> {
        self.narrowed_to
    }

    /// Takes up what was claimed. Returns whether anything of it belongs to a sealed batch.
    pub(crate) fn lay(&mut self, work: Vec<Owned>, lease_until: Instant, seals: Option<&Seals>, now: Instant) -> bool {
        let mut has_members = false;
        for owned in work {
            let sealed = seals.and_then(|seals| seals.of(owned.id).and_then(|id| Some((id, seals.get(id)?))));
            if let Some((id, seal)) = sealed {
                has_members = true;
                if let Some(pack) = self.parcels.lay(id, seal, owned, lease_until, now) {
                    self.put_last(pack);
                }
            } else {
                self.loose_bytes += owned.event.body.len();
                self.loose.push_back(Laid { owned, lease_until, since: now });
            }
        }
        has_members
    }

    /// Takes up batches that are to be tried next, the first one first.
    pub(crate) fn put_first(&mut self, packs: impl DoubleEndedIterator<Item = Pack>) {
        for pack in packs.rev() {
            self.count(&pack);
            self.packs.push_front(pack);
        }
    }

    /// How many deliveries could be begun: those that wait for other members of their batch are not among them.
    pub(crate) fn len(&self) -> usize {
        self.loose.len() + self.packed
    }

    /// Whether nothing at all is in hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.parcels.is_empty()
    }

    /// How many bytes the bodies of everything in hand have, whether it could be begun or not.
    pub(crate) fn bytes(&self) -> usize {
        self.loose_bytes + self.packed_bytes + self.parcels.bytes()
    }

    /// When the next batch can begin, not before `now`; `None` if there is none. Deliveries that are in no batch yet can
    /// begin only if `may_seal`.
    pub(crate) fn ripe_at(&self, limits: &BatchLimits, may_seal: bool, now: Instant) -> Option<Instant> {
        if !self.packs.is_empty() {
            return Some(now);
        }
        let oldest = self.loose.front().filter(|_| may_seal)?;
        let is_full = self.loose.len() >= self.items_max(limits) || self.loose_bytes >= limits.bytes_max;
        Some(if is_full { now } else { now.max(oldest.since + limits.linger()) })
    }

    /// The next batch, if one can begin. What has too little left of its lease goes to `short`.
    pub(crate) fn next(
        &mut self,
        limits: &BatchLimits,
        may_seal: bool,
        now: Instant,
        short: &mut Leases,
    ) -> Option<Pack> {
        while let Some(pack) = self.packs.pop_front() {
            self.packed -= pack.items.len();
            self.packed_bytes -= bytes_of(&pack.items);
            if !is_short(pack.lease_until, now) {
                return Some(pack);
            }
            self.narrow(&pack);
            short.extend(pack.leases());
        }
        while self.loose.front().is_some_and(|laid| is_short(laid.lease_until, now)) {
            short.extend(self.take_loose().map(|laid| (laid.owned.id, laid.owned.fence)));
        }
        if self.ripe_at(limits, may_seal, now).is_none_or(|at| at > now) {
            return None;
        }
        let lease_until = self.loose.front()?.lease_until;
        let mut pack = Pack { items: Vec::new(), lease_until, seal: None, is_part: false };
        let (items_max, mut bytes) = (self.items_max(limits), 0);
        while let Some(next) = self.loose.front() {
            bytes += next.owned.event.body.len();
            if pack.items.len() >= items_max || (bytes > limits.bytes_max && !pack.items.is_empty()) {
                break;
            }
            let Some(laid) = self.take_loose() else { break };
            pack.lease_until = pack.lease_until.min(laid.lease_until);
            pack.items.push(laid.owned);
        }
        Some(pack)
    }

    /// A batch was not refused whole: those after it may grow again. Returns whether that changes anything.
    pub(crate) fn widen(&mut self) -> bool {
        let Some(max) = self.narrowed_to else { return false };
        self.narrowed_to = max.checked_mul(2).filter(|&max| max <= NARROWED_MAX);
        true
    }

    /// When somebody should look where the missing members of a sealed batch are.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        self.parcels.look_at()
    }

    /// The sealed batch whose missing members are to be looked for at `now`, and those members.
    pub(crate) fn incomplete(&mut self, now: Instant) -> Option<(SealId, Vec<DeliveryId>)> {
        self.parcels.incomplete(now)
    }

    /// Some members of a sealed batch are gone for good; what is left is sealed as `left`, if anything is.
    pub(crate) fn reseal(&mut self, id: SealId, left: Option<(SealId, Arc<[DeliveryId]>)>) {
        if let Some(pack) = self.parcels.reseal(id, left) {
            self.put_last(pack);
        }
    }

    /// Takes those out of hand whose lease runs short while they wait for other members.
    pub(crate) fn take_short_parcels(&mut self, now: Instant) -> Leases {
        self.parcels.take_short(now)
    }

    /// Takes those out of hand that are in no batch.
    pub(crate) fn clear_loose(&mut self) -> Leases {
        self.loose_bytes = 0;
        self.loose.drain(..).map(|laid| (laid.owned.id, laid.owned.fence)).collect()
    }

    /// Takes everything out of hand.
    pub(crate) fn clear(&mut self) -> Leases {
        let mut leases = self.clear_loose();
        let packs = std::mem::take(&mut self.packs);
        for pack in &packs {
            self.narrow(pack);
        }
        (self.packed, self.packed_bytes) = (0, 0);
        leases.extend(packs.iter().flat_map(Pack::leases));
        leases.extend(self.parcels.clear());
        leases
    }

    /// A part of a batch is given back: narrowing down goes on with the next claim instead of beginning again.
    fn narrow(&mut self, pack: &Pack) {
        if pack.is_part {
            self.narrowed_to = Some(self.narrowed_to.map_or(pack.items.len(), |max| max.min(pack.items.len())));
        }
    }

    fn put_last(&mut self, pack: Pack) {
        self.count(&pack);
        self.packs.push_back(pack);
    }

    fn count(&mut self, pack: &Pack) {
        self.packed += pack.items.len();
        self.packed_bytes += bytes_of(&pack.items);
    }

    fn items_max(&self, limits: &BatchLimits) -> usize {
        self.narrowed_to.map_or(limits.items, |max| limits.items.min(max)).max(1)
    }

    fn take_loose(&mut self) -> Option<Laid> {
        let laid = self.loose.pop_front()?;
        self.loose_bytes -= laid.owned.event.body.len();
        Some(laid)
    }
}

fn bytes_of<'a>(items: impl IntoIterator<Item = &'a Owned>) -> usize {
    items.into_iter().map(|owned| owned.event.body.len()).sum()
}

fn is_short(lease_until: Instant, now: Instant) -> bool {
    lease_until.saturating_duration_since(now) < LEASE_LEFT_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::owned;

    const LIMITS: BatchLimits =
        BatchLimits { items: 5, items_max: 100, bytes_max: 1_000, linger_ms: 2_000, keeps_boundaries: false };
    const LEASE: Duration = Duration::from_secs(90);

    /// The numbers of the events of a batch.
    fn numbers(pack: &Pack) -> Vec<u128> {
        let number = |owned: &Owned| u128::from_be_bytes(owned.event.id.to_bytes()) & u128::from(u64::MAX);
        pack.items.iter().map(number).collect()
    }

    #[test]
    fn halves_go_first_and_each_as_it_is() {
        let now = Instant::now();
        let mut gathering = Gathering::default();
        gathering.lay((0..7).map(|number| owned(number, 10)).collect(), now + LEASE, None, now);
        let whole = gathering.next(&LIMITS, true, now, &mut Vec::new()).unwrap();
        gathering.put_first(whole.halves().into_iter());
        let mut next = || gathering.next(&LIMITS, true, now, &mut Vec::new()).map(|pack| numbers(&pack));
        assert_eq!((next(), next(), next()), (Some(vec![0, 1, 2]), Some(vec![3, 4]), None));
    }

    #[test]
    fn a_half_that_is_given_back_keeps_later_batches_small_until_one_is_taken() {
        let now = Instant::now();
        let mut gathering = Gathering::default();
        gathering.lay((0..5).map(|number| owned(number, 10)).collect(), now + LEASE, None, now);
        let whole = gathering.next(&LIMITS, true, now, &mut Vec::new()).unwrap();
        gathering.put_first(whole.halves().into_iter());
        let (later, mut short) = (now + LEASE, Vec::new());
        assert!(gathering.next(&LIMITS, true, later, &mut short).is_none());
        assert_eq!(short.len(), 5);
        gathering.lay((0..15).map(|number| owned(number, 10)).collect(), later + LEASE, None, later);
        let mut sizes = Vec::new();
        while let Some(pack) = gathering.next(&LIMITS, true, later, &mut short) {
            sizes.push(pack.items.len());
            gathering.widen();
        }
        assert_eq!(sizes, [2, 4, 5]);
    }

    proptest::proptest! {
        #[test]
        fn everything_that_is_laid_comes_out_once_in_order_and_within_the_limits(
            steps in proptest::collection::vec((proptest::collection::vec(0_usize..1_500, 0..12), 0_u64..3_000), 1..40),
        ) {
            let (mut gathering, mut now) = (Gathering::default(), Instant::now());
            let (mut laid, mut taken, mut oldest) = (0_u128, Vec::new(), std::collections::VecDeque::new());
            for (bodies, wait_ms) in steps {
                let work: Vec<Owned> = bodies.iter().map(|bytes| { laid += 1; owned(laid, *bytes) }).collect();
                oldest.extend(work.iter().map(|_| now));
                gathering.lay(work, now + LEASE + Duration::from_secs(1_000), None, now);
                now += Duration::from_millis(wait_ms);
                while let Some(pack) = gathering.next(&LIMITS, true, now, &mut Vec::new()) {
                    let bytes: usize = pack.items.iter().map(|owned| owned.event.body.len()).sum();
                    proptest::prop_assert!(pack.items.len() <= LIMITS.items);
                    proptest::prop_assert!(bytes <= LIMITS.bytes_max || pack.items.len() == 1);
                    oldest.drain(..pack.items.len());
                    taken.extend(numbers(&pack));
                }
                let waits = oldest.front().map_or(Duration::ZERO, |since| now - *since);
                proptest::prop_assert!(waits < LIMITS.linger(), "{waits:?}");
            }
            let waiting = laid - taken.len() as u128;
            proptest::prop_assert_eq!(gathering.len() as u128, waiting);
            taken.extend(gathering.clear().iter().map(|(id, _)| u128::from_be_bytes(id.event.to_bytes()) & u128::from(u64::MAX)));
            proptest::prop_assert_eq!(taken, (1..=laid).collect::<Vec<_>>());
            proptest::prop_assert_eq!((gathering.len(), gathering.bytes()), (0, 0));
        }
    }
}
