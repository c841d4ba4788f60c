//! Wires: one HTTP/1.1 connection each, driven by whoever holds it.
//!
//! A connection has no task of its own. The exchange that holds a wire polls its connection in the same breath, which
//! saves two wake-ups per request, and dropping the wire closes the socket at once. A wire that lies idle is not
//! polled; whether the other side has closed it meanwhile is seen when it is taken up again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::verdict::FailureReason;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::TransportError;
use super::target::Target;

/// Largest head of a reply, in bytes. The parser's own limit of 100 headers holds as well.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Largest buffer of a connection: a head, and what has already come of the body.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
pub(super) type Outgoing = Request<Full<Bytes>>;

/// One connection.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<Stream, Full<Bytes>>,
    /// The connection has run to its end and must not be polled again.
    ended: bool,
    target: Arc<Target>,
    /// Until when it may lie idle.
    pub(super) idle_until: Instant,
}

/// Why a request got no response.
pub(super) enum SendError {
    /// Not a byte of the request was written: it may be sent over another wire.
    Unsent(Box<Outgoing>),
    Failed(TransportError),
}

impl Wire {
    /// Makes ready to speak HTTP over a stream.
    pub(super) async fn over(stream: Stream, target: Arc<Target>) -> Result<Self, TransportError> {
        let (sender, connection) = Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|error| broken(&error))?;
        Ok(Self { sender, connection, ended: false, target, idle_until: Instant::now() })
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, SendError> {
        let Self { sender, connection, ended, .. } = self;
        let mut response = pin!(sender.try_send_request(request));
        let sent = poll_fn(|cx| {
            if let Poll::Ready(done) = response.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            drive(connection, ended, cx);
            match response.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if *ended => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match sent.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(request) => SendError::Unsent(Box::new(request)),
                None => SendError::Failed(broken(error.error())),
            }),
            None => Err(SendError::Failed(closed())),
        }
    }

    /// The next part of a body, or `None` at its end.
    pub(super) async fn next_frame(&mut self, body: &mut Incoming) -> Option<Result<Frame<Bytes>, TransportError>> {
        let next = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            drive(&mut self.connection, &mut self.ended, cx);
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(frame),
                Poll::Pending if self.ended => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        next.await.map(|frame| frame.map_err(|error| broken(&error)))
    }

    /// Whether a request to `target` may be sent over this wire now: it leads there and the other side has not closed
    /// it.
    pub(super) async fn is_ready_for(&mut self, target: &Target) -> bool {
        self.target.shares_connections_with(target) && self.is_ready().await
    }

    /// Whether the connection is between two exchanges.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            drive(&mut self.connection, &mut self.ended, cx);
            Poll::Ready(!self.ended && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))))
        })
        .await
    }

    /// Lets the wire lie idle for at most `idle_max`.
    pub(super) fn lay_down(&mut self, idle_max: Duration) {
        self.idle_until = Instant::now() + idle_max;
    }
}

/// Moves bytes. What went wrong is told to the request or the body that it went wrong for.
fn drive(connection: &mut Connection<Stream, Full<Bytes>>, ended: &mut bool, cx: &mut Context<'_>) {
    if !*ended && Pin::new(connection).poll(cx).is_ready() {
        *ended = true;
    }
}

fn closed() -> TransportError {
    TransportError::new(FailureReason::Broken, "the connection was closed before the answer was complete")
}

fn broken(error: &hyper::Error) -> TransportError {
    if error.is_parse_too_large() {
        let message = "the head of the answer is larger than 32 KiB or has more than 100 headers";
        TransportError::new(FailureReason::Broken, message)
    } else if error.is_parse() {
        TransportError::new(FailureReason::Broken, "the answer is not HTTP; look at `https:` and the port in the URL")
    } else if error.is_incomplete_message() || error.is_closed() {
        closed()
    } else {
        TransportError::new(FailureReason::Broken, "the connection broke")
    }
}
