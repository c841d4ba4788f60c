//! Records: to whichever broker they are for.

use std::sync::Arc;
use std::time::Duration;

use domain::DestinationId;
use domain::connector::{Broker, RecordsCall, Reply};
use rustls_pki_types::CertificateDer;

use super::kafka::{self, KafkaTransport};
use super::nats::{self, NatsTransport};
use super::{Guard, TransportError};
use crate::clock::Clock;

/// The transports of brokers, behind one.
pub struct RecordTransport {
    nats: NatsTransport,
    kafka: KafkaTransport,
}

impl RecordTransport {
    /// Transports that trust the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            nats: NatsTransport::start(guard.clone(), Arc::clone(&clock), extra_roots)?,
            kafka: KafkaTransport::start(guard, clock, extra_roots)?,
        })
    }

    /// Hands records over and returns what became of each, within `deadline`.
    pub async fn exchange(
        &self,
        lane: DestinationId,
        call: RecordsCall,
        deadline: Duration,
    ) -> Result<Reply, TransportError> {
        match call.broker {
            Broker::Nats { servers, tls, login } => {
                self.nats.exchange(lane, nats::Place { servers, tls, login }, &call.records, deadline).await
            }
            Broker::Kafka { servers, tls, login } => {
                self.kafka.exchange(lane, kafka::Place { servers, tls, login }, &call.records, deadline).await
            }
        }
    }
}
