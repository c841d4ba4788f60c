//! The line to a mail server: what lettre reads from and writes to.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that a server may say in one dialogue. The library reads a line to its end, however far that is.
const SAID_BYTES_MAX: usize = 256 * 1024;
/// What ends a message. No message holds it, because the dots at the beginnings of its lines are doubled.
const DOT: &[u8] = b"\r\n.\r\n";
/// After `STARTTLS` a server does not greet again, and the library waits for a greeting.
const GREETING: &[u8] = b"220 ready\r\n";

/// A connection that sees the end of the message pass.
#[derive(Debug)]
pub(super) struct Line {
    stream: Box<dyn Stream>,
    /// What is read before the stream is.
    greeting: &'static [u8],
    said_bytes: usize,
    /// Set before the first byte of the final dot is written: from then on the server may have the message.
    dot: Arc<AtomicBool>,
}

/// Whatever bytes can be read from and written to.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Stream for S {}

impl Line {
    /// A line whose server will greet.
    pub(super) fn over(stream: impl Stream + 'static, dot: Arc<AtomicBool>) -> Self {
        Self { stream: Box::new(stream), greeting: b"", said_bytes: 0, dot }
    }

    /// A line whose server has greeted.
    pub(super) fn greeted(stream: impl Stream + 'static, dot: Arc<AtomicBool>) -> Self {
        Self { greeting: GREETING, ..Self::over(stream, dot) }
    }
}

impl AsyncTokioStream for Line {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the guard knows the address, and nobody else needs it"))
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.said_bytes += buf.filled().len() - before;
        if self.said_bytes > SAID_BYTES_MAX {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the server says too much")));
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // The library writes the dot in a write of its own.
        if buf == DOT {
            self.dot.store(true, Ordering::Relaxed);
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
