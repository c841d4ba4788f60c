use domain::Event;
use domain::verdict::FailureReason;
use serde_json::json;
use vendors::Book;

use super::*;
use crate::kit::{self, event, fixture, open};
use crate::tracking::trial::{deliver, deliver_with};

fn outlet() -> Box<dyn Outlet> {
    open(&Amplitude, &fixture("amplitude").default)
}

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.opened", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..event("link.opened") }
}

fn look_alike() -> vendors::amplitude::Amplitude {
    let mut vendor = vendors::amplitude::Amplitude::new();
    vendor.api_key = "a1b2c3d4e5f60718293a4b5c6d7e8f90".to_owned();
    vendor
}

#[test]
fn ids_that_are_none_never_reach_amplitude() {
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let ids = ["unknown", "NULL", "0", "", "42", "u"];
    let events: Vec<_> =
        ids.iter().zip(1..).map(|(id, n)| about(n, &json!({"user_id": id, "ip": "192.0.2.1"}))).collect();
    let verdicts = deliver(&*outlet(), &events, &mut vendor, &mut book);
    assert_eq!(verdicts, vec![Verdict::Delivered; 6]);
    assert_eq!((book.stored.len(), book.refused.len()), (6, 0));
    let users: Vec<_> = book.stored.iter().filter_map(|entry| entry.item["user_id"].as_str()).collect();
    assert_eq!(users, ["42", "u"]);
}

#[test]
fn one_bad_event_is_rejected_and_its_neighbours_arrive() {
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let long_ago = Event { occurred_at: Timestamp::from_secs(40_000_000), ..about(2, &json!({"user_id": "u2"})) };
    let events = [about(1, &json!({"user_id": "u1"})), long_ago, about(3, &json!({"user_id": "u3"}))];
    let verdicts = deliver(&*outlet(), &events, &mut vendor, &mut book);
    let refused = Verdict::reject(FailureReason::Refused, "field `time` is not valid");
    assert_eq!(verdicts, [Verdict::Delivered, refused, Verdict::Delivered]);
    assert_eq!(book.stored.len(), 2);
}

#[test]
fn who_sends_too_much_waits_and_the_others_do_not() {
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let events = [about(1, &json!({"user_id": "u1"})), about(2, &json!({"user_id": "u2"}))];
    // The look-alike strikes the last event of a request; a request of one is let through.
    let touch = |mut request: vendors::Request| {
        request.partial_failure = request.json().unwrap()["events"].as_array().unwrap().len() > 1;
        request
    };
    let verdicts = deliver_with(&*outlet(), &events, &mut vendor, &mut book, touch);
    assert_eq!(verdicts[0], Verdict::Delivered);
    assert!(matches!(&verdicts[1], Verdict::Retry { after: Some(after), .. } if after.as_secs() == 30));
}

#[test]
fn a_repetition_is_told_by_its_insert_id() {
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let events = [about(1, &json!({"install_id": "i1"}))];
    for _ in 0..2 {
        deliver(&*outlet(), &events, &mut vendor, &mut book);
    }
    assert_eq!((book.stored.len(), book.duplicates.len()), (1, 1));
}

#[test]
fn a_hash_never_stands_next_to_a_user_and_is_another_with_another_key() {
    let data = json!({"ip": "192.0.2.1", "platform": "ios"});
    let device = |settings: &Settings, data: &Value| {
        let call = kit::request(&Amplitude, &about(1, data), settings);
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        body["events"][0]["device_id"].as_str().map(str::to_owned)
    };
    let settings = fixture("amplitude").default;
    let mut other = settings.clone();
    other.0.insert("api_key".to_owned(), json!("ffffffffffffffffffffffffffffffff"));
    assert_eq!(device(&settings, &data).unwrap().len(), 32);
    assert_ne!(device(&settings, &data), device(&other, &data));
    other.0.insert("salt".to_owned(), json!("a1b2c3d4e5f60718293a4b5c6d7e8f90"));
    assert_eq!(device(&settings, &data), device(&other, &data));
    assert_eq!(device(&settings, &json!({"user_id": "u", "ip": "192.0.2.1"})), None);
}
