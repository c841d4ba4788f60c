use super::*;
use crate::faults::Faults;
use crate::probe;

const NOW_MICROS: u64 = 1_772_634_728_441_000;

fn ga4() -> Ga4 {
    Ga4 { epoch: Duration::from_micros(NOW_MICROS), ..Ga4::new() }
}

fn event(name: &str, params: Value) -> Value {
    let mut params = params;
    params["session_id"] = json!("1");
    params["engagement_time_msec"] = json!(1);
    json!({ "name": name, "params": params })
}

fn to(path: &str, events: &[Value]) -> Request {
    let body = json!({ "client_id": "click-1", "timestamp_micros": NOW_MICROS, "events": events });
    Request::post(&format!("{path}?measurement_id=G-AFTERCLICK&api_secret=secret"), &body)
}

fn collect(events: &[Value]) -> Request {
    to("/mp/collect", events)
}

/// How many were stored, and why others were lost, behind the eternal 204.
fn check(request: &Request) -> (usize, Vec<String>) {
    let mut book = Book::default();
    assert_eq!(ga4().answer(request, &mut book).status, 204);
    (book.stored.len(), book.lost.into_iter().map(|entry| entry.reason).collect())
}

#[test]
fn an_event_over_http_is_stored_behind_an_empty_204() {
    let simulator = ga4().start(Faults::none());
    let reply = probe::send(simulator.address(), &collect(&[event("deep_link_clicked", json!({}))])).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    simulator.book(|book| {
        assert_eq!(book.stored_keys(), ["click-1/deep_link_clicked/1772634728441000"]);
        assert!(book.flagged.is_empty());
    });
}

#[test]
fn everything_else_is_lost_behind_the_same_204() {
    let fine = || event("a", json!({}));
    let lost = |request: &Request| check(request).1.into_iter().next().unwrap_or_default();
    assert_eq!(lost(&collect(&[event("link.clicked", json!({}))])), "the name `link.clicked` is malformed or reserved");
    assert_eq!(lost(&collect(&[event("first_open", json!({}))])), "the name `first_open` is malformed or reserved");
    assert_eq!(lost(&collect(&[event("a", json!({ "ga_x": 1 }))])), "the param `ga_x` is malformed or reserved");
    let long = event("a", json!({ "url": "x".repeat(101) }));
    assert_eq!(lost(&collect(&[long])), "the value of `url` is longer than 100 characters");
    assert_eq!(lost(&collect(&vec![fine(); 26])), "there are 1 to 25 events in a request");
    let mut wrong = collect(&[fine()]);
    wrong.target = wrong.target.replace("secret=secret", "secret=guess");
    assert_eq!(lost(&wrong), "the stream or its secret is unknown");
    let late = collect(&[fine()]).at(Duration::from_hours(73));
    assert_eq!(lost(&late), "the event is older than 72 hours");
    assert_eq!(check(&collect(&[fine(), event("b.c", json!({}))])).0, 1);
}

#[test]
fn only_a_purchase_is_told_from_its_repetition() {
    let purchase = event("purchase", json!({ "transaction_id": "evt_1" }));
    let mut book = Book::default();
    let all = [purchase.clone(), purchase, event("a", json!({})), event("a", json!({})), json!({ "name": "b" })];
    ga4().answer(&collect(&all), &mut book);
    assert_eq!((book.times_stored("evt_1"), book.stored.len(), book.duplicates.len()), (1, 4, 1));
    assert_eq!(book.flagged[0].reason, "without `session_id` and `engagement_time_msec` it shows in no report");
}

#[test]
fn the_debug_twin_says_what_it_thinks_and_stores_nothing() {
    let mut book = Book::default();
    let answer = ga4().answer(&to("/debug/mp/collect", &[event("link.clicked", json!({}))]), &mut book);
    assert_eq!((answer.status, list(&answer.said_json()["validationMessages"]).len(), book.stored.len()), (200, 1, 0));
}
