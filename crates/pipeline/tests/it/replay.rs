//! Replays: durable, fenced, capped, cancelled midway.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::State;
use domain::event::{DedupeKey, TimeMark};
use domain::replay::{Replay, ReplayState, Select};
use domain::{DestinationId, Event, EventId, ReplayId, SourceId, Timestamp};
use serde_json::{Value, json};
use storage::memory::MemoryStore;
use storage::{Append, NewEvent, OnKnown};

use crate::engine::{Answer, Engine, SECOND};
use crate::house::{House, START, click};
use crate::people::{people, told, with_people};

fn replay(house: &House, destination: DestinationId, select: Select, per_second: Option<f64>) -> Replay {
    Replay {
        id: ReplayId::mint(house.clock.now(), house.clock.random()),
        appspace: house.appspace(),
        destination,
        from: START - Duration::from_mins(1),
        to: Timestamp::MAX,
        events: None,
        select,
        per_second,
        state: ReplayState::Running,
        scanned: 0,
        created: 0,
        created_at: house.clock.now(),
        ended_at: None,
    }
}

/// Lets the runner work until the replay has ended, and returns it.
async fn run_to_end(house: &House, id: ReplayId) -> Replay {
    let runner = Arc::clone(&house.replayer);
    let running = tokio::spawn(async move { runner.run().await });
    let replay = loop {
        tokio::time::advance(Duration::from_millis(100)).await;
        let replay = house.store.replay(house.appspace(), id).await.unwrap();
        if replay.state != ReplayState::Running {
            break replay;
        }
    };
    running.abort();
    replay
}

#[tokio::test(start_paused = true)]
async fn a_new_destination_is_backfilled_with_what_it_missed_and_only_once() {
    let house = House::new().await;
    for number in 0..1_200 {
        house.send(&click(number)).await.unwrap();
    }
    let late = house.put(house.destination("late", &["link.*"])).await;
    house.send(&click(5_000)).await.unwrap();

    let backfill = replay(&house, late, Select::Missing, None);
    assert_eq!(house.replayer.dry_run(&backfill).await.unwrap(), 1_200);
    assert_eq!(house.deliveries(late).await.len(), 1, "a dry run makes nothing");
    house.replayer.create(backfill.clone()).await.unwrap();
    let done = run_to_end(&house, backfill.id).await;
    assert_eq!((done.state, done.created, done.scanned), (ReplayState::Done, 1_200, 1_201));

    let again = replay(&house, late, Select::Missing, None);
    assert_eq!(house.replayer.dry_run(&again).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replay_cancelled_midway_stops_and_takes_its_pending_deliveries_along() {
    let house = House::new().await;
    let destination = house.put(house.destination("orders", &["install.tracked"])).await;
    for number in 0..100 {
        house.send(&click(number)).await.unwrap();
    }
    let mut capped = replay(&house, destination, Select::Missing, Some(10.0));
    capped.events = Some(serde_json::from_str(r#"["link.clicked"]"#).unwrap());
    house.replayer.create(capped.clone()).await.unwrap();

    let runner = Arc::clone(&house.replayer);
    let running = tokio::spawn(async move { runner.run().await });
    while house.store.replay(house.appspace(), capped.id).await.unwrap().created < 30 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let cancelled = house.replayer.cancel(house.appspace(), capped.id).await.unwrap();
    assert_eq!(cancelled.state, ReplayState::Cancelled);
    tokio::time::advance(Duration::from_mins(1)).await;
    while house.store.tidy(house.clock.now()).await.unwrap() {}
    running.abort();

    let after = house.store.replay(house.appspace(), capped.id).await.unwrap();
    assert_eq!(after.created, cancelled.created, "nothing is made after the cancellation");
    assert!((30..60).contains(&after.created), "{}", after.created);
    let deliveries = house.deliveries(destination).await;
    assert_eq!(deliveries.len() as u64, after.created);
    assert!(deliveries.iter().all(|summary| summary.delivery.standing.state == State::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_what_was_stored_before_people_were_kept_is_about_people() {
    let engine = Engine::over(Arc::new(MemoryStore::new()), with_people(), |_| Answer::Status(200)).await;
    let house = &engine.house;
    for (number, of) in [(0, "ada"), (1, "bob"), (2, "ada")] {
        let mut new = specimen(house, &json!({ "user_id": of, "install_id": format!("i{number}") }));
        new.has_facts = false;
        house.store.append(Append { events: vec![new], on_known: OnKnown::Count }).await.unwrap();
        engine.pass(SECOND).await;
    }
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    let other = people(&engine, "other", &["install.tracked"], true).await;
    let all = replay(house, crm, Select::Missing, None);
    house.replayer.create(all.clone()).await.unwrap();
    assert_eq!(run_to_end(house, all.id).await.created, 3);
    engine.pass(60 * SECOND).await;
    let users = |to| told(&engine, to).into_iter().map(|(_, person)| person["user_id"].clone()).collect::<Vec<_>>();
    assert_eq!(users(crm), ["ada", "bob", "ada"]);
    // Whoever wants to hear what becomes known late, hears it.
    assert!(["ada", "bob"].iter().all(|user| users(other).contains(&json!(user))), "{:?}", users(other));
    let again = replay(house, crm, Select::All, None);
    house.replayer.create(again.clone()).await.unwrap();
    run_to_end(house, again.id).await;
    assert_eq!(house.store.unfolded(None, 9).await.unwrap(), [], "what has been read is not read again");
}

/// An install that is not stored yet.
fn specimen(house: &House, data: &Value) -> NewEvent {
    let now = house.clock.now();
    let body = json!({ "event": "install.tracked", "timestamp": now, "data": data }).to_string();
    let event = Event {
        id: EventId::mint(now, house.clock.random()),
        appspace: house.appspace(),
        source: SourceId::API,
        event_type: "install.tracked".parse().unwrap(),
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, house.appspace(), body.as_bytes()),
        body: body.into(),
    };
    NewEvent::new(event, Vec::new())
}

#[tokio::test(start_paused = true)]
async fn a_capped_replay_keeps_its_pace() {
    let house = House::new().await;
    let destination = house.put(house.destination("orders", &["install.tracked"])).await;
    for number in 0..50 {
        house.send(&click(number)).await.unwrap();
    }
    let mut capped = replay(&house, destination, Select::All, Some(5.0));
    capped.events = Some(serde_json::from_str(r#"["link.clicked"]"#).unwrap());
    let before = house.clock.now();
    house.replayer.create(capped.clone()).await.unwrap();
    assert_eq!(run_to_end(&house, capped.id).await.created, 50);
    let took = house.clock.now().since(before);
    assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&took), "{took:?}");
}
