use domain::Event;
use vendors::Book;

use super::*;
use crate::kit::{self, event, fixture, open};
use crate::tracking::trial::{deliver, deliver_with};

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.opened", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..event("link.opened") }
}

fn outlet(case: Option<&str>) -> Box<dyn Outlet> {
    let mut fixture = fixture("iterable");
    open(&Iterable, &case.map_or(fixture.default, |case| fixture.cases.remove(case).unwrap()))
}

#[test]
fn a_user_is_told_by_id_or_by_address_and_nobody_is_skipped() {
    let (mut vendor, mut book) = (vendors::iterable::Iterable::new(), Book::default());
    let events = [
        about(1, &json!({"user_id": 42, "email": "a@example.org"})),
        about(2, &json!({"user_email": " Ada@Example.org "})),
        about(3, &json!({"install_id": "i1"})),
    ];
    let verdicts = deliver(&*outlet(None), &events, &mut vendor, &mut book);
    assert_eq!(verdicts[..2], [Verdict::Delivered, Verdict::Delivered]);
    assert_eq!(verdicts[2], Verdict::skip("the event names neither a user nor an address"));
    assert_eq!(book.stored[0].item["userId"], "42");
    assert_eq!(book.stored[1].item["email"], "ada@example.org");
    deliver(&*outlet(Some("by-address")), &events[..1], &mut vendor, &mut book);
    assert!(book.duplicates[0].item["email"] == "a@example.org" || book.stored.len() == 3, "{book:#?}");
}

#[test]
fn who_is_named_as_refused_is_rejected_and_the_others_have_arrived() {
    let (mut vendor, mut book) = (vendors::iterable::Iterable::new(), Book::default());
    let events: Vec<_> = (1..=3).map(|n| about(n, &json!({"user_id": format!("u{n}")}))).collect();
    let touch = |request: vendors::Request| vendors::Request { partial_failure: true, ..request };
    let verdicts = deliver_with(&*outlet(None), &events, &mut vendor, &mut book, touch);
    let refused = Verdict::reject(FailureReason::Refused, "the user of the event is no user id that Iterable takes");
    assert_eq!(verdicts, [Verdict::Delivered, Verdict::Delivered, refused]);
}

#[test]
fn a_repetition_replaces_what_is_there() {
    let (mut vendor, mut book) = (vendors::iterable::Iterable::new(), Book::default());
    let events = [about(1, &json!({"user_id": "u1"}))];
    for _ in 0..2 {
        deliver(&*outlet(None), &events, &mut vendor, &mut book);
    }
    assert_eq!((book.stored.len(), book.duplicates.len()), (1, 1));
}
