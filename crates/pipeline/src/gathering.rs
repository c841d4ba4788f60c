//! Gathering: what a lane has in hand and not begun, and when it is enough for a batch.
//!
//! A batch begins when as many deliveries lie ready as it takes, or as many bytes, or when the oldest of them has waited
//! for as long as it may. Halves of a batch that was refused whole go before everything else, each as it is.
//!
//! Pure: the time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use domain::DeliveryId;
use domain::connector::BatchLimits;
use storage::{Fence, Owned};
use tokio::time::Instant;

use crate::attempt::ATTEMPT_MAX;
use crate::registry::LiveDestination;

/// A lease with less than this left is given back instead of tried.
pub(crate) const LEASE_LEFT_MIN: Duration = Duration::from_secs(ATTEMPT_MAX.as_secs() + 10);

/// Deliveries that are tried together, in this order. There is always at least one.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) items: Vec<Owned>,
    pub(crate) lease_until: Instant,
    /// It is a part of a batch that was refused whole.
    is_part: bool,
}

/// What a lane has in hand and not begun.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// In the order in which they were claimed.
    loose: VecDeque<Laid>,
    loose_bytes: usize,
    /// Batches that are complete as they are.
    packs: VecDeque<Pack>,
    packed: usize,
    /// Most items of a batch while one that is refused whole is being narrowed down and leases run short.
    narrowed_to: Option<usize>,
}

#[derive(Debug)]
struct Laid {
    owned: Owned,
    lease_until: Instant,
    laid_at: Instant,
}

/// Most deliveries of one digest, for a vendor that takes one event at a time otherwise.
const DIGEST_ITEMS_MAX: usize = 1_000;

/// How much goes into a batch of this destination.
pub(crate) fn limits(live: &LiveDestination) -> BatchLimits {
    let limits = live.connector.manifest().batch;
    if live.destination.volume.digest_ms.is_none() {
        return live.destination.batch.over(limits);
    }
    let items = if limits.items_max > 1 { limits.items_max } else { DIGEST_ITEMS_MAX };
    // What belongs into a digest is claimed at once when its time has come, so nothing waits in hand.
    BatchLimits { items, linger_ms: 0, ..limits }
}

impl Pack {
    /// Both halves of a batch of more than one.
    pub(crate) fn halves(mut self) -> [Self; 2] {
        let rest = self.items.split_off(self.items.len().div_ceil(2));
        [Self { is_part: true, ..self }, Self { items: rest, lease_until: self.lease_until, is_part: true }]
    }

    /// What is needed to give it back.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (DeliveryId, Fence)> {
        self.items.iter().map(|owned| (owned.id, owned.fence))
    }
}

impl Gathering {
    /// Takes up what was claimed.
    pub(crate) fn lay(&mut self, work: Vec<Owned>, lease_until: Instant, now: Instant) {
        for owned in work {
            self.loose_bytes += owned.event.body.len();
            self.loose.push_back(Laid { owned, lease_until, laid_at: now });
        }
    }

    /// Takes up batches that are to be tried next, the first one first.
    pub(crate) fn put_first(&mut self, packs: impl DoubleEndedIterator<Item = Pack>) {
        for pack in packs.rev() {
            self.packed += pack.items.len();
            self.packs.push_front(pack);
        }
    }

    /// How many deliveries are in hand.
    pub(crate) fn len(&self) -> usize {
        self.loose.len() + self.packed
    }

    /// How many bytes the bodies of those have that are in no batch yet.
    pub(crate) fn bytes(&self) -> usize {
        self.loose_bytes
    }

    /// When the next batch can begin, not before `now`. `None` if nothing is in hand.
    pub(crate) fn ripe_at(&self, limits: &BatchLimits, now: Instant) -> Option<Instant> {
        if !self.packs.is_empty() {
            return Some(now);
        }
        let oldest = self.loose.front()?;
        let is_full = self.loose.len() >= self.items_max(limits) || self.loose_bytes >= limits.bytes_max;
        Some(if is_full { now } else { now.max(oldest.laid_at + limits.linger()) })
    }

    /// The next batch, if one can begin. What has too little left of its lease goes to `short`.
    pub(crate) fn next(
        &mut self,
        limits: &BatchLimits,
        now: Instant,
        short: &mut Vec<(DeliveryId, Fence)>,
    ) -> Option<Pack> {
        let is_short = |lease_until: Instant| lease_until.saturating_duration_since(now) < LEASE_LEFT_MIN;
        while let Some(pack) = self.packs.pop_front() {
            self.packed -= pack.items.len();
            if !is_short(pack.lease_until) {
                return Some(pack);
            }
            if pack.is_part {
                // So that narrowing down goes on with the next claim instead of beginning again.
                self.narrowed_to = Some(self.narrowed_to.map_or(pack.items.len(), |max| max.min(pack.items.len())));
            }
            short.extend(pack.leases());
        }
        while self.loose.front().is_some_and(|laid| is_short(laid.lease_until)) {
            short.extend(self.take_loose().map(|laid| (laid.owned.id, laid.owned.fence)));
        }
        if self.ripe_at(limits, now).is_none_or(|at| at > now) {
            return None;
        }
        let mut pack = Pack { items: Vec::new(), lease_until: self.loose.front()?.lease_until, is_part: false };
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

    /// A batch was not refused whole: those after it may grow again.
    pub(crate) fn widen(&mut self) {
        if let Some(max) = self.narrowed_to {
            self.narrowed_to = max.checked_mul(2);
        }
    }

    /// Takes everything out of hand.
    pub(crate) fn clear(&mut self) -> Vec<(DeliveryId, Fence)> {
        let packs = self.packs.drain(..).flat_map(|pack| pack.items);
        let all = packs.chain(self.loose.drain(..).map(|laid| laid.owned));
        let leases = all.map(|owned| (owned.id, owned.fence)).collect();
        (self.loose_bytes, self.packed) = (0, 0);
        leases
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
