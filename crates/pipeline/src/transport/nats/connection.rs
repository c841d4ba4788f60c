//! One connection to a server, logged in and listening to an inbox of its own.

use std::io;
use std::time::Duration;

use domain::connector::RecordRefusal;
use domain::verdict::FailureReason;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::hello::{check, hello};
use super::wire::{self, Info, Message, Op};
use super::{End, Errand, Place};
use crate::transport::TransportError;
use crate::transport::records::Duplex;
use crate::transport::records::servers::HEARD_LATELY;
use crate::transport::tls::Tls;

/// Longest wait for the server's first word.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// How much is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// A connection.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
    payload_bytes_max: usize,
    /// The beginning of the subjects that acknowledgements come to.
    inbox: String,
    /// How many records have been published, which is the end of the next of these subjects.
    published: u64,
    /// When the server last said something.
    heard_at: Instant,
}

impl Connection {
    /// Greets the server, encrypts, logs in.
    pub(super) async fn open(
        tcp: TcpStream,
        tls: Option<&Tls>,
        name: ServerName<'static>,
        place: &Place,
        random: u128,
        until: Instant,
    ) -> Result<Self, End> {
        let mut plain = BufReader::new(tcp);
        let info = match timeout(GREETING_MAX, wire::read(&mut plain)).await {
            Ok(Ok(Op::Info(info))) => info,
            // Nothing has been said to it that it could have misunderstood.
            Ok(Ok(_)) => return Err(not_nats()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => return Err(not_nats()),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => {
                let message = "the server does not greet; perhaps its port is not for NATS, or wants a handshake first";
                return Err(TransportError::new(FailureReason::Timeout, message).into());
            }
        };
        check(&info, tls.is_some())?;
        let tcp = plain.into_inner();
        let stream: Box<dyn Duplex> = match tls {
            Some(tls) => Box::new(tls.shake_hands(name, tcp, until).await?),
            None => Box::new(tcp),
        };
        let mut connection = Self {
            stream: BufReader::new(stream),
            payload_bytes_max: info.max_payload,
            inbox: format!("_INBOX.{random:032x}."),
            published: 0,
            heard_at: Instant::now(),
        };
        connection.log_in(&info, place).await?;
        Ok(connection)
    }

    async fn log_in(&mut self, info: &Info, place: &Place) -> Result<(), End> {
        let hello = hello(info, place)?;
        self.write(format!("CONNECT {hello}\r\nSUB {}* 1\r\nPING\r\n", self.inbox).as_bytes()).await?;
        self.pong().await
    }

    /// Whether the server is still there, as one that has gone does not say so; it may take for ever to tell.
    pub(super) async fn is_awake(&mut self) -> bool {
        self.heard_at.elapsed() < HEARD_LATELY || self.write(b"PING\r\n").await.is_ok() && self.pong().await.is_ok()
    }

    async fn pong(&mut self) -> Result<(), End> {
        loop {
            match self.read().await? {
                Op::Pong => return Ok(()),
                Op::Ping => self.write(b"PONG\r\n").await?,
                Op::Err(message) => return Err(refused(message)),
                Op::Info(_) | Op::Ok | Op::Message(_) => {}
            }
        }
    }

    /// Publishes the records that are not settled and waits until each is.
    pub(super) async fn publish(&mut self, errand: &Errand<'_>) -> Result<(), End> {
        let first = self.published;
        let records = errand.unsettled();
        let mut buffer = Vec::new();
        for &record in &records {
            let reply_to = format!("{}{}", self.inbox, self.published);
            self.published += 1;
            match wire::publication(&errand.records[record], &reply_to, self.payload_bytes_max) {
                Some(publication) => buffer.extend_from_slice(&publication),
                None => errand.settle(record, Err(too_large(self.payload_bytes_max))),
            }
            if buffer.len() >= WRITE_BYTES {
                self.write(&buffer).await?;
                buffer.clear();
            }
        }
        self.write(&buffer).await?;
        while !errand.is_settled() {
            match self.read().await? {
                Op::Ping => self.write(b"PONG\r\n").await?,
                Op::Message(message) => {
                    let number =
                        message.subject.strip_prefix(&self.inbox).and_then(|number| number.parse::<u64>().ok());
                    let number = number.and_then(|number| usize::try_from(number.checked_sub(first)?).ok());
                    if let Some(record) = number.and_then(|number| records.get(number)) {
                        errand.settle(*record, acknowledged(&message));
                    }
                }
                Op::Err(message) => violated(message, errand)?,
                Op::Info(_) | Op::Ok | Op::Pong => {}
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Op, End> {
        let op = wire::read(&mut self.stream).await.map_err(|error| broken(&error))?;
        self.heard_at = Instant::now();
        Ok(op)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let stream = self.stream.get_mut();
        let done = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        done.await.map_err(|error| broken(&error))
    }
}

/// What a message to an inbox says about the record that it answers.
fn acknowledged(message: &Message) -> Result<(), RecordRefusal> {
    #[derive(Deserialize)]
    struct Ack {
        stream: Option<String>,
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        err_code: u32,
        #[serde(default)]
        description: String,
    }
    if message.status == Some(503) {
        return Err(RecordRefusal::new("NO_RESPONDERS", "no stream takes this subject"));
    }
    match serde_json::from_slice(&message.body) {
        Ok(Ack { error: Some(refusal), .. }) => {
            Err(RecordRefusal::new(refusal.err_code.to_string(), refusal.description))
        }
        Ok(Ack { stream: Some(_), error: None }) => Ok(()),
        _ => Err(RecordRefusal::new("NOT_JETSTREAM", "something else than a stream answers on this subject")),
    }
}

fn too_large(bytes_max: usize) -> RecordRefusal {
    RecordRefusal::new("MAX_PAYLOAD", format!("the server takes at most {bytes_max} bytes a message"))
}

/// A violation of permissions concerns the records of one subject; whatever else the server says ends the connection.
fn violated(message: String, errand: &Errand<'_>) -> Result<(), End> {
    let Some(subject) = message.strip_prefix("Permissions Violation for Publish to ") else {
        return Err(refused(message));
    };
    let subject = subject.trim_matches('"');
    for record in errand.unsettled() {
        if errand.records[record].topic == subject {
            errand.settle(record, Err(RecordRefusal::new("PERMISSIONS_VIOLATION", message.clone())));
        }
    }
    Ok(())
}

/// What the server says when it does not want us.
fn refused(message: String) -> End {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    let code = match () {
        () if says("permissions violation for subscription") => "NO_INBOX",
        () if says("authorization") || says("authentication") => "AUTHORIZATION",
        () if says("tls required") => "TLS_REQUIRED",
        () => {
            let message = format!("the server ended the connection: {message}");
            return End::after_sending(FailureReason::Broken, message);
        }
    };
    End::turned_away(code, message)
}

/// Whoever greets so will never do, but others are named.
fn not_nats() -> End {
    let advice = "mend the hosts and ports under `servers`, 4222 as a rule";
    TransportError::misconfigured(FailureReason::Broken, "what answers is no NATS server").advised(advice).into()
}

fn broken(error: &io::Error) -> End {
    let message = match error.kind() {
        io::ErrorKind::InvalidData => "the answer is not NATS",
        io::ErrorKind::UnexpectedEof => "the connection was closed before every record was acknowledged",
        _ => "the connection broke",
    };
    End::after_sending(FailureReason::Broken, message)
}
