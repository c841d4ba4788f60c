//! Claims: what a lane takes into hand, and what it knows of the rest.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::event::BODY_BYTES_MAX;
use storage::{Claimed, StoreError};
use tokio::time::Instant;

use super::{Chore, Lane};
use crate::gathering;
use crate::registry::LiveDestination;

/// How long a claimed delivery is ours: time to wait in hand, and for the longest attempt. What waits for a batch to fill
/// gets that time on top.
const LEASE: Duration = Duration::from_secs(90);
/// Most deliveries of one claim.
const CLAIM_MAX: usize = 1_024;
/// Most deliveries of a claim that bytes would not let be larger. Few enough to be no burden, whatever their size, and
/// enough that a sealed batch's members, who get some places of each claim, are among them.
const CLAIM_MIN: usize = 32;
/// Most deliveries that a lane has in hand, unless one batch takes more.
const IN_HAND_MAX: usize = 4_096;
/// A lane with so many bytes of bodies in hand claims no more, unless it could do nothing else.
const IN_HAND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a lane waits between two claims that bring no member of a sealed batch while nothing else may begin.
const SEALS_FULL_PAUSE: Duration = Duration::from_secs(1);
/// How long a lane waits after the store refused something.
pub(super) const CLAIM_AGAIN: Duration = Duration::from_millis(250);

/// What a lane knows of the deliveries that it does not have in hand.
pub(super) struct Claims {
    is_under_way: bool,
    pub(super) not_before: Instant,
    /// When the next one falls due, as far as we know.
    next_due: Option<Timestamp>,
    /// The same, learnt while a claim was under way that may not have seen it.
    learnt: Option<Timestamp>,
    /// The last claim got all it asked for, so that claiming ahead is worth it.
    is_deep: bool,
    /// The largest body of the last claim that brought any: the next ones are likely to be as large.
    body_bytes: Option<usize>,
}

/// What a lane has to do.
#[derive(Debug, Clone, Copy)]
struct Hand {
    /// Deliveries in hand that could be begun.
    ready: usize,
    /// Of the bodies of everything in hand.
    bytes: usize,
    /// Attempts.
    in_flight: usize,
}

impl Claims {
    /// Something may be due at `due`, and nothing else is known.
    pub(super) fn new(due: Timestamp) -> Self {
        Self {
            is_under_way: false,
            not_before: Instant::now(),
            next_due: Some(due),
            learnt: None,
            is_deep: false,
            body_bytes: None,
        }
    }

    /// Something falls due at `due`.
    pub(super) fn learn(&mut self, due: Timestamp) {
        self.next_due = earlier(self.next_due, Some(due));
        if self.is_under_way {
            self.learnt = earlier(self.learnt, Some(due));
        }
    }

    fn begin(&mut self) {
        self.is_under_way = true;
        self.learnt = None;
    }

    fn end(&mut self, is_deep: bool, next_due: Option<Timestamp>) {
        self.is_under_way = false;
        self.is_deep = is_deep;
        self.next_due = earlier(next_due, self.learnt.take());
    }
}

impl Lane {
    /// Claims if there is room and something is due; returns when to look again.
    pub(super) fn claim(
        &mut self,
        live: &LiveDestination,
        start: usize,
        ahead: usize,
        now: Instant,
    ) -> Option<Instant> {
        let due = self.due_instant(live, now)?;
        let at = due.max(self.claims.not_before);
        if at > now {
            return Some(at);
        }
        let limits = gathering::limits(live);
        let batches = |count: usize| count.saturating_mul(limits.items).min(IN_HAND_MAX.max(limits.items));
        let ahead = if self.claims.is_deep { ahead } else { 0 };
        let (ready, bytes) = self.desk.in_hand();
        let hand = Hand { ready, bytes, in_flight: self.state.gates().in_flight() };
        // A digest is claimed at once, or it would be several; otherwise every body may be the largest there is.
        let is_digest = live.destination.volume.digest_ms.is_some();
        let body_bytes = if is_digest { 1 } else { self.claims.body_bytes.unwrap_or(BODY_BYTES_MAX) };
        let fitting = fitting(hand, body_bytes);
        let room = batches(start + ahead).saturating_sub(ready).min(CLAIM_MAX).min(fitting);
        self.desk.watch(batches(ahead) / 2);
        // With a slot free claim what fits; with none, only when what was claimed ahead runs low.
        let is_wanted = room > 0 && (start > 0 || ready <= batches(ahead) / 2);
        if is_wanted && !self.claims.is_under_way && self.desk.is_keeping_up(live) {
            self.claims.begin();
            let lease = LEASE + limits.linger();
            let (store, id, wall) = (Arc::clone(&self.engine.store), self.id, self.engine.clock.now());
            self.chores.push(Box::pin(async move {
                let claimed = store.claim(id, wall, room, wall + lease).await;
                Chore::Claimed { asked: room, claimed, lease_until: now + lease }
            }));
        }
        None
    }

    /// Whether the next claim brings more of a digest for which there is room.
    pub(super) fn is_gathering_digest(&self, live: &LiveDestination) -> bool {
        let (ready, bytes) = self.desk.in_hand();
        let has_room = || ready < gathering::limits(live).items && bytes < IN_HAND_BYTES_MAX;
        live.destination.volume.digest_ms.is_some() && self.claims.is_deep && has_room()
    }

    /// A claim has come to an end.
    pub(super) fn on_claimed(&mut self, asked: usize, claimed: Result<Claimed, StoreError>, lease_until: Instant) {
        let Claimed { work, next_due } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                self.claims.is_under_way = false;
                self.claims.not_before = Instant::now() + CLAIM_AGAIN;
                self.engine.note_failure(&error);
                return;
            }
        };
        self.claims.end(work.len() == asked, next_due);
        self.claims.body_bytes = work.iter().map(|owned| owned.event.body.len()).max().or(self.claims.body_bytes);
        if !self.claims.is_deep {
            // Everything that belongs into this digest is in hand.
            *self.state.digest_at() = None;
        }
        let limits = self.engine.registry.destination(self.id).map(|live| gathering::limits(&live));
        let has_members = self.desk.fill(work, limits.as_ref(), lease_until);
        if !has_members && limits.is_some_and(|limits| !self.desk.may_seal(&limits)) {
            self.claims.not_before = Instant::now() + SEALS_FULL_PAUSE;
        }
    }

    /// Gives back what is in hand until the gates open.
    pub(super) fn put_off(&self, live: &LiveDestination) {
        let leases = self.desk.clear();
        if !leases.is_empty() && live.destination.volume.digest_ms.is_some() {
            // What is left of a digest is late, and does not wait for the next one.
            *self.state.digest_at() = Some(self.engine.clock.now());
        }
        self.give_back(leases);
    }

    /// When something is due that is not in hand, as far as we know.
    pub(super) fn due_instant(&self, live: &LiveDestination, now: Instant) -> Option<Instant> {
        let mut due = self.claims.next_due?;
        if let Some(digest) = live.destination.volume.digest_after(due) {
            // A time that was fixed stays, also if a later look sees only what came after it.
            let mut digest_at = self.state.digest_at();
            due = digest.min(digest_at.unwrap_or(Timestamp::MAX));
            *digest_at = Some(due);
        }
        Some(now + due.since(self.engine.clock.now()))
    }
}

/// How many deliveries a claim may bring as far as their bytes go, if none has a larger body than `body_bytes`.
fn fitting(hand: Hand, body_bytes: usize) -> usize {
    let left = IN_HAND_BYTES_MAX.saturating_sub(hand.bytes);
    // When nothing can be begun and nothing comes back, all in hand are members of sealed batches that wait for others.
    let is_stuck = hand.ready == 0 && hand.in_flight == 0;
    if left > 0 || is_stuck { (left / body_bytes.max(1)).max(CLAIM_MIN) } else { 0 }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use domain::connector::BatchLimits;
    use storage::Owned;

    use super::*;
    use crate::gathering::{Gathering, Pack};
    use crate::seals::{SEALS_MAX, Seals};
    use crate::specimen::owned;

    /// Of each of 64 sealed batches, which together have twice as many bytes as may be in hand.
    const MEMBERS: u128 = 2 * (IN_HAND_BYTES_MAX / SEALS_MAX / BODY_BYTES_MAX) as u128;
    const ALL: u128 = SEALS_MAX as u128 * MEMBERS;
    const SLOTS: usize = 4;

    fn bytes(packs: &VecDeque<Pack>) -> usize {
        packs.iter().flat_map(|pack| &pack.items).map(|owned| owned.event.body.len()).sum()
    }

    /// Claims and sends 64 sealed batches whose members fall due in this order, and every fifth batch only in halves.
    /// Returns the most bytes that were in hand.
    fn send_all(mut due: VecDeque<u128>) -> usize {
        let limits = BatchLimits { items: 100, items_max: 100, bytes_max: 1, linger_ms: 0, keeps_boundaries: true };
        let now = Instant::now();
        let (mut gathering, mut seals) = (Gathering::default(), Seals::default());
        for seal in 0..SEALS_MAX as u128 {
            seals.seal((seal * MEMBERS..(seal + 1) * MEMBERS).map(|number| owned(number, 0).id).collect());
        }
        let (mut on_wires, mut most, mut sent) = (VecDeque::new(), 0, 0);
        while !due.is_empty() || !gathering.is_empty() || !on_wires.is_empty() {
            let hand = Hand { ready: gathering.len(), bytes: gathering.bytes(), in_flight: on_wires.len() };
            let room = fitting(hand, BODY_BYTES_MAX).min(CLAIM_MAX).min(due.len());
            let work: Vec<Owned> = due.drain(..room).map(|number| owned(number, BODY_BYTES_MAX)).collect();
            gathering.lay(work, now + LEASE, Some(&seals), now);
            let ready = std::iter::from_fn(|| gathering.next(&limits, false, now, &mut Vec::new()));
            on_wires.extend(ready.take(SLOTS - on_wires.len()));
            let outside = due.len() * BODY_BYTES_MAX + bytes(&on_wires) + sent * BODY_BYTES_MAX;
            assert_eq!(gathering.bytes(), ALL as usize * BODY_BYTES_MAX - outside, "everything in hand is counted");
            most = most.max(gathering.bytes());
            match on_wires.pop_front() {
                Some(pack) if pack.seal.is_some() && sent % 5 == 0 => gathering.put_first(pack.halves().into_iter()),
                Some(pack) => sent += pack.items.len(),
                None => assert!(room > 0, "something is always possible"),
            }
        }
        assert_eq!((sent, gathering.bytes()), (ALL as usize, 0));
        most
    }

    #[test]
    fn sixty_four_sealed_batches_of_large_bodies_are_never_in_hand_together() {
        let most = send_all((0..ALL).collect());
        assert!(most <= IN_HAND_BYTES_MAX + CLAIM_MIN * BODY_BYTES_MAX, "{most} bytes");
    }

    #[test]
    fn members_of_sealed_batches_are_claimed_until_one_is_complete_however_scattered_they_are() {
        let scattered = (0..ALL).map(|place| place % SEALS_MAX as u128 * MEMBERS + place / SEALS_MAX as u128);
        send_all(scattered.collect());
    }

    #[test]
    fn a_claim_is_as_small_as_its_bodies_are_large() {
        let hand = Hand { ready: 10, bytes: IN_HAND_BYTES_MAX / 2, in_flight: 1 };
        assert_eq!(fitting(hand, BODY_BYTES_MAX), 128);
        assert!(fitting(hand, 1_000) > CLAIM_MAX);
        assert_eq!(fitting(Hand { bytes: IN_HAND_BYTES_MAX - 1, ..hand }, BODY_BYTES_MAX), CLAIM_MIN);
        let full = Hand { bytes: IN_HAND_BYTES_MAX, ..hand };
        assert_eq!(fitting(full, BODY_BYTES_MAX), 0);
        assert_eq!(fitting(Hand { ready: 0, ..full }, BODY_BYTES_MAX), 0, "what is on the wire comes back");
        assert_eq!(fitting(Hand { ready: 0, in_flight: 0, ..full }, BODY_BYTES_MAX), CLAIM_MIN);
    }
}
