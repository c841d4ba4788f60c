//! Replays are durable jobs: they go on where they were, make each delivery once, and stop when told.

use domain::delivery::State;
use domain::replay::{Replay, ReplayState, Select};
use domain::verdict::FailureReason;
use domain::{DeliveryId, DestinationId, EventId, ReplayId, Verdict};
use serde_json::json;

use super::kit::{Kit, STEPS_MAX, at, expect_missing, fail, first_step, reject, whole};
use crate::{DeliveryQuery, ReplayScan, ReplayStep, Settled};

async fn scan(kit: &Kit, destination: DestinationId, after: Option<EventId>) -> Vec<(EventId, Option<State>)> {
    let scan = ReplayScan { appspace: kit.app, destination, from: at(0), to: at(1_000_000), after, limit: 1_000 };
    let found = kit.store().replay_scan(scan).await.expect("scan");
    found.into_iter().map(|(event, state)| (event.id, state)).collect()
}

async fn load(kit: &Kit, id: ReplayId) -> Replay {
    kit.store().replay(kit.app, id).await.expect("the replay")
}

pub(super) async fn a_replay_comes_back_as_it_was_made(mut kit: Kit) {
    let a = kit.destination("a").await;
    let rich = Replay {
        to: at(77),
        events: Some(serde_json::from_value(json!(["link.*"])).expect("patterns")),
        select: Select::Missing,
        per_second: Some(12.5),
        ..kit.new_replay(a)
    };
    kit.store().create_replay(rich.clone()).await.expect("create");
    let mut all = vec![rich.clone()];
    for _ in 0..20 {
        let plain = kit.new_replay(a);
        kit.store().create_replay(plain.clone()).await.expect("create");
        all.insert(0, plain);
    }
    kit.reopen().await;
    assert_eq!(load(&kit, rich.id).await, rich);
    assert_eq!(whole(6, |page| kit.store().replays(kit.app, page)).await, all);
    expect_missing(kit.store().replay(kit.app, ReplayId::mint(at(0), 1)).await, "replay");
}

pub(super) async fn a_replay_needs_its_destination(mut kit: Kit) {
    let unknown = kit.new_replay(DestinationId::mint(at(0), 1));
    expect_missing(kit.store().create_replay(unknown).await, "destination");
    let a = kit.destination("a").await;
    kit.store().delete_destination(a, at(1)).await.expect("delete");
    let late = kit.new_replay(a);
    expect_missing(kit.store().create_replay(late).await, "destination");
    assert_eq!(kit.store().running_replays().await.expect("replays"), []);
}

pub(super) async fn a_scan_sees_the_newest_state_of_each_event(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let delivered = kit.settled(0, 1, a, &Verdict::Delivered).await[0];
    let dead = kit.settled(10, 1, a, &reject(FailureReason::Dns)).await[0];
    let elsewhere = kit.settled(20, 1, b, &Verdict::Delivered).await[0];
    let pending = kit.owe(30, 1, a).await[0];
    let expected = [
        (delivered, Some(State::Delivered)),
        (dead, Some(State::Dead)),
        (elsewhere, None),
        (pending, Some(State::Pending)),
    ];
    let expected = expected.map(|(id, state)| (id.event, state));
    for _ in 0..2 {
        assert_eq!(scan(&kit, a, None).await, expected);
        kit.tidy(40).await;
        kit.reopen().await;
    }
    // The newest delivery counts, not the best one.
    let again = kit.store().resend(kit.app, delivered, at(50)).await.expect("resend");
    assert_eq!(scan(&kit, a, None).await[0], (delivered.event, Some(State::Pending)));
    kit.store().cancel(kit.app, again.id, at(51)).await.expect("cancel");
    assert_eq!(scan(&kit, a, None).await[0], (delivered.event, Some(State::Cancelled)));
}

pub(super) async fn a_scan_keeps_to_its_range_and_goes_on_after_a_cursor(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 50, a).await;
    let events: Vec<EventId> = owed.iter().map(|id| id.event).collect();
    let range = ReplayScan { appspace: kit.app, destination: a, from: at(10), to: at(40), after: None, limit: 8 };
    for _ in 0..2 {
        let mut met = Vec::new();
        let mut after = None;
        for _ in 0..STEPS_MAX {
            let found = kit.store().replay_scan(ReplayScan { after, ..range.clone() }).await.expect("scan");
            assert!(found.len() <= 8);
            let Some((last, _)) = found.last() else { break };
            after = Some(last.id);
            met.extend(found.iter().map(|(event, _)| event.id));
        }
        assert_eq!(met, events[10..40]);
        kit.tidy(100).await;
        kit.reopen().await;
    }
    assert_eq!(scan(&kit, a, Some(events[48])).await, [(events[49], Some(State::Pending))]);
    assert_eq!(scan(&kit, a, Some(events[49])).await, []);
}

pub(super) async fn a_scan_goes_on_when_its_cursor_was_removed(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 10, a, &Verdict::Delivered).await;
    assert_eq!(kit.prune(5, 100).await, 5);
    let rest: Vec<_> = owed[5..].iter().map(|id| (id.event, Some(State::Delivered))).collect();
    assert_eq!(scan(&kit, a, Some(owed[2].event)).await, rest);
    assert_eq!(scan(&kit, a, Some(owed[6].event)).await, rest[2..]);
}

pub(super) async fn a_step_makes_deliveries_that_name_their_replay(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 3, a, &Verdict::Delivered).await;
    let replay = kit.replay(a).await;
    let advanced = kit.replay_first(replay, 10, &[old[0].event, old[2].event]).await;
    assert_eq!((advanced.state, advanced.scanned, advanced.created), (ReplayState::Running, 2, 2));
    kit.tidy(10).await;
    kit.reopen().await;
    let made = [0, 2].map(|n: usize| DeliveryId { ordinal: 1, ..old[n] });
    let query = DeliveryQuery { replay: Some(replay), ..kit.all_deliveries() };
    assert_eq!(kit.list_deliveries(&query).await, [made[1], made[0]]);
    let delivery = kit.delivery(made[0]).await.0;
    assert_eq!((delivery.replay, delivery.created_at, delivery.standing.due_at), (Some(replay), at(10), at(10)));

    let work = kit.claim(a, 10, 10).await;
    assert_eq!(work.iter().map(|owned| owned.id).collect::<Vec<_>>(), made);
    // A failed one keeps yielding to live traffic.
    kit.settle(&work[0], 11, &fail()).await;
    let new = kit.owe(60, 1, a).await;
    assert_eq!(kit.due(a, 100).await, [new[0], made[0]]);
    assert_eq!(kit.delivery(old[0]).await.0.standing.state, State::Delivered);
}

pub(super) async fn a_replay_goes_on_after_a_restart_and_ends(mut kit: Kit) {
    let a = kit.destination("a").await;
    let events: Vec<EventId> = kit.settled(0, 4, a, &Verdict::Delivered).await.iter().map(|id| id.event).collect();
    let replay = kit.replay(a).await;
    assert_eq!(kit.store().running_replays().await.expect("replays")[0].1, None);
    kit.replay_first(replay, 10, &events[..2]).await;
    kit.reopen().await;
    let running = kit.store().running_replays().await.expect("replays");
    let [(found, cursor)] = &running[..] else { panic!("one replay is running, not {}", running.len()) };
    assert_eq!((found.id, found.scanned, found.created, *cursor), (replay, 2, 2, Some(events[1])));

    let rest = ReplayStep { from_cursor: Some(events[1]), ..first_step(replay, 11, &events[2..]) };
    kit.store().advance_replay(rest).await.expect("advance");
    let end = ReplayStep {
        from_cursor: Some(events[3]),
        to_cursor: None,
        state: ReplayState::Done,
        ..first_step(replay, 12, &[])
    };
    let done = kit.store().advance_replay(end).await.expect("advance");
    assert_eq!((done.state, done.scanned, done.created, done.ended_at), (ReplayState::Done, 4, 4, Some(at(12))));
    kit.reopen().await;
    assert_eq!(kit.store().running_replays().await.expect("replays"), []);
    assert_eq!(load(&kit, replay).await, done);
}

pub(super) async fn a_step_is_taken_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let events: Vec<EventId> = kit.settled(0, 2, a, &Verdict::Delivered).await.iter().map(|id| id.event).collect();
    let replay = kit.replay(a).await;
    let first = kit.replay_first(replay, 10, &events).await;
    for _ in 0..2 {
        assert_eq!(kit.replay_first(replay, 11, &events).await, first);
        let wrong = ReplayStep { from_cursor: Some(events[0]), ..first_step(replay, 11, &events) };
        assert_eq!(kit.store().advance_replay(wrong).await.expect("advance"), first);
        kit.reopen().await;
    }
    assert_eq!(kit.due(a, 20).await.len(), 2);
    let ghost = first_step(ReplayId::mint(at(0), 1), 11, &events);
    expect_missing(kit.store().advance_replay(ghost).await, "replay");
}

pub(super) async fn a_step_passes_over_events_that_are_gone(mut kit: Kit) {
    let a = kit.destination("a").await;
    let events: Vec<EventId> = kit.settled(0, 4, a, &Verdict::Delivered).await.iter().map(|id| id.event).collect();
    let replay = kit.replay(a).await;
    kit.prune(2, 100).await;
    let advanced = kit.replay_first(replay, 10, &events).await;
    assert_eq!((advanced.scanned, advanced.created), (4, 2));
    assert_eq!(kit.due(a, 20).await.len(), 2);
    // The cursor may name an event that is gone.
    kit.store().cancel_replay(kit.app, replay, at(11)).await.expect("cancel");
    kit.tidy(12).await;
    kit.prune(1_000, 100).await;
    let second = kit.replay(a).await;
    kit.replay_first(second, 13, &events).await;
    kit.reopen().await;
    let running = kit.store().running_replays().await.expect("replays");
    assert_eq!(running[0].1, Some(events[3]));
}

pub(super) async fn a_cancelled_replay_stops_and_takes_back_what_is_open(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 700, a, &Verdict::Delivered).await;
    let events: Vec<EventId> = old.iter().map(|id| id.event).collect();
    let live = kit.owe(1_000, 1, a).await[0];
    let replay = kit.replay(a).await;
    kit.replay_first(replay, 1_001, &events).await;
    let work = kit.claim(a, 1_002, 4).await;
    assert_eq!(work[0].id, live);
    kit.settle(&work[1], 1_003, &Verdict::Delivered).await;
    kit.settle(&work[2], 1_003, &reject(FailureReason::Dns)).await;

    let cancelled = kit.store().cancel_replay(kit.app, replay, at(1_004)).await.expect("cancel");
    assert_eq!((cancelled.state, cancelled.ended_at), (ReplayState::Cancelled, Some(at(1_004))));
    kit.tidy(1_005).await;
    kit.reopen().await;
    let query = DeliveryQuery { replay: Some(replay), ..kit.all_deliveries() };
    let mut open = 0;
    for id in kit.list_deliveries(&query).await {
        match kit.state(id).await {
            State::Cancelled => open += 1,
            State::Delivered => assert_eq!(id, work[1].id),
            State::Dead => assert_eq!(id, work[2].id),
            state => panic!("{id} is {}", state.code()),
        }
    }
    assert_eq!(open, 698);
    assert_eq!(kit.settle(&work[3], 1_006, &Verdict::Delivered).await, Settled::Stale);
    assert_eq!(kit.due(a, 2_000).await, [live]);
    let late = ReplayStep { from_cursor: events.last().copied(), ..first_step(replay, 1_007, &events[..2]) };
    assert_eq!(kit.store().advance_replay(late).await.expect("advance"), cancelled);
    assert_eq!(kit.store().cancel_replay(kit.app, replay, at(1_008)).await.expect("cancel"), cancelled);
    assert_eq!(kit.due(a, 2_000).await, []);
}

pub(super) async fn a_replay_that_is_done_is_cancelled_only_while_it_owes(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 1, a, &Verdict::Delivered).await;
    let replay = kit.replay(a).await;
    let only = ReplayStep { state: ReplayState::Done, ..first_step(replay, 10, &[old[0].event]) };
    let done = kit.store().advance_replay(only).await.expect("advance");
    let cancelled = kit.store().cancel_replay(kit.app, replay, at(11)).await.expect("cancel");
    assert_eq!(cancelled, Replay { state: ReplayState::Cancelled, ended_at: Some(at(11)), ..done });
    kit.tidy(12).await;
    assert_eq!(kit.due(a, 20).await, []);

    let again = kit.replay(a).await;
    let only = ReplayStep { state: ReplayState::Done, ..first_step(again, 13, &[old[0].event]) };
    let done = kit.store().advance_replay(only).await.expect("advance");
    let work = kit.claim(a, 14, 1).await;
    kit.settle(&work[0], 15, &Verdict::Delivered).await;
    assert_eq!(kit.store().cancel_replay(kit.app, again, at(16)).await.expect("cancel"), done);
    expect_missing(kit.store().cancel_replay(kit.app, ReplayId::mint(at(0), 1), at(11)).await, "replay");
}

pub(super) async fn a_replay_to_a_destination_that_is_gone_makes_nothing(mut kit: Kit) {
    let a = kit.destination("a").await;
    let old = kit.settled(0, 2, a, &Verdict::Delivered).await;
    let replay = kit.replay(a).await;
    kit.store().delete_destination(a, at(10)).await.expect("delete");
    let failed = kit.replay_first(replay, 11, &[old[0].event, old[1].event]).await;
    assert_eq!((failed.state, failed.created, failed.ended_at), (ReplayState::Failed, 0, Some(at(10))));
    kit.reopen().await;
    assert_eq!(load(&kit, replay).await, failed);
    assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await.len(), 2);
}
