//! A deep lane in which everything happens at once: whatever is claimed must be what a plain list says.
//!
//! Stores keep only a part of a lane in memory, and the seams of that part are where deliveries get lost or doubled.

use std::collections::BTreeMap;

use domain::delivery::{Class, Standing, State};
use domain::verdict::{FailureReason, PauseReason};
use domain::{DeliveryId, DestinationId, Timestamp, Verdict};

use super::kit::{Kit, LEASE_SECS, STEPS_MAX, at, fail, fresh, reject, settlement};
use crate::{Owned, Settled};

/// Steps of one churn.
const STEPS: usize = 160;

pub(super) async fn a_deep_lane_loses_nothing_and_doubles_nothing(kit: Kit) {
    Churn::start(kit, 1).await.run(STEPS).await;
}

pub(super) async fn a_deep_lane_is_the_same_on_another_day(kit: Kit) {
    Churn::start(kit, 2).await.run(STEPS).await;
}

/// A lane and the plain list of what must be in it.
struct Churn {
    kit: Kit,
    destination: DestinationId,
    now_secs: i64,
    random: u64,
    /// All that is pending or dead.
    expected: BTreeMap<DeliveryId, Standing>,
    /// What is in hand, and until when.
    held: Vec<(Owned, i64)>,
}

impl Churn {
    /// A lane with 1,500 retries that fell due one after the other, and 500 fresh ones.
    async fn start(mut kit: Kit, seed: u64) -> Self {
        let destination = kit.destination("a").await;
        let mut churn =
            Self { kit, destination, now_secs: 0, random: seed, expected: BTreeMap::new(), held: Vec::new() };
        churn.owe(1_500).await;
        while churn.expected.values().any(|standing| standing.class == Class::Fresh) {
            churn.claim(100).await;
            churn.settle(100, &fail()).await;
            churn.now_secs += 3;
        }
        churn.owe(500).await;
        churn
    }

    async fn run(mut self, steps: usize) {
        for _ in 0..steps {
            let much = self.roll(80);
            match self.roll(20) {
                0..=5 => self.claim(much).await,
                6 | 7 => self.settle(much, &fail()).await,
                8 => self.settle(much, &Verdict::Delivered).await,
                9 => self.settle(much / 8, &reject(FailureReason::Dns)).await,
                10 => self.settle(much / 8, &pause()).await,
                11 => self.release(much).await,
                12 => self.retry().await,
                13 => self.cancel().await,
                14 => self.owe(much).await,
                15 => self.kit.tidy(self.now_secs).await,
                16 if much < 20 => self.reopen().await,
                17 => self.rescue().await,
                _ => self.now_secs += i64::try_from(much / 2).expect("a few"),
            }
        }
        self.finish().await;
    }

    /// Empties the lane and looks whether that was all.
    async fn finish(mut self) {
        self.now_secs += 1_000_000;
        self.rescue().await;
        let pending = self.waiting().count();
        let lanes = self.kit.store().lanes().await.expect("lanes");
        let counted = lanes.iter().find(|lane| lane.destination == self.destination).map_or(0, |lane| lane.pending);
        assert_eq!(counted, pending as u64);
        for _ in 0..STEPS_MAX {
            if self.waiting().next().is_none() {
                return;
            }
            self.claim(97).await;
            self.settle(97, &Verdict::Delivered).await;
        }
        panic!("the lane never runs dry");
    }

    fn roll(&mut self, below: usize) -> usize {
        // Numerical Recipes' generator: good enough to mix things up, and the same on every machine.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).expect("31 bits") % below
    }

    /// What is pending and in nobody's hand.
    fn waiting(&self) -> impl Iterator<Item = (DeliveryId, Standing)> {
        let is_held = |id: DeliveryId| self.held.iter().any(|(owned, _)| owned.id == id);
        let pending = self.expected.iter().filter(|(_, standing)| standing.state == State::Pending);
        pending.map(|(&id, &standing)| (id, standing)).filter(move |(id, _)| !is_held(*id))
    }

    /// The waiting ones of a class that are due, first things first.
    fn due(&self, class: Class) -> Vec<(DeliveryId, Standing)> {
        let now = at(self.now_secs);
        let mut due: Vec<_> =
            self.waiting().filter(|(_, standing)| standing.class == class && standing.due_at <= now).collect();
        due.sort_by_key(|(id, standing)| (standing.due_at, *id));
        due
    }

    async fn claim(&mut self, limit: usize) {
        let until = self.now_secs + LEASE_SECS;
        let claimed = self.kit.store().claim(self.destination, at(self.now_secs), limit, at(until)).await;
        let claimed = claimed.expect("claim");
        let mut left = 0;
        for class in [Class::Fresh, Class::Retry, Class::Replay] {
            let of_class = claimed.work.iter().filter(|owned| owned.standing.class == class);
            let got: Vec<_> = of_class.map(|owned| (owned.id, owned.standing)).collect();
            let due = self.due(class);
            assert_eq!(got, due[..got.len().min(due.len())], "{class:?} at {}", self.now_secs);
            left += due.len() - got.len();
        }
        assert!(claimed.work.len() <= limit && (claimed.work.len() == limit || left == 0), "{left} due ones were left");
        let is_short = claimed.work.len() < limit;
        self.held.extend(claimed.work.into_iter().map(|owned| (owned, until)));
        self.check_next_due(claimed.next_due, is_short);
    }

    /// Too late would be a delay; a past time although nothing more was found would be a busy loop.
    fn check_next_due(&self, next_due: Option<Timestamp>, is_short: bool) {
        let now = at(self.now_secs);
        if let Some(expected) = self.waiting().map(|(_, standing)| standing.due_at).min() {
            assert!(next_due.is_some_and(|next_due| next_due <= expected), "{next_due:?} for {expected:?}");
        }
        assert!(!is_short || next_due.is_none_or(|next_due| next_due > now), "{next_due:?} at {now}");
    }

    /// Takes some of what is in hand, from anywhere.
    fn take(&mut self, count: usize) -> Vec<(Owned, i64)> {
        let mut taken = Vec::new();
        while taken.len() < count && !self.held.is_empty() {
            let place = self.roll(self.held.len());
            taken.push(self.held.swap_remove(place));
        }
        taken
    }

    async fn settle(&mut self, count: usize, verdict: &Verdict) {
        let secs = self.now_secs;
        let settlements: Vec<_> = self.take(count).iter().map(|(owned, _)| settlement(owned, secs, verdict)).collect();
        for settlement in &settlements {
            self.expected.insert(settlement.id, settlement.standing);
        }
        let settled = self.kit.store().settle(settlements.into()).await.expect("settle");
        assert!(settled.iter().all(|settled| *settled == Settled::Done));
        self.expected.retain(|_, standing| standing.state != State::Delivered);
    }

    async fn release(&mut self, count: usize) {
        let leases = self.take(count).iter().map(|(owned, _)| (owned.id, owned.fence)).collect();
        self.kit.store().release(leases).await.expect("release");
    }

    async fn rescue(&mut self) {
        let rescued = self.kit.store().rescue(at(self.now_secs)).await.expect("rescue");
        let before = self.held.len();
        self.held.retain(|(_, until)| *until >= self.now_secs);
        assert_eq!(rescued, before - self.held.len());
    }

    async fn owe(&mut self, count: usize) {
        for id in self.kit.owe(self.now_secs, count, self.destination).await {
            self.expected.insert(id, fresh(self.now_secs));
            self.now_secs += 1;
        }
    }

    /// Any delivery that waits or is dead, at whatever depth.
    fn any_not_held(&mut self) -> Option<(DeliveryId, Standing)> {
        let dead = self.expected.iter().filter(|(_, standing)| standing.state == State::Dead);
        let all: Vec<_> = self.waiting().chain(dead.map(|(&id, &standing)| (id, standing))).collect();
        (!all.is_empty()).then(|| all[self.roll(all.len())])
    }

    async fn retry(&mut self) {
        for _ in 0..10 {
            let Some((id, standing)) = self.any_not_held() else { return };
            let now = at(self.now_secs);
            let expected = standing.retry_now(now).expect("it has not ended");
            assert_eq!(self.kit.store().retry(self.kit.app, id, now).await.expect("retry").standing, expected);
            self.expected.insert(id, expected);
        }
    }

    async fn cancel(&mut self) {
        for _ in 0..10 {
            let Some((id, _)) = self.any_not_held() else { return };
            self.kit.store().cancel(self.kit.app, id, at(self.now_secs)).await.expect("cancel");
            self.expected.remove(&id);
        }
    }

    async fn reopen(&mut self) {
        self.held.clear();
        self.kit.reopen().await;
    }
}

fn pause() -> Verdict {
    Verdict::Pause { reason: PauseReason::Gone, message: "410".to_owned() }
}
