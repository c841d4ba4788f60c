use super::*;
use crate::faults::Faults;
use crate::probe;

fn event(id: &str) -> Value {
    json!({ "event_type": "Deep Link Clicked", "device_id": "click-1", "insert_id": id, "time": 1_772_634_728_441_u64 })
}

fn upload(events: &[Value]) -> Request {
    Request::post("/2/httpapi", &json!({ "api_key": "api-key", "events": events }))
}

fn check_one(request: &Request) -> (u16, Value, Book) {
    let mut book = Book::default();
    let answer = Amplitude::new().answer(request, &mut book);
    (answer.status, answer.said_json(), book)
}

#[test]
fn events_are_ingested_over_http_and_once_per_device_and_insert_id() {
    let simulator = Amplitude::new().start(Faults::none());
    for _ in 0..2 {
        let reply = probe::send(simulator.address(), &upload(&[event("a"), event("b")])).unwrap();
        assert_eq!((reply.status, reply.body.contains(r#""events_ingested":2"#)), (200, true));
    }
    simulator.book(|book| assert_eq!((book.stored_keys(), book.duplicates.len()), (vec!["a", "b"], 2)));
}

#[test]
fn a_400_names_the_events_and_stores_none() {
    let with = |name: &str, value: Value| {
        let mut event = event("bad");
        event[name] = value;
        event
    };
    let cases = [
        (with("event_type", Value::Null), "events_with_missing_fields", "event_type"),
        (with("device_id", Value::Null), "events_with_missing_fields", "user_id"),
        (with("device_id", json!("abcd")), "events_with_invalid_id_lengths", "device_id"),
        (with("user_id", json!("unknown")), "events_with_invalid_fields", "user_id"),
        (with("time", json!(1_772_634_728)), "events_with_invalid_fields", "time"),
    ];
    for (bad, name, field) in cases {
        let (status, said, book) = check_one(&upload(&[event("a"), bad]));
        assert_eq!((status, said[name][field].clone(), book.stored.len()), (400, json!([1]), 0), "{name} {field}");
    }
    let short =
        json!({ "api_key": "api-key", "events": [with("device_id", json!("a"))], "options": { "min_id_length": 1 } });
    assert_eq!(check_one(&Request::post("/2/httpapi", &short)).0, 200);
}

#[test]
fn a_throttled_user_stops_the_batch_and_is_named() {
    let (status, said, book) = check_one(&Request { partial_failure: true, ..upload(&[event("a"), event("b")]) });
    assert_eq!((status, said["throttled_events"].clone(), book.stored.len()), (429, json!([1]), 0));
}

#[test]
fn sizes_and_keys_are_checked() {
    assert_eq!(check_one(&upload(&vec![event("a"); 2001])).0, 413);
    let mut large = event("a");
    large["event_properties"] = json!("x".repeat(1 << 20));
    let body = json!({ "api_key": "api-key", "events": [large] });
    assert_eq!(check_one(&Request::post("/2/httpapi", &body)).0, 413);
    assert_eq!(check_one(&Request::post("/batch", &body)).0, 200);
    let stranger = check_one(&Request::post("/batch", &json!({ "api_key": "x", "events": [event("a")] })));
    assert_eq!((stranger.0, stranger.1["error"].clone()), (400, json!("Invalid API key: x")));
}

#[test]
fn who_sends_too_much_is_refused_alone_and_the_others_have_spent_nothing() {
    let (mut amplitude, mut book) = (Amplitude::new(), Book::default());
    amplitude.rate = Some(Bucket::new(1.0, 2.0));
    let of = |id: &str, user: &str| {
        let mut event = event(id);
        event["user_id"] = json!(user);
        event
    };
    let batch = [of("a", "noisy"), of("b", "noisy"), of("c", "noisy"), of("d", "quiet"), of("e", "quiet")];
    let said = amplitude.answer(&upload(&batch), &mut book).said_json();
    assert_eq!((&said["throttled_events"], &said["throttled_users"]), (&json!([2]), &json!({ "noisy": 31 })));
    let others = [&batch[..2], &batch[3..]].concat();
    assert_eq!(amplitude.answer(&upload(&others), &mut book).status, 200);
    assert_eq!(amplitude.answer(&upload(&batch[2..3]), &mut book).status, 429);
    let later = upload(&batch[2..3]).at(Duration::from_secs(1));
    assert_eq!((amplitude.answer(&later, &mut book).status, book.stored.len()), (200, 5));
}
