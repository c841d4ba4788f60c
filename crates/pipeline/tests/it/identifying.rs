//! Calls: who says who somebody is, who takes it back, and what is refused.

use std::collections::BTreeSet;

use domain::SourceId;
use domain::identity::{IdentifierKind, Stage};
use pipeline::identity::IdentifyError;
use serde_json::{Value, json};

use crate::engine::SECOND;
use crate::house::House;
use crate::identity::{install, said, willing};
use crate::people::{id, people, told};

#[tokio::test(start_paused = true)]
async fn to_identify_twice_is_to_identify_once() {
    let engine = willing().await;
    let name = json!({ "name": "Ada", "plan": "pro" });
    let first = engine.house.identify(&["user:1", "email:a@b.c"], name.clone()).await.unwrap();
    let again = engine.house.identify(&["user:1", "email:A@B.C "], name).await.unwrap();
    assert!(first.event.is_some() && again.event.is_none());
    assert_eq!(first.profile.subject, again.profile.subject);
    assert_eq!(engine.house.events().await.len(), 1);
    let more = engine.house.identify(&["user:1"], json!({ "plan": "free" })).await.unwrap();
    assert!(more.event.is_some());
    assert_eq!(more.profile.trait_text("plan"), Some("free"));
}

#[tokio::test(start_paused = true)]
async fn identity_may_come_before_the_events_it_explains() {
    let engine = willing().await;
    let first = engine.house.identify(&["user:1", "click:click of i"], json!({})).await.unwrap();
    let event = engine.house.say("install.tracked", &install("i")).await;
    let event = engine.house.store.event(engine.house.appspace(), event).await.unwrap().event;
    let deadline = tokio::time::Instant::now() + SECOND;
    let profile = engine.house.identity.profiles(&[event], deadline).await.unwrap().remove(0).unwrap();
    assert_eq!((profile.subject, profile.user_id(), profile.stage()), (first.profile.subject, Some("1"), Stage::Lead));
}

#[tokio::test(start_paused = true)]
async fn two_known_people_are_never_made_one_and_nothing_of_it_is_stored() {
    let engine = willing().await;
    engine.house.identify(&["user:1", "email:a@b.c", "install:i"], json!({})).await.unwrap();
    engine.house.identify(&["user:2"], json!({})).await.unwrap();
    let events = engine.house.events().await.len();
    for (said, expect) in
        [(["user:2", "email:a@b.c"], IdentifierKind::Email), (["user:2", "install:i"], IdentifierKind::Install)]
    {
        let refused = engine.house.identify(&said, json!({})).await.unwrap_err();
        let text = refused.to_string();
        let IdentifyError::Conflict(apart) = refused else { panic!("{text}") };
        assert_eq!(apart[0], (expect, vec![IdentifierKind::User, IdentifierKind::Email, IdentifierKind::Install]));
        assert!(!text.contains("a@b.c") && text.contains("unlink"), "{text}");
    }
    assert_eq!(engine.house.events().await.len(), events);
    assert_eq!(engine.house.who("user:2").await.unwrap().identifiers, BTreeSet::from([id("user:2")]));
}

#[tokio::test(start_paused = true)]
async fn what_was_joined_wrongly_is_cut_and_can_be_said_anew() {
    let engine = willing().await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    let wrong = house.identify(&["user:1", "install:i"], json!({})).await.unwrap().profile.subject;
    assert!(house.identify(&["user:2", "install:i"], json!({})).await.is_err());
    let cut = house.identity.unlink(house.appspace(), None, &id("install:i")).await.unwrap();
    assert!(cut.was_linked && cut.now != wrong);
    // The device had been here first, but a known person keeps the id.
    assert_eq!((cut.subject, house.who("user:1").await.unwrap().subject), (wrong, wrong));
    let right = house.identify(&["user:2", "install:i"], json!({})).await.unwrap();
    assert_eq!(right.profile.stage(), Stage::Lead);
    assert_eq!(house.who("user:1").await.unwrap().stage(), Stage::Visitor);
    assert!(!house.identity.unlink(house.appspace(), None, &id("user:1")).await.unwrap().was_linked);
    engine.pass(SECOND).await;
    let last = said(&engine, crm, "user_id").pop().unwrap();
    assert_eq!(last, ("afterclick.subject.updated".to_owned(), json!("2")));
    assert!(engine.told().await.contains(&"afterclick.subject.unlinked".to_owned()));
    let text: Vec<_> =
        house.events().await.iter().filter(|event| event.source == SourceId::AFTERCLICK).cloned().collect();
    assert!(text.iter().all(|event| !String::from_utf8_lossy(&event.body).contains("install:i")));
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_away_reaches_whoever_has_a_record_and_so_does_what_is_said_of_a_visitor_from_then_on() {
    let engine = willing().await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    let elsewhere = people(&engine, "elsewhere", &["referral.completed"], true).await;
    house.say("install.tracked", &install("i")).await;
    house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    engine.pass(SECOND).await;
    house.identity.unlink(house.appspace(), None, &id("install:i")).await.unwrap();
    engine.pass(SECOND).await;
    let told_of = |what: &str| {
        let mut of_user = told(&engine, crm).into_iter().filter(|(_, person)| person["user_id"] == "1");
        let (_, last) = of_user.next_back().unwrap();
        last[what].clone()
    };
    assert_eq!(told_of("installed_at"), Value::Null);
    house.identify(&["user:1"], json!({ "phone": "1" })).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!((told_of("stage"), told_of("phone")), (json!("visitor"), json!("1")));
    // Where there is no record, a visitor is nobody.
    house.identify(&["user:2", "email:a@b.c"], json!({})).await.unwrap();
    house.say("link.clicked", &json!({ "user_id": "2", "click_id": "c" })).await;
    engine.pass(SECOND).await;
    assert!(told(&engine, crm).iter().all(|(_, person)| person["user_id"] != "2"));
    assert_eq!(told(&engine, elsewhere), []);
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_referral_says_where_everybody_came_from_and_is_no_conflict() {
    let engine = willing().await;
    let (said, sent) = (House::new().await, &engine.house);
    for person in 1..21 {
        let (user, email) = (format!("user:{person}"), format!("email:p{person}@b.c"));
        let names = [&*user, &*email, "referral:ADA-5"];
        let answer = said.identify(&names, json!({ "name": "Ada" })).await.unwrap();
        assert_eq!((answer.profile.user_id(), answer.profile.name()), (Some(&user[5..]), Some("Ada")));
        assert!(answer.profile.is_referred());
        assert_eq!(said.identify(&names, json!({ "name": "Ada" })).await.unwrap().event, None, "it is known");
        let data = json!({ "user_id": person, "email": email[6..], "referral_code": "ADA-5", "name": "Ada" });
        sent.say("referral.completed", &data).await;
    }
    sent.identify(&["user:99"], json!({})).await.unwrap();
    for person in 1..21 {
        let user = format!("user:{person}");
        let (said, sent) = (said.who(&user).await.unwrap(), sent.who(&user).await.unwrap());
        assert_eq!(said.identifiers, sent.identifiers, "{user}");
        assert_eq!((said.referral_source(), sent.referral_source()), (Some("ADA-5"), Some("ADA-5")));
    }
    // What names a person or a device is somebody's.
    let taken = ["user:1", "email:p2@b.c", "referral:ADA-5"];
    assert!(matches!(said.identify(&taken, json!({})).await, Err(IdentifyError::Conflict(apart)) if apart.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn no_trait_is_lost_without_a_word() {
    let engine = willing().await;
    let house = &engine.house;
    let many = |count: usize| Value::Object((0..count).map(|n| (format!("a{n:02}"), json!(n))).collect());
    house.identify(&["user:1"], many(64)).await.unwrap();
    let named = house.identify(&["user:1"], json!({ "name": "Ada", "phone": "1", "last_name": "L" })).await.unwrap();
    assert_eq!((named.profile.name(), named.profile.phone()), (Some("Ada"), Some("1")));
    for crowd in [json!({ "plan": "pro" }), json!({ "a": 1 }), many(65)] {
        let refused = house.identify(&["user:1"], crowd).await;
        assert!(matches!(refused, Err(IdentifyError::TooManyTraits)), "{refused:?}");
    }
    let blank = house.identify(&["user:1"], json!({ "name": "", "a00": " ", "plan": "" })).await.unwrap();
    assert_eq!((blank.event, blank.profile.name()), (None, Some("Ada")), "a blank says nothing");
    assert_eq!(house.identify(&["user:1"], json!({ "a00": "x" })).await.unwrap().profile.trace.traits.len(), 67);
}
