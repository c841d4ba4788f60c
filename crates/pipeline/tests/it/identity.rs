//! Identity: who the events are about, and what those who keep records of people are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::EventId;
use domain::delivery::State;
use domain::identity::{Profile, Stage};
use pipeline::dispatcher::DispatcherOptions;
use pipeline::identity::FindError;
use serde_json::{Value, json};
use storage::memory::MemoryStore;
use storage::sqlite::{SqliteOptions, SqliteStore, Vault};

use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::house::{House, START};
use crate::people::{id, people, told, with_people};

pub(crate) async fn engine(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Engine {
    Engine::over(Arc::new(MemoryStore::new()), with_people(), script).await
}

pub(crate) async fn willing() -> Engine {
    engine(|_| Answer::Status(200)).await
}

pub(crate) fn install(install: &str) -> Value {
    json!({ "install_id": install, "click_id": format!("click of {install}"), "campaign": "spring", "platform": "ios" })
}

/// What `person` says under this name, in each call.
pub(crate) fn said(engine: &Engine, to: domain::DestinationId, name: &str) -> Vec<(String, Value)> {
    told(engine, to).into_iter().map(|(event_type, person)| (event_type, person[name].clone())).collect()
}

fn calls(all: &[(&str, Value)]) -> Vec<(String, Value)> {
    all.iter().map(|(event_type, value)| ((*event_type).to_owned(), value.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_read_for_whom_it_is_about_before_it_is_sent() {
    let engine = willing().await;
    let crm = people(&engine, "crm", &["install.tracked"], false).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    let [(_, person)] = &told(&engine, crm)[..] else { panic!("one call") };
    assert_eq!((&person["stage"], &person["first_touch"]["campaign"]), (&json!("lead"), &json!("spring")));
    assert_eq!(person["subject"], json!(engine.house.who("click:click of i").await.unwrap().subject.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_was_cut_through_an_emoji_hides_nobody() {
    let engine = willing().await;
    let crm = people(&engine, "crm", &["install.tracked"], false).await;
    let body = r#"{"event":"install.tracked","timestamp":"2026-03-04T14:32:08.441Z",
        "data":{"install_id":"i","click_id":"c","campaign":"spring","ua":"abc \ud83d","score":1e400}}"#;
    engine.house.send(body).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.house.who("install:i").await.unwrap().stage(), Stage::Lead);
    assert_eq!(said(&engine, crm, "stage"), calls(&[("install.tracked", json!("lead"))]));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_says_what_is_known_when_it_is_sent_and_not_when_it_was_owed() {
    let script = |sent: &Sent| if sent.at < 30 * SECOND { Answer::Status(503) } else { Answer::Status(200) };
    let engine = engine(script).await;
    let crm = people(&engine, "crm", &["install.tracked"], false).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    engine.house.identify(&["user:1", "install:i"], json!({ "name": "Ada" })).await.unwrap();
    engine.pass(120 * SECOND).await;
    let all = said(&engine, crm, "name");
    assert_eq!(all, calls(&[("install.tracked", Value::Null), ("install.tracked", json!("Ada"))]));
}

#[tokio::test(start_paused = true)]
async fn who_keeps_people_gets_one_batch_at_a_time_whatever_it_says() {
    let engine = engine(|_| Answer::Slowly(200, SECOND)).await;
    let crm = people(&engine, "crm", &["install.tracked"], false).await;
    for number in 0..4 {
        engine.house.say("install.tracked", &install(&number.to_string())).await;
    }
    engine.pass(10 * SECOND).await;
    assert_eq!((engine.wires.most_at_once(), engine.count(crm, State::Delivered).await), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn what_becomes_known_late_reaches_those_who_want_it_and_did_not_get_the_event_itself() {
    let engine = willing().await;
    let late = people(&engine, "late", &["install.tracked"], true).await;
    let itself = people(&engine, "itself", &["install.tracked", "afterclick.identified"], true).await;
    let never = people(&engine, "never", &["install.tracked"], false).await;
    let elsewhere = people(&engine, "elsewhere", &["referral.completed"], true).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    engine.house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    let first = ("install.tracked", Value::Null);
    let updated = ("afterclick.subject.updated", json!("1"));
    let identified = ("afterclick.identified", json!("1"));
    assert_eq!(said(&engine, late, "user_id"), calls(&[first.clone(), updated]));
    assert_eq!(said(&engine, itself, "user_id"), calls(&[first.clone(), identified]));
    assert_eq!(said(&engine, never, "user_id"), calls(&[first]));
    assert_eq!(said(&engine, elsewhere, "user_id"), []);
    assert_eq!(engine.told().await, ["afterclick.identified", "afterclick.subject.updated"]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_says_of_which_people_a_destination_hears_late() {
    let engine = willing().await;
    let mut destination = engine.house.destination("german", &["install.tracked"]);
    destination.connector = String::from("people");
    destination.settings = serde_json::from_value(json!({ "reissues": true })).unwrap();
    destination.when = Some("data.country == 'DE'".to_owned());
    let german = engine.house.put(destination).await;
    for (install, country) in [("berlin", "DE"), ("paris", "FR")] {
        engine.house.say("install.tracked", &json!({ "install_id": install, "country": country })).await;
        engine.pass(SECOND).await;
        engine.house.identify(&[&format!("user:{install}"), &format!("install:{install}")], json!({})).await.unwrap();
        engine.pass(SECOND).await;
    }
    let late = ("afterclick.subject.updated", json!("berlin"));
    assert_eq!(said(&engine, german, "user_id"), calls(&[("install.tracked", Value::Null), late]));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_what_nobody_wants_to_hear() {
    let engine = willing().await;
    people(&engine, "crm", &["install.tracked"], false).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    engine.house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.told().await, ["afterclick.identified"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_crash_is_read_after_it() {
    let engine = willing().await;
    let event = engine.house.say("install.tracked", &install("i")).await;
    assert!(!engine.house.store.are_folded(&[event]).await.unwrap());
    assert_eq!(engine.house.who("install:i").await, None);
    // Another process, whom nobody wakes.
    let again = Engine::at(Arc::clone(&engine.house.store), with_people(), START, |_| Answer::Status(200)).await;
    let identity = Arc::clone(&again.house.identity);
    let folder = tokio::spawn(async move { identity.run().await });
    again.pass(SECOND).await;
    assert!(again.house.store.are_folded(&[event]).await.unwrap());
    assert_eq!(again.house.who("install:i").await.unwrap().stage(), Stage::Lead);
    folder.abort();
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_is_read_soon_by_itself() {
    let engine = willing().await;
    let identity = Arc::clone(&engine.house.identity);
    let folder = tokio::spawn(async move { identity.run().await });
    engine.pass(SECOND).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    assert!(engine.house.who("install:i").await.is_some());
    folder.abort();
}

#[tokio::test(start_paused = true)]
async fn a_device_with_a_record_is_the_same_person_and_keeps_the_first_touch_when_its_events_are_long_gone() {
    let engine = willing().await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    house.say("install.tracked", &install("i")).await;
    house.say("link.opened", &json!({ "install_id": "nobody has a record" })).await;
    house.identify(&["user:9"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    let stub = house.who("install:i").await.unwrap();
    engine.pass(40 * 24 * 3600 * SECOND).await;
    while !house.store.prune(house.clock.now() - 30 * 24 * 3600 * SECOND, 10).await.unwrap().done {}
    assert_eq!(house.events().await.len(), 0);
    assert_eq!(house.who("install:nobody has a record").await, None);
    let person = house.identify(&["user:1", "email:a@b.c", "install:i"], json!({})).await.unwrap().profile;
    assert_eq!((person.subject, &person.trace.installed_at), (stub.subject, &stub.trace.installed_at));
    engine.pass(SECOND).await;
    let (_, last) = told(&engine, crm).pop().unwrap();
    assert_eq!((&last["user_id"], &last["first_touch"]["campaign"]), (&json!("1"), &json!("spring")));
    assert_eq!(last["subject"], json!(stub.subject.to_string()));
}

#[tokio::test(start_paused = true)]
async fn of_two_records_that_turn_out_to_be_one_both_keys_are_told() {
    let engine = willing().await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    for device in ["phone", "tablet"] {
        engine.house.say("install.tracked", &json!({ "install_id": device })).await;
        engine.pass(SECOND).await;
    }
    let device = engine.house.who("install:phone").await.unwrap().subject;
    engine.house.identify(&["user:1", "install:tablet"], json!({})).await.unwrap();
    let person = engine.house.identify(&["user:1", "install:phone"], json!({})).await.unwrap().profile;
    assert_eq!(person.absorbed, BTreeSet::from([device]));
    engine.pass(SECOND).await;
    let (_, last) = told(&engine, crm).pop().unwrap();
    assert_eq!(last["subject"], json!(person.subject.to_string()));
    let old = engine.house.identity.subject(engine.house.appspace(), device).await.unwrap().unwrap();
    assert_eq!(old.subject, person.subject, "an old id leads to who it is now");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_could_not_be_written_late_is_told_of_like_any_other_dead_letter() {
    let script = |sent: &Sent| {
        let body = String::from_utf8_lossy(&sent.body).into_owned();
        Answer::Status(if body.contains("subject.updated") { 400 } else { 200 })
    };
    let engine = engine(script).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    engine.house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.count(crm, State::Dead).await, 1);
    assert!(engine.told().await.contains(&"afterclick.delivery.dead".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn people_are_found_by_whatever_names_them() {
    let engine = willing().await;
    let house = &engine.house;
    let one = house.identify(&["user:same", "email:a@b.c"], json!({})).await.unwrap().profile;
    let find = async |text: &str| house.identity.find(house.appspace(), text).await.map(|found| found.subject);
    for text in [one.subject.to_string().as_str(), "user:same", "email:A@b.c", "a@b.c", "same"] {
        assert_eq!(find(text).await.unwrap(), one.subject, "{text}");
    }
    house.identify(&["install:same"], json!({})).await.unwrap();
    let Err(FindError::Ambiguous(kinds)) = find("same").await else { panic!("two people have it") };
    assert_eq!(kinds, [id("user:same"), id("install:same")]);
    assert!(matches!(find("nobody").await, Err(FindError::NotFound)));
    let foreign = domain::AppspaceId::mint(START, 99);
    assert!(matches!(house.identity.find(foreign, "user:same").await, Err(FindError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_journey_is_told_from_the_click_to_the_conversion() {
    let engine = willing().await;
    let house = &engine.house;
    house.say("link.clicked", &json!({ "click_id": "c", "campaign": "spring" })).await;
    engine.pass(60 * SECOND).await;
    house.say("install.tracked", &json!({ "click_id": "c", "install_id": "i" })).await;
    engine.pass(18 * 60 * SECOND).await;
    house.say("link.conversion", &json!({ "user_id": "1", "install_id": "i", "revenue": 9.5 })).await;
    house.identify(&["user:1", "email:a@b.c"], json!({})).await.unwrap();
    let journey = house.identity.journey(house.appspace(), "a@b.c").await.unwrap();
    let steps = serde_json::to_value(&journey.steps).unwrap();
    let kinds: Vec<&str> = steps.as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["click", "store", "install", "conversion", "identified"]);
    assert_eq!(journey.record.install_to_conversion.unwrap().text, "18 minutes");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_what_came_before_it_and_not_for_what_comes_meanwhile() {
    let engine = willing().await;
    let house = &engine.house;
    for number in 0..600 {
        house.say("install.tracked", &json!({ "install_id": format!("i{number}") })).await;
    }
    house.identify(&["user:1", "install:i599"], json!({})).await.unwrap();
    assert_eq!(house.who("user:1").await.unwrap().stage(), Stage::Lead);
    assert_eq!(house.store.unfolded(None, 9).await.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_at_the_moment_it_was_said_stays_cut() {
    let engine = willing().await;
    let house = &engine.house;
    for traits in [json!({}), json!({ "plan": "a" }), json!({ "plan": "b" })] {
        house.identify(&["user:1", "install:i"], traits).await.unwrap();
    }
    let said = house.events().await;
    house.identity.unlink(house.appspace(), None, &id("install:i")).await.unwrap();
    // Whatever reads these events once more comes to the same.
    let deadline = tokio::time::Instant::now() + SECOND;
    house.identity.profiles(&said, deadline).await.unwrap();
    assert_eq!(house.who("user:1").await.unwrap().identifiers, BTreeSet::from([id("user:1")]));
    house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    assert_eq!(house.who("user:1").await.unwrap().identifiers.len(), 2);
}

#[tokio::test]
async fn on_disk_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _watch) = SqliteStore::open(SqliteOptions::new(folder.path(), Vault::new(vec![[7; 32]]))).unwrap();
    let house = House::over(Arc::new(store), with_people()).await;
    house.say("link.clicked", &json!({ "click_id": "c", "campaign": "spring" })).await;
    house.say("install.tracked", &json!({ "click_id": "c", "install_id": "i" })).await;
    let person = house.identify(&["user:1", "install:i"], json!({ "name": "Ada" })).await.unwrap().profile;
    assert_eq!((person.stage(), person.identifiers.len()), (Stage::Lead, 3));
    assert!(house.identify(&["user:2", "install:i"], json!({})).await.is_err());
    let journey = house.identity.journey(house.appspace(), "c").await.unwrap();
    assert_eq!(journey.steps.len(), 4);
    house.identity.unlink(house.appspace(), Some(person.subject), &id("install:i")).await.unwrap();
    assert_eq!(house.who("user:1").await.unwrap().stage(), Stage::Visitor);
    let receipt = house.identity.erase(house.appspace(), person.subject).await.unwrap();
    assert_eq!((receipt.erased.events, receipt.erased.identifiers), (2, 1));
    assert_eq!(house.who("user:1").await, None);
    house.store.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_template_may_speak_of_the_person() {
    let mut engine = willing().await;
    let mut destination = engine.house.destination("chat", &["install.tracked"]);
    destination.connector = String::from("slack");
    destination.settings = serde_json::from_value(json!({
        "url": "https://hooks.slack.com/services/T0/B0/x",
        "text": "{{ person.user_id }} has installed",
    }))
    .unwrap();
    let chat = engine.house.put(destination).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.house.identify(&["user:ada", "install:i"], json!({})).await.unwrap();
    engine.house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    let [sent] = &engine.wires.to(chat)[..] else { panic!("one call") };
    assert!(String::from_utf8_lossy(&sent.body).contains("ada has installed"), "{:?}", sent.body);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_nobody_is_about_nobody() {
    let engine = willing().await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    let event: EventId = engine.house.say("install.tracked", &json!({ "token": "summer", "campaign": "spring" })).await;
    engine.pass(SECOND).await;
    assert_eq!(told(&engine, crm), calls(&[("install.tracked", Value::Null)]));
    assert!(engine.house.store.are_folded(&[event]).await.unwrap());
    let profiles: Vec<Option<Profile>> = Vec::new();
    assert_eq!(engine.house.identity.profiles(&[], tokio::time::Instant::now()).await.unwrap(), profiles);
}
