//! The four signature schemes: signing what we send, verifying what we receive.
//!
//! Verification works on the raw bytes, decodes every claimed signature to exactly 32 bytes before anything is compared,
//! and leaves the comparison to `ring`, which takes the same time wherever two signatures differ. Whatever a stranger
//! puts into the headers, the answer is a [`SignatureError`], never a panic.

pub mod doctor;

mod claim;
mod error;
mod secret;
mod signer;
mod verifier;

use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Serialize};

pub use claim::{HEADER_BYTES_MAX, SIGNATURES_MAX, WEBHOOK_ID_BYTES_MAX};
pub use error::SignatureError;
pub use secret::{SECRET_BYTES_MIN, SecretError};
pub use signer::{Signer, timestamp_text};
pub use verifier::{Verified, Verifier};

/// How far a signed timestamp may be from our clock unless the source says otherwise.
pub const TOLERANCE_DEFAULT: Duration = Duration::from_mins(5);
/// What stands before the hex digits of `body-hex-prefixed`.
const PREFIX: &str = "sha256=";
/// What stands before the base64 of `standard-webhooks`: the only version known here.
const VERSION: &str = "v1,";

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

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 4] = [Self::BodyHex, Self::BodyHexPrefixed, Self::Timestamped, Self::StandardWebhooks];
    /// The names of [`Scheme::ALL`], for manifests.
    pub const NAMES: &'static [&'static str] = &["body-hex", "body-hex-prefixed", "timestamped", "standard-webhooks"];

    /// The word in `scheme = "…"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BodyHex => "body-hex",
            Self::BodyHexPrefixed => "body-hex-prefixed",
            Self::Timestamped => "timestamped",
            Self::StandardWebhooks => "standard-webhooks",
        }
    }

    /// The scheme of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// Whether a timestamp is part of what is signed.
    pub const fn signs_timestamp(self) -> bool {
        matches!(self, Self::Timestamped | Self::StandardWebhooks)
    }
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a sender puts its signature, and how old a signed timestamp may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Lower-case header names.
    pub signature_header: HeaderName,
    pub timestamp_header: HeaderName,
    pub id_header: HeaderName,
    /// How far a signed timestamp may be from our clock, either way.
    pub tolerance: Duration,
}

impl Signing {
    /// The headers of a scheme as design and specification name them, with a tolerance of 300 seconds.
    pub const fn default_for(scheme: Scheme) -> Self {
        let (signature, timestamp) = match scheme {
            Scheme::StandardWebhooks => ("webhook-signature", "webhook-timestamp"),
            Scheme::BodyHex | Scheme::BodyHexPrefixed | Scheme::Timestamped => {
                ("x-webhook-signature", "x-webhook-timestamp")
            }
        };
        Self {
            signature_header: HeaderName::from_static(signature),
            timestamp_header: HeaderName::from_static(timestamp),
            id_header: HeaderName::from_static("webhook-id"),
            tolerance: TOLERANCE_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests;
