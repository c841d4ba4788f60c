//! Retention, lanes, figures, and the end.

use domain::verdict::FailureReason;
use domain::{DeliveryId, Verdict};

use super::kit::{Kit, at, expect_missing, fail, reject, skip};
use crate::{Lane, StoreError};

pub(super) async fn retention_removes_what_is_old_and_done(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 10, a, &Verdict::Delivered).await;
    let cancelled = kit.owe(20, 1, a).await[0];
    kit.store().cancel(kit.app, cancelled, at(21)).await.expect("cancel");
    let unowed = kit.event(30, &[]);
    kit.append(vec![unowed.clone()]).await;
    let young = kit.settled(1_000, 3, a, &Verdict::Delivered).await;
    kit.tidy(2_000).await;

    assert_eq!(kit.prune(1_000, 5).await, 12);
    for _ in 0..2 {
        for id in old.iter().chain([&cancelled]) {
            expect_missing(kit.store().delivery(kit.app, *id).await, "delivery");
            expect_missing(kit.store().event(kit.app, id.event).await, "event");
            expect_missing(kit.store().retry(kit.app, *id, at(3_000)).await, "delivery");
        }
        assert!(!kit.has(&unowed).await);
        let newest_first: Vec<_> = young.iter().rev().copied().collect();
        assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await, newest_first);
        assert_eq!(kit.list_events(&kit.all_events()).await.len(), 3);
        assert_eq!(kit.delivery(young[0]).await.1.len(), 1);
        kit.reopen().await;
    }
    assert_eq!(kit.prune(1_000, 5).await, 0);
}

pub(super) async fn retention_keeps_what_somebody_waits_for(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let waiting = kit.settled(0, 1, a, &fail()).await[0];
    let dead = kit.settled(10, 1, a, &reject(FailureReason::Dns)).await[0];
    let half = kit.event(20, &[a, b]);
    kit.append(vec![half.clone()]).await;
    let work = kit.claim(a, 21, 1).await;
    kit.settle(&work[0], 22, &Verdict::Delivered).await;
    kit.settled(30, 1, a, &Verdict::Delivered).await;
    kit.tidy(100).await;

    assert_eq!(kit.prune(100_000, 10).await, 1);
    kit.reopen().await;
    assert_eq!(kit.list_events(&kit.all_events()).await, [half.event.id, dead.event, waiting.event]);

    // A later pass takes what has ended since.
    kit.store().cancel(kit.app, dead, at(100)).await.expect("cancel");
    assert_eq!(kit.prune(100_000, 10).await, 1);
    let work = kit.claim(b, 101, 1).await;
    assert_eq!(work[0].event, half.event);
    kit.settle(&work[0], 102, &Verdict::Delivered).await;
    assert_eq!(kit.prune(100_000, 10).await, 1);
    assert_eq!(kit.list_events(&kit.all_events()).await, [waiting.event]);
}

pub(super) async fn retention_removes_what_was_skipped(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let skipped = kit.settled(0, 3, a, &skip()).await;
    let half = kit.event(10, &[a, b]);
    kit.append(vec![half.clone()]).await;
    let work = kit.claim(a, 11, 1).await;
    kit.settle(&work[0], 12, &skip()).await;
    assert_eq!(kit.prune(100, 10).await, 3);
    kit.reopen().await;
    expect_missing(kit.store().delivery(kit.app, skipped[0]).await, "delivery");
    assert_eq!(kit.list_events(&kit.all_events()).await, [half.event.id]);
    assert_eq!(kit.due(b, 20).await.len(), 1);
}

pub(super) async fn retention_goes_in_steps_from_the_oldest(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 20, a, &Verdict::Delivered).await;
    let first = kit.store().prune(at(100), 7).await.expect("prune");
    assert_eq!((first.events, first.done), (7, false));
    let left: Vec<_> = owed[7..].iter().rev().map(|id| id.event).collect();
    assert_eq!(kit.list_events(&kit.all_events()).await, left);
    assert_eq!(kit.prune(100, 7).await, 13);
}

pub(super) async fn a_lane_says_how_much_waits_and_since_when(mut kit: Kit) {
    let [a, b, c] = [kit.destination("a").await, kit.destination("b").await, kit.destination("c").await];
    kit.settled(0, 2, a, &fail()).await;
    kit.owe(10, 3, a).await;
    kit.settled(20, 1, b, &Verdict::Delivered).await;
    kit.owe(30, 2, c).await;
    kit.claim(c, 40, 2).await;
    let check = async |kit: &Kit, expected: &[Lane]| {
        let mut lanes = kit.store().lanes().await.expect("lanes");
        lanes.sort_by_key(|lane| lane.destination);
        assert_eq!(lanes, expected);
    };
    let of_a = |pending, oldest_due| Lane { destination: a, pending, oldest_due };
    let of_c = |oldest_due| Lane { destination: c, pending: 2, oldest_due };
    check(&kit, &[of_a(5, Some(at(10))), of_c(None)]).await;
    let work = kit.claim(a, 40, 3).await;
    check(&kit, &[of_a(5, Some(at(62))), of_c(None)]).await;
    kit.settle(&work[0], 41, &Verdict::Delivered).await;
    kit.store().cancel(kit.app, work[1].id, at(41)).await.expect("cancel");
    check(&kit, &[of_a(3, Some(at(62))), of_c(None)]).await;
    kit.tidy(42).await;
    check(&kit, &[of_a(3, Some(at(62))), of_c(None)]).await;
    kit.reopen().await;
    check(&kit, &[of_a(3, Some(at(12))), of_c(Some(at(30)))]).await;
}

pub(super) async fn commits_are_counted(mut kit: Kit) {
    kit.owe(0, 1, domain::DestinationId::mint(at(0), 1)).await;
    let figures = kit.store().figures();
    assert!(figures.commits > 0 && figures.commit_size_sum >= figures.commits, "{figures:?}");
    assert_eq!(figures.commit_sizes.iter().sum::<u64>(), figures.commits);
    assert_eq!(figures.sync_seconds.iter().sum::<u64>(), figures.commits);
}

pub(super) async fn a_closed_store_refuses_everything(mut kit: Kit) {
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    kit.store().check().await.expect("an open store can commit");
    kit.store().close().await.expect("close");
    let late = kit.event(1, &[a]);
    let refused = kit.try_append(vec![late], crate::OnKnown::Count).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(matches!(kit.store().check().await, Err(StoreError::Failed(_))));
    assert!(kit.store().claim(a, at(2), 1, at(3)).await.is_err());
}

pub(super) async fn tidying_an_idle_store_comes_to_an_end(mut kit: Kit) {
    kit.tidy(0).await;
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1_200, a).await;
    kit.tidy(2_000).await;
    assert_eq!(kit.due(a, 2_000).await, owed);
    let last = DeliveryId { ordinal: 0, ..owed[1_199] };
    assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await[0], last);
}
