//! Records in the topics of a broker that speaks Kafka's protocol, and what a broker cannot make us do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use domain::Verdict;
use domain::event::Event;
use domain::verdict::{FailureReason, PauseReason};
use peers::Kafka;
use pipeline::transport::Guard;
use serde_json::{Value, json};

use crate::outlet::{Destination, of, sample};
use crate::scripted::{Script, Stage};

fn settings(address: &str, changes: Value) -> Value {
    let mut settings = json!({"brokers": [address], "topic": "events", "tls": false});
    if let (Value::Object(settings), Value::Object(changes)) = (&mut settings, changes) {
        settings.extend(changes);
    }
    settings
}

fn click(number: u64, user: &str) -> Event {
    of("link.clicked", number, json!({"event": "link.clicked", "data": {"user_id": user, "n": number}}).to_string())
}

fn pause(verdicts: &[Verdict]) -> (PauseReason, &str) {
    match verdicts {
        [Verdict::Pause { reason, message }, ..] => (*reason, message),
        _ => panic!("{verdicts:?}"),
    }
}

#[tokio::test]
async fn every_event_is_in_the_partition_of_its_subject_in_order() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("events", 3).unwrap();
    let destination = Destination::new("kafka", settings(&kafka.address(), json!({})));
    let events: Vec<_> = (0..60).map(|number| click(number, &format!("user_{}", number % 5))).collect();
    for part in events.chunks(20) {
        assert_eq!(destination.verdicts(part).await, vec![Verdict::Delivered; 20]);
    }
    // By a client that is not ours, which chooses the partition of the same key.
    kafka.produce("events", "user:user_0", "theirs").unwrap();

    let records = kafka.records("events").unwrap();
    assert_eq!(records.len(), 61);
    for user in 0..5 {
        let key = format!("user:user_{user}").into_bytes();
        let mine: Vec<_> = records.iter().filter(|record| record.key.as_ref() == Some(&key)).collect();
        assert!(mine.iter().all(|record| record.partition == mine[0].partition), "{mine:?}");
        let expect = events.iter().filter(|event| number_of(event) % 5 == user);
        let ours = mine.iter().filter(|record| record.value != b"theirs");
        assert_eq!(ours.clone().count(), 12);
        for (record, event) in ours.zip(expect) {
            assert_eq!(record.value, event.body);
            assert!(record.headers.contains(&("event_id".to_owned(), event.id.to_string().into_bytes())));
        }
    }
}

fn number_of(event: &Event) -> u64 {
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    body["data"]["n"].as_u64().unwrap()
}

#[tokio::test]
async fn a_topic_that_is_not_there_pauses_and_says_so() {
    let Some(kafka) = Kafka::start() else { return };
    let destination = Destination::new("kafka", settings(&kafka.address(), json!({"topic": "nowhere"})));
    let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
    let (reason, message) = pause(&verdicts);
    assert_eq!(reason, PauseReason::Misconfigured);
    assert!(message.contains("no such topic") && message.contains("`nowhere`"), "{message}");
}

#[tokio::test]
async fn a_login_that_is_refused_pauses_and_says_so() {
    let Some(kafka) = Kafka::start_for_nobody() else { return };
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let login = json!({"user": "alice", "password": "wrong", "mechanism": mechanism});
        let destination = Destination::new("kafka", settings(&kafka.address(), login));
        let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
        let (reason, message) = pause(&verdicts);
        assert_eq!(reason, PauseReason::Unauthorized);
        assert!(message.contains("unknown-user"), "{message}");
    }
}

#[tokio::test]
async fn a_port_without_encryption_pauses_and_says_so() {
    for kafka in [Kafka::start(), Kafka::start_for_nobody()].into_iter().flatten() {
        let destination = Destination::new("kafka", settings(&kafka.address(), json!({"tls": true})));
        let verdicts = destination.verdicts(&[sample("link.clicked", 1), sample("link.clicked", 2)]).await;
        let (reason, message) = pause(&verdicts);
        assert_eq!(reason, PauseReason::Misconfigured);
        assert!(message.starts_with("the broker offers no encryption at this port; "), "{message}");
        assert!(message.contains("set `tls` to `false`"), "{message}");
    }
}

#[tokio::test]
async fn a_broker_that_wants_a_login_pauses_who_has_none_and_says_so() {
    let Some(kafka) = Kafka::start_for_nobody() else { return };
    let destination = Destination::new("kafka", settings(&kafka.address(), json!({})));
    let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
    let (reason, message) = pause(&verdicts);
    assert_eq!(reason, PauseReason::Unauthorized);
    assert!(message.starts_with("the broker wants a login; put a good one into `user` and `password`"), "{message}");
}

#[tokio::test]
async fn a_wire_that_broke_once_is_no_broker_that_wants_a_login() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("events", 1).unwrap();
    let near = breaks_once(kafka.address());
    let destination = Destination::new("kafka", settings(&near, json!({})));
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
}

/// The way to a broker, on which the first question is lost.
fn breaks_once(far: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let _ = first.read(&mut [0; 1024]);
        drop(first);
        while let Ok((near, _)) = listener.accept() {
            let far = TcpStream::connect(&far).unwrap();
            for (from, into) in [(&near, &far), (&far, &near)] {
                let (mut from, mut into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            }
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_port_with_encryption_pauses_who_speaks_in_the_open() {
    // The alert of a server that expected a handshake.
    let address = says(&[0x15, 0x03, 0x03, 0, 2, 2, 10]);
    let destination = Destination::new("kafka", settings(&address, json!({})));
    let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
    let (reason, message) = pause(&verdicts);
    assert_eq!(reason, PauseReason::Misconfigured);
    assert!(message.contains("set `tls` to `true`"), "{message}");
}

#[tokio::test]
async fn a_web_server_is_said_to_be_one_if_nobody_else_is_there() {
    let web = says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let error = Destination::new("kafka", settings(&web, json!({}))).deliver(&[click(1, "user")]).await.unwrap_err();
    let expect = "what answers is a web server and no broker; mend the hosts and ports under `brokers`, 9092 as a rule, then \
                  resume the destination";
    assert_eq!((&*error.message, error.is_misconfigured), (expect, true));
    let good = broker(|request, port| match request[..2] {
        [0, 3] => metadata("127.0.0.1", port.into()),
        _ => produced(0),
    });
    let destination = Destination::new("kafka", settings("", json!({"brokers": [web, good]})));
    assert_eq!(destination.verdicts(&[click(1, "user")]).await, [Verdict::Delivered]);
}

#[tokio::test]
async fn somebody_who_hangs_up_in_the_handshake_is_no_verdict() {
    let destination = Destination::new("kafka", settings(&says(&[]), json!({"tls": true})));
    let error = destination.deliver(&[sample("link.clicked", 1)]).await.unwrap_err();
    assert_eq!((error.reason, error.is_misconfigured), (FailureReason::Tls, false), "{error}");
    assert!(error.message.contains("perhaps its port is not for encrypted connections"), "{error}");
}

/// Reads a little, says this to whoever comes, and hangs up.
fn says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(bytes);
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_broker_that_is_away_or_inside_is_no_verdict() {
    let event = [sample("link.clicked", 1)];
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let away = Destination::new("kafka", settings(&address, json!({})));
    assert_eq!(away.deliver(&event).await.unwrap_err().reason, FailureReason::Connect);
    let strict = Destination::behind(Guard::new(false, Vec::new()), "kafka", settings(&address, json!({})));
    assert_eq!(strict.deliver(&event).await.unwrap_err().reason, FailureReason::AddressRefused);
}

/// A broker that answers requests, given whole, with whatever this makes of them and of its port.
fn broker(answer: impl Fn(&[u8], u16) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            while answer_one(&mut stream, |request| answer(request, address.port())).is_ok() {}
        }
    });
    address.to_string()
}

/// Answers one request with whatever this makes of it.
fn answer_one(stream: &mut TcpStream, answer: impl FnOnce(&[u8]) -> Vec<u8>) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut request)?;
    // After the number of the request.
    let answer = [&request[4..8], &answer(&request)].concat();
    stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes())?;
    stream.write_all(&answer)
}

/// A broker that answers whatever it is asked with this.
fn liar(reply: Vec<u8>) -> String {
    broker(move |_, _| reply.clone())
}

/// That the topic `events` has one partition, led by a broker at this address.
fn metadata(host: &str, port: i32) -> Vec<u8> {
    let text = |text: &str| [&i16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let number = |number: i32| number.to_be_bytes().to_vec();
    let nothing = || vec![0xff, 0xff];
    [
        [number(0), number(1), number(7), text(host), number(port), nothing()].concat(),
        [nothing(), number(7), number(1), vec![0, 0], text("events"), vec![0]].concat(),
        [number(1), vec![0, 0], number(0), number(7), number(0), number(0)].concat(),
    ]
    .concat()
}

/// That the batch for this partition came to this.
fn produced(error: u8) -> Vec<u8> {
    let produced = [&[0, 0, 0, 1, 0, 6][..], b"events", &[0, 0, 0, 1, 0, 0, 0, 0, 0, error]];
    [produced.concat(), vec![0; 8 + 8 + 4]].concat()
}

#[tokio::test]
async fn an_address_that_a_cluster_announces_is_judged_like_any_other() {
    let open = Guard::new(false, vec!["127.0.0.0/8".parse().unwrap()]);
    for (host, port) in
        [("169.254.169.254", 80), ("10.0.0.1", 9_092), ("metadata.google.internal", 80), ("127.0.0.1", 22)]
    {
        let destination = Destination::behind(open.clone(), "kafka", settings(&liar(metadata(host, port)), json!({})));
        let verdicts = destination.verdicts(&[sample("link.clicked", 1)]).await;
        let (reason, message) = pause(&verdicts);
        assert_eq!(reason, PauseReason::Misconfigured, "{host}:{port}");
        assert!(message.contains("announces a broker at an address that may not be dialled"), "{message}");
        assert!(!message.contains(host), "{message}");
    }
}

#[tokio::test]
async fn a_broker_that_lies_about_lengths_is_only_broken() {
    let lies = [vec![], vec![0xff; 64], [vec![0; 4], vec![0x7f, 0xff, 0xff, 0xff]].concat(), metadata("x", 70_000)];
    for lie in lies {
        let destination = Destination::new("kafka", settings(&liar(lie.clone()), json!({})));
        match destination.deliver(&[sample("link.clicked", 1)]).await {
            Err(error) => assert_eq!(error.reason, FailureReason::Broken, "{lie:?}"),
            Ok((verdicts, _)) => assert!(matches!(verdicts[..], [Verdict::Retry { .. }]), "{lie:?}: {verdicts:?}"),
        }
    }
}

/// A destination of a broker that answers with this code for every batch that holds the poison.
fn strict(code: u8) -> Destination {
    let address = broker(move |request, port| {
        if request[..2] == [0, 3] {
            return metadata("127.0.0.1", port.into());
        }
        produced(if request.windows(6).any(|part| part == b"poison") { code } else { 0 })
    });
    Destination::new("kafka", settings(&address, json!({})))
}

#[tokio::test]
async fn one_record_that_is_refused_does_not_take_its_neighbours_with_it() {
    const INVALID_RECORD: u8 = 87;
    for (code, is_for_good) in [(10, true), (INVALID_RECORD, true), (32, true), (44, true), (2, false), (120, false)] {
        let events: Vec<_> = (0..20).map(|number| click(number, if number == 7 { "poison" } else { "user" })).collect();
        for (number, verdict) in strict(code).verdicts(&events).await.into_iter().enumerate() {
            let is_refused = match verdict {
                Verdict::Reject { .. } => is_for_good,
                Verdict::Retry { .. } => !is_for_good,
                _ => false,
            };
            assert_eq!((is_refused, verdict == Verdict::Delivered), (number == 7, number != 7), "{code}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn a_broker_that_is_short_of_replicas_is_not_asked_for_every_record() {
    const NOT_ENOUGH_REPLICAS: u8 = 19;
    let events: Vec<_> = (0..20).map(|number| click(number, if number == 7 { "poison" } else { "user" })).collect();
    let verdicts = strict(NOT_ENOUGH_REPLICAS).verdicts(&events).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Retry { .. })), "{verdicts:?}");
}

/// A broker that answers so many requests, about a cluster whose only leader is at this port and for records, and then
/// says nothing more.
fn answers(count: usize, leader: u16) -> Script {
    Box::new(move |line| {
        for _ in 0..count {
            let answer = |request: &[u8]| match request[..2] {
                [0, 3] => metadata("127.0.0.1", leader.into()),
                _ => produced(0),
            };
            answer_one(&mut line.stream, answer).unwrap();
        }
        line.says_nothing_more();
    })
}

/// A destination of two brokers, at the ports 9092 and 9093, whose connections follow these scripts.
fn scripted(scripts: impl IntoIterator<Item = Script>) -> (Destination, Arc<Stage>) {
    let (guard, stage) = Stage::new(scripts);
    let brokers = json!({"brokers": ["127.0.0.1:9092", "127.0.0.1:9093"]});
    (Destination::behind(guard, "kafka", settings("", brokers)), stage)
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_says_nothing_does_not_use_up_the_attempt() {
    let (destination, _stage) = scripted([answers(0, 9092), answers(2, 9093)]);
    assert_eq!(destination.verdicts(&[click(1, "user")]).await, [Verdict::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_whose_broker_has_gone_does_not_use_up_the_attempt() {
    let of_the_broker_that_tells = vec![answers(2, 9092), answers(2, 9092)];
    let of_the_leader = vec![answers(2, 9094), answers(1, 9094), answers(1, 9094)];
    for scripts in [of_the_broker_that_tells, of_the_leader] {
        let (destination, stage) = scripted(scripts);
        assert_eq!(destination.verdicts(&[click(1, "user")]).await, [Verdict::Delivered]);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(destination.verdicts(&[click(2, "user")]).await, [Verdict::Delivered]);
        assert_eq!(stage.scripts_left(), 0);
    }
}
