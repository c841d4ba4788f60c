//! The listener: a hand-made accept loop around hyper's HTTP/1 connections.
//!
//! It exists for its limits. A client that is silent, drips its head or its body, or does not read its answer is closed
//! by its deadline; a crowd of such clients meets the connection cap. Each connection has one alarm, set anew only when
//! a deadline moves closer, so that watching costs an ordinary request next to nothing.
//!
//! | waiting for | limit | counted from |
//! | --- | --- | --- |
//! | a first request | `head_timeout` | the accept |
//! | the rest of a head | `head_timeout` | its first byte |
//! | a whole body | `body_timeout` | the end of the head |
//! | the client to take its answer | `write_timeout` | the answer |
//! | the next request | `idle_timeout` | the end of the answer |
//!
//! The time that a handler takes is the handler's own business.

mod connection;
mod watch;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch as channel};
use tokio::time::{sleep, timeout};

/// How long to wait after the operating system refused a connection for want of something.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What a client may cost.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Most connections at once; one more is told so and closed.
    pub connections_max: usize,
    /// Longest head of a request, in bytes. There may be at most 100 header lines (hyper's own limit).
    pub head_bytes_max: usize,
    pub head_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub idle_timeout: Duration,
    /// How long a connection that we end is kept for the client to read its last answer.
    pub linger_timeout: Duration,
    /// How long requests that were read before the shutdown may take to finish.
    pub grace: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            head_bytes_max: 32 * 1_024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            linger_timeout: Duration::from_secs(2),
            grace: Duration::from_secs(15),
        }
    }
}

/// Counts the open connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    closed: Notify,
}

/// Where a listener is in its life, as its connections see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Finish what was read, begin nothing new.
    Draining,
    /// The grace is over.
    Closing,
}

/// Serves until `shutdown` is done, then finishes the requests already read, within [`ListenerLimits::grace`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerLimits,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()>,
) {
    let limits = Arc::new(limits);
    let (stage, stages) = channel::channel(Stage::Serving);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match connections.admit(limits.connections_max) {
                    Some(place) => {
                        let (router, limits, stages) = (router.clone(), Arc::clone(&limits), stages.clone());
                        tokio::spawn(connection::run(stream, router, limits, stages, place));
                    }
                    None => turn_away(&stream),
                },
                Err(error) => back_off(&error).await,
            },
        }
    }
    drop(listener);
    let _ = stage.send(Stage::Draining);
    if timeout(limits.grace, connections.none_open()).await.is_err() {
        tracing::warn!(open = connections.open(), "connections did not finish in time; they are closed");
        let _ = stage.send(Stage::Closing);
        connections.none_open().await;
    }
}

/// Tells a client that there is no room, if its socket takes that at once.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
}

/// A connection that was gone before we took it is no reason to wait; anything else is a shortage that must pass.
async fn back_off(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        sleep(ACCEPT_BACKOFF).await;
    }
}

impl Connections {
    /// How many are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn admit(self: &Arc<Self>, max: usize) -> Option<Place> {
        let admit = |open: usize| (open < max).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, admit).ok()?;
        Some(Place(Arc::clone(self)))
    }

    async fn none_open(&self) {
        loop {
            let mut closed = pin!(self.closed.notified());
            // Registered before looking, so that the last one cannot slip away in between.
            closed.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// One of the places among the open connections, given back when dropped.
struct Place(Arc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}
