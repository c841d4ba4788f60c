//! The four signature schemes: signing what we send, verifying what we receive.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::time::Timestamp;

/// How a request is signed. A source pins one; there is no guessing and no fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `X-Webhook-Signature: <64 hex>` over the raw body.
    #[default]
    BodyHex,
    /// `X-Webhook-Signature: sha256=<64 hex>` over the raw body.
    BodyHexPrefixed,
    /// `X-Webhook-Signature: <64 hex>` over `<timestamp>.<raw body>`, `X-Webhook-Timestamp: <unix seconds>`.
    Timestamped,
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …` over `<id>.<timestamp>.<raw body>`.
    StandardWebhooks,
}

/// Where a sender puts its signature, and how old a signed timestamp may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Lower-case header names.
    pub signature_header: http::HeaderName,
    pub timestamp_header: http::HeaderName,
    pub id_header: http::HeaderName,
    /// How far a signed timestamp may be from our clock, either way.
    pub tolerance: Duration,
}
