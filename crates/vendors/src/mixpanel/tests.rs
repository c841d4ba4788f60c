use std::io::Write as _;

use super::*;
use crate::faults::Faults;
use crate::probe;

fn event(id: &str) -> Value {
    let properties = json!({ "time": 1_772_634_728_441_u64, "distinct_id": "user-1", "$insert_id": id });
    json!({ "event": "Deep Link Clicked", "properties": properties })
}

fn import(events: &[Value]) -> Request {
    Request::post("/import?strict=1&project_id=42", &json!(events)).with_basic("robot", "secret")
}

#[test]
fn a_compressed_batch_is_imported_over_http() {
    let simulator = Mixpanel::new().start(Faults::none());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(json!([event("a"), event("b")]).to_string().as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let request =
        Request::new("POST", "/import?strict=1", body).with("content-encoding", "gzip").with_basic("token", "");
    let reply = probe::send(simulator.address(), &request).unwrap();
    assert_eq!((reply.status, reply.body.contains(r#""num_records_imported":2"#)), (200, true));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["a", "b"]));
}

#[test]
fn a_400_names_what_failed_and_stores_the_rest() {
    let broken = |name: &str, value: Value| {
        let mut event = event("x");
        event["properties"][name] = value;
        event
    };
    let cases = [
        (broken("$insert_id", json!("evt_1")), "properties.$insert_id"),
        (broken("$insert_id", json!("a".repeat(37))), "properties.$insert_id"),
        (broken("distinct_id", json!("Anonymous")), "properties.distinct_id"),
        (broken("distinct_id", Value::Null), "properties.distinct_id"),
        (broken("time", json!("2026-03-04")), "properties.time"),
    ];
    for (bad, field) in cases {
        let mut book = Book::default();
        let answer = Mixpanel::new().answer(&import(&[event("a"), bad.clone(), event("b")]), &mut book);
        let failed = &answer.said_json()["failed_records"];
        assert_eq!(
            (answer.status, failed[0]["index"].clone(), failed[0]["field"].clone()),
            (400, json!(1), json!(field))
        );
        assert_eq!((book.stored_keys(), book.refused.len()), (vec!["a", "b"], 1));

        let lenient = Request::post("/import?project_id=42", &json!([bad])).with_basic("robot", "secret");
        let answer = Mixpanel::new().answer(&lenient, &mut book);
        assert_eq!((answer.status, book.lost.len()), (200, 1), "{field}");
    }
    let mut nobody = event("c");
    nobody["properties"]["distinct_id"] = json!("");
    assert_eq!(Mixpanel::new().answer(&import(&[nobody]), &mut Book::default()).status, 200);
}

#[test]
fn a_repetition_is_one_only_with_the_same_time() {
    let (mut mixpanel, mut book) = (Mixpanel::new(), Book::default());
    let mut later = event("a");
    later["properties"]["time"] = json!(1_772_634_728_442_u64);
    mixpanel.answer(&import(&[event("a"), event("a"), later]), &mut book);
    assert_eq!((book.times_stored("a"), book.duplicates.len()), (2, 1));
}

#[test]
fn strangers_and_crowds_are_turned_away() {
    let status = |request: &Request| Mixpanel::new().answer(request, &mut Book::default()).status;
    assert_eq!(status(&Request::post("/import?strict=1", &json!([event("a")])).with_basic("robot", "secret")), 401);
    assert_eq!(status(&Request::post("/import?strict=1&project_id=42", &json!([]))), 401);
    assert_eq!(status(&import(&vec![event("a"); 2001])), 400);
    let lines = format!("{}\n{}\n", event("a"), event("b"));
    assert_eq!(status(&Request::new("POST", "/import?strict=1", lines).with_basic("token", "")), 200);
    assert_eq!(status(&Request { partial_failure: true, ..import(&[event("a"), event("b")]) }), 400);
}

#[test]
fn who_asks_too_often_is_told_so() {
    let mut mixpanel = Mixpanel { rate: Some(Bucket::new(1.0, 1.0)), ..Mixpanel::new() };
    let mut post = |at: Duration| mixpanel.answer(&import(&[event("a")]).at(at), &mut Book::default());
    assert_eq!(post(Duration::ZERO).status, 200);
    let refused = post(Duration::ZERO);
    assert!(refused.status == 429 && refused.said().contains("Project exceeded rate limits"), "{refused:?}");
    assert_eq!(post(Duration::from_secs(1)).status, 200);
}
