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

use domain::connector::{NatsLogin, Server};
use domain::verdict::FailureReason;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use self::connection::Connection;
use super::kept::Kept;
use super::records::End;
use super::records::errand::{self, Errand};
use super::records::servers::{awake_by, first_to_answer};
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

/// Where records go: to any of these servers.
type Place = errand::Place<NatsLogin>;

impl NatsTransport {
    /// A transport that trusts the usual certificate authorities and `extra_roots`. Must be made inside the runtime.
    pub(super) fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        Ok(Self { guard, tls: Tls::new(extra_roots, &[])?, clock, kept: Kept::start() })
    }

    /// Publishes records and waits until each is acknowledged.
    pub(super) async fn hand_over(&self, errand: &Errand<'_>, place: Place) -> Result<(), End> {
        if let Some(record) = errand.records.iter().find(|record| !wire::is_subject(&record.topic)) {
            let message = format!("`{}` is no subject to publish on", record.topic.escape_debug());
            return Err(TransportError::new(FailureReason::Unprocessable, message).into());
        }
        if let Some(mut kept) = self.kept.take(errand.lane, &place)
            && let Ok(true) = timeout_at(awake_by(errand.until), kept.is_awake()).await
            && kept.publish(errand).await.is_ok()
        {
            self.kept.lay_down(errand.lane, place, kept);
            return Ok(());
        }
        // It had been closed while nobody looked, or it broke. What was acknowledged over it is settled; within the
        // stream's duplicate window the names of the other records make a repetition harmless.
        let mut connections = Vec::new();
        for server in &place.servers {
            connections.push(self.connect(&place, server, errand.until));
        }
        let mut connection = first_to_answer(connections, errand.until).await?;
        connection.publish(errand).await?;
        self.kept.lay_down(errand.lane, place, connection);
        Ok(())
    }

    async fn connect(&self, place: &Place, server: &Server, until: Instant) -> Result<Connection, End> {
        let tls = self.tls.for_server(&place.tls)?;
        let peer = self.guard.check_peer(&server.host, server.port, &PORTS, tls.is_some())?;
        let tcp = self.guard.connect(&peer, until).await?;
        Connection::open(tcp, tls.as_ref(), peer.server_name, place, self.clock.random(), until).await
    }
}
