//! Erasing: whoever is to be forgotten goes to the end, in pieces, and whatever comes in between is served.

use std::path::Path;
use std::sync::Arc;

use domain::delivery::State;
use domain::identity::StepKind;
use domain::{DestinationId, SubjectId};
use pipeline::identity::{ERASE_MAX, EraseError, Receipt};
use serde_json::json;
use storage::memory::MemoryStore;
use storage::sqlite::{SqliteOptions, SqliteStore, Vault};
use storage::{ERASED_PER_CALL_MAX, Erasure, Store};
use tokio::time::{Instant, sleep};

use crate::engine::{Answer, SECOND};
use crate::house::House;
use crate::identity::{engine, install, willing};
use crate::people::{id, people, told, with_people};
use crate::sulky::Sulky;

const CANARY: &str = "canary-5e80aa1c";

async fn house() -> House {
    House::over(Arc::new(MemoryStore::new()), with_people()).await
}

/// Lets somebody click so often. It is all of one device, whoever that is of.
async fn clicks(house: &House, count: usize) -> SubjectId {
    for number in 0..count {
        house.say("link.clicked", &json!({ "install_id": "i", "campaign": format!("{CANARY} {number}") })).await;
    }
    house.identify(&["install:i"], json!({ "name": CANARY })).await.unwrap().profile.subject
}

async fn erase(house: &House, who: SubjectId) -> Result<Receipt, EraseError> {
    house.identity.erase(house.appspace(), who).await
}

async fn remembered(house: &House, of: DestinationId) -> Vec<String> {
    let all = house.store.recall_all(of, "", None, 100, house.clock.now()).await.unwrap();
    all.into_iter().map(|(key, _)| key.split(':').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn others_are_served_between_the_pieces_and_what_is_said_meanwhile_goes_too() {
    let house = house().await;
    let who = clicks(&house, 2 * ERASED_PER_CALL_MAX).await;
    let meanwhile = async {
        sleep(SECOND / 1_000).await;
        house.say("link.clicked", &json!({ "install_id": "i", "click_id": "late" })).await;
        house.identify(&["user:2"], json!({})).await.unwrap();
        Instant::now()
    };
    let erasing = async { (erase(&house, who).await.unwrap(), Instant::now()) };
    let ((receipt, ended), served) = tokio::join!(erasing, meanwhile);
    assert!(served < ended, "it was between two pieces");
    let erased = &receipt.erased;
    assert_eq!((erased.events, erased.identifiers, erased.more), (2 * ERASED_PER_CALL_MAX + 2, 2, false));
    for name in ["install:i", "click:late"] {
        assert_eq!(house.who(name).await, None, "{name}");
    }
    assert!(house.who("user:2").await.is_some());
    assert_eq!(house.store.unfolded(None, 9).await.unwrap(), []);
    for event in house.events().await {
        assert!(!String::from_utf8_lossy(&event.body).contains("late"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_longer_than_a_call_is_erased_by_the_next_one_with_a_whole_receipt() {
    let store = Arc::new(Sulky::new(MemoryStore::new()));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>, with_people()).await;
    let owed = house.put(house.destination("hooks", &["link.clicked"])).await;
    let who = clicks(&house, ERASED_PER_CALL_MAX + 10).await;
    store.erase_only(1);
    let began = Instant::now();
    let error = erase(&house, who).await.unwrap_err();
    assert!(matches!(error, EraseError::Unfinished(ERASED_PER_CALL_MAX)), "{error}");
    assert!(error.to_string().contains("call again"));
    assert!(began.elapsed() < ERASE_MAX + 10 * SECOND);
    assert_eq!(house.who("install:i").await.unwrap().subject, who, "nobody is half forgotten");
    store.erase_only(usize::MAX);
    let erased = erase(&house, who).await.unwrap().erased;
    assert_eq!((erased.events, erased.subjects), (ERASED_PER_CALL_MAX + 11, 1));
    assert_eq!(erased.cancelled[&owed], ERASED_PER_CALL_MAX + 10);
    assert!(matches!(erase(&house, who).await, Err(EraseError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_turns_out_to_be_a_customer_takes_no_customer_with_it() {
    let house = house().await;
    let device = clicks(&house, 2 * ERASED_PER_CALL_MAX).await;
    let meanwhile = async {
        sleep(SECOND / 1_000).await;
        house.identify(&["user:1"], json!({})).await.unwrap();
        house.identify(&["user:1", "install:i"], json!({})).await.unwrap().profile.subject
    };
    let (refused, customer) = tokio::join!(erase(&house, device), meanwhile);
    assert!(matches!(&refused, Err(EraseError::IsAnother(now)) if *now == customer && customer != device));
    assert!(house.who("user:1").await.unwrap().identifiers.contains(&id("install:i")));
}

/// Whether any file of a directory holds what was said of the person.
fn is_in(dir: &Path) -> bool {
    let mut files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
}

#[tokio::test]
async fn an_erasure_that_a_crash_interrupts_is_made_again_and_no_file_holds_the_person() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || {
        let options = SqliteOptions::new(folder.path(), Vault::new(vec![[7; 32]]));
        House::over(Arc::new(SqliteStore::open(options).unwrap().0), with_people()).await
    };
    let house = open().await;
    let owed = house.put(house.destination("hooks", &["link.clicked"])).await;
    let who = clicks(&house, 40).await;
    let piece = Erasure {
        appspace: house.appspace(),
        subjects: vec![who],
        identifiers: vec![id("install:i")],
        limit: 15,
        memos: Vec::new(),
        tombstone: "{}".into(),
        now: house.clock.now(),
    };
    // The process ends after this piece.
    assert_eq!(house.store.erase(piece).await.unwrap().events, 15);
    drop(house);
    let house = open().await;
    assert!(is_in(folder.path()));
    assert_eq!(house.identity.find(house.appspace(), "install:i").await.unwrap().subject, who);
    let erased = erase(&house, who).await.unwrap().erased;
    // Of what went before the crash nobody knows any more; of the rest all is counted.
    assert_eq!((erased.events, erased.identifiers, erased.cancelled[&owed]), (26, 1, 25));
    assert!(!is_in(folder.path()));
    assert_eq!(house.who("install:i").await, None);
    house.store.close().await.unwrap();
    assert!(!is_in(folder.path()));
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_day_is_forgotten_with_the_person() {
    let engine = willing().await;
    let first = engine.destination("first", |it| it.volume.first_per_subject_per_day = true).await;
    for user in ["1", "2"] {
        engine.house.say("link.clicked", &json!({ "user_id": user })).await;
        engine.pass(SECOND).await;
    }
    assert_eq!(remembered(&engine.house, first).await, ["first", "first"]);
    engine.house.identify(&["user:1"], json!({ "plan": "pro" })).await.unwrap();
    let who = engine.house.who("user:1").await.unwrap().subject;
    let receipt = erase(&engine.house, who).await.unwrap();
    assert_eq!((receipt.erased.memos, receipt.remote), (1, Vec::new()));
    assert_eq!(remembered(&engine.house, first).await, ["first"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_connector_has_noted_of_what_it_may_see_is_forgotten_and_what_is_nobodys_is_not() {
    let engine = willing().await;
    let mut noting = engine.house.destination("noting", &["install.tracked"]);
    noting.connector = String::from("people");
    noting.settings = serde_json::from_value(json!({ "notes": true })).unwrap();
    noting.privacy = serde_json::from_value(json!({ "hash": ["email"] })).unwrap();
    let noting = engine.house.put(noting).await;
    engine.house.say("install.tracked", &json!({ "install_id": "i", "email": "ada@example.org" })).await;
    engine.pass(SECOND).await;
    // The subject, the address as the destination sees it, and the account.
    assert_eq!(remembered(&engine.house, noting).await, ["bind"; 3]);
    let who = engine.house.who("install:i").await.unwrap().subject;
    let receipt = erase(&engine.house, who).await.unwrap();
    assert_eq!((receipt.erased.memos, receipt.remote.len()), (2, 1));
    assert_eq!(receipt.remote[0].key, who.to_string());
    assert_eq!(remembered(&engine.house, noting).await, ["bind"]);
}

#[tokio::test(start_paused = true)]
async fn what_says_that_somebody_was_taken_apart_goes_with_whom_it_is_about() {
    let engine = willing().await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    house.identify(&["user:1", "install:i"], json!({})).await.unwrap();
    house.identity.unlink(house.appspace(), None, &id("install:i")).await.unwrap();
    assert!(engine.told().await.contains(&"afterclick.subject.unlinked".to_owned()));
    let (person, device) = (house.who("user:1").await.unwrap().subject, house.who("install:i").await.unwrap().subject);
    let says = async |of: SubjectId| {
        let events = house.events().await;
        events.iter().any(|event| String::from_utf8_lossy(&event.body).contains(&of.to_string()))
    };
    assert!(says(person).await && !says(device).await);
    let steps = house.identity.journey(house.appspace(), "user:1").await.unwrap().steps;
    assert_eq!(
        steps.iter().map(|step| step.kind).collect::<Vec<_>>(),
        [StepKind::Identified],
        "it is no step of the person's"
    );
    erase(house, person).await.unwrap();
    assert!(!says(person).await);
    assert!(house.who("install:i").await.is_some());
    assert_eq!((told(&engine, crm).len(), engine.count(crm, State::Pending).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_is_gone_and_does_not_come_back() {
    let engine = willing().await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    let person = house.identify(&["user:1", "install:i", "email:ada@example.org"], json!({})).await.unwrap().profile;
    engine.pass(SECOND).await;
    let events = house.events().await.len();
    // This one has been read by nobody yet.
    let late = house.say("link.clicked", &json!({ "user_id": "1", "click_id": "late" })).await;
    let receipt = house.identity.erase(house.appspace(), person.subject).await.unwrap();
    assert_eq!((receipt.erased.events, receipt.erased.identifiers), (4, 5));
    let [remote] = &receipt.remote[..] else { panic!("{:?}", receipt.remote) };
    assert_eq!((remote.destination.as_str(), remote.id.as_deref()), ("crm", Some("remote-7")));
    assert_eq!(house.events().await.len(), events + 1, "the log keeps that something happened");
    for event in house.events().await {
        let body = String::from_utf8_lossy(&event.body).into_owned();
        assert!(!body.contains("ada@example.org") && !body.contains("late"), "{body}");
    }
    assert!(house.store.are_folded(&[late]).await.unwrap());
    for name in ["user:1", "install:i", "click:late", "email:ada@example.org"] {
        assert_eq!(house.who(name).await, None, "{name}");
    }
    let sent = told(&engine, crm).len();
    engine.pass(300 * SECOND).await;
    assert_eq!(told(&engine, crm).len(), sent);
    // The vendor's id is forgotten too.
    let again = house.identity.erase(house.appspace(), person.subject).await;
    assert!(again.is_err());
    house.identify(&["user:1"], json!({})).await.unwrap();
    let back = house.identity.erase(house.appspace(), house.who("user:1").await.unwrap().subject).await.unwrap();
    assert_eq!((back.remote, back.erased.memos), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_outlives_an_erasure_brings_nobody_back() {
    let engine =
        engine(|sent| if sent.before == 0 { Answer::Slowly(503, 2 * SECOND) } else { Answer::Status(200) }).await;
    let house = &engine.house;
    let crm = people(&engine, "crm", &["install.tracked"], true).await;
    house.say("install.tracked", &install("i")).await;
    engine.pass(SECOND).await;
    let subject = house.who("install:i").await.unwrap().subject;
    house.identity.erase(house.appspace(), subject).await.unwrap();
    engine.pass(300 * SECOND).await;
    assert_eq!((told(&engine, crm).len(), engine.count(crm, State::Cancelled).await), (1, 1));
    assert_eq!(house.who("install:i").await, None);
}
