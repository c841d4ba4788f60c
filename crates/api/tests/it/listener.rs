//! The listener, met by clients that behave and clients that do not. Time is simulated: it jumps ahead whenever nothing
//! is going on, so a deadline is waited for without waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::listener::{self, Connections, ListenerLimits};
use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

struct Served {
    address: SocketAddr,
    connections: Arc<Connections>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    /// Lets the answer of `/slow` go.
    release: Arc<Notify>,
    /// Told when `/slow` has begun.
    begun: Arc<Notify>,
}

async fn serve(limits: ListenerLimits) -> Served {
    let (release, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (release, begun) = (Arc::clone(&release), Arc::clone(&begun));
        move || async move {
            begun.notify_one();
            release.notified().await;
            "slow"
        }
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(slow))
        .route("/echo", post(|request: Request| async { request.into_body().collect().await.unwrap().to_bytes() }))
        .route(
            "/refuse",
            post(|| async { (http::StatusCode::PAYLOAD_TOO_LARGE, [("connection", "close")], "too much") }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(Connections::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let server = tokio::spawn(listener::serve(listener, router, limits, Arc::clone(&connections), shutdown));
    Served { address, connections, stop, server, release, begun }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` on a new connection and reads until the server closes.
    async fn exchange(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut read).await;
    String::from_utf8_lossy(&read).into_owned()
}

/// Reads one answer with a `content-length`.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let byte = stream.read_u8().await.expect("the connection ended within an answer");
        read.push(byte);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        if body.len() >= length {
            return text.into_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_is_closed_when_its_first_head_is_due() {
    let served = serve(ListenerLimits::default()).await;
    let began = Instant::now();
    let mut stream = served.connect().await;
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_dripping_head_is_closed_however_steadily_it_drips() {
    let served = serve(ListenerLimits::default()).await;
    let began = Instant::now();
    let mut stream = served.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writes.write_all(b"x: y\r\n").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let mut read = Vec::new();
    let _ = reads.read_to_end(&mut read).await;
    assert_eq!(read, b"");
    assert!((10..=11).contains(&began.elapsed().as_secs()));
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_on_a_connection_that_was_idle_gets_no_longer() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("hello"));
    sleep(Duration::from_mins(1)).await;
    let began = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_is_closed_however_steadily_it_drips() {
    let served = serve(ListenerLimits::default()).await;
    let began = Instant::now();
    let mut stream = served.connect().await;
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writes.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let mut read = Vec::new();
    let _ = reads.read_to_end(&mut read).await;
    assert_eq!(read, b"");
    assert!((30..=31).contains(&began.elapsed().as_secs()));
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_a_while_and_no_longer() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        sleep(Duration::from_secs(70)).await;
    }
    let began = Instant::now();
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_the_clients_fault() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    served.begun.notified().await;
    sleep(Duration::from_secs(500)).await;
    served.release.notify_one();
    assert!(read_answer(&mut stream).await.ends_with("slow"));
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_told_so_and_a_place_is_given_back() {
    let served = serve(ListenerLimits { connections_max: 2, ..ListenerLimits::default() }).await;
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        stream.write_all(request).await.unwrap();
        read_answer(&mut stream).await;
        kept.push(stream);
    }
    assert_eq!(served.connections.open(), 2);
    let mut refused = served.connect().await;
    assert!(read_all(&mut refused).await.starts_with("HTTP/1.1 503"));
    drop(kept);
    while served.connections.open() > 0 {
        tokio::task::yield_now().await;
    }
    let mut stream = served.connect().await;
    stream.write_all(request).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let served = serve(ListenerLimits::default()).await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nend";
    let answers = served.exchange(&format!("{get}{get}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3);
    assert!(answers.ends_with("end"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_seen_by_a_client_that_is_still_sending() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    stream.write_all(b"POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n").await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let sender = tokio::spawn(async move { writes.write_all(&vec![b'x'; 2_000_000]).await });
    let mut read = Vec::new();
    reads.read_to_end(&mut read).await.expect("no reset before the answer was read");
    assert!(String::from_utf8_lossy(&read).ends_with("too much"));
    sender.await.unwrap().expect("what was still sent was taken and thrown away");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_sending_still_gets_its_answer() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    served.begun.notified().await;
    served.release.notify_one();
    assert!(read_all(&mut stream).await.ends_with("slow"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_answer_is_closed() {
    let served = serve(ListenerLimits::default()).await;
    let mut stream = served.connect().await;
    let length = 8 * 1_024 * 1_024;
    let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    // The answer is larger than what sockets hold, and nobody reads it.
    while served.connections.open() > 0 {
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_head_is_refused() {
    let served = serve(ListenerLimits { head_bytes_max: 8 * 1_024, ..ListenerLimits::default() }).await;
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n", "y".repeat(20_000));
    assert!(served.exchange(&large).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert!(served.exchange(&many).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test(start_paused = true)]
async fn framing_that_two_servers_could_read_in_two_ways_ends_the_connection() {
    let served = serve(ListenerLimits::default()).await;
    let smuggled = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\n";
    for (framing, body, status) in [
        ("content-length: 4\r\ncontent-length: 5\r\n", "abcd", "400"),
        ("content-length: +4\r\n", "abcd", "400"),
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", "200"),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n", "0\r\n\r\n", "200"),
        ("transfer-encoding: gzip\r\n", "abcd", "400"),
        ("transfer-encoding : chunked\r\n", "0\r\n\r\n", "400"),
        ("x: a\r\n b\r\ncontent-length: 0\r\n", "", "400"),
    ] {
        let answer = served.exchange(&format!("{head}{framing}\r\n{body}{smuggled}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_requests_finish_and_takes_no_new_ones() {
    let served = serve(ListenerLimits::default()).await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    served.begun.notified().await;

    served.stop.send(()).unwrap();
    let began = Instant::now();
    assert_eq!(read_all(&mut idle).await, "", "an idle connection is closed at once");
    while served.connections.open() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(began.elapsed().as_secs(), 0, "and nothing more is expected of it");
    assert!(TcpStream::connect(served.address).await.is_err(), "nothing new is accepted");
    served.release.notify_one();
    let answer = read_all(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    drop(busy);
    served.server.await.unwrap();
    assert_eq!(served.connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_its_grace() {
    let served = serve(ListenerLimits::default()).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    served.begun.notified().await;
    let began = Instant::now();
    served.stop.send(()).unwrap();
    served.server.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(read_all(&mut busy).await, "");
}
