//! What cannot be read of one person keeps nobody else waiting, and is not lost.

use std::sync::Arc;

use domain::delivery::State;
use domain::identity::Stage;
use serde_json::json;
use storage::StoreError;
use storage::memory::MemoryStore;

use crate::engine::{Answer, Engine, SECOND};
use crate::people::{people, told, with_people};
use crate::sulky::Sulky;

async fn engine() -> (Engine, Arc<Sulky>) {
    let store = Arc::new(Sulky::new(MemoryStore::new()));
    let engine = Engine::over(Arc::clone(&store) as _, with_people(), |_| Answer::Status(200)).await;
    (engine, store)
}

/// Lets six people install, of whom the third is `user:3`, and folds what can be folded.
async fn six(engine: &Engine) {
    for number in 1..7 {
        let data = json!({ "user_id": number.to_string(), "install_id": format!("i{number}") });
        engine.house.say("link.opened", &data).await;
        engine.house.say("install.tracked", &data).await;
    }
}

/// Whose events have been read.
async fn read(engine: &Engine, of: std::ops::Range<u32>) -> Vec<bool> {
    let mut all = Vec::new();
    for number in of {
        let user = format!("user:{number}").parse().unwrap();
        let found = engine.house.identity.profile(engine.house.appspace(), &user).await;
        all.push(found.is_ok_and(|found| found.is_some_and(|profile| profile.stage() == Stage::Lead)));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_stops_nobody_elses_events_and_is_read_when_it_can_be() {
    let (engine, store) = engine().await;
    store.spoil(Some("user:3"));
    let identity = Arc::clone(&engine.house.identity);
    let folder = tokio::spawn(async move { identity.run().await });
    six(&engine).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(read(&engine, 1..7).await, [true, true, false, true, true, true]);
    let text = engine.house.metrics.render(pipeline::metrics::Snapshot::default());
    assert!(text.contains("afterclick_identity_events_aside 2"), "{text}");
    // A call about somebody else is answered, one about this person says what is wrong.
    assert!(engine.house.identify(&["user:1", "email:a@b.c"], json!({})).await.is_ok());
    let refused = engine.house.identify(&["user:3", "email:d@e.f"], json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be read"), "{refused}");
    store.spoil(None);
    engine.pass(3_600 * SECOND).await;
    assert_eq!(read(&engine, 1..7).await, [true; 6]);
    assert_eq!(engine.house.store.unfolded(None, 9).await.unwrap(), []);
    let text = engine.house.metrics.render(pipeline::metrics::Snapshot::default());
    assert!(text.contains("afterclick_identity_events_aside 0"), "{text}");
    folder.abort();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_folding_panic_stops_no_other() {
    let (engine, store) = engine().await;
    store.trap("user:3");
    six(&engine).await;
    let identity = Arc::clone(&engine.house.identity);
    let folder = tokio::spawn(async move { identity.run().await });
    engine.pass(10 * SECOND).await;
    store.spoil(None);
    assert_eq!(read(&engine, 1..7).await, [true, true, false, true, true, true]);
    assert_eq!(engine.house.store.unfolded(None, 9).await.unwrap().len(), 2);
    engine.pass(60 * SECOND).await;
    assert_eq!(read(&engine, 3..4).await, [true]);
    folder.abort();
}

#[tokio::test(start_paused = true)]
async fn a_delivery_about_whom_nothing_can_be_read_waits_alone() {
    let (engine, store) = engine().await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    // One is spoilt before its events are read, and the other one after.
    store.spoil(Some("user:3"));
    six(&engine).await;
    engine.pass(SECOND).await;
    store.spoil(Some("user:9"));
    engine.house.identify(&["user:7"], json!({})).await.unwrap();
    engine.house.say("install.tracked", &json!({ "user_id": "7" })).await;
    engine.pass(2 * SECOND).await;
    assert_eq!((engine.count(crm, State::Delivered).await, engine.count(crm, State::Pending).await), (6, 1));
    let waiting = engine.house.deliveries(crm).await;
    let waiting = waiting.iter().find(|waiting| waiting.delivery.standing.state == State::Pending).unwrap();
    let said = waiting.last_attempt.as_ref().unwrap().error.clone().unwrap();
    assert!(said.contains("cannot be read"), "{said}");
    store.spoil(None);
    engine.pass(600 * SECOND).await;
    assert_eq!(engine.count(crm, State::Delivered).await, 7);
    assert_eq!(told(&engine, crm).len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_an_event_that_makes_folding_panic_waits_alone() {
    let (engine, store) = engine().await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    store.trap("user:3");
    six(&engine).await;
    engine.pass(2 * SECOND).await;
    assert_eq!((engine.count(crm, State::Delivered).await, engine.count(crm, State::Pending).await), (5, 1));
    store.spoil(None);
    engine.pass(600 * SECOND).await;
    assert_eq!(engine.count(crm, State::Delivered).await, 6);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_any_more_of_somebody_is_said_and_stops_nothing() {
    let (engine, store) = engine().await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    six(&engine).await;
    engine.pass(SECOND).await;
    store.spoil(Some("user:3"));
    for number in [2, 3, 4] {
        engine.house.say("install.tracked", &json!({ "user_id": number.to_string(), "again": true })).await;
    }
    engine.pass(SECOND).await;
    assert_eq!((engine.count(crm, State::Delivered).await, engine.count(crm, State::Pending).await), (8, 1));
    let found = engine.house.identity.find(engine.house.appspace(), "user:3").await;
    assert!(matches!(found, Err(pipeline::identity::FindError::Store(StoreError::Unreadable(_)))));
}
