//! Signing what is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;

use super::secret::key_of;
use super::{PREFIX, Scheme, SecretError, Signing, VERSION};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Signs with one secret in one scheme.
pub struct Signer {
    scheme: Scheme,
    key: hmac::Key,
}

impl Signer {
    /// A signer, if the secret is fit for the scheme.
    pub fn new(scheme: Scheme, secret: &Secret) -> Result<Self, SecretError> {
        Ok(Self { scheme, key: key_of(scheme, secret)? })
    }

    /// The value of the signature header. Schemes that do not sign the id or the time ignore them.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let timestamp = self.scheme.signs_timestamp().then(|| timestamp_text(at));
        let id = (self.scheme == Scheme::StandardWebhooks).then_some(id);
        let mut context = hmac::Context::with_key(&self.key);
        for part in [id, timestamp.as_deref()].into_iter().flatten() {
            context.update(part.as_bytes());
            context.update(b".");
        }
        context.update(body);
        let tag = context.sign();
        match self.scheme {
            Scheme::BodyHex | Scheme::Timestamped => hex::encode(tag),
            Scheme::BodyHexPrefixed => format!("{PREFIX}{}", hex::encode(tag)),
            Scheme::StandardWebhooks => format!("{VERSION}{}", BASE64.encode(tag)),
        }
    }

    /// Every header that a request signed in this scheme carries: what a sender would send.
    pub fn headers(&self, signing: &Signing, id: &str, at: Timestamp, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut insert = |name: &HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        insert(&signing.signature_header, &self.sign(id, at, body));
        if self.scheme.signs_timestamp() {
            insert(&signing.timestamp_header, &timestamp_text(at));
        }
        if self.scheme == Scheme::StandardWebhooks {
            insert(&signing.id_header, id);
        }
        headers
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.scheme)
    }
}

/// A time as the timestamp headers carry it: whole seconds since the Unix epoch.
pub fn timestamp_text(at: Timestamp) -> String {
    at.as_secs().max(0).to_string()
}
