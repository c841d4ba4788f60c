//! The store marks every destination that may have new work, so that a caller who is gone loses nobody's delivery.

use std::time::Duration;

use domain::verdict::FailureReason;
use domain::{DestinationId, Verdict};

use super::kit::{Kit, at, fail, reject, settlement};
use crate::Settlement;

/// How long a mark may take before it counts as missing. Nothing here waits for it but a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Forgets the marks so far. One of `other` shows that all of them have been seen.
async fn forget(kit: &mut Kit, other: DestinationId) {
    kit.owe(0, 1, other).await;
    expect_mark(kit, other).await;
}

async fn expect_mark(kit: &Kit, destination: DestinationId) {
    let signal = kit.store().signal();
    let marked = async { while !signal.take().await.contains(&destination) {} };
    tokio::time::timeout(PATIENCE, marked).await.expect("the destination is marked");
}

pub(super) async fn new_events_mark_their_destinations(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    kit.owe(0, 1, a).await;
    expect_mark(&kit, a).await;
    let both = kit.event(1, &[a, b]);
    kit.append(vec![both]).await;
    let marked = kit.store().signal().take().await;
    assert!(marked.contains(&a) && marked.contains(&b), "{marked:?}");
}

pub(super) async fn work_that_comes_back_is_marked(mut kit: Kit) {
    let [a, other] = [kit.destination("a").await, kit.destination("other").await];
    kit.owe(0, 1, a).await;

    let work = kit.claim(a, 1, 1).await;
    forget(&mut kit, other).await;
    kit.store().release(vec![(work[0].id, work[0].fence)]).await.expect("release");
    expect_mark(&kit, a).await;

    kit.claim(a, 2, 1).await;
    forget(&mut kit, other).await;
    kit.store().rescue(at(100)).await.expect("rescue");
    expect_mark(&kit, a).await;

    let work = kit.claim(a, 101, 1).await;
    forget(&mut kit, other).await;
    kit.settle(&work[0], 102, &fail()).await;
    expect_mark(&kit, a).await;
}

pub(super) async fn what_a_person_sets_going_is_marked(mut kit: Kit) {
    let [a, other] = [kit.destination("a").await, kit.destination("other").await];
    let delivered = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let waiting = kit.settled(10, 1, a, &fail()).await[0];
    let dead = kit.settled(20, 1, a, &reject(FailureReason::Dns)).await[0];
    kit.settled(30, 1, a, &reject(FailureReason::Dns)).await;

    for id in [waiting, dead] {
        forget(&mut kit, other).await;
        kit.store().retry(kit.app, id, at(40)).await.expect("retry");
        expect_mark(&kit, a).await;
    }
    forget(&mut kit, other).await;
    kit.store().resend(kit.app, delivered, at(40)).await.expect("resend");
    expect_mark(&kit, a).await;

    forget(&mut kit, other).await;
    assert_eq!(kit.store().redrive(kit.all_dead(), at(40), 10).await.expect("redrive"), 1);
    expect_mark(&kit, a).await;

    let replay = kit.replay(a).await;
    forget(&mut kit, other).await;
    kit.replay_first(replay, 41, &[delivered.event]).await;
    expect_mark(&kit, a).await;
}

pub(super) async fn operational_events_mark_their_destinations(mut kit: Kit) {
    let [a, watcher] = [kit.destination("a").await, kit.destination("watcher").await];
    kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    let news = Some(kit.event(1, &[watcher]));
    let outcome = Settlement { news, ..settlement(&work[0], 1, &Verdict::Delivered) };
    kit.store().settle([outcome].into()).await.expect("settle");
    expect_mark(&kit, watcher).await;
    let changed = domain::Destination { id: a, ..kit.new_destination("a") };
    let news = kit.event(2, &[watcher]);
    kit.store().put_destination(changed, vec![news]).await.expect("put");
    expect_mark(&kit, watcher).await;
}
