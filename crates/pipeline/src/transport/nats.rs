//! NATS: records for `JetStream`, each acknowledged by the server that keeps it.
//!
//! The protocol is lines of text, and all that is needed here is to publish and to read the acknowledgements; the
//! well-kept client dials by itself, resolves names by itself and comes back by itself, none of which the guard could
//! see. A name in the header `Nats-Msg-Id` lets the server drop what it has already, so a batch may be sent again over
//! a new connection.

mod connection;
mod hello;
mod key;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::DestinationId;
use domain::connector::{NatsLogin, Record, RecordRefusal, Reply, Server, ServerTls};
use domain::verdict::FailureReason;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use self::connection::Connection;
use super::kept::Kept;
use super::tls::Tls;
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The port of NATS.
const PORTS: [u16; 1] = [4_222];

/// The NATS transport.
pub(super) struct NatsTransport {
    guard: Guard,
    tls: Tls,
    clock: Arc<Clock>,
    kept: Arc<Kept<Place, Connection>>,
}

/// Where records go and who brings them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) servers: Vec<Server>,
    pub(super) tls: ServerTls,
    pub(super) login: NatsLogin,
}

/// What is known of each record: not yet, taken, or refused.
type Outcomes = Vec<Option<Result<(), RecordRefusal>>>;

/// How a dialogue ended before every record had its outcome.
enum End {
    /// The server does not want us; its word for it, and what it says.
    TurnedAway(&'static str, String),
    Failed(TransportError),
}

impl NatsTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub(super) fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, kept: Kept::start() })
    }

    /// Publishes records and returns what became of each, within `deadline`.
    pub(super) async fn exchange(
        &self,
        lane: DestinationId,
        place: Place,
        records: &[Record],
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        if let Some(record) = records.iter().find(|record| !wire::is_subject(&record.topic)) {
            let message = format!("`{}` is no subject to publish on", record.topic.escape_debug());
            return Err(TransportError::new(FailureReason::Unprocessable, message));
        }
        let until = Instant::now() + deadline;
        let mut outcomes: Outcomes = vec![None; records.len()];
        let late = |_| {
            let late = TransportError::new(FailureReason::Timeout, "the server did not acknowledge in time");
            Err(End::Failed(TransportError { may_have_arrived: true, ..late }))
        };
        let done = timeout_at(until, self.publish(lane, &place, records, &mut outcomes, until)).await;
        match done.unwrap_or_else(late) {
            // Some records have their outcome, so the others get one too.
            Err(End::TurnedAway(_, message)) if outcomes.iter().any(Option::is_some) => {
                Ok(self.told(outcomes, &message))
            }
            Err(End::TurnedAway(code, message)) => Ok(self.reply(Some(code), message)),
            Err(End::Failed(error)) if outcomes.iter().any(Option::is_some) => Ok(self.told(outcomes, &error.message)),
            Err(End::Failed(error)) => Err(error),
            Ok(()) => Ok(self.told(outcomes, "")),
        }
    }

    async fn publish(
        &self,
        lane: DestinationId,
        place: &Place,
        records: &[Record],
        outcomes: &mut Outcomes,
        until: Instant,
    ) -> Result<(), End> {
        if let Some(mut kept) = self.kept.take(lane, place) {
            if kept.publish(records, outcomes).await.is_ok() {
                self.kept.lay_down(lane, place.clone(), kept);
                return Ok(());
            }
            // It had been closed while nobody looked, or it broke. Within the
            // stream's duplicate window the names of the records make a repetition harmless.
            outcomes.fill(None);
        }
        let mut connection = self.connect(place, until).await?;
        connection.publish(records, outcomes).await?;
        self.kept.lay_down(lane, place.clone(), connection);
        Ok(())
    }

    /// A connection to the first server that answers.
    async fn connect(&self, place: &Place, until: Instant) -> Result<Connection, End> {
        let tls = self.tls.for_server(&place.tls)?;
        let mut failure = TransportError::new(FailureReason::Connect, "no server is named");
        for server in &place.servers {
            let peer = self.guard.check_peer(&server.host, server.port, &PORTS, tls.is_some())?;
            let tcp = match self.guard.connect(&peer, until).await {
                Ok(tcp) => tcp,
                Err(error) if error.reason == FailureReason::AddressRefused => return Err(error.into()),
                Err(error) => {
                    failure = error;
                    continue;
                }
            };
            match Connection::open(tcp, tls.as_ref(), peer.server_name, place, self.clock.random(), until).await {
                Err(End::Failed(error)) => failure = error,
                done => return done,
            }
        }
        Err(failure.into())
    }

    fn told(&self, outcomes: Outcomes, otherwise: &str) -> Reply {
        let no_answer = || Err(RecordRefusal::new(RecordRefusal::NO_ANSWER, otherwise));
        let all: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_answer).err()).collect();
        // A list of texts and nothings is always JSON.
        self.reply(None, serde_json::to_vec(&all).unwrap_or_default())
    }

    fn reply(&self, code: Option<&str>, body: impl Into<Bytes>) -> Reply {
        let (code, body) = (code.map(str::to_owned), body.into());
        Reply { status: 0, code, headers: Vec::new(), body, received_at: self.clock.now() }
    }
}

impl<E: Into<TransportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
