use domain::Event;
use vendors::Book;

use super::*;
use crate::kit::{self, event, fixture, open, refusal};
use crate::tracking::trial::{deliver, deliver_with};

fn outlet() -> Box<dyn Outlet> {
    open(&Mixpanel, &fixture("mixpanel").default)
}

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.opened", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..event("link.opened") }
}

#[test]
fn every_kind_of_event_is_taken_and_told_by_its_insert_id() {
    let (mut vendor, mut book) = (vendors::mixpanel::Mixpanel::new(), Book::default());
    let events: Vec<_> = domain::catalogue::ALL
        .iter()
        .zip(1..)
        .map(|(kind, n)| Event { id: domain::EventId::mint(kit::NOW, n), ..event(kind.event_type) })
        .collect();
    for _ in 0..2 {
        assert_eq!(deliver(&*outlet(), &events, &mut vendor, &mut book), vec![Verdict::Delivered; events.len()]);
    }
    assert_eq!((book.stored.len(), book.duplicates.len(), book.refused.len()), (events.len(), events.len(), 0));
}

#[test]
fn of_a_request_that_fails_in_part_only_that_part_is_rejected() {
    let (mut vendor, mut book) = (vendors::mixpanel::Mixpanel::new(), Book::default());
    let events: Vec<_> = (1..=3).map(|n| about(n, &json!({"user_id": format!("u{n}")}))).collect();
    let touch = |request: vendors::Request| vendors::Request { partial_failure: true, ..request };
    let verdicts = deliver_with(&*outlet(), &events, &mut vendor, &mut book, touch);
    let refused = Verdict::reject(FailureReason::Refused, "the plan wants this one to fail");
    assert_eq!(verdicts, [Verdict::Delivered, Verdict::Delivered, refused]);
    assert_eq!(book.stored.len(), 2);
}

#[test]
fn no_field_of_an_event_decides_who_it_was() {
    let data = json!({"user_id": "u1", "distinct_id": "admin", "$user_id": "admin", "time": 1, "$insert_id": "x", "$device_id": "d"});
    let call = kit::request(&Mixpanel, &about(1, &data), &fixture("mixpanel").default);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let properties = &body[0]["properties"];
    assert_eq!((&properties["distinct_id"], &properties["$user_id"]), (&json!("u1"), &json!("u1")));
    assert_eq!(properties["time"], kit::NOW.as_millis());
    assert!(properties["$device_id"].is_null() && properties["$insert_id"] != "x");
}

#[test]
fn an_event_with_too_many_properties_is_rejected_before_it_is_sent() {
    let data: serde_json::Map<_, _> = (0..300).map(|n| (format!("p{n}"), n.into())).collect();
    let (mut vendor, mut book) = (vendors::mixpanel::Mixpanel::new(), Book::default());
    let events = [about(1, &data.into()), about(2, &json!({}))];
    let verdicts = deliver(&*outlet(), &events, &mut vendor, &mut book);
    assert!(matches!(&verdicts[0], Verdict::Reject { reason: FailureReason::TooLarge, .. }), "{verdicts:?}");
    assert_eq!((&verdicts[1], book.stored.len()), (&Verdict::Delivered, 1));
}

#[test]
fn a_login_is_whole_or_refused() {
    let settings = |value: Value| Settings(value.as_object().unwrap().clone());
    for (value, expect) in [
        (json!({}), "`project_id` is missing; give `project_id`, `user` and `secret` of a service account, or `token`"),
        (json!({"project_id": "acme", "user": "robot", "secret": "s"}), "`project_id` is not a number"),
        (json!({"project_id": "42", "user": "robot"}), "`secret` is missing"),
        (json!({"project_id": "42", "user": "robot", "secret": ""}), "`secret` is empty"),
        (json!({"token": "t", "user": "robot"}), "`user` stands beside `token`"),
    ] {
        let refusal = refusal(&Mixpanel, &settings(value));
        assert!(refusal.contains(expect), "{refusal}");
    }
}

#[test]
fn what_a_destination_adds_to_many_events_is_not_made_before_it_is_seen_that_it_does_not_fit() {
    let mut settings = fixture("mixpanel").default;
    settings.0.insert("properties".to_owned(), json!({"page": "x".repeat(500_000)}));
    let events: Vec<_> = (1..=100).map(|n| about(n, &json!({"user_id": "u"}))).collect();
    let step =
        kit::with_batch(&events, false, |batch| open(&Mixpanel, &settings).prepare(batch, &mut Progress::default()));
    assert!(matches!(step, Step::Split { .. }), "{}", kit::described(&step).join("; "));
}
