//! Messages in a stream of a real NATS server, and what a server that fails in the middle cannot make us do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Verdict;
use domain::event::Event;
use domain::verdict::{FailureReason, PauseReason};
use peers::Nats;
use pipeline::transport::Guard;
use serde_json::{Value, json};

use crate::outlet::{Destination, of, sample};
use crate::scripted::{Line, Script, Stage};

fn settings(nats: &Nats, changes: Value) -> Value {
    let mut settings = json!({
        "servers": [nats.url().strip_prefix("nats://").unwrap()],
        "user": Nats::USER,
        "password": Nats::PASSWORD,
        "tls": false,
    });
    if let (Value::Object(settings), Value::Object(changes)) = (&mut settings, changes) {
        settings.extend(changes);
    }
    settings
}

fn pause(verdicts: &[Verdict]) -> (PauseReason, &str) {
    match verdicts {
        [Verdict::Pause { reason, message }, ..] => (*reason, message),
        _ => panic!("{verdicts:?}"),
    }
}

#[tokio::test]
async fn every_event_is_kept_once_however_often_it_is_sent() {
    let Some(nats) = Nats::start() else { return };
    nats.create_stream("EVENTS", &["events.>"]).unwrap();
    let destination = Destination::new("nats", settings(&nats, json!({})));
    let events: Vec<_> = (1..=300).map(|number| sample("link.clicked", number)).collect();
    // The second time over the connection of the first.
    for _ in 0..2 {
        assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 300]);
    }
    let messages = nats.messages("EVENTS").unwrap();
    assert_eq!(messages.len(), 300);
    for (message, event) in messages.iter().zip(&events) {
        assert_eq!(message.subject, "events.link.clicked");
        assert_eq!(message.data, event.body);
        assert!(message.headers.contains(&("Nats-Msg-Id".to_owned(), event.id.to_string())));
        assert!(message.headers.contains(&("event_type".to_owned(), "link.clicked".to_owned())));
    }
}

#[tokio::test]
async fn a_subject_that_no_stream_takes_pauses_and_says_so() {
    let Some(nats) = Nats::start() else { return };
    let destination = Destination::new("nats", settings(&nats, json!({})));
    let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
    let (reason, message) = pause(&verdicts);
    assert_eq!(reason, PauseReason::Misconfigured);
    assert!(message.contains("no stream takes the subject"), "{message}");
}

#[tokio::test]
async fn a_login_that_is_refused_pauses_and_says_so() {
    let Some(nats) = Nats::start() else { return };
    for login in [json!({"password": "wrong"}), json!({"user": null, "password": null, "token": "t"})] {
        let mut settings = settings(&nats, login);
        settings.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let verdicts = Destination::new("nats", settings).verdicts(&[sample("link.clicked", 1)]).await;
        assert_eq!(pause(&verdicts).0, PauseReason::Unauthorized);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_does_not_take_its_neighbours_with_it() {
    let Some(nats) = Nats::start() else { return };
    nats.create_stream("EVENTS", &["events.>"]).unwrap();
    let destination = Destination::new("nats", settings(&nats, json!({})));
    let huge = json!({"event": "link.clicked", "data": {"x": "y".repeat(2 * 1024 * 1024)}}).to_string();
    let events = [sample("link.clicked", 1), of("link.clicked", 2, huge), sample("link.clicked", 3)];
    let verdicts = destination.verdicts(&events).await;
    assert_eq!((&verdicts[0], &verdicts[2]), (&Verdict::Delivered, &Verdict::Delivered));
    assert!(matches!(verdicts[1], Verdict::Reject { reason: FailureReason::TooLarge, .. }), "{:?}", verdicts[1]);
}

#[tokio::test]
async fn a_stream_that_is_full_pauses_and_says_who_must_make_room() {
    let Some(nats) = Nats::start() else { return };
    let full = json!({"discard": "new", "max_msgs": 3});
    nats.create_stream_with("EVENTS", &["events.>"], &full).unwrap();
    let destination = Destination::new("nats", settings(&nats, json!({})));
    let events: Vec<_> = (1..=6).map(|number| sample("link.clicked", number)).collect();
    let verdicts = destination.verdicts(&events).await;
    assert_eq!(verdicts[..3], vec![Verdict::Delivered; 3]);
    let (reason, message) = pause(&verdicts[3..]);
    assert_eq!(reason, PauseReason::Quota);
    assert!(message.starts_with("the stream is full and discards what is new; raise its limits"), "{message}");
}

#[tokio::test]
async fn a_subject_that_is_full_keeps_no_other_waiting() {
    let Some(nats) = Nats::start() else { return };
    let full = json!({"discard": "new", "discard_new_per_subject": true, "max_msgs_per_subject": 1});
    nats.create_stream_with("EVENTS", &["events.>"], &full).unwrap();
    let destination = Destination::new("nats", settings(&nats, json!({})));
    let events = [sample("link.clicked", 1), sample("link.clicked", 2), sample("install.tracked", 3)];
    let verdicts = destination.verdicts(&events).await;
    assert_eq!([&verdicts[0], &verdicts[2]], [&Verdict::Delivered; 2], "{verdicts:?}");
    assert!(matches!(verdicts[1], Verdict::Retry { .. }), "{verdicts:?}");
}

#[tokio::test]
async fn hostile_text_stays_within_its_message() {
    let Some(nats) = Nats::start() else { return };
    nats.create_stream("EVENTS", &["events.>"]).unwrap();
    let subject = json!({"subject": "events.{{ data.campaign }}"});
    let destination = Destination::new("nats", settings(&nats, subject));
    let event = |number, campaign: &str| -> Event {
        of("link.clicked", number, json!({"event": "link.clicked", "data": {"campaign": campaign}}).to_string())
    };
    let events = [event(1, "a b\r\nPUB events.forged 2\r\nhi"), event(2, "x.>"), event(3, "")];
    assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 3]);
    let subjects: Vec<_> = nats.messages("EVENTS").unwrap().into_iter().map(|message| message.subject).collect();
    assert_eq!(subjects, ["events.a_b__PUB_events.forged_2__hi", "events.x._", "events._"]);
}

#[tokio::test]
async fn the_first_server_that_answers_is_used() {
    let Some(nats) = Nats::start() else { return };
    nats.create_stream("EVENTS", &["events.>"]).unwrap();
    // One where nobody listens, one that hangs up.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rude = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let servers =
        json!([nobody.to_string(), rude.local_addr().unwrap().to_string(), nats.url().replace("nats://", "")]);
    std::thread::spawn(move || rude.accept().map(drop));
    let destination = Destination::new("nats", settings(&nats, json!({ "servers": servers })));
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
}

#[tokio::test]
async fn a_server_that_is_away_or_inside_is_no_verdict() {
    let event = [sample("link.clicked", 1)];
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = json!({"servers": [format!("127.0.0.1:{port}")], "tls": false});
    let error = Destination::new("nats", away.clone()).deliver(&event).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::Connect);
    let strict = Destination::behind(Guard::new(false, Vec::new()), "nats", away);
    assert_eq!(strict.deliver(&event).await.unwrap_err().reason, FailureReason::AddressRefused);
}

#[tokio::test]
async fn a_connection_is_encrypted_and_a_key_logs_in() {
    let Some(nats) = Nats::start() else { return };
    nats.create_stream("EVENTS", &["events.>"]).unwrap();
    let key = json!({"servers": [nats.url().strip_prefix("nats://").unwrap()], "nkey_seed": Nats::NKEY_SEED});
    let with = |more: Value| {
        let mut settings = key.clone();
        if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
            settings.extend(more);
        }
        Destination::new("nats", settings)
    };
    let event = [sample("link.clicked", 1)];
    for settings in [json!({"ca_certificate": nats.authority_pem()}), json!({"tls": false})] {
        assert_eq!(with(settings).verdicts(&event).await, [Verdict::Delivered]);
    }
    // An authority that nobody has named is not trusted.
    assert_eq!(with(json!({})).deliver(&event).await.unwrap_err().reason, FailureReason::Tls);
    assert_eq!(nats.messages("EVENTS").unwrap().len(), 1);
}

/// Says hello, and lets anybody in.
fn let_in(stream: &mut TcpStream) {
    stream.write_all(b"INFO {\"headers\":true}\r\n").unwrap();
    let mut lines = BufReader::new(&*stream).lines().map(Result::unwrap);
    lines.find(|line| line == "PING").unwrap();
    stream.write_all(b"PONG\r\n").unwrap();
}

/// Takes so many records, of which it acknowledges the first ones; returns their subjects.
fn take(stream: &mut TcpStream, count: usize, acknowledged: usize) -> Vec<String> {
    let mut reader = BufReader::new(&*stream);
    let mut records = Vec::new();
    while records.len() < count {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let ["HPUB", subject, reply_to, _, bytes] = words[..] else { panic!("`{line}`") };
        reader.read_exact(&mut vec![0; bytes.parse::<usize>().unwrap() + 2]).unwrap();
        records.push([subject, reply_to].map(str::to_owned));
    }
    let word = r#"{"stream":"EVENTS","seq":1}"#;
    for [_, reply_to] in &records[..acknowledged] {
        write!(stream, "MSG {reply_to} 1 {}\r\n{word}\r\n", word.len()).unwrap();
    }
    records.into_iter().map(|[subject, _]| subject).collect()
}

/// A server that is well for one batch, and then says nothing more.
fn well(count: usize) -> Script {
    Box::new(move |line| {
        let_in(&mut line.stream);
        take(&mut line.stream, count, count);
        line.says_nothing_more();
    })
}

/// A destination of two servers, whose connections follow these scripts.
fn scripted(scripts: impl IntoIterator<Item = Script>) -> (Destination, Arc<Stage>) {
    let (guard, stage) = Stage::new(scripts);
    let settings = json!({"servers": ["127.0.0.1:4222", "127.0.0.1:4223"], "tls": false});
    (Destination::behind(guard, "nats", settings), stage)
}

#[tokio::test(start_paused = true)]
async fn a_server_of_another_kind_is_said_to_be_one_if_nobody_else_is_there() {
    let mail =
        || -> Script { Box::new(|line: &mut Line| line.stream.write_all(b"220 mx.example.com ESMTP\r\n").unwrap()) };
    let (destination, _stage) = scripted([mail(), mail()]);
    let error = destination.deliver(&[sample("link.clicked", 1)]).await.unwrap_err();
    let expect = "what answers is no NATS server; mend the hosts and ports under `servers`, 4222 as a rule, then resume the \
                  destination";
    assert_eq!((&*error.message, error.is_misconfigured), (expect, true));
    let (destination, _stage) = scripted([mail(), well(1)]);
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_does_not_use_up_the_attempt() {
    let greets: Script = Box::new(|line| {
        line.stream.write_all(b"INFO {\"headers\":true}\r\n").unwrap();
        line.says_nothing_more();
    });
    for silent in [Box::new(|line: &mut Line| line.says_nothing()), greets] {
        let (destination, _stage) = scripted([silent, well(1)]);
        assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_whose_server_has_gone_does_not_use_up_the_attempt() {
    let (destination, stage) = scripted([well(1), well(2)]);
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
    tokio::time::advance(Duration::from_secs(10)).await;
    let events = [sample("link.clicked", 2), sample("link.clicked", 3)];
    assert_eq!(destination.verdicts(&events).await, [Verdict::Delivered, Verdict::Delivered]);
    assert_eq!(stage.scripts_left(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_kept_connection_broke_is_not_sent_again() {
    let breaks: Script = Box::new(|line| {
        let_in(&mut line.stream);
        take(&mut line.stream, 1, 1);
        take(&mut line.stream, 3, 1);
        line.stream.shutdown(Shutdown::Both).unwrap();
    });
    let again = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&again);
    let takes_the_rest: Script = Box::new(move |line| {
        let_in(&mut line.stream);
        *book.lock().unwrap() = take(&mut line.stream, 2, 2);
    });
    let (destination, _stage) = scripted([breaks, takes_the_rest]);
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
    let events = ["link.clicked", "link.created", "install.tracked"].map(|kind| named(kind, 2));
    assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 3]);
    assert_eq!(*again.lock().unwrap(), ["events.link.created", "events.install.tracked"]);
}

/// An event of any type.
fn named(event_type: &str, number: u64) -> Event {
    of(event_type, number, json!({ "event": event_type, "data": {} }).to_string())
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_in_mid_batch_forgets_no_acknowledgement() {
    let ends: Script = Box::new(|line| {
        let_in(&mut line.stream);
        take(&mut line.stream, 2, 1);
        line.stream.write_all(b"-ERR 'User Authentication Expired'\r\n").unwrap();
    });
    let (destination, _stage) = scripted([ends]);
    let verdicts = destination.verdicts(&[sample("link.clicked", 1), sample("link.clicked", 2)]).await;
    let [Verdict::Delivered, Verdict::Retry { message: Some(message), .. }] = &verdicts[..] else {
        panic!("{verdicts:?}");
    };
    assert!(message.contains("Authentication Expired"), "{message}");
}
