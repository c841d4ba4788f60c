//! Privacy: what a destination may not see never leaves, in whatever form and on whichever try.

use std::sync::Arc;

use domain::delivery::State;
use domain::{Destination, Privacy, Volume};
use serde_json::{Value, json};
use storage::memory::MemoryStore;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::people::{people, told, with_people};

fn privacy(wish: Value) -> Privacy {
    serde_json::from_value(wish).unwrap()
}

/// A receiver that repeats whatever it gets, and refuses the first try.
fn parrot(sent: &Sent) -> Answer {
    let heard = serde_json::from_slice(&sent.body).unwrap_or_default();
    if sent.before == 0 { Answer::Refuses(503, heard) } else { Answer::Says(heard) }
}

fn somebody() -> Value {
    json!({
        "user_id": "42", "email": "ada@example.org", "ip": "192.0.2.77", "user_agent": "hidden-agent", "campaign": "a",
        "more": [{ "user_email": "ada@example.org" }],
    })
}

#[tokio::test(start_paused = true)]
async fn a_webhook_gets_less_and_the_same_on_every_try_and_no_reply_gives_it_back() {
    let engine = Engine::new(parrot).await;
    let wish = json!({ "drop": ["user_agent"], "hash": ["email"], "truncate": { "ip": 24 } });
    let lane = engine.destination("private", |destination| destination.privacy = privacy(wish)).await;
    let open = engine.destination("open", |_| {}).await;
    engine.house.say("link.clicked", &somebody()).await;
    engine.pass(100 * SECOND).await;

    let sent = engine.wires.to(lane);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body, "a retry is the same");
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!((&body["event"], &body["data"]["campaign"]), (&json!("link.clicked"), &json!("a")));
    assert_eq!(body["data"]["ip"], "192.0.2.0");
    assert_eq!(body["data"]["email"], body["data"]["more"][0]["user_email"]);

    let (summary, attempts) = engine.only(lane).await;
    assert_eq!(summary.delivery.standing.state, State::Delivered);
    let seen = format!("{body} {attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt.reply.is_some()));
    assert!(!seen.contains("ada@") && !seen.contains("hidden-agent") && !seen.contains("192.0.2.77"), "{seen}");
    assert!(String::from_utf8_lossy(&engine.wires.to(open)[0].body).contains("hidden-agent"), "others get everything");
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_person_lacks_what_its_destination_may_not_see_also_when_it_becomes_known_late() {
    let engine = Engine::over(Arc::new(MemoryStore::new()), with_people(), parrot).await;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    let mut private: Destination = engine.house.registry.destination(crm).unwrap().destination.clone();
    private.privacy = privacy(json!({ "drop": ["phone", "name"], "hash": ["email"] }));
    engine.house.put(private).await;
    engine.house.say("install.tracked", &json!({ "install_id": "i", "campaign": "a", "phone": "hidden-phone" })).await;
    engine.pass(100 * SECOND).await;
    let traits = json!({ "name": "Hidden Name", "plan": "pro" });
    engine.house.identify(&["user:42", "email:ada@example.org", "install:i"], traits).await.unwrap();
    engine.pass(100 * SECOND).await;

    let told = told(&engine, crm);
    let (event_type, person) = told.last().unwrap();
    assert_eq!(event_type, "afterclick.subject.updated");
    assert_eq!((&person["user_id"], &person["traits"]["plan"]), (&json!("42"), &json!("pro")));
    assert_eq!(person["email"].as_str().map(str::len), Some(64));
    let mut kept = Vec::new();
    for summary in engine.house.deliveries(crm).await {
        let (_, attempts) = engine.house.store.delivery(engine.house.appspace(), summary.delivery.id).await.unwrap();
        kept.extend(attempts);
    }
    assert!(kept.iter().any(|attempt| attempt.reply.is_some()), "{kept:?}");
    let seen = format!("{told:?} {kept:?}");
    for hidden in ["hidden-phone", "Hidden Name", "ada@"] {
        assert!(!seen.contains(hidden), "{hidden} in {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_first_on_a_day_goes_by_what_the_destination_may_not_see() {
    let (engine, lane) = bulk(
        |_| Answer::Status(200),
        |destination| {
            destination.connector = "single".to_owned();
            destination.volume = Volume { first_per_subject_per_day: true, ..Volume::default() };
            destination.privacy = privacy(json!({ "drop": ["user_id"] }));
        },
    )
    .await;
    for user in ["ada", "ada", "bob"] {
        engine.house.say("link.clicked", &json!({ "user_id": user, "token": user })).await;
        engine.pass(10 * SECOND).await;
    }
    assert_eq!((engine.count(lane, State::Delivered).await, engine.count(lane, State::Skipped).await), (2, 1));
}
