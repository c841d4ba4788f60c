//! The breaker at work: it spends no attempts, probes, and recovers.

use domain::delivery::State;
use pipeline::admission::{BreakerStatus, ClosedBecause};

use crate::engine::{Answer, Engine, SECOND, after_start};

#[tokio::test(start_paused = true)]
async fn a_breaker_spends_no_attempts_while_it_is_open_and_recovers() {
    let engine = Engine::new(|sent| Answer::Status(if sent.at < 200 * SECOND { 503 } else { 200 })).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 1).await;
    engine.clicks(0..60).await;
    engine.pass(SECOND).await;

    // Ten failures open it; with one slot nothing else is on the wire by then.
    assert_eq!(engine.wires.to(orders).len(), 10);
    let live = engine.house.registry.destination(orders).unwrap();
    let status = engine.dispatcher.lane_status(&live);
    assert_eq!(status.breaker, BreakerStatus::Open { until: after_start(30 * SECOND) });
    assert_eq!(status.closed_because, Some(ClosedBecause::Breaker { until: after_start(30 * SECOND) }));
    engine.clicks(60..70).await;
    engine.pass(28 * SECOND).await;
    assert_eq!(engine.wires.to(orders).len(), 10, "nothing is attempted while it is open");
    assert_eq!(untried(&engine).await, 60);

    // Probes at 30, 90 and 210 s: one each, the third one answered.
    engine.pass(170 * SECOND).await;
    let times = engine.wires.times_ms(orders);
    assert_eq!(times[10..], [30_000, 90_000]);
    engine.pass(12 * SECOND).await;
    assert_eq!(engine.wires.times_ms(orders)[12], 210_000);
    assert_eq!(engine.dispatcher.lane_status(&live).breaker, BreakerStatus::Closed);
    assert_eq!(engine.count(orders, State::Delivered).await, 70);
    assert_eq!(engine.told().await, ["afterclick.destination.paused", "afterclick.destination.recovered"]);
}

async fn untried(engine: &Engine) -> usize {
    let all = engine.house.registry.all_destinations();
    let deliveries = engine.house.deliveries(all[0].destination.id).await;
    deliveries.iter().filter(|summary| summary.delivery.standing.attempts == 0).count()
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_alone_on_the_wire() {
    let engine = Engine::new(|sent| match sent.at.as_secs() {
        0..10 => Answer::Status(500),
        _ => Answer::Slowly(200, SECOND),
    })
    .await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 8).await;
    engine.clicks(0..100).await;
    engine.pass(30 * SECOND + SECOND / 2).await;
    let sent = engine.wires.to(orders).len();
    engine.pass(SECOND / 4).await;
    let live = engine.house.registry.destination(orders).unwrap();
    let status = engine.dispatcher.lane_status(&live);
    assert_eq!((status.breaker, status.in_flight), (BreakerStatus::HalfOpen, 1));
    assert_eq!(engine.wires.to(orders).len(), sent, "one probe, nothing beside it");
    engine.pass(SECOND).await;
    assert_eq!(engine.dispatcher.lane_status(&live).in_flight, 5, "after it a few more");
    engine.pass(SECOND).await;
    assert_eq!(engine.dispatcher.lane_status(&live).breaker, BreakerStatus::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_switched_off_never_opens() {
    let engine = Engine::new(|_| Answer::Status(500)).await;
    let orders = engine.destination("orders", |destination| destination.breaker = false).await;
    engine.clicks(0..60).await;
    engine.pass(SECOND).await;
    assert_eq!(engine.wires.to(orders).len(), 60);
    assert!(engine.told().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_mends_a_destination_need_not_wait_for_its_breaker() {
    let engine = Engine::new(|sent| Answer::Status(if sent.at < 20 * SECOND { 500 } else { 200 })).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 1).await;
    engine.clicks(0..40).await;
    engine.pass(20 * SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 0);
    let mended = engine.house.registry.destination(orders).unwrap().destination.clone();
    engine.house.put(mended).await;
    engine.pass(SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 30);
}
