//! Claims: what a lane takes into hand, and what it knows of the rest.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
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
/// Most deliveries that a lane has in hand, unless one batch takes more.
const IN_HAND_MAX: usize = 4_096;
/// A lane with so many bytes of bodies in hand claims no more.
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
}

impl Claims {
    /// Something may be due at `due`, and nothing else is known.
    pub(super) fn new(due: Timestamp) -> Self {
        Self { is_under_way: false, not_before: Instant::now(), next_due: Some(due), learnt: None, is_deep: false }
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
        let room = batches(start + ahead).saturating_sub(ready).min(CLAIM_MAX);
        self.desk.watch(batches(ahead) / 2);
        // With a slot free claim what fits; with none, only when what was claimed ahead runs low.
        let is_wanted = room > 0 && (start > 0 || ready <= batches(ahead) / 2) && bytes < IN_HAND_BYTES_MAX;
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

    /// When something is due that is not in hand, as far as we know.
    pub(super) fn due_instant(&self, live: &LiveDestination, now: Instant) -> Option<Instant> {
        let mut due = self.claims.next_due?;
        if let Some(ms) = live.destination.volume.digest_ms {
            // A time that was fixed stays, also if a later look sees only what came after it.
            let mut digest_at = self.state.digest_at();
            due = digest_after(due, ms).min(digest_at.unwrap_or(Timestamp::MAX));
            *digest_at = Some(due);
        }
        Some(now + due.since(self.engine.clock.now()))
    }
}

/// The first multiple of the interval, by the wall clock of UTC, that comes after `due`.
fn digest_after(due: Timestamp, interval_ms: u64) -> Timestamp {
    let interval_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX).max(1);
    Timestamp::from_millis((due.as_millis().div_euclid(interval_ms) + 1).saturating_mul(interval_ms))
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
