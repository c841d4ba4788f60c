use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::probe;

fn track(id: &str) -> Value {
    json!({
        "type": "track", "event": "Deep Link Clicked", "properties": {}, "anonymousId": "anon-1", "messageId": id,
        "timestamp": "2026-03-04T14:32:08.441Z",
    })
}

fn batch(messages: &[Value]) -> Request {
    sent_at(messages, "2026-03-04T14:32:09.000Z")
}

fn sent_at(messages: &[Value], sent_at: &str) -> Request {
    let body = json!({ "batch": messages, "sentAt": sent_at, "writeKey": "write-key" });
    Request::post("/v1/batch", &body).with_basic("write-key", "")
}

/// What is stored and what is lost of one batch, and the status.
fn check(segment: &mut Segment, request: &Request) -> (u16, usize, Vec<String>) {
    let mut book = Book::default();
    let answer = segment.answer(request, &mut book);
    (answer.status, book.stored.len(), book.lost.into_iter().map(|entry| entry.reason).collect())
}

#[test]
fn a_batch_over_http_is_kept_message_by_message() {
    let simulator = Segment::new().start(Faults::none());
    let reply = probe::send(simulator.address(), &batch(&[track("ac-1"), track("ac-2")])).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"success":true}"#));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["ac-1", "ac-2"]));
}

#[test]
fn what_segment_dislikes_is_answered_with_200_and_lost() {
    let with = |name: &str, value: Value| {
        let mut message = track("ac-1");
        message[name] = value;
        message
    };
    let cases = [
        (with("anonymousId", json!("")), "neither `userId` nor `anonymousId` is a string with something in it"),
        (with("anonymousId", json!(7)), "neither `userId` nor `anonymousId` is a string with something in it"),
        (with("messageId", json!("x".repeat(101))), "`messageId` is longer than 100 characters"),
        (with("event", Value::Null), "a track needs an `event`"),
        (with("properties", json!([])), "a track needs `properties`"),
        (with("timestamp", json!(1_772_634_728)), "`timestamp` is not ISO 8601"),
        (with("type", json!("identify")), "an identify needs `traits`"),
        (with("type", json!("click")), "the `type` is unknown"),
    ];
    for (message, reason) in cases {
        let request = batch(&[message, track("ac-2")]);
        assert_eq!(check(&mut Segment::new(), &request), (200, 1, vec![reason.to_owned()]));
    }
}

#[test]
fn an_unknown_write_key_looks_like_success() {
    let request = batch(&[track("ac-1")]).with("x", "y");
    let mut segment = Segment { write_key: "another".to_owned(), ..Segment::new() };
    assert_eq!(check(&mut segment, &request), (200, 0, vec!["the write key is unknown".to_owned()]));
    let without_colon =
        Request::post("/v1/batch", &json!({ "batch": [track("ac-1")] })).with("authorization", "Basic d3JpdGUta2V5");
    assert_eq!(check(&mut Segment::new(), &without_colon).1, 0);
}

#[test]
fn too_many_messages_are_lost_and_too_many_bytes_are_refused() {
    let many: Vec<Value> = (0..2501).map(|n| track(&n.to_string())).collect();
    let request = batch(&many);
    assert!(request.body.len() < BATCH_BYTES_MAX, "this batch is to fail by its count");
    let (status, stored, lost) = check(&mut Segment::new(), &request);
    assert_eq!((status, stored, lost.len()), (200, 0, 2501));

    let mut large = track("ac-1");
    large["properties"]["text"] = json!("x".repeat(32 << 10));
    assert_eq!(check(&mut Segment::new(), &batch(&[large, track("ac-2")])), (400, 0, vec![]));
    let mut heavy = track("ac-1");
    heavy["properties"]["text"] = json!("x".repeat(30 << 10));
    assert_eq!(check(&mut Segment::new(), &batch(&vec![heavy; 20])), (400, 0, vec![]));
    let malformed = Request::new("POST", "/v1/batch", "{").with_basic("write-key", "");
    assert_eq!(check(&mut Segment::new(), &malformed), (400, 0, vec![]));
}

#[test]
fn a_message_id_is_remembered_for_a_day_whoever_wrote_it() {
    let mut segment = Segment::new();
    let mut book = Book::default();
    segment.answer(&sent_at(&[track("ac-1")], "2026-03-04T14:32:09Z"), &mut book);
    segment.answer(&sent_at(&[track("ac-1")], "2026-03-04T14:33:09Z"), &mut book);
    assert_eq!((book.stored.len(), book.duplicates.len(), book.flagged.len()), (1, 1, 0));
    let next_day = batch(&[track("ac-1")]).at(Duration::from_hours(24));
    segment.answer(&next_day, &mut book);
    assert_eq!(book.times_stored("ac-1"), 2);
}

#[test]
fn a_repetition_with_the_old_sent_at_and_a_message_without_an_id_are_flagged() {
    let (mut segment, mut book) = (Segment::new(), Book::default());
    segment.answer(&batch(&[track("ac-1")]), &mut book);
    segment.answer(&batch(&[track("ac-1")]), &mut book);
    segment.answer(&batch(&[json!({ "type": "identify", "userId": "u", "traits": {} })]), &mut book);
    let reasons: Vec<_> = book.flagged.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["`sentAt` was not renewed for the repetition, so the event moves in time", "`messageId` is missing",]
    );
}

#[test]
fn rudder_stack_says_what_is_wrong() {
    let nobody = json!({ "type": "track", "event": "x", "properties": {}, "messageId": "ac-1" });
    let cases = [
        (batch(&[track("ac-1")]), 200, 1),
        (batch(&[]), 400, 0),
        (batch(&[nobody]), 400, 0),
        (Request::new("POST", "/v1/batch", "{").with_basic("write-key", ""), 400, 0),
        (Request::post("/v1/batch", &json!({ "batch": [track("ac-1")] })), 401, 0),
        (Request::new("POST", "/v1/batch", vec![b' '; (4000 << 10) + 1]), 413, 0),
    ];
    for (request, status, stored) in cases {
        assert_eq!(check(&mut Segment::rudder_stack(), &request), (status, stored, vec![]));
    }
}

#[test]
fn jitsu_wants_its_own_header_and_hides_what_is_too_large() {
    let keyed = |request: Request| request.with("x-write-key", "write-key:secret");
    let mut large = track("ac-2");
    large["properties"]["text"] = json!("x".repeat(1_000_000));
    let lost = vec!["what is larger than 1 MB goes to the dead letters".to_owned()];
    assert_eq!(check(&mut Segment::jitsu(), &keyed(batch(&[track("ac-1"), large]))), (200, 1, lost));
    assert_eq!(check(&mut Segment::jitsu(), &batch(&[track("ac-1")])), (401, 0, vec![]));
}

#[test]
fn a_rate_limit_says_when_to_come_back() {
    let answer = Segment::new().words(Fault::RateLimit { retry_after_s: 2 }, &batch(&[])).unwrap();
    assert_eq!(answer.headers[0], ("retry-after", "2".to_owned()));
}

#[test]
fn what_is_sent_until_it_is_answered_is_stored_once_on_a_rough_day() {
    let hold = Duration::from_millis(1);
    let refusals = [Fault::RateLimit { retry_after_s: 1 }, Fault::ServerError(503), Fault::DropBefore];
    let successes = [Fault::DropAfter, Fault::LateSuccess { hold }, Fault::Slow { hold }, Fault::PartialFailure];
    let plan = refusals.into_iter().chain(successes).fold(Faults::seeded(3), |plan, fault| plan.with(fault, 80));
    let simulator = Segment::new().start(plan);
    for round in 0..100 {
        let messages: Vec<Value> = (0..10).map(|n| track(&format!("ac-{round}-{n}"))).collect();
        let attempt = |n: usize| {
            let request = sent_at(&messages, &format!("2026-03-04T14:32:09.{n:03}Z"));
            probe::send(simulator.address(), &request).is_some_and(|reply| reply.status == 200)
        };
        assert!((0..100).any(attempt), "no answer in a hundred attempts");
    }
    simulator.book(|book| {
        assert!(book.counts().len() == 1000 && book.stored.len() == 1000, "each of them, and each of them once");
        assert!(book.duplicates.len() > 100 && book.faults_met() > 20 && book.lost.is_empty());
        assert!(book.flagged.is_empty(), "{:?}", book.flagged[0]);
    });
}
