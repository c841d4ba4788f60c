//! The record of deliveries, and what a person may do to one.

use domain::delivery::{Class, Standing, State};
use domain::verdict::FailureReason;
use domain::{DeliveryId, DestinationId, Event, Verdict};

use super::kit::{Kit, STEPS_MAX, at, change, expect_illegal, expect_missing, fail, fresh, ids, reject, skip};
use crate::{DeliveryQuery, PageRequest, Settled};

pub(super) async fn deliveries_are_found_by_all_that_is_known_of_them(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let delivered = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let dead = kit.settled(10, 1, b, &reject(FailureReason::Dns)).await[0];
    let new = kit.event(20, &[a, b]);
    let new = change(&new, |event| Event { event_type: "test".parse().expect("a type"), ..event });
    kit.append(vec![new.clone()]).await;
    let [first, second] = [0, 1].map(|ordinal| DeliveryId { event: new.event.id, ordinal });
    let replay = kit.replay(a).await;
    kit.replay_first(replay, 30, &[delivered.event]).await;
    let replayed = DeliveryId { ordinal: 1, ..delivered };

    let all = kit.all_deliveries();
    let check = async |kit: &Kit, query: DeliveryQuery, expected: &[DeliveryId]| {
        assert_eq!(kit.list_deliveries(&query).await, expected, "{query:?}");
    };
    for _ in 0..2 {
        check(&kit, all.clone(), &[second, first, dead, replayed, delivered]).await;
        check(&kit, DeliveryQuery { destination: Some(a), ..all.clone() }, &[first, replayed, delivered]).await;
        check(&kit, DeliveryQuery { destination: Some(b), ..all.clone() }, &[second, dead]).await;
        check(&kit, DeliveryQuery { event: Some(delivered.event), ..all.clone() }, &[replayed, delivered]).await;
        check(&kit, DeliveryQuery { state: Some(State::Pending), ..all.clone() }, &[second, first, replayed]).await;
        check(&kit, DeliveryQuery { state: Some(State::Dead), ..all.clone() }, &[dead]).await;
        check(&kit, DeliveryQuery { state: Some(State::Cancelled), ..all.clone() }, &[]).await;
        check(&kit, DeliveryQuery { event_type: "test".parse().ok(), ..all.clone() }, &[second, first]).await;
        check(&kit, DeliveryQuery { replay: Some(replay), ..all.clone() }, &[replayed]).await;
        let unknown = DestinationId::mint(at(0), 1);
        check(&kit, DeliveryQuery { destination: Some(unknown), ..all.clone() }, &[]).await;
        let narrow = DeliveryQuery { destination: Some(a), state: Some(State::Pending), ..all.clone() };
        check(&kit, narrow.clone(), &[first, replayed]).await;
        check(&kit, DeliveryQuery { event: Some(new.event.id), ..narrow }, &[first]).await;
        kit.tidy(100).await;
        kit.reopen().await;
    }
}

pub(super) async fn paging_through_deliveries_meets_each_once(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut owed = Vec::new();
    for n in 0..6 {
        owed.extend(kit.owe(n * 1_000, 500, a).await);
        kit.owe(n * 1_000 + 500, 100, b).await;
    }
    kit.tidy(0).await;
    let query = DeliveryQuery { destination: Some(a), ..kit.all_deliveries() };
    let mut request = Some(PageRequest::first(130));
    let mut met = Vec::new();
    for _ in 0..STEPS_MAX {
        let Some(next) = request else { break };
        let page = kit.store().deliveries(query.clone(), next.clone()).await.expect("a page");
        request = next.after(&page);
        met.extend(page.items.into_iter().map(|summary| summary.delivery.id));
        kit.owe(10_000, 2, a).await;
        kit.store().tidy(at(10_000)).await.expect("tidy");
    }
    owed.reverse();
    assert_eq!(met, owed);
}

pub(super) async fn a_waiting_delivery_can_be_tried_now(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 2, a, &fail()).await;
    assert_eq!(kit.due(a, 20).await, []);
    let delivery = kit.store().retry(kit.app, owed[1], at(20)).await.expect("retry");
    assert_eq!((delivery.id, delivery.standing.due_at, delivery.standing.spent), (owed[1], at(20), 1));
    kit.reopen().await;
    assert_eq!(kit.due(a, 20).await, owed[1..]);
}

pub(super) async fn a_dead_delivery_can_start_its_schedule_again(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 1, a, &reject(FailureReason::ClientError)).await;
    let delivery = kit.store().retry(kit.app, owed[0], at(20)).await.expect("retry");
    let again =
        Standing { state: State::Pending, class: Class::Retry, attempts: 1, spent: 0, due_at: at(20), reason: None };
    assert_eq!((delivery.standing, delivery.ended_at), (again, None));
    kit.reopen().await;
    let work = kit.claim(a, 20, 1).await;
    assert_eq!((work[0].id, work[0].standing), (owed[0], again));
    kit.settle(&work[0], 21, &Verdict::Delivered).await;
    let numbers: Vec<u32> = kit.delivery(owed[0]).await.1.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
}

pub(super) async fn a_retry_leaves_a_lease_alone(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 1, a, &fail()).await;
    let work = kit.claim(a, 100, 1).await;
    assert!(kit.store().retry(kit.app, owed[0], at(101)).await.expect("retry").leased);
    assert_eq!(kit.due(a, 101).await, []);
    assert_eq!(kit.settle(&work[0], 102, &Verdict::Delivered).await, Settled::Done);
    assert_eq!(kit.state(owed[0]).await, State::Delivered);
    assert_eq!(kit.due(a, 100_000).await, []);
}

pub(super) async fn a_pending_or_dead_delivery_can_be_cancelled(mut kit: Kit) {
    let a = kit.destination("a").await;
    let dead = kit.settled(0, 1, a, &reject(FailureReason::Dns)).await[0];
    let waiting = kit.settled(10, 1, a, &fail()).await[0];
    let new = kit.owe(20, 1, a).await[0];
    for id in [dead, waiting, new] {
        let delivery = kit.store().cancel(kit.app, id, at(30)).await.expect("cancel");
        assert_eq!((delivery.standing.state, delivery.ended_at), (State::Cancelled, Some(at(30))));
        assert_eq!(delivery.standing.reason, None);
    }
    kit.reopen().await;
    assert_eq!(kit.list_dead(&kit.all_dead()).await, []);
    assert_eq!(kit.due(a, 100_000).await, []);
    for id in [dead, waiting, new] {
        assert_eq!(kit.state(id).await, State::Cancelled);
    }
}

pub(super) async fn what_has_ended_is_neither_retried_nor_cancelled(mut kit: Kit) {
    let a = kit.destination("a").await;
    let delivered = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let cancelled = kit.owe(10, 1, a).await[0];
    kit.store().cancel(kit.app, cancelled, at(11)).await.expect("cancel");
    let skipped = kit.settled(15, 1, a, &skip()).await[0];
    let ended = [(delivered, State::Delivered), (cancelled, State::Cancelled), (skipped, State::Skipped)];
    for (id, state) in ended {
        let before = kit.delivery(id).await;
        expect_illegal(kit.store().retry(kit.app, id, at(20)).await, state);
        expect_illegal(kit.store().cancel(kit.app, id, at(20)).await, state);
        assert_eq!(kit.delivery(id).await, before);
    }
    let ghost = DeliveryId { ordinal: 7, ..delivered };
    expect_missing(kit.store().retry(kit.app, ghost, at(20)).await, "delivery");
    expect_missing(kit.store().cancel(kit.app, ghost, at(20)).await, "delivery");
    expect_missing(kit.store().resend(kit.app, ghost, at(20)).await, "delivery");
}

pub(super) async fn a_resend_is_a_delivery_of_its_own(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let before = kit.delivery(old).await;
    for ordinal in 1..=2 {
        let new = kit.store().resend(kit.app, old, at(50)).await.expect("resend");
        assert_eq!((new.id, new.destination), (DeliveryId { ordinal, ..old }, a));
        assert_eq!((new.standing, new.created_at, new.replay), (fresh(50), at(50), None));
        kit.tidy(50).await;
        kit.reopen().await;
    }
    assert_eq!(kit.delivery(old).await, before);
    let again = [1, 2].map(|ordinal| DeliveryId { ordinal, ..old });
    assert_eq!(kit.due(a, 49).await, []);
    assert_eq!(kit.due(a, 50).await, again);
    let query = DeliveryQuery { destination: Some(a), ..kit.all_deliveries() };
    assert_eq!(kit.list_deliveries(&query).await, [again[1], again[0], old]);
}

pub(super) async fn what_was_skipped_can_be_sent_again(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 1, a, &skip()).await[0];
    let new = kit.store().resend(kit.app, old, at(50)).await.expect("resend");
    assert_eq!((new.id, new.standing), (DeliveryId { ordinal: 1, ..old }, fresh(50)));
    kit.reopen().await;
    let work = kit.claim(a, 50, 10).await;
    assert_eq!(ids(&work), [new.id]);
    kit.settle(&work[0], 51, &Verdict::Delivered).await;
    assert_eq!((kit.state(old).await, kit.state(new.id).await), (State::Skipped, State::Delivered));
}

pub(super) async fn nothing_is_sent_again_to_a_destination_that_is_gone(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    kit.store().delete_destination(a, at(5)).await.expect("delete");
    expect_missing(kit.store().resend(kit.app, old, at(6)).await, "destination");
    assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await, [old]);
}
