//! What lies between the socket and the protocol: a cap on what the other side may say, and TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::client;

use crate::transport::TransportError;
use crate::transport::tls::Tls;

/// Most bytes that a server may say for one statement. The library collects a message and all rows to their end, however far
/// that is.
const SAID_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A stream that ends when too much has been read from it.
pub(super) struct Capped<S> {
    stream: S,
    said_bytes: Arc<AtomicUsize>,
}

/// Lets a capped stream begin to count again.
pub(super) struct Allowance(Arc<AtomicUsize>);

impl<S> Capped<S> {
    pub(super) fn new(stream: S) -> (Self, Allowance) {
        let said_bytes = Arc::new(AtomicUsize::new(0));
        (Self { stream, said_bytes: Arc::clone(&said_bytes) }, Allowance(said_bytes))
    }
}

impl Allowance {
    pub(super) fn renew(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.said_bytes.load(Ordering::Relaxed) > SAID_BYTES_MAX {
            return Poll::Ready(Err(io::Error::other("the database says too much")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.said_bytes.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Capped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Shakes hands once the server has said that it is ready to.
pub(super) struct Encrypt {
    tls: Tls,
    name: ServerName<'static>,
    deadline: Instant,
}

impl Encrypt {
    pub(super) fn new(tls: Tls, name: ServerName<'static>, deadline: Instant) -> Self {
        Self { tls, name, deadline }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Encrypt {
    type Stream = Encrypted<S>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, TransportError>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.tls.shake_hands(self.name, stream, self.deadline).await.map(Encrypted) })
    }
}

/// A stream inside TLS.
pub(super) struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    /// The certificate was checked against the name that was asked for; the login adds nothing to that.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
