//! The line to a mail server: what lettre reads from and writes to.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that a server may say about one mail. The library reads a line to its end, however far that is, and with
/// each line of an answer all lines before it once more.
const SAID_BYTES_MAX: usize = 32 * 1024;
/// What ends a message. No message holds it, because the dots at the beginnings of its lines are doubled.
const DOT: &[u8] = b"\r\n.\r\n";
/// After `STARTTLS` a server does not greet again, and the library waits for a greeting.
const GREETING: &[u8] = b"220 ready\r\n";

/// A connection that sees the end of a message pass.
#[derive(Debug)]
pub(super) struct Stream {
    wire: Box<dyn Wire>,
    /// What is read before the connection is.
    greeting: &'static [u8],
    watch: Arc<Watch>,
}

/// What is known of the mail that is being handed over.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Set before the first byte of the final dot is written: from then on the server may have the message.
    dot: Mutex<Arc<AtomicBool>>,
    /// What the server has said since the mail began.
    said_bytes: AtomicUsize,
}

impl Watch {
    /// Another mail begins, and whoever hands it over wants to know of its dot.
    pub(super) fn begin(&self, dot: &Arc<AtomicBool>) {
        *self.dot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(dot);
        self.said_bytes.store(0, Ordering::Relaxed);
    }

    fn see_the_dot(&self) {
        self.dot.lock().unwrap_or_else(PoisonError::into_inner).store(true, Ordering::Relaxed);
    }
}

/// Whatever bytes can be read from and written to.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Wire for S {}

impl Stream {
    /// A connection whose server will greet.
    pub(super) fn over(wire: impl Wire + 'static, watch: &Arc<Watch>) -> Self {
        Self { wire: Box::new(wire), greeting: b"", watch: Arc::clone(watch) }
    }

    /// A connection whose server has greeted.
    pub(super) fn greeted(wire: impl Wire + 'static, watch: &Arc<Watch>) -> Self {
        Self { greeting: GREETING, ..Self::over(wire, watch) }
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the guard knows the address, and nobody else needs it"))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.wire).poll_read(cx, buf);
        let said_bytes = buf.filled().len() - before;
        if self.watch.said_bytes.fetch_add(said_bytes, Ordering::Relaxed) + said_bytes > SAID_BYTES_MAX {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the server says too much")));
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // The library writes the dot in a write of its own.
        if buf == DOT {
            self.watch.see_the_dot();
        }
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
