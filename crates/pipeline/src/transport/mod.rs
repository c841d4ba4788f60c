//! Transports: what carries a [`Call`] out and a [`Reply`] back.
//!
//! Each transport is one file. None of them opens a socket by itself: [`guard`] is the only opener of outward
//! connections, so no destination can make the server reach an address that the operator has not allowed.

pub mod address;
pub mod guard;
pub mod http;
mod target;
mod wire;

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use domain::DestinationId;
use domain::connector::{Call, Reply};
use domain::verdict::FailureReason;

pub use guard::{Guard, Refused};
pub use http::HttpTransport;
pub use target::Target;

/// Carries calls out.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes one call for a lane and returns its reply, body included, within `deadline`. Connections are kept per
    /// lane, so two destinations never share one.
    async fn exchange(&self, lane: DestinationId, call: Call, deadline: Duration) -> Result<Reply, TransportError>;
}

/// A call that got no reply. The message is shown to the tenant: it names no internal address and no port's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    pub reason: FailureReason,
    pub message: Cow<'static, str>,
    /// Nothing was tried, because this machine has no socket or port to spare: not the destination's failure.
    pub is_ours: bool,
}

impl TransportError {
    /// An error with a message for a person.
    pub fn new(reason: FailureReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), is_ours: false }
    }
}

impl From<Refused> for TransportError {
    fn from(refused: Refused) -> Self {
        Self::new(FailureReason::AddressRefused, refused.to_string())
    }
}
