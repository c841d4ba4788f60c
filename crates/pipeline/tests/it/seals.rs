//! Batches that a vendor recognises by their boundaries: a retry is the same batch, whatever happened in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::DestinationId;
use domain::delivery::State;
use pipeline::dispatcher::DispatcherOptions;
use serde_json::json;
use storage::memory::MemoryStore;

use crate::batches::{bulk, bulk_over};
use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::house::click;
use crate::sulky::Sulky;

fn sealed(destination: &mut domain::Destination) {
    destination.connector = String::from("sealed");
    destination.breaker = false;
}

fn calls(engine: &Engine, lane: DestinationId) -> Vec<Vec<String>> {
    engine.wires.to(lane).iter().map(Sent::tokens).collect()
}

/// Names of items from a first to a last one.
fn tokens(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("t{number}")).collect()
}

/// How many sealed batches the store remembers.
async fn seals(engine: &Engine, lane: DestinationId) -> usize {
    engine.house.store.recall_all(lane, "batch:", None, 1_000, engine.house.clock.now()).await.unwrap().len()
}

fn id_of(event: domain::EventId) -> domain::DeliveryId {
    domain::DeliveryId { event, ordinal: 0 }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_the_same_batch_in_the_same_order() {
    let (engine, lane) = bulk(|sent| Answer::Status(if sent.at < SECOND { 503 } else { 200 }), sealed).await;
    engine.clicks(0..25).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(seals(&engine, lane).await, 2, "what was tried and is not done");
    // Fresh ones come in while the two are waiting, and are not mixed with them.
    engine.pass(45 * SECOND).await;
    engine.clicks(25..32).await;
    engine.pass(30 * SECOND).await;
    let calls = calls(&engine, lane);
    assert_eq!(calls[..2], [tokens(0..10), tokens(10..20)]);
    assert_eq!(calls[2], tokens(20..25));
    let again: BTreeSet<_> = calls[3..].iter().cloned().collect();
    assert_eq!(again, BTreeSet::from([tokens(0..10), tokens(10..20), tokens(25..32)]));
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (32, 0));
}

#[tokio::test(start_paused = true)]
async fn a_crash_does_not_move_the_boundaries_of_what_was_on_its_way() {
    let script = |sent: &Sent| if sent.at < SECOND { Answer::Hangs } else { Answer::Status(200) };
    let (mut engine, lane) = bulk(script, sealed).await;
    engine.clicks(0..20).await;
    engine.pass(SECOND / 2).await;
    engine.dispatcher.stop(SECOND / 10).await;
    engine.clicks(20..24).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    let mut calls = calls(&engine, lane);
    assert_eq!(calls.drain(..2).collect::<Vec<_>>(), [tokens(0..10), tokens(10..20)]);
    calls.sort();
    assert_eq!(calls, [tokens(0..10), tokens(10..20), tokens(20..24)]);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (24, 0));
}

/// Ten items of which the whole and both halves were sent once, and which the vendor takes from now on.
async fn after_a_restart_the_halves_are_sent_again(mut engine: Engine, lane: DestinationId) {
    engine.dispatcher.stop(SECOND).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(90 * SECOND).await;
    let mut calls = calls(&engine, lane);
    calls[1..].sort();
    assert_eq!(calls, [tokens(0..10), tokens(0..5), tokens(0..5), tokens(5..10), tokens(5..10)]);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn halves_are_batches_that_stay_the_same_too() {
    let script = |sent: &Sent| match (sent.at.as_secs(), sent.tokens().len()) {
        (0..10, 10) => Answer::Refuses(400, json!({ "split": true })),
        (0..10, _) => Answer::Status(503),
        _ => Answer::Status(200),
    };
    let (engine, lane) = bulk(script, sealed).await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    after_a_restart_the_halves_are_sent_again(engine, lane).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_batch_is_another_batch() {
    let script = |sent: &Sent| match sent.at.as_secs() {
        0..10 => Answer::Says(json!({ "verdicts": { "t3": "retry", "t7": "retry", "t5": "reject" } })),
        10..70 => Answer::Status(503),
        _ => Answer::Status(200),
    };
    let (engine, lane) = bulk(script, sealed).await;
    engine.clicks(0..10).await;
    engine.pass(400 * SECOND).await;
    let left = vec!["t3".to_owned(), "t7".to_owned()];
    assert_eq!(calls(&engine, lane), [tokens(0..10), left.clone(), left]);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_called_off_leaves_the_others_as_a_batch_of_their_own() {
    let (engine, lane) = bulk(|sent| Answer::Status(if sent.at < SECOND { 503 } else { 200 }), sealed).await;
    let events = engine.clicks(0..10).await;
    engine.pass(10 * SECOND).await;
    let id = id_of(events[4]);
    engine.house.store.cancel(engine.house.appspace(), id, engine.house.clock.now()).await.unwrap();
    engine.pass(90 * SECOND).await;
    let left: Vec<String> = tokens(0..10).into_iter().filter(|token| token != "t4").collect();
    assert_eq!(calls(&engine, lane), [tokens(0..10), left]);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_retries_one_member_by_hand_retries_its_batch() {
    let (engine, lane) = bulk(|sent| Answer::Status(if sent.at < SECOND { 503 } else { 200 }), sealed).await;
    let events = engine.clicks(0..10).await;
    engine.pass(10 * SECOND).await;
    let id = id_of(events[4]);
    engine.house.store.retry(engine.house.appspace(), id, engine.house.clock.now()).await.unwrap();
    engine.pass(2 * SECOND).await;
    assert_eq!(calls(&engine, lane), [tokens(0..10), tokens(0..10)]);
    assert_eq!(engine.count(lane, State::Delivered).await, 10);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_batches_are_sealed_and_not_done() {
    let (engine, lane) = bulk(|sent| Answer::Status(if sent.at < 30 * SECOND { 503 } else { 200 }), sealed).await;
    let events = engine.clicks(0..1_000).await;
    engine.pass(20 * SECOND).await;
    assert_eq!((calls(&engine, lane).len(), seals(&engine, lane).await), (64, 64));
    // A person calls one of them off as a whole: there is room for another one.
    for event in &events[..10] {
        engine.house.store.cancel(engine.house.appspace(), id_of(*event), engine.house.clock.now()).await.unwrap();
    }
    engine.pass(500 * SECOND).await;
    let all = calls(&engine, lane);
    let (first, later) = all.split_at(64);
    assert!(first[1..].iter().all(|batch| later.contains(batch)), "what was sealed is sent again as it is");
    assert!(later.iter().all(|batch| batch.len() == 10));
    let store = &engine.house.store;
    let pending = store.lanes().await.unwrap().iter().map(|lane| lane.pending).sum::<u64>();
    assert_eq!((pending, seals(&engine, lane).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_not_all_sealed_batches_are_in_hand_at_once() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    // It fails at once and recovers slowly, so that all of them are due before the first is done.
    let script = |sent: &Sent| match sent.at.as_secs() {
        0..30 => Answer::Status(503),
        _ => Answer::Slowly(200, 2 * SECOND),
    };
    let (engine, lane) = bulk_over(Arc::clone(&sulky) as _, script, |destination| {
        sealed(destination);
        destination.connector = String::from("hefty");
        destination.concurrency = 4;
    })
    .await;
    // 64 batches of six, 96 MiB in all.
    let pad = "x".repeat(254 << 10);
    for number in 0..384 {
        let large = click(number).replace("{\"token\"", &format!("{{\"pad\":\"{pad}\",\"token\""));
        engine.house.send(&large).await.unwrap();
    }
    engine.pass(20 * SECOND).await;
    assert_eq!((calls(&engine, lane).len(), seals(&engine, lane).await), (64, 64));
    engine.pass(100 * SECOND).await;
    let all = calls(&engine, lane);
    let (first, again) = all.split_at(64);
    let boundaries = |calls: &[Vec<String>]| calls.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!((again.len(), boundaries(again)), (64, boundaries(first)));
    let pending = engine.house.store.lanes().await.unwrap().iter().map(|lane| lane.pending).sum::<u64>();
    assert_eq!((pending, seals(&engine, lane).await), (0, 0));
    // 64 MiB, the smallest claim, and what is on the wires.
    let mib = sulky.bytes_most() >> 20;
    assert!(mib < 64 + 8 + 6, "{mib} MiB");
}

#[tokio::test(start_paused = true)]
async fn halves_take_the_place_of_the_whole_also_when_the_store_refused_to_remember_them_at_first() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let moody = Arc::clone(&sulky);
    let script = move |sent: &Sent| match (sent.at.as_secs(), sent.tokens().len()) {
        (0..10, 10) => {
            moody.refuse_after(0);
            Answer::Refuses(400, json!({ "split": true }))
        }
        (0..10, _) => Answer::Status(503),
        _ => Answer::Status(200),
    };
    let (engine, lane) = bulk_over(Arc::clone(&sulky) as _, script, sealed).await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    assert_eq!(seals(&engine, lane).await, 2, "the whole is gone when the halves are there");
    after_a_restart_the_halves_are_sent_again(engine, lane).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_that_the_store_could_not_remember_is_never_sent() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let moody = Arc::clone(&sulky);
    let script = move |sent: &Sent| match (sent.at.as_secs(), sent.tokens().len()) {
        (0, 10) => {
            moody.remember_only(0);
            Answer::Refuses(400, json!({ "split": true }))
        }
        (_, 10) => Answer::Refuses(400, json!({ "split": true })),
        _ => Answer::Status(200),
    };
    let (mut engine, lane) = bulk_over(Arc::clone(&sulky) as _, script, sealed).await;
    engine.clicks(0..10).await;
    engine.pass(10 * SECOND).await;
    assert_eq!((calls(&engine, lane), seals(&engine, lane).await), (vec![tokens(0..10)], 1));
    // The whole was refused as it is, so it can be sent again as it is.
    sulky.remember_only(usize::MAX);
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    let mut calls = calls(&engine, lane);
    calls[2..].sort();
    assert_eq!(calls, [tokens(0..10), tokens(0..10), tokens(0..5), tokens(5..10)]);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn seals_that_a_crash_left_behind_are_cleared_away() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let (mut engine, lane) = bulk_over(Arc::clone(&sulky) as _, |_| Answer::Status(200), sealed).await;
    sulky.remember_only(1);
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    sulky.remember_only(usize::MAX);
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (10, 1));
    engine.restart(DispatcherOptions::default()).await;
    engine.clicks(10..11).await;
    engine.pass(10 * SECOND).await;
    assert_eq!((engine.count(lane, State::Delivered).await, seals(&engine, lane).await), (11, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_whose_boundaries_cannot_be_kept() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let (engine, lane) = bulk_over(Arc::clone(&sulky) as _, |_| Answer::Status(200), sealed).await;
    sulky.remember_only(0);
    engine.clicks(0..10).await;
    engine.pass(60 * SECOND).await;
    assert!(engine.wires.to(lane).is_empty());
}
