//! Budgets: what a vendor bears in a second and in a day, and the waits it asks for.

use domain::DestinationId;
use domain::delivery::State;
use domain::retry::RetryPolicy;
use domain::verdict::PauseReason;
use pipeline::admission::ClosedBecause;
use pipeline::dispatcher::DispatcherOptions;
use serde_json::json;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent, after_start, per_second};

/// From [`crate::house::START`] to midnight.
const TO_MIDNIGHT_S: u32 = 34_072;

fn thrifty(destination: &mut domain::Destination) {
    destination.connector = String::from("thrifty");
}

fn closed_because(engine: &Engine, lane: DestinationId) -> Option<ClosedBecause> {
    let live = engine.house.registry.destination(lane).unwrap();
    engine.dispatcher.lane_status(&live).closed_because
}

#[tokio::test(start_paused = true)]
async fn a_vendor_gets_as_many_calls_a_second_as_it_bears_unless_told_otherwise() {
    let (engine, lane) = bulk(|_| Answer::Status(200), thrifty).await;
    engine.clicks(0..5).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane), [0, 500, 1_000, 1_500, 2_000]);
    let mut slower = engine.house.registry.destination(lane).unwrap().destination.clone();
    slower.rate = per_second(0.5);
    engine.house.put(slower).await;
    engine.clicks(5..8).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane)[5..], [10_000, 12_000, 14_000]);
}

#[tokio::test(start_paused = true)]
async fn the_rate_counts_calls_and_not_items() {
    let (engine, lane) = bulk(|_| Answer::Status(200), |destination| destination.rate = per_second(1.0)).await;
    engine.clicks(0..50).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane), [0, 1_000, 2_000, 3_000, 4_000]);
    assert_eq!(engine.count(lane, State::Delivered).await, 50);
}

#[tokio::test(start_paused = true)]
async fn a_wait_holds_the_lane_and_spends_nothing_of_the_schedule() {
    let (engine, lane) = bulk(
        |sent| Answer::Status(if sent.at < 300 * SECOND { 429 } else { 200 }),
        |destination| {
            destination.concurrency = 1;
            destination.retry = RetryPolicy::Custom(vec![SECOND]);
        },
    )
    .await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    engine.clicks(10..20).await;
    engine.pass(400 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane), [0, 90_000, 180_000, 270_000, 360_000, 360_000]);
    assert_eq!(engine.count(lane, State::Delivered).await, 20);
    for summary in engine.house.deliveries(lane).await {
        assert_eq!(summary.delivery.standing.spent, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_item_that_is_to_wait_holds_up_nobody_else() {
    let script = |sent: &Sent| {
        let is_third = sent.tokens().contains(&"t3".to_owned());
        if is_third { Answer::Says(json!({ "verdicts": { "t3": "later" } })) } else { Answer::Status(200) }
    };
    let (engine, lane) = bulk(script, |_| {}).await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    assert_eq!((closed_because(&engine, lane), engine.count(lane, State::Delivered).await), (None, 9));
    engine.clicks(10..30).await;
    engine.pass(SECOND).await;
    assert_eq!(engine.count(lane, State::Delivered).await, 29);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_names_a_time_holds_the_lane() {
    let script = |sent: &Sent| {
        if sent.at < SECOND { Answer::Headed(503, "retry-after", "300".to_owned()) } else { Answer::Status(200) }
    };
    let (engine, lane) = bulk(script, |_| {}).await;
    engine.clicks(0..10).await;
    engine.pass(SECOND).await;
    assert_eq!(closed_because(&engine, lane), Some(ClosedBecause::RetryAfter { until: after_start(300 * SECOND) }));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_made_to_wait_all_the_time_outlives_the_schedule_of_failures() {
    let (engine, lane) = bulk(|_| Answer::Refuses(200, json!({ "verdicts": { "t0": "wait" } })), |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(76 * 3_600 * SECOND).await;
    let sent = engine.wires.to(lane).len();
    assert_eq!((engine.count(lane, State::Pending).await, sent < 1_000), (1, true), "{sent} calls");
    engine.pass(200 * 3_600 * SECOND).await;
    assert_eq!((engine.count(lane, State::Dead).await, engine.wires.to(lane).len()), (1, 1_000));
}

#[tokio::test(start_paused = true)]
async fn headers_that_say_that_the_budget_is_used_up_hold_the_lane() {
    let script = |sent: &Sent| Answer::Says(if sent.at < SECOND { json!({ "pause_ms": 20_000 }) } else { json!({}) });
    let (engine, lane) = bulk(script, |destination| destination.concurrency = 1).await;
    engine.clicks(0..20).await;
    engine.pass(SECOND).await;
    assert_eq!(closed_because(&engine, lane), Some(ClosedBecause::RetryAfter { until: after_start(20 * SECOND) }));
    engine.pass(60 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane), [0, 20_000]);
    assert_eq!(engine.count(lane, State::Delivered).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_day_has_so_many_calls_and_the_rest_waits_for_midnight() {
    let (mut engine, lane) = bulk(|_| Answer::Status(200), thrifty).await;
    engine.clicks(0..110).await;
    engine.pass(100 * SECOND).await;
    // The count is on disk, so another process goes on with it.
    engine.restart(DispatcherOptions::default()).await;
    engine.clicks(110..230).await;
    engine.pass(200 * SECOND).await;
    let sent = engine.wires.to(lane).len();
    assert!((198..=200).contains(&sent), "{sent}: a block of two may be lost with the process that counted it");
    let midnight = after_start(TO_MIDNIGHT_S * SECOND);
    assert_eq!(midnight.to_string(), "2026-03-05T00:00:00.000Z");
    assert_eq!(closed_because(&engine, lane), Some(ClosedBecause::Budget { until: midnight }));
    engine.pass((TO_MIDNIGHT_S - 310) * SECOND).await;
    assert_eq!(engine.wires.to(lane).len(), sent);
    engine.pass(30 * SECOND).await;
    assert_eq!(engine.wires.to(lane).len(), 230);
    assert_eq!(closed_because(&engine, lane), None);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_survives_a_restart_and_not_a_change() {
    for is_changed in [false, true] {
        let script = |sent: &Sent| Answer::Status(if sent.at < SECOND { 429 } else { 200 });
        let (mut engine, lane) = bulk(script, |destination| destination.connector = String::from("single")).await;
        engine.clicks(0..1).await;
        engine.pass(10 * SECOND).await;
        engine.restart(DispatcherOptions::default()).await;
        if is_changed {
            engine.house.registry.pause_destination(lane, PauseReason::Manual, "a look").await.unwrap();
            engine.pass(SECOND).await;
            engine.house.registry.resume_destination(lane).await.unwrap();
            engine.pass(SECOND).await;
            // Once more, as the change is remembered too.
            engine.restart(DispatcherOptions::default()).await;
        }
        engine.clicks(1..2).await;
        engine.pass(100 * SECOND).await;
        let times = engine.wires.times_ms(lane);
        let expect: &[u128] = if is_changed { &[0, 12_000, 90_000] } else { &[0, 90_000, 90_000] };
        assert_eq!(times, expect);
        assert_eq!(engine.count(lane, State::Delivered).await, 2);
    }
}
