//! One connection: hyper's state machine between a watched socket and the router.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch as channel;
use tokio::time::{Sleep, sleep_until};
use tower::Service as _;

use super::watch::Watch;
use super::{ListenerLimits, Place, Stage};

/// Most bytes of a connection that hyper holds at once, beside a head: bounds what a crowd of slow bodies costs.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// Most bytes that are read and thrown away after our last word.
const LINGER_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// How long an alarm may sleep while nothing is expected of the client.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Serves one connection to its end.
pub(super) async fn run(
    stream: TcpStream,
    router: Router,
    limits: Arc<ListenerLimits>,
    mut stages: channel::Receiver<Stage>,
    _place: Place,
) {
    // Answers are small and whole; waiting to fill a packet would only add latency.
    let _ = stream.set_nodelay(true);
    let watch = Arc::new(Watch::new(Arc::clone(&limits)));
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&watch)));
    let front = Front { router, watch: Arc::clone(&watch) };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        // A client that stops sending still gets its answer; and looking whether it has would cost each request a call
        // into the operating system.
        .half_close(true)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(BUFFER_BYTES_MAX.max(limits.head_bytes_max))
        .serve_connection(socket, front);
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep_until(next_look(&watch)));
    loop {
        tokio::select! {
            biased;
            () = poll_fn(|cx| drive(connection.as_mut(), alarm.as_mut(), &watch, cx)) => return,
            changed = stages.changed() => match (changed, *stages.borrow_and_update()) {
                (Ok(()), Stage::Serving) => {}
                (Ok(()), Stage::Draining) => connection.as_mut().graceful_shutdown(),
                (Ok(()), Stage::Closing) | (Err(_), _) => return,
            },
        }
    }
}

/// Drives a connection until it ends or its client misses a deadline.
fn drive(
    connection: Pin<&mut http1::Connection<TokioIo<Socket>, Front>>,
    mut alarm: Pin<&mut Sleep>,
    watch: &Watch,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if let Poll::Ready(ended) = connection.poll(cx) {
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
        return Poll::Ready(());
    }
    // The alarm is moved only to come earlier; one that comes too early finds out here that there is time left.
    if watch.deadline().is_some_and(|deadline| deadline < alarm.deadline()) {
        alarm.as_mut().reset(next_look(watch));
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if watch.deadline().is_some_and(|deadline| deadline <= alarm.deadline()) {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(next_look(watch));
    }
    Poll::Pending
}

fn next_look(watch: &Watch) -> tokio::time::Instant {
    watch.deadline().unwrap_or_else(|| tokio::time::Instant::now() + LOOK_EVERY)
}

// ---------------------------------------------------------------------------------------------------------------------

/// The router as hyper sees it.
struct Front {
    router: Router,
    watch: Arc<Watch>,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let has_body = !request.body().is_end_stream();
        // hyper lets `Transfer-Encoding` win over a `Content-Length` beside it, as it must, and drops the latter. A
        // proxy before us may have decided otherwise: whatever it takes for the next request is not read.
        let is_last = request.headers().contains_key(TRANSFER_ENCODING);
        self.watch.head_done(has_body, is_last);
        let watched = |incoming| WatchedBody { incoming, watch: Arc::clone(&self.watch), is_whole: false };
        let request = request.map(|incoming| if has_body { Body::new(watched(incoming)) } else { Body::empty() });
        Answer { inner: self.router.clone().call(request), watch: Arc::clone(&self.watch), is_last }
    }
}

/// The answer to come.
struct Answer {
    inner: RouteFuture<Infallible>,
    watch: Arc<Watch>,
    is_last: bool,
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.inner).poll(cx))?;
        if self.is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.watch.answered();
        Poll::Ready(Ok(response))
    }
}

/// The body of a request; tells the watch when it is done with.
struct WatchedBody {
    incoming: Incoming,
    watch: Arc<Watch>,
    is_whole: bool,
}

impl hyper::body::Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if self.incoming.is_end_stream() || frame.is_none() {
            self.is_whole = true;
            self.watch.body_done();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.is_whole {
            self.watch.leave_unread();
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------

/// The socket; tells the watch what passes through it.
struct Socket {
    stream: TcpStream,
    watch: Arc<Watch>,
    /// The client has said its last word.
    at_end: bool,
    /// We have.
    said_all: bool,
    discarded: usize,
}

impl Socket {
    fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, at_end: false, said_all: false, discarded: 0 }
    }

    /// How many bytes came in, 0 at the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let received = buf.filled().len() - before;
        self.at_end = received == 0;
        Poll::Ready(Ok(received))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_receive(cx, buf))? > 0 {
            self.watch.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.watch.flushed();
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will come and, to a client that is still sending, listens for a while: closing a socket
    /// with unread bytes in it resets the connection, and the client might never see why its request was refused.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.said_all {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.said_all = true;
            self.at_end |= !self.watch.linger();
        }
        let mut rubbish = [MaybeUninit::uninit(); 4_096];
        while !self.at_end && self.discarded < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::uninit(&mut rubbish);
            self.discarded += ready!(self.poll_receive(cx, &mut buf))?;
        }
        Poll::Ready(Ok(()))
    }
}
