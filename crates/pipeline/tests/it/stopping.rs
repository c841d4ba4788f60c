//! Stopping, starting again, and workers that come too late.

use std::sync::Arc;

use domain::delivery::State;
use domain::{Destination, Settings};
use pipeline::dispatcher::DispatcherOptions;
use storage::memory::MemoryStore;

use crate::bulk::with_bulk;
use crate::engine::{Answer, Engine, SECOND};
use crate::sulky::Sulky;

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_on_the_wire_and_gives_back_the_rest() {
    let mut engine = Engine::new(|_| Answer::Slowly(200, 5 * SECOND)).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 4).await;
    engine.clicks(0..40).await;
    engine.pass(6 * SECOND).await;
    let before = engine.house.clock.now();
    engine.dispatcher.stop(15 * SECOND).await;
    assert_eq!(engine.house.clock.now().since(before), 4 * SECOND);
    assert_eq!(engine.count(orders, State::Delivered).await, 8);
    let deliveries = engine.house.deliveries(orders).await;
    assert!(deliveries.iter().all(|summary| !summary.delivery.leased), "the next worker can start at once");

    engine.restart(DispatcherOptions::default()).await;
    engine.pass(60 * SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 40);
    assert_eq!(engine.wires.to(orders).len(), 40, "nothing was sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_off_what_hangs_and_the_next_start_tries_it_again() {
    let mut engine = Engine::new(|sent| if sent.before == 0 { Answer::Hangs } else { Answer::Status(200) }).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..5).await;
    engine.pass(SECOND).await;
    let before = engine.house.clock.now();
    engine.dispatcher.stop(2 * SECOND).await;
    assert_eq!(engine.house.clock.now().since(before), 2 * SECOND);
    engine.restart(DispatcherOptions::default()).await;
    // Nobody settled them, so they come back when their leases end.
    engine.pass(120 * SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_has_ended_cannot_settle() {
    let engine = Engine::new(|sent| match sent.before {
        0 => Answer::Slowly(200, 5 * SECOND),
        _ => Answer::Slowly(500, 8 * SECOND),
    })
    .await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    // As if this process had been suspended for longer than the lease: the delivery goes to someone else.
    assert_eq!(engine.house.store.rescue(engine.house.clock.now() + 3_600 * SECOND).await.unwrap(), 1);
    engine.pass(5 * SECOND).await;
    let (summary, attempts) = engine.only(orders).await;
    assert_eq!((summary.delivery.standing.state, attempts.len()), (State::Pending, 0), "the first answer is stale");
    engine.pass(5 * SECOND).await;
    let (_, attempts) = engine.only(orders).await;
    assert_eq!(attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), [Some(500)]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_cancelled_on_the_wire_stays_cancelled() {
    let engine = Engine::new(|_| Answer::Slowly(200, 5 * SECOND)).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    let (summary, _) = engine.only(orders).await;
    engine.house.store.cancel(engine.house.appspace(), summary.delivery.id, engine.house.clock.now()).await.unwrap();
    engine.pass(60 * SECOND).await;
    let (summary, _) = engine.only(orders).await;
    assert_eq!(summary.delivery.standing.state, State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_loses_no_outcome() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let engine = Engine::over(Arc::clone(&sulky) as _, with_bulk(), |_| Answer::Status(200)).await;
    let mut lanes = Vec::new();
    for (connector, sends) in [("single", 8), ("knowing", 40)] {
        let change = |destination: &mut Destination| {
            destination.connector = connector.to_owned();
            destination.settings = Settings::default();
        };
        lanes.push((engine.destination(connector, change).await, sends));
    }
    sulky.sulk(true);
    engine.clicks(0..200).await;
    engine.pass(60 * SECOND).await;
    for &(lane, sends) in &lanes {
        assert_eq!(engine.wires.to(lane).len(), sends, "outcomes that are not stored hold back the next attempts");
        assert_eq!(engine.count(lane, State::Delivered).await, 0);
    }
    sulky.sulk(false);
    engine.pass(10 * SECOND).await;
    for (lane, _) in lanes {
        assert_eq!(engine.count(lane, State::Delivered).await, 200);
        assert_eq!(engine.wires.to(lane).len(), 200, "nothing was sent twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_good_stops_the_dispatcher() {
    let engine = Engine::new(|_| Answer::Slowly(200, SECOND)).await;
    engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND / 2).await;
    engine.house.store.close().await.unwrap();
    let failed = tokio::time::timeout(10 * SECOND, engine.dispatcher.failed()).await.expect("it is told");
    assert!(matches!(failed, storage::StoreError::Failed(_)), "{failed}");
}
