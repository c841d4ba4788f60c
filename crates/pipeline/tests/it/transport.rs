//! The HTTP transport against a zoo of real receivers. Deadlines are short where one must pass; what is asserted is the
//! outcome, never a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::connector::{HttpCall, REPLY_BYTES_DEFAULT, Reply};
use domain::verdict::FailureReason;
use domain::{DestinationId, Timestamp};
use pipeline::Clock;
use pipeline::transport::guard::{Resolve, System};
use pipeline::transport::{Guard, HttpTransport, TransportError};
use rustls_pki_types::CertificateDer;

use crate::zoo::{Animal, Habit};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn transport(guard: Guard, roots: &[CertificateDer<'static>]) -> Arc<HttpTransport> {
    HttpTransport::start(guard, Arc::new(Clock::system()), roots).unwrap()
}

fn open() -> Arc<HttpTransport> {
    transport(Guard::new(true, Vec::new()), &[])
}

fn lane(number: u128) -> DestinationId {
    DestinationId::mint(Timestamp::from_secs(1), number)
}

fn call(url: &str) -> HttpCall {
    HttpCall::post_json(url, Bytes::from_static(b"{}"))
}

async fn post(transport: &HttpTransport, url: &str, deadline: Duration) -> Result<Reply, TransportError> {
    transport.exchange(lane(1), call(url), deadline).await
}

/// What one exchange with a receiver of this habit comes to.
async fn check(habit: Habit, deadline: Duration) -> Result<Reply, FailureReason> {
    let animal = Animal::new(habit).await;
    let done = post(&open(), &animal.url(), deadline).await;
    done.map_err(|error| {
        assert!(!error.message.contains("127.0.0.1"), "a message for a tenant names an address: {error}");
        error.reason
    })
}

fn answer(text: &str) -> Habit {
    Habit::Answers(text.replace('\n', "\r\n").into_bytes())
}

const OK: &str = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";

#[tokio::test]
async fn a_reply_is_its_status_headers_and_body() {
    let reply = check(
        answer("HTTP/1.1 503 No\nRetry-After: 7\nX-Odd: ä\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n"),
        LONG,
    )
    .await
    .unwrap();
    assert_eq!((reply.status, &reply.body[..]), (503, &b"abcde"[..]));
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(reply.header("x-odd"), None, "what is not visible ASCII is left out");
}

#[tokio::test]
async fn a_connection_is_used_again_by_its_lane_and_by_no_other() {
    let animal = Animal::new(answer(OK)).await;
    let transport = open();
    for _ in 0..50 {
        assert_eq!(post(&transport, &animal.url(), LONG).await.unwrap().status, 200);
    }
    assert_eq!(animal.connections(), 1);
    transport.exchange(lane(2), call(&animal.url()), LONG).await.unwrap();
    assert_eq!(animal.connections(), 2);
}

#[tokio::test]
async fn as_many_connections_are_kept_as_were_needed_at_once() {
    let animal = Animal::new(answer(OK)).await;
    let transport = open();
    for _ in 0..20 {
        let url = animal.url();
        let all = (0..8).map(|_| post(&transport, &url, LONG));
        for reply in futures_util::future::join_all(all).await {
            assert_eq!(reply.unwrap().status, 200);
        }
    }
    assert!(animal.connections() <= 8, "{}", animal.connections());
}

#[tokio::test]
async fn a_receiver_that_closes_after_each_answer_gets_a_new_connection_each_time() {
    for text in [OK, "HTTP/1.1 200 OK\nconnection: close\n\nok", "HTTP/1.0 200 OK\n\nok"] {
        let animal = Animal::new(Habit::AnswersAndCloses(text.replace('\n', "\r\n").into_bytes())).await;
        let transport = open();
        for round in 1..=10 {
            let reply = post(&transport, &animal.url(), LONG).await.unwrap();
            assert_eq!((reply.status, &reply.body[..]), (200, &b"ok"[..]));
            animal.until_closed(round).await;
        }
        assert_eq!(animal.connections(), 10);
    }
}

#[tokio::test]
async fn silence_and_drips_end_at_the_deadline_and_close_the_connection() {
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(10_000));
    let long_body = format!("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n{}", "a".repeat(10_000));
    for habit in [Habit::IsSilent, Habit::Drips(long_head.into_bytes()), Habit::Drips(long_body.into_bytes())] {
        let animal = Animal::new(habit).await;
        let transport = open();
        let error = post(&transport, &animal.url(), SHORT).await.unwrap_err();
        assert_eq!(error.reason, FailureReason::Timeout);
        animal.until_closed(1).await;
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_cap_and_no_further() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let animal = Animal::new(Habit::NeverEnds(head, vec![b'x'; 4_096])).await;
    let transport = open();
    let reply = post(&transport, &animal.url(), LONG).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 16 * 1024));
    animal.until_closed(1).await;

    let whole = |len: usize| answer(&format!("HTTP/1.1 200 OK\ncontent-length: {len}\n\n{}", "y".repeat(len)));
    for (len, connections) in [(16 * 1024, 1), (16 * 1024 + 1, 2)] {
        let animal = Animal::new(whole(len)).await;
        for _ in 0..2 {
            assert_eq!(post(&transport, &animal.url(), LONG).await.unwrap().body.len(), 16 * 1024);
        }
        assert_eq!(animal.connections(), connections, "a body of {len} bytes");
    }
}

#[tokio::test]
async fn nothing_is_ever_decompressed() {
    let bomb = [
        &b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n"[..],
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    ]
    .concat();
    let reply = check(Habit::Answers(bomb), LONG).await.unwrap();
    assert_eq!(&reply.body[..4], b"\x1f\x8b\x08\0");
}

#[tokio::test]
async fn redirects_are_answers_like_any_other() {
    let canary = Animal::new(answer(OK)).await;
    let reply =
        check(answer(&format!("HTTP/1.1 302 Found\nlocation: {}\ncontent-length: 0\n\n", canary.url())), LONG).await;
    assert_eq!(reply.unwrap().status, 302);
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_broken_answers() {
    let many = (0..101).map(|number| format!("x-{number}: y")).collect::<Vec<_>>().join("\n");
    for text in [
        format!("HTTP/1.1 200 OK\nx: {}\n\n", "a".repeat(33 * 1024)),
        format!("HTTP/1.1 200 OK\n{many}\n\n"),
        "220 mail.example.com ESMTP\n".to_owned(),
        "\0\0\0\0\0\0\0\0\n\n".to_owned(),
        "HTTP/1.1 200 OK\ncontent-length: 1\ncontent-length: 2\n\nab".to_owned(),
        "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\nzz\n".to_owned(),
    ] {
        let done = check(answer(&text), LONG).await;
        assert_eq!(done.err(), Some(FailureReason::Broken), "{}", &text[..20]);
    }
}

#[tokio::test]
async fn endless_interim_answers_and_heads_cost_no_more_than_the_deadline() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    assert_eq!(check(Habit::NeverEnds(Vec::new(), interim.clone()), SHORT).await.err(), Some(FailureReason::Timeout));
    let some = [interim.repeat(5), b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()].concat();
    assert_eq!(check(Habit::Answers(some), LONG).await.unwrap().status, 204);
    let header = b"x-again: and again\r\n".to_vec();
    let endless = Habit::NeverEnds(b"HTTP/1.1 200 OK\r\n".to_vec(), header);
    assert_eq!(check(endless, LONG).await.err(), Some(FailureReason::Broken));
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_broken_answer() {
    let cut = Habit::AnswersAndCloses(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec());
    for habit in [Habit::Resets, Habit::HangsUp, cut, Habit::AnswersAndCloses(b"HTTP/1.1 2".to_vec())] {
        assert_eq!(check(habit.clone(), LONG).await.err(), Some(FailureReason::Broken), "{habit:?}");
    }
}

#[tokio::test]
async fn only_a_request_that_was_handed_to_a_connection_may_have_arrived() {
    let arrived = async |url: &str| post(&open(), url, SHORT).await.unwrap_err().may_have_arrived;
    for habit in [Habit::IsSilent, Habit::Resets, answer("220 mail.example.com ESMTP\n")] {
        let animal = Animal::new(habit.clone()).await;
        assert!(arrived(&animal.url()).await, "{habit:?}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [&format!("http://{closed}/")[..], "http://169.254.169.254/", "http://name.invalid/", "nonsense"] {
        assert!(!arrived(url).await, "{url}");
    }
    // A handshake that does not end is no request.
    let animal = Animal::new(Habit::IsSilent).await;
    assert!(!arrived(&animal.url().replace("http:", "https:")).await);
}

#[tokio::test]
async fn a_switch_of_protocols_is_not_followed() {
    let switching = answer("HTTP/1.1 101 Switching Protocols\nconnection: upgrade\nupgrade: x\n\n");
    let done = check(switching, SHORT).await;
    assert!(matches!(&done, Ok(reply) if reply.status == 101) || done.is_err(), "{done:?}");
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let url = Animal::new(answer(OK)).await.url();
    let transport = open();
    // The animal is gone, and its listener with it, as soon as its task is.
    let error = loop {
        match post(&transport, &url, LONG).await {
            Err(error) if error.reason == FailureReason::Connect => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(error.message, "the connection was refused");
}

#[tokio::test]
async fn framing_and_routing_headers_are_ours() {
    let animal = Animal::new(answer(OK)).await;
    let smuggler = HttpCall {
        method: "POST",
        url: animal.url(),
        reply_bytes_max: REPLY_BYTES_DEFAULT,
        headers: vec![
            ("Host".to_owned(), "elsewhere.example".to_owned()),
            ("Transfer-Encoding".to_owned(), "chunked".to_owned()),
            ("content-length".to_owned(), "0".to_owned()),
            ("Connection".to_owned(), "close".to_owned()),
        ],
        body: Bytes::from_static(b"{}"),
    };
    let transport = open();
    for _ in 0..2 {
        assert_eq!(transport.exchange(lane(1), smuggler.clone(), LONG).await.unwrap().status, 200);
    }
    assert_eq!(animal.connections(), 1);
    let mut split = smuggler;
    split.headers.push(("x-split".to_owned(), "a\r\nb: c".to_owned()));
    let error = transport.exchange(lane(1), split, LONG).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::Unprocessable);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Sends every name to one address and counts the questions.
struct Fixed(SocketAddr, AtomicUsize);

#[async_trait]
impl Resolve for Fixed {
    async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(vec![self.0])
    }
}

fn fixed(address: SocketAddr) -> (Guard, Arc<Fixed>) {
    let resolver = Arc::new(Fixed(address, AtomicUsize::new(0)));
    (Guard::over(true, Vec::new(), Arc::clone(&resolver) as _, Arc::new(System)), resolver)
}

#[tokio::test]
async fn tls_is_checked_against_the_name_in_the_url() {
    let (animal, certificate) = Animal::with_tls(answer(OK), "hooks.example.com").await;
    let (guard, resolver) = fixed(animal.address);
    let trusting = transport(guard.clone(), &[certificate]);
    for _ in 0..3 {
        assert_eq!(post(&trusting, "https://hooks.example.com./x", LONG).await.unwrap().status, 200);
    }
    assert_eq!((animal.connections(), resolver.1.load(Ordering::SeqCst)), (1, 1));

    let error = post(&trusting, "https://other.example.com/x", LONG).await.unwrap_err();
    assert_eq!((error.reason, &*error.message), (FailureReason::Tls, "the certificate is for another name"));
    let error = post(&transport(guard, &[]), "https://hooks.example.com/x", LONG).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::Tls);
}

#[tokio::test]
async fn plain_http_behind_an_https_url_and_a_silent_handshake_are_tls_failures() {
    for habit in [answer(OK), Habit::IsSilent] {
        let animal = Animal::new(habit).await;
        let (guard, _) = fixed(animal.address);
        let error = post(&transport(guard, &[]), "https://hooks.example.com/x", SHORT).await.unwrap_err();
        assert!(matches!(error.reason, FailureReason::Tls | FailureReason::Timeout), "{error:?}");
        assert!(!error.is_misconfigured || error.message.contains("begin it with `http://`"), "{error:?}");
    }
}

#[tokio::test]
async fn a_port_without_encryption_behind_an_https_url_is_a_setting_to_be_mended() {
    let address = greeter(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (guard, _) = fixed(address);
    let error = post(&transport(guard, &[]), "https://hooks.example.com/x", LONG).await.unwrap_err();
    let expect = "what answers at this port does not speak TLS; name the port for `https://` in the URL, or begin it with \
                  `http://` for a server on your own network, then resume the destination";
    assert_eq!((error.reason, &*error.message, error.is_misconfigured), (FailureReason::Tls, expect, true));
}

#[tokio::test]
async fn a_burst_of_connections_asks_for_a_name_once() {
    let animal = Animal::new(answer(OK)).await;
    let (guard, resolver) = fixed(animal.address);
    let transport = transport(guard, &[]);
    let all = (0..32).map(|_| post(&transport, "http://hooks.example.com/", LONG));
    for reply in futures_util::future::join_all(all).await {
        assert_eq!(reply.unwrap().status, 200);
    }
    assert_eq!(resolver.1.load(Ordering::SeqCst), 1);
}

/// Says this to whoever has said something, and hangs up when they do.
fn greeter(bytes: &'static [u8]) -> SocketAddr {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(bytes));
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    address
}
