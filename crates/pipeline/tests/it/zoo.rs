//! A zoo of receivers: one well-behaved, the others each hostile in their own way, all on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A receiver that ends with the test.
pub(crate) struct Animal {
    pub(crate) address: SocketAddr,
    /// Connections accepted so far.
    connections: Arc<AtomicUsize>,
    /// Connections that are closed again.
    closed: watch::Sender<usize>,
    task: JoinHandle<()>,
}

/// What a receiver does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Habit {
    /// Answers every request with these bytes and keeps the connection.
    Answers(Vec<u8>),
    /// Answers the first request with these bytes and closes.
    AnswersAndCloses(Vec<u8>),
    /// Answers with the first bytes and then with the second ones for ever.
    NeverEnds(Vec<u8>, Vec<u8>),
    /// The same, one byte at a time with a pause after each.
    Drips(Vec<u8>),
    /// Reads and says nothing.
    IsSilent,
    /// Resets the connection once it has read a request.
    Resets,
    /// Closes without reading.
    HangsUp,
}

impl Animal {
    pub(crate) async fn new(habit: Habit) -> Self {
        Self::start(habit, None).await
    }

    /// The same behind TLS, with a certificate for `name`.
    pub(crate) async fn with_tls(habit: Habit, name: &str) -> (Self, CertificateDer<'static>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        (Self::start(habit, Some(TlsAcceptor::from(Arc::new(config)))).await, certificate)
    }

    async fn start(habit: Habit, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, closed) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(0));
        let (counted, ended) = (Arc::clone(&connections), closed.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (habit, tls, ended) = (habit.clone(), tls.clone(), ended.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(habit, stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                behave(habit, stream).await;
                            }
                        }
                    }
                    ended.send_modify(|closed| *closed += 1);
                });
            }
        });
        Self { address, connections, closed, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Comes back when `count` connections have been closed.
    pub(crate) async fn until_closed(&self, count: usize) {
        self.closed.subscribe().wait_for(|&closed| closed >= count).await.unwrap();
    }
}

impl Drop for Animal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(habit: Habit, mut stream: TcpStream) {
    match habit {
        Habit::Resets => {
            read_request(&mut stream).await;
            let _ = stream.set_zero_linger();
        }
        Habit::HangsUp => {}
        habit => behave(habit, stream).await,
    }
}

async fn behave(habit: Habit, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    while read_request(&mut stream).await {
        match &habit {
            Habit::Answers(bytes) => {
                let _ = stream.write_all(bytes).await;
            }
            Habit::AnswersAndCloses(bytes) => {
                let _ = stream.write_all(bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Habit::NeverEnds(first, rest) => {
                let _ = stream.write_all(first).await;
                while stream.write_all(rest).await.is_ok() {}
                return;
            }
            Habit::Drips(bytes) => {
                for byte in bytes {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
            Habit::IsSilent | Habit::Resets | Habit::HangsUp => {}
        }
    }
}

/// Reads one request with a `Content-Length`; returns whether there was one.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |text| text.trim().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await.is_ok()
}
