//! Transports: what carries a [`Call`] out and a [`Reply`] back.
//!
//! Each transport is one room. None of them opens a socket by itself: [`guard`] is the only opener of outward
//! connections, so no destination can make the server reach an address that the operator has not allowed.

pub mod address;
pub mod guard;
pub mod http;
mod kafka;
mod kept;
pub mod mail;
mod nats;
pub mod object;
pub mod records;
pub mod sql;
mod target;
mod tls;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::DestinationId;
use domain::connector::{Call, Reply};
use domain::verdict::FailureReason;
use rustls_pki_types::CertificateDer;

use crate::clock::Clock;

pub use guard::{Guard, Refused};
pub use http::HttpTransport;
pub use mail::MailTransport;
pub use object::ObjectTransport;
pub use records::RecordTransport;
pub use sql::SqlTransport;
pub use target::{Peer, Target};

/// Carries calls out.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes one call for a lane and returns its reply, body included, within `deadline`. Connections are kept per
    /// lane, so two destinations never share one.
    async fn exchange(&self, lane: DestinationId, call: Call, deadline: Duration) -> Result<Reply, TransportError>;
}

/// Every transport, behind one: each call goes to the one that can carry it.
pub struct Transports {
    http: Arc<HttpTransport>,
    mail: MailTransport,
    object: ObjectTransport,
    records: RecordTransport,
    sql: Arc<SqlTransport>,
}

impl Transports {
    /// Transports that trust the usual certificate authorities and `extra_roots`. Must be made inside the runtime: they
    /// close idle connections from tasks that end with them.
    pub fn start(
        guard: Guard,
        clock: Arc<Clock>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Arc<Self>, rustls::Error> {
        let http = HttpTransport::start(guard.clone(), Arc::clone(&clock), extra_roots)?;
        Ok(Arc::new(Self {
            sql: SqlTransport::start(guard.clone(), Arc::clone(&clock), extra_roots)?,
            mail: MailTransport::start(guard.clone(), Arc::clone(&clock), extra_roots)?,
            records: RecordTransport::start(guard, clock, extra_roots)?,
            object: ObjectTransport::new(Arc::clone(&http)),
            http,
        }))
    }
}

#[async_trait]
impl Transport for Transports {
    async fn exchange(&self, lane: DestinationId, call: Call, deadline: Duration) -> Result<Reply, TransportError> {
        match call {
            Call::Http(call) => self.http.exchange(lane, call, deadline).await,
            Call::Mail(call) => self.mail.exchange(lane, call, deadline).await,
            Call::Sql(call) => self.sql.exchange(lane, call, deadline).await,
            Call::Object(call) => self.object.exchange(lane, call, deadline).await,
            Call::Records(call) => self.records.exchange(lane, call, deadline).await,
        }
    }
}

/// A call that got no reply. The message is shown to the tenant: it names no internal address and no port's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    pub reason: FailureReason,
    pub message: Cow<'static, str>,
    /// Nothing was tried, because this machine has no socket or port to spare: not the destination's failure.
    pub is_ours: bool,
    /// Enough had been sent for the other side to act on it, and nobody knows whether it did.
    pub may_have_arrived: bool,
    /// What answers is not what the settings say, whatever is sent: somebody must mend them, and the message says how.
    pub is_misconfigured: bool,
}

impl TransportError {
    /// An error with a message for a person.
    pub fn new(reason: FailureReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), is_ours: false, may_have_arrived: false, is_misconfigured: false }
    }

    /// An error that lasts until somebody has mended the settings.
    pub fn misconfigured(reason: FailureReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { is_misconfigured: true, ..Self::new(reason, message) }
    }

    /// The same with what is to be done about it, if it is about the settings.
    #[must_use]
    pub(crate) fn advised(self, advice: &str) -> Self {
        if !self.is_misconfigured {
            return self;
        }
        Self { message: format!("{}; {advice}, then resume the destination", self.message).into(), ..self }
    }
}

impl From<Refused> for TransportError {
    fn from(refused: Refused) -> Self {
        // Where a name leads may change; what the settings say does not.
        let is_misconfigured = refused != Refused::Address;
        Self { is_misconfigured, ..Self::new(FailureReason::AddressRefused, refused.to_string()) }
    }
}
