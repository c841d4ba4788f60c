//! Segment's own SDK and Afterclick say the same: what Afterclick sends is given to the SDK, and the requests of both are held
//! against each other.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use vendors::segment::Segment;
use vendors::{Faults, Request, Simulator, Vendor as _};

use super::fleet::section;
use super::traffic;
use crate::support::{DEADLINE, Setup};

/// Enough for every type of the catalogue with each of its samples, some of which name a user.
const EVENTS: usize = 32;
/// What HTTP clients add by themselves: none of Segment's business.
const OF_THE_CLIENT: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "host",
    "sec-fetch-mode",
    "transfer-encoding",
];

#[test]
fn a_request_is_what_segments_own_sdk_would_have_sent() {
    let Some(sdk) = peers::SegmentSdk::start() else { return };
    let recorder = Segment::new().start(Faults::none());
    let ours = ours(&recorder);
    let messages = ours.json().unwrap()["batch"].as_array().unwrap().clone();
    assert!(messages.len() > EVENTS, "there are tracks and identifies: {}", messages.len());

    recorder
        .book(|book| assert_eq!((book.lost.len(), book.flagged.len()), (0, 0), "{:?} {:?}", book.lost, book.flagged));
    let theirs = Segment::new().start(Faults::none());
    sdk.send(&theirs.url(), "write-key", &messages.iter().map(as_a_caller).collect::<Vec<_>>()).unwrap();
    let theirs = the_request(&theirs);

    assert_eq!((&ours.method, &ours.target), (&theirs.method, &theirs.target));
    assert_eq!(names(&ours), names(&theirs));
    for name in ["authorization", "content-type"] {
        assert_eq!(ours.header(name), theirs.header(name), "{name}");
    }
    let (ours, theirs) = (without_what_must_differ(&ours), without_what_must_differ(&theirs));
    for (index, (our, their)) in list(&ours).iter().zip(list(&theirs)).enumerate() {
        assert_eq!(our, their, "message {index}");
    }
    assert_eq!(ours, theirs);
}

/// One batch of Afterclick's with all of the events.
fn ours(recorder: &Simulator<Segment>) -> Request {
    let settings = [("write_key", "write-key"), ("host", &*recorder.url()), ("identify", "true")];
    let more = format!("events = [\"*\"]\nbatch = {{ items = {EVENTS}, wait = \"30s\" }}");
    let server = Setup::with(&section("segment", "segment", &more, &settings)).start();
    let envelopes: Value = traffic::mixed(EVENTS).into_iter().map(|event| event.envelope).collect();
    server.publish(&envelopes);
    the_request(recorder)
}

/// Waits for the first request.
fn the_request(recorder: &Simulator<Segment>) -> Request {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(recorder.until(DEADLINE + Duration::from_secs(30), |book| !book.received.is_empty())));
    recorder.book(|book| book.received[0].request.clone())
}

/// A message as one gives it to the SDK's method: what the SDK adds is left out.
fn as_a_caller(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("integrations");
    message["context"].as_object_mut().unwrap().remove("library");
    message
}

fn names(request: &Request) -> BTreeSet<&str> {
    let names = request.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| !OF_THE_CLIENT.contains(name)).collect()
}

/// The body, where what differs by its nature is replaced by its type: when it was sent, and by whom.
fn without_what_must_differ(request: &Request) -> Value {
    let mut body = request.json().unwrap();
    assert!(
        body["sentAt"].as_str().is_some_and(|at| at.len() == "2026-03-04T14:32:08.441Z".len()),
        "{}",
        body["sentAt"]
    );
    body["sentAt"] = json!("a time");
    for message in body["batch"].as_array_mut().unwrap() {
        for member in ["name", "version"] {
            assert!(message["context"]["library"][member].is_string(), "{message}");
            message["context"]["library"][member] = json!("a text");
        }
        // Which version of Node runs the SDK.
        message.as_object_mut().unwrap().remove("_metadata");
    }
    body
}

fn list(body: &Value) -> &[Value] {
    body["batch"].as_array().unwrap()
}
