//! Records: to whichever broker they are for, each with an outcome of its own.
//!
//! What the protocols of brokers have in common is here: who is asked ([`servers`]), what is known of each record
//! ([`errand`]), and how a dialogue that ended becomes a reply. What was acknowledged stays acknowledged, however the
//! dialogue ended.

pub(super) mod errand;
pub(super) mod servers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::DestinationId;
use domain::connector::{Broker, RecordsCall, Reply};
use domain::verdict::FailureReason;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use self::errand::{Errand, Place};
use super::kafka::KafkaTransport;
use super::nats::NatsTransport;
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The transports of brokers, behind one.
pub struct RecordTransport {
    clock: Arc<Clock>,
    nats: NatsTransport,
    kafka: KafkaTransport,
}

/// How a dialogue ended before every record had its outcome.
pub(super) enum End {
    /// The broker does not want us; its name for it, and what it says.
    TurnedAway(String, String),
    Failed(TransportError),
}

/// Either end of a connection, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl RecordTransport {
    /// Transports that trust the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            nats: NatsTransport::start(guard.clone(), Arc::clone(&clock), extra_roots)?,
            kafka: KafkaTransport::start(guard, Arc::clone(&clock), extra_roots)?,
            clock,
        })
    }

    /// Hands records over and returns what became of each, within `deadline`.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: RecordsCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        let errand = Errand::new(lane, &call.records, Instant::now() + deadline);
        let handed_over = async {
            match call.broker {
                Broker::Nats { servers, tls, login } => {
                    self.nats.hand_over(&errand, Place { servers, tls, login }).await
                }
                Broker::Kafka { servers, tls, login } => {
                    self.kafka.hand_over(&errand, Place { servers, tls, login }).await
                }
            }
        };
        let done = timeout_at(errand.until, handed_over).await.unwrap_or_else(|_| Err(late()));
        self.reply(done, &errand)
    }

    fn reply(&self, done: Result<(), End>, errand: &Errand<'_>) -> Result<Reply, TransportError> {
        let (code, body) = match done {
            Ok(()) => (None, told(errand, "the broker said nothing about this record")),
            // Some records have their outcome, so the others get one too.
            Err(End::TurnedAway(_, message)) if errand.has_outcomes() => (None, told(errand, &message)),
            Err(End::Failed(error)) if errand.has_outcomes() => (None, told(errand, &error.message)),
            Err(End::TurnedAway(code, message)) => (Some(code), message.into()),
            Err(End::Failed(error)) => return Err(error),
        };
        Ok(Reply { status: 0, code, headers: Vec::new(), body, received_at: self.clock.now() })
    }
}

/// What became of each record, as a reply says it.
fn told(errand: &Errand<'_>, otherwise: &str) -> Bytes {
    // A list of texts and nothings is always JSON.
    serde_json::to_vec(&errand.outcomes(otherwise)).unwrap_or_default().into()
}

fn late() -> End {
    End::after_sending(FailureReason::Timeout, "the broker did not acknowledge in time")
}

impl End {
    pub(super) fn turned_away(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::TurnedAway(code.into(), message.into())
    }

    /// A failure after which nobody knows what the broker has.
    pub(super) fn after_sending(reason: FailureReason, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Failed(TransportError { may_have_arrived: true, ..TransportError::new(reason, message) })
    }
}

impl<E: Into<TransportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
