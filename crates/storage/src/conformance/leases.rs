//! A worker owns what it claimed until it settles, gives it back, or loses it; a stale fence changes nothing.

use std::collections::BTreeSet;

use domain::Verdict;
use domain::delivery::State;

use super::kit::{Kit, LEASE_SECS, at, fail, fresh, ids};
use crate::{Fence, Settled};

pub(super) async fn what_is_released_keeps_its_place(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 4, a).await;
    let work = kit.claim(a, 10, 3).await;
    kit.store().release(vec![(work[2].id, work[2].fence), (work[0].id, work[0].fence)]).await.expect("release");
    let (delivery, attempts) = kit.delivery(owed[0]).await;
    assert_eq!((delivery.standing, delivery.leased, attempts.len()), (fresh(0), false, 0));
    assert_eq!(kit.due(a, 11).await, [owed[0], owed[2], owed[3]]);
}

pub(super) async fn a_released_retry_is_still_a_retry(mut kit: Kit) {
    let a = kit.destination("a").await;
    let retry = kit.settled(0, 1, a, &fail()).await;
    let work = kit.claim(a, 100, 1).await;
    kit.store().release(vec![(work[0].id, work[0].fence)]).await.expect("release");
    let new = kit.owe(90, 1, a).await;
    assert_eq!(kit.due(a, 100).await, [new, retry].concat());
}

pub(super) async fn a_stale_release_is_ignored(mut kit: Kit) {
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    let old = kit.claim(a, 1, 1).await;
    kit.store().rescue(at(100)).await.expect("rescue");
    let new = kit.claim(a, 100, 1).await;
    kit.store().release(vec![(old[0].id, old[0].fence)]).await.expect("release");
    assert_eq!(kit.due(a, 100).await, []);
    assert_eq!(kit.settle(&new[0], 101, &Verdict::Delivered).await, Settled::Done);
}

pub(super) async fn a_lease_that_is_over_is_rescued(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 5, a).await;
    kit.claim(a, 10, 2).await;
    kit.claim(a, 20, 2).await;
    // A lease holds through its last moment.
    assert_eq!(kit.store().rescue(at(10 + LEASE_SECS)).await.expect("rescue"), 0);
    assert_eq!(kit.store().rescue(at(10 + LEASE_SECS + 1)).await.expect("rescue"), 2);
    assert_eq!(kit.store().rescue(at(10 + LEASE_SECS + 1)).await.expect("rescue"), 0);
    // Nothing was tried, so nothing was spent.
    assert_eq!(kit.delivery(owed[0]).await.0.standing, fresh(0));
    assert_eq!(kit.due(a, 50).await, [owed[0], owed[1], owed[4]]);
}

pub(super) async fn a_late_settlement_counts_until_the_rescue(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    assert_eq!(kit.settle(&work[0], 1_000, &Verdict::Delivered).await, Settled::Done);
    assert_eq!(kit.state(owed[0]).await, State::Delivered);
    assert_eq!(kit.store().rescue(at(2_000)).await.expect("rescue"), 0);
}

pub(super) async fn after_a_rescue_only_the_next_worker_can_settle(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1, a).await;
    let old = kit.claim(a, 1, 1).await;
    kit.store().rescue(at(100)).await.expect("rescue");
    assert_eq!(kit.settle(&old[0], 101, &Verdict::Delivered).await, Settled::Stale);
    let new = kit.claim(a, 102, 1).await;
    assert_eq!(kit.settle(&old[0], 103, &Verdict::Delivered).await, Settled::Stale);
    let (delivery, attempts) = kit.delivery(owed[0]).await;
    assert_eq!((delivery.standing, delivery.leased, attempts.len()), (fresh(0), true, 0));
    assert_eq!(kit.settle(&new[0], 104, &fail()).await, Settled::Done);
    assert_eq!(kit.delivery(owed[0]).await.1.len(), 1);
}

pub(super) async fn a_cancelled_delivery_cannot_be_settled(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    kit.store().cancel(kit.app, owed[0], at(2)).await.expect("cancel");
    assert_eq!(kit.settle(&work[0], 3, &Verdict::Delivered).await, Settled::Stale);
    kit.store().release(vec![(work[0].id, work[0].fence)]).await.expect("release");
    assert_eq!(kit.store().rescue(at(1_000)).await.expect("rescue"), 0);
    let (delivery, attempts) = kit.delivery(owed[0]).await;
    assert_eq!((delivery.standing.state, delivery.leased, attempts.len()), (State::Cancelled, false, 0));
    assert_eq!(kit.due(a, 1_000).await, []);
}

pub(super) async fn a_restart_voids_every_lease(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 3, a).await;
    let old = kit.claim(a, 10, 2).await;
    kit.reopen().await;
    assert_eq!(kit.settle(&old[0], 11, &Verdict::Delivered).await, Settled::Stale);
    assert!(!kit.delivery(owed[0]).await.0.leased);
    let new = kit.claim(a, 12, 10).await;
    assert_eq!(ids(&new), owed);
    assert_eq!(kit.settle(&old[1], 13, &Verdict::Delivered).await, Settled::Stale);
    assert_eq!(kit.settle(&new[1], 14, &Verdict::Delivered).await, Settled::Done);
}

pub(super) async fn a_fence_is_never_used_twice(mut kit: Kit) {
    let a = kit.destination("a").await;
    kit.owe(0, 5, a).await;
    let mut seen: BTreeSet<Fence> = BTreeSet::new();
    for round in 0..6 {
        let work = kit.claim(a, 10, 5).await;
        assert_eq!(work.len(), 5);
        for owned in &work {
            assert!(seen.insert(owned.fence), "{:?} was used before", owned.fence);
        }
        if round % 2 == 0 {
            kit.reopen().await;
        } else {
            kit.store().release(work.iter().map(|owned| (owned.id, owned.fence)).collect()).await.expect("release");
        }
    }
}
