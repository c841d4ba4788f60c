//! What became known of people by an event whose delivery ends without having arrived: the destination hears of it all the same.

use std::sync::Arc;

use domain::DestinationId;
use domain::delivery::State;
use domain::verdict::FailureReason;
use serde_json::{Value, json};
use storage::memory::MemoryStore;
use storage::{DeadLetterQuery, Memo, Memos as _};

use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::people::{id, people, told, with_people};
use crate::sulky::Sulky;

const UPDATED: &str = "afterclick.subject.updated";

/// An engine whose world refuses what speaks of an event of one of these types, and of these people.
async fn refusing(event_types: &'static [&'static str]) -> Engine {
    let script = move |sent: &Sent| {
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        Answer::Status(if event_types.contains(&body["type"].as_str().unwrap()) { 400 } else { 200 })
    };
    Engine::over(Arc::new(MemoryStore::new()), with_people(), script).await
}

/// The type of what was sent, and as whom the person was known by it.
fn heard(engine: &Engine, to: DestinationId) -> Vec<(String, Value)> {
    told(engine, to).into_iter().map(|(event_type, person)| (event_type, person["user_id"].clone())).collect()
}

fn all(of: &[(&str, &str)]) -> Vec<(String, Value)> {
    of.iter().map(|(event_type, user)| ((*event_type).to_owned(), json!(user))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_rode_on_a_delivery_that_dies_is_told_once_by_itself() {
    let engine = refusing(&["install.tracked"]).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    let plain = people(&engine, "plain", &["install.tracked"], false).await;
    let named = people(&engine, "named", &["install.tracked", UPDATED], true).await;
    let event = engine.house.say("install.tracked", &json!({ "user_id": "1", "install_id": "i" })).await;
    engine.pass(SECOND).await;
    assert_eq!(heard(&engine, crm), all(&[("install.tracked", "1"), (UPDATED, "1")]));
    assert_eq!(heard(&engine, plain), all(&[("install.tracked", "1")]));
    // Who asks for what becomes known is told when it does, and not a second time.
    let mut all_named = heard(&engine, named);
    all_named.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all_named, all(&[(UPDATED, "1"), ("install.tracked", "1")]));
    let news = engine.house.events().await;
    let news = news.iter().find(|news| news.event_type.as_str() == UPDATED && news.id != event).unwrap();
    assert!(String::from_utf8_lossy(&news.body).contains("sub_"));

    // It dies once more after somebody has tried it again, which is no news.
    let query = DeadLetterQuery {
        appspace: engine.house.appspace(),
        destination: Some(crm),
        reason: None,
        from: None,
        to: None,
    };
    assert_eq!(engine.house.store.redrive(query, engine.house.clock.now(), 9).await.unwrap(), 1);
    engine.pass(300 * SECOND).await;
    assert_eq!(heard(&engine, crm)[2..], all(&[("install.tracked", "1")]));
}

#[tokio::test(start_paused = true)]
async fn what_rode_on_a_delivery_about_a_visitor_is_told_where_there_is_a_record() {
    let engine = refusing(&["link.clicked"]).await;
    let crm = people(&engine, "crm", &["install.tracked", "link.clicked"], true).await;
    let house = &engine.house;
    house.say("install.tracked", &json!({ "install_id": "i" })).await;
    house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    house.identity.unlink(house.appspace(), None, &id("install:i")).await.unwrap();
    engine.pass(SECOND).await;
    let before = heard(&engine, crm).len();
    for user in ["1", "2"] {
        house.say("link.clicked", &json!({ "user_id": user, "campaign": "spring" })).await;
        engine.pass(SECOND).await;
    }
    let expected = all(&[("link.clicked", "1"), (UPDATED, "1"), ("link.clicked", "2")]);
    assert_eq!(heard(&engine, crm)[before..], expected);
}

#[tokio::test(start_paused = true)]
async fn who_is_concerned_with_a_person_of_many_events_is_found_out_by_a_few() {
    let store = Arc::new(Sulky::new(MemoryStore::new()));
    let engine = Engine::over(Arc::clone(&store) as _, with_people(), |_| Answer::Status(200)).await;
    let mut destination = engine.house.destination("german", &["install.tracked"]);
    destination.connector = String::from("people");
    destination.settings = serde_json::from_value(json!({ "reissues": true })).unwrap();
    destination.when = Some("data.country == 'DE'".to_owned());
    let german = engine.house.put(destination).await;
    for (user, country) in [("1", "DE"), ("2", "FR")] {
        engine.house.say("install.tracked", &json!({ "user_id": user, "country": country })).await;
        for number in 0..600 {
            engine.house.say("link.clicked", &json!({ "user_id": user, "number": number })).await;
        }
    }
    // Nobody has a record, and everything has been folded.
    engine.house.identify(&["user:3"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    for memo in store.recall_all(german, "", None, 99, engine.house.clock.now()).await.unwrap() {
        let forget = vec![Memo::Forget { key: memo.0 }];
        store.remember(german, forget, engine.house.clock.now()).await.unwrap();
    }
    store.take_events_read();
    for (user, most, hears) in [("user:1", 32, true), ("user:2", 256, false)] {
        let before = heard(&engine, german).len();
        engine.house.identify(&[user], json!({ "name": "Ada" })).await.unwrap();
        assert!((1..=most).contains(&store.take_events_read()), "{user}");
        engine.pass(SECOND).await;
        assert_eq!(heard(&engine, german).len() > before, hears, "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn news_that_die_make_no_others() {
    let engine = refusing(&["install.tracked", UPDATED]).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    engine.house.say("install.tracked", &json!({ "user_id": "1", "install_id": "i" })).await;
    engine.pass(3_600 * SECOND).await;
    assert_eq!(heard(&engine, crm), all(&[("install.tracked", "1"), (UPDATED, "1")]));
    let dead: Vec<_> = engine.house.deliveries(crm).await;
    assert!(dead.iter().all(|dead| dead.delivery.standing.reason == Some(FailureReason::Refused)));
    assert_eq!(dead.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_rode_on_a_delivery_that_somebody_calls_off_is_told_by_itself() {
    let script = |sent: &Sent| if sent.at < 30 * SECOND { Answer::Status(503) } else { Answer::Status(200) };
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::over(store, with_people(), script).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    engine.house.say("install.tracked", &json!({ "user_id": "1", "install_id": "i" })).await;
    engine.pass(SECOND).await;
    let (pending, _) = engine.only(crm).await;
    let (id, appspace) = (pending.delivery.id, engine.house.appspace());
    let cancelled = engine.house.identity.call_off(appspace, id).await.unwrap();
    assert_eq!(cancelled.standing.state, State::Cancelled);
    assert!(engine.house.identity.call_off(appspace, id).await.is_err());
    engine.pass(300 * SECOND).await;
    assert_eq!(heard(&engine, crm).last(), all(&[(UPDATED, "1")]).last());
    assert_eq!(engine.house.deliveries(crm).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_takes_along_what_would_have_been_told() {
    let script = |sent: &Sent| {
        let body = String::from_utf8_lossy(&sent.body).into_owned();
        Answer::Status(if body.contains(UPDATED) { 503 } else { 400 })
    };
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::over(store, with_people(), script).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    engine.house.say("install.tracked", &json!({ "user_id": "1", "install_id": "i" })).await;
    engine.pass(SECOND).await;
    assert_eq!(engine.count(crm, State::Pending).await, 1);
    let subject = engine.house.who("user:1").await.unwrap().subject;
    engine.house.identity.erase(engine.house.appspace(), subject).await.unwrap();
    assert_eq!(engine.count(crm, State::Cancelled).await, 2);
}
