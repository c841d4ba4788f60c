use domain::Event;
use vendors::Book;

use super::*;
use crate::kit::{self, described, event, fixture, open, refusal};
use crate::tracking::trial::{deliver, deliver_with};

fn look_alike() -> vendors::braze::Braze {
    vendors::braze::Braze::new()
}

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.opened", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..event("link.opened") }
}

#[test]
fn users_are_told_as_braze_knows_them_and_nobody_else_is_made() {
    let outlet = open(&Braze, &fixture("braze").default);
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let events = [
        about(1, &json!({"user_id": 42})),
        about(2, &json!({"user_email": " Ada@Example.org "})),
        about(3, &json!({"install_id": "i1", "ip": "192.0.2.1"})),
    ];
    let verdicts = deliver(&*outlet, &events, &mut vendor, &mut book);
    assert_eq!(verdicts[..2], [Verdict::Delivered, Verdict::Delivered]);
    assert!(matches!(&verdicts[2], Verdict::Skip { .. }));
    let who: Vec<_> = book.stored.iter().map(|entry| (&entry.item["external_id"], &entry.item["email"])).collect();
    assert_eq!(who, [(&json!("42"), &Value::Null), (&Value::Null, &json!("ada@example.org"))]);
    assert!(book.stored.iter().all(|entry| entry.item["_update_existing_only"] == true));
}

#[test]
fn with_aliases_a_device_is_somebody_but_a_guess_is_not() {
    let settings = fixture("braze").cases.remove("aliases").unwrap();
    let call = kit::request(&Braze, &about(1, &json!({"install_id": "i1"})), &settings);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["events"][0]["user_alias"], json!({"alias_name": "i1", "alias_label": "deep_links"}));
    let step = kit::prepare(&Braze, &about(1, &json!({"ip": "192.0.2.1"})), &settings);
    assert!(described(&step)[0].starts_with("skip: the event names nobody"));
}

#[test]
fn an_event_that_a_201_names_is_rejected_and_the_others_have_arrived() {
    let outlet = open(&Braze, &fixture("braze").default);
    let (mut vendor, mut book) = (look_alike(), Book::default());
    // The second is skipped, so that places in the request and in the batch differ.
    let events = [about(1, &json!({"user_id": "u1"})), about(2, &json!({})), about(3, &json!({"user_id": "u3"}))];
    let touch = |request: vendors::Request| vendors::Request { partial_failure: true, ..request };
    let verdicts = deliver_with(&*outlet, &events, &mut vendor, &mut book, touch);
    assert_eq!(verdicts[0], Verdict::Delivered);
    assert!(matches!(&verdicts[1], Verdict::Skip { .. }));
    assert_eq!(verdicts[2], Verdict::reject(FailureReason::Refused, "the plan wants this one to fail"));
}

#[test]
fn properties_have_names_that_braze_takes() {
    let data = json!({"user_id": "u", "time": 1, "$x": 2, "event_name": "e", "$": 3});
    let call = kit::request(&Braze, &about(1, &data), &fixture("braze").default);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let properties = &body["events"][0]["properties"];
    assert_eq!(
        (&properties["time_"], &properties["x"], &properties["event_name_"]),
        (&json!(1), &json!(2), &json!("e"))
    );
    assert!(properties["time"].is_null() && properties[""].is_null());
}

#[test]
fn an_event_of_more_than_100_kb_is_rejected_alone() {
    let outlet = open(&Braze, &fixture("braze").default);
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let events = [about(1, &json!({"user_id": "u", "x": "x".repeat(110 << 10)})), about(2, &json!({"user_id": "u"}))];
    let verdicts = deliver(&*outlet, &events, &mut vendor, &mut book);
    assert!(matches!(&verdicts[0], Verdict::Reject { reason: FailureReason::TooLarge, .. }));
    assert_eq!((&verdicts[1], book.stored.len()), (&Verdict::Delivered, 1));
}

#[test]
fn an_instance_is_one_word() {
    for instance in ["", "iad 01", "rest.iad-01.braze.com", "IAD-01", "x/y"] {
        let settings = Settings(json!({"instance": instance, "api_key": "k"}).as_object().unwrap().clone());
        assert!(refusal(&Braze, &settings).contains("`instance` is none"), "{instance}");
    }
}
