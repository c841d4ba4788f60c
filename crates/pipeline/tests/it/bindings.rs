//! Bindings: what a vendor has made for a subject is made once.

use domain::DestinationId;
use domain::delivery::State;
use pipeline::dispatcher::DispatcherOptions;
use serde_json::json;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};

fn binds(destination: &mut domain::Destination) {
    destination.connector = String::from("single");
    destination.settings = serde_json::from_value(json!({ "binds": true })).unwrap();
}

fn is_create(sent: &Sent) -> bool {
    sent.url.ends_with("/create")
}

fn creates(engine: &Engine, lane: DestinationId) -> usize {
    engine.wires.to(lane).iter().filter(|sent| is_create(sent)).count()
}

#[tokio::test(start_paused = true)]
async fn a_subject_is_created_once_however_many_exchanges_need_it_at_once() {
    let script = |sent: &Sent| {
        if is_create(sent) {
            Answer::SlowlySays(SECOND, json!({ "created": format!("id at {}", sent.at.as_secs()) }))
        } else {
            Answer::Status(200)
        }
    };
    let (mut engine, shop) = bulk(script, binds).await;
    engine.clicks(0..8).await;
    engine.pass(10 * SECOND).await;
    assert_eq!((engine.count(shop, State::Delivered).await, creates(&engine, shop)), (8, 1));
    engine.restart(DispatcherOptions::default()).await;
    engine.clicks(8..9).await;
    engine.pass(10 * SECOND).await;
    assert_eq!((engine.count(shop, State::Delivered).await, creates(&engine, shop)), (9, 1));
    let bodies = engine.wires.to(shop);
    let bound = |sent: &Sent| serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap()["bound"].clone();
    assert!(bodies.iter().filter(|sent| !is_create(sent)).all(|sent| bound(sent) == "id at 0"));
}

#[tokio::test(start_paused = true)]
async fn an_id_is_kept_before_the_next_step_is_taken() {
    let script = |sent: &Sent| match (is_create(sent), sent.at.as_secs()) {
        (true, _) => Answer::Says(json!({ "created": "id" })),
        (false, 0..60) => Answer::Hangs,
        _ => Answer::Status(200),
    };
    let (mut engine, shop) = bulk(script, binds).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    assert_eq!((engine.count(shop, State::Delivered).await, creates(&engine, shop)), (1, 1));
}
