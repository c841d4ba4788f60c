//! One connection to a broker, logged in.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use domain::connector::{Sasl, SaslMechanism};
use domain::verdict::FailureReason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::codec::{Reader, Writer};
use super::login::{Scram, UNPROVEN, plain};
use super::messages::{Metadata, Request, SaslAuthenticate, SaslHandshake, error_name};
use super::{Duplex, End};
use crate::transport::TransportError;
use crate::transport::records::servers::HEARD_LATELY;

/// Largest reply, in bytes: that about the partitions of some topics is the largest.
const REPLY_BYTES_MAX: i32 = 4 * 1024 * 1024;
/// How somebody begins who was spoken to in the open and expected a handshake: no reply is as long as that.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];
/// How we call ourselves in the broker's log.
const CLIENT_ID: &str = "afterclick";
/// How long a broker waits for the other replicas.
const REPLICAS_MAX: Duration = Duration::from_secs(30);

/// A connection.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    requests: i32,
    /// When the broker last answered.
    heard_at: Instant,
}

impl Connection {
    /// Logs in over a fresh stream.
    pub(super) async fn open(stream: Box<dyn Duplex>, login: Option<&Sasl>, random: u128) -> Result<Self, End> {
        let mut connection = Self { stream, requests: 0, heard_at: Instant::now() };
        if let Some(sasl) = login {
            connection.log_in(sasl, random).await?;
        }
        Ok(connection)
    }

    /// Makes a request and reads its reply.
    pub(super) async fn ask<R: Request>(&mut self, request: &R) -> Result<R::Reply, End> {
        let mut writer = Writer::default();
        self.requests = self.requests.wrapping_add(1);
        writer.i32(0);
        writer.i16(R::KEY);
        writer.i16(R::VERSION);
        writer.i32(self.requests);
        writer.text(CLIENT_ID);
        request.write(&mut writer);
        let length = i32::try_from(writer.0.len() - 4).unwrap_or(i32::MAX);
        writer.0[..4].copy_from_slice(&length.to_be_bytes());

        let reply = self.talk(&writer.0).await?;
        self.heard_at = Instant::now();
        let mut reader = Reader(reply);
        let done = match reader.i32() {
            Ok(number) if number == self.requests => R::read(&mut reader),
            _ => Err(super::codec::Malformed),
        };
        done.map_err(|_| broken(&io::ErrorKind::InvalidData.into()))
    }

    /// Whether the broker is still there, as one that has gone does not say so; it may take for ever to tell.
    pub(super) async fn is_awake(&mut self) -> bool {
        // About no topic, which costs nobody anything.
        self.heard_at.elapsed() < HEARD_LATELY || self.ask(&Metadata(&[])).await.is_ok()
    }

    async fn talk(&mut self, request: &[u8]) -> Result<Bytes, End> {
        let length = self.say(request).await.map_err(|error| broken(&error))?;
        match length.to_be_bytes() {
            bytes if bytes.starts_with(&TLS_ALERT) => {
                return Err(End::turned_away("TLS_REQUIRED", "the broker wants an encrypted connection"));
            }
            bytes if bytes == *b"HTTP" => return Err(not_kafka()),
            _ => {}
        }
        self.hear(length).await.map_err(|error| broken(&error))
    }

    /// Makes a request and reads how long its reply is.
    async fn say(&mut self, request: &[u8]) -> io::Result<i32> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.stream.read_i32().await
    }

    async fn hear(&mut self, length: i32) -> io::Result<Bytes> {
        if !(4..=REPLY_BYTES_MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Grows with what really comes.
        let mut reply = Vec::new();
        let length = u64::try_from(length).unwrap_or(0);
        (&mut self.stream).take(length).read_to_end(&mut reply).await?;
        if reply.len() as u64 == length { Ok(reply.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    async fn log_in(&mut self, sasl: &Sasl, random: u128) -> Result<(), End> {
        let (error, offered) = self.ask(&SaslHandshake(sasl.mechanism.name())).await?;
        if error != 0 {
            return Err(End::turned_away(error_name(error), format!("it offers {}", offered.join(", "))));
        }
        if sasl.mechanism == SaslMechanism::Plain {
            return self.authenticate(plain(sasl)).await.map(drop);
        }
        let scram = Scram::new(sasl, random);
        let said = self.authenticate(scram.first()).await?;
        let unproven = |message: String| End::turned_away("SASL_AUTHENTICATION_FAILED", message);
        let (last, proof) = scram.last(&said).ok_or_else(|| unproven(UNPROVEN.to_owned()))?;
        let said = self.authenticate(last).await?;
        proof.check(&said).map_err(unproven)
    }

    async fn authenticate(&mut self, message: Vec<u8>) -> Result<Bytes, End> {
        match self.ask(&SaslAuthenticate(message)).await? {
            (0, _, said) => Ok(said),
            (error, message, _) => Err(End::turned_away(error_name(error), message.unwrap_or_default())),
        }
    }
}

/// How long a broker may wait for its replicas, so that it answers before we are gone.
pub(super) fn replicas_ms(until: Instant) -> i32 {
    let left = until.saturating_duration_since(Instant::now()).mul_f64(0.8).min(REPLICAS_MAX);
    i32::try_from(left.as_millis()).unwrap_or(i32::MAX)
}

/// Whoever answers so will never do, but others are named.
fn not_kafka() -> End {
    let message = "what answers is a web server and no broker";
    let advice = "mend the hosts and ports under `brokers`, 9092 as a rule";
    TransportError::misconfigured(FailureReason::Broken, message).advised(advice).into()
}

fn broken(error: &io::Error) -> End {
    let message = match error.kind() {
        io::ErrorKind::InvalidData => "the answer is not Kafka's",
        io::ErrorKind::UnexpectedEof => {
            "the broker closed the connection; perhaps it wants another login, or encryption"
        }
        _ => "the connection broke",
    };
    End::after_sending(FailureReason::Broken, message)
}
