use super::*;
use crate::faults::Faults;
use crate::probe;

fn event(id: &str, email: &str) -> Value {
    json!({ "id": id, "email": email, "eventName": "Install Tracked", "createdAt": 1_772_634_728, "dataFields": {} })
}

fn track(path: &str, body: &Value) -> Request {
    Request::post(path, body).with("api-key", "api-key")
}

#[test]
fn an_event_with_an_id_is_there_once_however_often_it_comes() {
    let simulator = Iterable::new().start(Faults::none());
    for _ in 0..2 {
        let request = track("/api/events/track", &event("a", "ada@x.org"));
        let reply = probe::send(simulator.address(), &request).unwrap();
        assert_eq!((reply.status, reply.body.contains(r#""code":"Success""#)), (200, true));
    }
    simulator.book(|book| assert_eq!((book.times_stored("a"), book.duplicates.len()), (1, 1)));
}

#[test]
fn a_bulk_call_is_200_and_counts_what_failed() {
    let mut book = Book::default();
    let mut late = event("c", "cy@x.org");
    late["createdAt"] = json!(1_772_634_728_441_u64);
    let body = json!({ "events": [event("a", "ada@x.org"), event("b", "nobody"), late] });
    let answer = Iterable::new().answer(&track("/api/events/trackBulk", &body), &mut book);
    let said = answer.said_json();
    assert_eq!((answer.status, said["successCount"].clone(), said["failCount"].clone()), (200, json!(1), json!(2)));
    assert_eq!(said["invalidEmails"], json!(["nobody", "cy@x.org"]));
    assert_eq!((book.stored_keys(), book.refused.len()), (vec!["a"], 2));
}

#[test]
fn a_single_call_says_what_is_wrong() {
    let answer = |request: &Request| Iterable::new().answer(request, &mut Book::default()).said_json()["code"].clone();
    assert_eq!(answer(&track("/api/events/track", &event("a", "nobody"))), "BadParams");
    assert_eq!(answer(&Request::post("/api/events/track", &event("a", "ada@x.org"))), "BadApiKey");
    assert_eq!(answer(&track("/api/events/trackBulk", &json!({ "events": [] }))), "BadParams");
}
