//! An appspace sees and changes nothing of another.

use domain::delivery::State;
use domain::replay::ReplayState;
use domain::verdict::FailureReason;

use super::kit::{Kit, at, expect_missing, reject, whole};
use crate::{DeadLetterQuery, DeliveryQuery, EventQuery, PageRequest, ReplayScan};

pub(super) async fn a_stranger_finds_nothing_by_id(mut kit: Kit) {
    let a = kit.destination("a").await;
    let dead = kit.settled(0, 1, a, &reject(FailureReason::Dns)).await[0];
    let pending = kit.owe(10, 1, a).await[0];
    let replay = kit.replay(a).await;
    let (store, stranger) = (kit.store(), kit.other);

    expect_missing(store.event(stranger, dead.event).await, "event");
    for id in [dead, pending] {
        expect_missing(store.delivery(stranger, id).await, "delivery");
        expect_missing(store.retry(stranger, id, at(20)).await, "delivery");
        expect_missing(store.cancel(stranger, id, at(20)).await, "delivery");
        expect_missing(store.resend(stranger, id, at(20)).await, "delivery");
    }
    expect_missing(store.replay(stranger, replay).await, "replay");
    expect_missing(store.cancel_replay(stranger, replay, at(20)).await, "replay");

    assert_eq!((kit.state(dead).await, kit.state(pending).await), (State::Dead, State::Pending));
    assert_eq!(store.replay(kit.app, replay).await.expect("the replay").state, ReplayState::Running);
    assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await.len(), 2);
}

pub(super) async fn a_stranger_finds_nothing_in_lists(mut kit: Kit) {
    let a = kit.destination("a").await;
    let dead = kit.settled(0, 3, a, &reject(FailureReason::Dns)).await;
    let replay = kit.replay(a).await;
    kit.replay_first(replay, 10, &[dead[0].event]).await;
    let appspace = kit.other;

    for _ in 0..2 {
        assert_eq!(kit.list_events(&EventQuery { appspace, ..kit.all_events() }).await, []);
        let deliveries = DeliveryQuery { appspace, ..kit.all_deliveries() };
        assert_eq!(kit.list_deliveries(&deliveries).await, []);
        let by_destination = DeliveryQuery { destination: Some(a), ..deliveries.clone() };
        assert_eq!(kit.list_deliveries(&by_destination).await, []);
        let by_event = DeliveryQuery { event: Some(dead[0].event), ..deliveries.clone() };
        assert_eq!(kit.list_deliveries(&by_event).await, []);
        let by_replay = DeliveryQuery { replay: Some(replay), ..deliveries };
        assert_eq!(kit.list_deliveries(&by_replay).await, []);
        let letters = DeadLetterQuery { appspace, destination: Some(a), ..kit.all_dead() };
        assert_eq!(kit.list_dead(&letters).await, []);
        assert_eq!(kit.store().dead_letter_count(letters.clone()).await.expect("a count"), 0);
        assert_eq!(kit.store().redrive(letters, at(20), 10).await.expect("redrive"), 0);
        assert_eq!(whole(5, |page| kit.store().replays(appspace, page)).await, []);
        let scan = ReplayScan { appspace, destination: a, from: at(0), to: at(100), after: None, limit: 10 };
        assert_eq!(kit.store().replay_scan(scan).await.expect("scan"), []);
        kit.tidy(30).await;
        kit.reopen().await;
    }
    assert_eq!(kit.list_dead(&kit.all_dead()).await.len(), 3);
}

pub(super) async fn lists_of_two_appspaces_do_not_mix(mut kit: Kit) {
    let a = kit.destination("a").await;
    let theirs = domain::Destination { appspace: kit.other, ..kit.new_destination("a") };
    let b = theirs.id;
    kit.store().put_destination(theirs, Vec::new()).await.expect("put");
    let mut ours = Vec::new();
    for secs in 0..40 {
        let own = kit.event(secs, &[a]);
        let appspace = kit.other;
        let foreign = super::kit::change(&kit.event(secs, &[b]), |event| domain::Event { appspace, ..event });
        ours.push(own.event.id);
        kit.append(vec![own, foreign]).await;
    }
    ours.reverse();
    let page = kit.store().events(kit.all_events(), PageRequest::first(200)).await.expect("a page");
    assert!(page.items.iter().all(|record| record.event.appspace == kit.app));
    for _ in 0..2 {
        assert_eq!(kit.list_events(&kit.all_events()).await, ours);
        let listed = kit.list_deliveries(&kit.all_deliveries()).await;
        assert!(listed.iter().map(|id| id.event).eq(ours.iter().copied()));
        kit.tidy(100).await;
        kit.reopen().await;
    }
}
