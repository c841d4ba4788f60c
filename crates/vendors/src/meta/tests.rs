use super::*;
use crate::faults::Faults;
use crate::probe;

const NOW_S: u64 = 1_772_634_728;

fn meta() -> Meta {
    Meta { epoch: Duration::from_secs(NOW_S), ..Meta::new() }
}

fn event(id: &str) -> Value {
    json!({
        "event_name": "Purchase", "event_id": id, "event_time": NOW_S, "action_source": "website",
        "user_data": { "fbc": "fb.1.1.click" }, "custom_data": { "value": 9.5, "currency": "EUR" },
    })
}

fn send(events: &[Value]) -> Request {
    Request::post("/v24.0/1001/events", &json!({ "data": events, "access_token": "EAAB" }))
}

fn check_one(request: &Request) -> (u16, Value, Book) {
    let mut book = Book::default();
    let answer = meta().answer(request, &mut book);
    (answer.status, answer.said_json()["error"].clone(), book)
}

#[test]
fn a_conversion_counts_once_over_http_for_48_hours() {
    let simulator = meta().start(Faults::none());
    for (hours, stored) in [(0, 1), (47, 1), (2, 2)] {
        simulator.advance(Duration::from_hours(hours));
        let reply = probe::send(simulator.address(), &send(&[event("evt_1")])).unwrap();
        assert_eq!((reply.status, reply.body.contains(r#""events_received":1"#)), (200, true));
        assert_eq!(simulator.book(|book| book.times_stored("evt_1")), stored);
    }
}

#[test]
fn one_bad_event_rejects_all() {
    let with = |name: &str, value: Value| {
        let mut event = event("bad");
        event[name] = value;
        event
    };
    let bad = [
        with("event_time", json!(NOW_S - AGE_MAX_S - 1)),
        with("event_time", json!(NOW_S * 1000)),
        with("action_source", json!("web")),
        with("action_source", json!("app")),
        with("user_data", json!({})),
        with("user_data", json!({ "em": "ada@example.org" })),
        with("custom_data", json!({ "value": "9.5" })),
        with("custom_data", json!({ "value": 9.5, "currency": "QQQ" })),
    ];
    for bad in bad {
        let (status, error, book) = check_one(&send(&[event("a"), bad, event("b")]));
        assert_eq!((status, error["code"].clone(), book.stored.len(), book.refused.len()), (400, json!(100), 0, 1));
    }
    let hashed = with("user_data", json!({ "em": ["a".repeat(64)] }));
    assert_eq!(check_one(&send(&[hashed])).0, 200);
}

#[test]
fn tokens_are_refused_with_190_and_flagged_in_a_url() {
    let body = json!({ "data": [event("a")] });
    assert_eq!(check_one(&Request::post("/v24.0/1001/events", &body)).1["code"], 190);
    let (_, _, book) = check_one(&Request::post("/v24.0/1001/events?access_token=EAAB", &body));
    assert_eq!(book.flagged[0].reason, "the access token is in the URL");
    let answer = meta().words(Fault::RateLimit { retry_after_s: 1 }, &send(&[])).unwrap();
    assert_eq!((answer.status, answer.said_json()["error"]["is_transient"].clone()), (400, json!(true)));
}
