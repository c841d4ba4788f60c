//! Batches: when they begin, how they are judged, and how one poison item is found.

use std::sync::Arc;

use domain::delivery::State;
use domain::destination::BatchWish;
use domain::verdict::FailureReason;
use domain::{Destination, DestinationId, Settings};
use serde_json::json;
use storage::Store;
use storage::memory::MemoryStore;

use crate::bulk::with_bulk;
use crate::engine::{Answer, Engine, SECOND, Sent, per_second};
use crate::house::click;

/// An engine with one destination that takes batches.
pub(crate) async fn bulk(
    script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    change: impl FnOnce(&mut Destination),
) -> (Engine, DestinationId) {
    bulk_over(Arc::new(MemoryStore::new()), script, change).await
}

/// The same over another store.
pub(crate) async fn bulk_over(
    store: Arc<dyn Store>,
    script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
    change: impl FnOnce(&mut Destination),
) -> (Engine, DestinationId) {
    let engine = Engine::over(store, with_bulk(), script).await;
    let bulk = engine
        .destination("bulk", |destination| {
            destination.connector = String::from("bulk");
            destination.settings = Settings::default();
            change(destination);
        })
        .await;
    (engine, bulk)
}

/// How many items each call to a lane had.
fn sizes(engine: &Engine, lane: DestinationId) -> Vec<usize> {
    engine.wires.to(lane).iter().map(|sent| sent.tokens().len()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_begins_when_it_is_full() {
    let (engine, bulk) = bulk(|_| Answer::Status(200), |_| {}).await;
    engine.clicks(0..20).await;
    engine.pass(SECOND / 10).await;
    assert_eq!(sizes(&engine, bulk), [10, 10]);
    let tokens: Vec<String> = engine.wires.to(bulk).iter().flat_map(Sent::tokens).collect();
    assert_eq!(tokens, (0..20).map(|number| format!("t{number}")).collect::<Vec<_>>());
    assert_eq!(engine.count(bulk, State::Delivered).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_does_not_fill_begins_when_its_oldest_has_waited_long_enough() {
    let (engine, bulk) = bulk(|_| Answer::Status(200), |_| {}).await;
    engine.clicks(0..3).await;
    engine.pass(3 * SECOND).await;
    engine.clicks(3..5).await;
    engine.pass(3 * SECOND).await;
    assert_eq!((sizes(&engine, bulk), engine.wires.times_ms(bulk)), (vec![5], vec![5_000]));
    assert_eq!(engine.count(bulk, State::Delivered).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_batch_begins_when_it_has_enough_bytes() {
    let (engine, bulk) = bulk(|_| Answer::Status(200), |_| {}).await;
    let large = |number| click(number).replace("{\"token\"", &format!("{{\"pad\":\"{}\",\"token\"", "x".repeat(6_000)));
    for number in 0..3 {
        engine.house.send(&large(number)).await.unwrap();
    }
    engine.pass(SECOND).await;
    assert_eq!(sizes(&engine, bulk), [2], "three would be more than it may hold");
    engine.house.send(&large(3).replace("xxx", "xxxxxxxxxx")).await.unwrap();
    engine.pass(10 * SECOND).await;
    assert_eq!(sizes(&engine, bulk), [2, 1, 1], "one that is too large goes alone");
}

#[tokio::test(start_paused = true)]
async fn a_destination_says_how_large_its_batches_are_and_how_long_they_wait() {
    let wish = BatchWish { items: Some(100), linger_ms: Some(120_000) };
    let (engine, bulk) = bulk(|_| Answer::Status(200), |destination| destination.batch = wish).await;
    engine.clicks(0..130).await;
    engine.pass(SECOND).await;
    assert_eq!(sizes(&engine, bulk), [100]);
    engine.pass(200 * SECOND).await;
    assert_eq!((sizes(&engine, bulk), engine.wires.times_ms(bulk)), (vec![100, 30], vec![0, 120_000]));
    assert_eq!(engine.count(bulk, State::Delivered).await, 130, "leases outlast the wait");
}

#[tokio::test(start_paused = true)]
async fn concurrency_counts_batches() {
    let (engine, bulk) = bulk(|_| Answer::Slowly(200, SECOND), |destination| destination.concurrency = 2).await;
    engine.clicks(0..60).await;
    engine.pass(3 * SECOND + SECOND / 2).await;
    assert_eq!((engine.wires.most_at_once(), engine.count(bulk, State::Delivered).await), (2, 60));
    assert_eq!(sizes(&engine, bulk), [10; 6]);
}

#[tokio::test(start_paused = true)]
async fn each_item_is_judged_for_itself() {
    let script = |sent: &Sent| match sent.at.as_secs() {
        0..20 => Answer::Says(json!({ "verdicts": { "t1": "reject", "t2": "retry", "t3": "skip", "t4": "wait" } })),
        _ => Answer::Status(200),
    };
    let (engine, bulk) = bulk(script, |_| {}).await;
    engine.clicks(0..6).await;
    engine.pass(6 * SECOND).await;
    let mut states = Vec::new();
    for summary in engine.house.deliveries(bulk).await {
        let (delivery, attempts) =
            engine.house.store.delivery(engine.house.appspace(), summary.delivery.id).await.unwrap();
        let [attempt] = &attempts[..] else { panic!("one attempt each, not {attempts:?}") };
        assert_eq!((attempt.number, attempt.status), (1, Some(200)));
        states.push((delivery.standing.state, delivery.standing.spent, attempt.reason, attempt.error.clone()));
    }
    states.reverse();
    let server = Some(FailureReason::ServerError);
    assert_eq!(
        states,
        [
            (State::Delivered, 0, None, None),
            (State::Dead, 0, Some(FailureReason::Refused), Some("t1 will never do".to_owned())),
            (State::Pending, 1, server, Some("it answered 200".to_owned())),
            (State::Skipped, 0, Some(FailureReason::NotApplicable), Some("nothing in it".to_owned())),
            (State::Pending, 0, Some(FailureReason::Throttled), Some("it answered 200".to_owned())),
            (State::Delivered, 0, None, None),
        ]
    );
    engine.pass(100 * SECOND).await;
    assert_eq!((engine.count(bulk, State::Delivered).await, engine.count(bulk, State::Dead).await), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn one_poison_item_among_a_hundred_is_one_dead_letter() {
    let script = |sent: &Sent| {
        if sent.tokens().iter().any(|token| token == "t37") {
            Answer::Refuses(400, json!({ "split": true }))
        } else {
            Answer::Status(200)
        }
    };
    let (engine, bulk) = bulk(script, |destination| {
        destination.batch = BatchWish { items: Some(100), linger_ms: None };
        destination.concurrency = 1;
    })
    .await;
    engine.clicks(0..100).await;
    engine.pass(SECOND).await;
    assert_eq!(
        (engine.count(bulk, State::Delivered).await, engine.count(bulk, State::Dead).await),
        (99, 1),
        "{:?}",
        sizes(&engine, bulk)
    );
    assert!(engine.wires.to(bulk).len() <= 15, "{:?}", sizes(&engine, bulk));
    for summary in engine.house.deliveries(bulk).await {
        assert_eq!(summary.delivery.standing.attempts, 1, "a split is no attempt");
    }
    assert_eq!(engine.told().await, ["afterclick.delivery.dead"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_narrowed_down_however_slow_its_vendor_is() {
    let script = |sent: &Sent| {
        if sent.tokens().iter().any(|token| token == "t3" || token == "t97") {
            Answer::SlowlySays(9 * SECOND, json!({ "split": true }))
        } else {
            Answer::Slowly(200, 9 * SECOND)
        }
    };
    let (engine, bulk) = bulk(script, |destination| {
        destination.batch = BatchWish { items: Some(100), linger_ms: None };
        destination.concurrency = 1;
    })
    .await;
    engine.clicks(0..100).await;
    engine.pass(1_200 * SECOND).await;
    assert_eq!((engine.count(bulk, State::Delivered).await, engine.count(bulk, State::Dead).await), (98, 2));
    assert!(engine.wires.to(bulk).len() <= 60, "{:?}", sizes(&engine, bulk));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_narrowed_down_however_rarely_its_vendor_may_be_called() {
    let script = |sent: &Sent| {
        if sent.tokens().iter().any(|token| token == "t37") {
            Answer::Refuses(400, json!({ "split": true, "pause_ms": 30_000 }))
        } else {
            Answer::Status(200)
        }
    };
    let (engine, bulk) = bulk(script, |destination| {
        destination.batch = BatchWish { items: Some(100), linger_ms: None };
        destination.rate = per_second(0.2);
    })
    .await;
    engine.clicks(0..100).await;
    engine.pass(3_600 * SECOND).await;
    assert_eq!((engine.count(bulk, State::Delivered).await, engine.count(bulk, State::Dead).await), (99, 1));
    assert!(engine.wires.to(bulk).len() <= 40, "{:?}", sizes(&engine, bulk));
}

#[tokio::test(start_paused = true)]
async fn a_pause_gives_back_what_waits_for_a_batch_to_fill() {
    let (engine, bulk) = bulk(|_| Answer::Status(200), |_| {}).await;
    engine.clicks(0..4).await;
    engine.pass(SECOND).await;
    let reason = domain::verdict::PauseReason::Manual;
    engine.house.registry.pause_destination(bulk, reason, "enough").await.unwrap();
    engine.pass(SECOND).await;
    assert!(engine.house.deliveries(bulk).await.iter().all(|summary| !summary.delivery.leased));
    engine.pass(60 * SECOND).await;
    assert!(engine.wires.to(bulk).is_empty());
    engine.house.registry.resume_destination(bulk).await.unwrap();
    engine.pass(6 * SECOND).await;
    assert_eq!(sizes(&engine, bulk), [4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_retried_goes_into_batches_again() {
    let script = |sent: &Sent| Answer::Status(if sent.at.as_secs() < 10 { 503 } else { 200 });
    let (engine, bulk) = bulk(script, |_| {}).await;
    engine.clicks(0..30).await;
    engine.pass(70 * SECOND).await;
    assert_eq!(engine.count(bulk, State::Delivered).await, 30);
    assert_eq!(sizes(&engine, bulk), [10; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_call_about_one_item_that_breaks_costs_only_that_one_a_try() {
    let script = |sent: &Sent| match (sent.tokens().len(), sent.before) {
        (0, _) => Answer::Breaks,
        (3, 0) => Answer::Says(json!({ "first": true })),
        _ => Answer::Status(200),
    };
    let (engine, bulk) = bulk(script, |_| {}).await;
    engine.clicks(0..3).await;
    engine.pass(200 * SECOND).await;
    let mut tries: Vec<_> = engine.house.deliveries(bulk).await.iter().map(|it| it.delivery.standing).collect();
    tries.sort_by_key(|standing| standing.spent);
    assert!(tries.iter().all(|standing| standing.state == State::Delivered));
    assert_eq!(tries.iter().map(|standing| standing.spent).collect::<Vec<_>>(), [0, 0, 1]);
}
