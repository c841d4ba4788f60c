//! Verifying what is received.

use std::borrow::Cow;

use http::HeaderMap;
use ring::hmac;

use super::claim::{Claim, TIMESTAMP_DIGITS_MAX, signed_time};
use super::secret::key_of;
use super::{Scheme, SecretError, SignatureError, Signing, WEBHOOK_ID_BYTES_MAX};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Checks the requests of one source. Built when its configuration changes; a check costs one HMAC per live secret.
pub struct Verifier {
    scheme: Scheme,
    signing: Signing,
    keys: Vec<LiveKey>,
}

struct LiveKey {
    key: hmac::Key,
    expires_at: Option<Timestamp>,
}

/// What a genuine request says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'h> {
    /// Which of the secrets matched, counted in the order they were given.
    pub secret_index: usize,
    /// The signed `webhook-id`; only `standard-webhooks` has one.
    pub id: Option<&'h str>,
    /// The signed timestamp, in the schemes that have one.
    pub signed_at: Option<Timestamp>,
}

impl Verifier {
    /// A verifier for these secrets, each with the time from which it is refused. A weak secret is an error, so that it
    /// is refused when it is configured and not only when it is abused.
    pub fn new<'s>(
        scheme: Scheme,
        signing: Signing,
        secrets: impl IntoIterator<Item = (&'s Secret, Option<Timestamp>)>,
    ) -> Result<Self, SecretError> {
        let live_key = |(secret, expires_at)| Ok(LiveKey { key: key_of(scheme, secret)?, expires_at });
        let keys = secrets.into_iter().map(live_key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(SecretError::None) } else { Ok(Self { scheme, signing, keys }) }
    }

    /// Whether the request was signed with a secret that is live at `now`.
    pub fn verify<'h>(
        &self,
        headers: &'h HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Verified<'h>, SignatureError> {
        let claim = Claim::read(self.scheme, &self.signing, headers)?;
        let signed_at = claim.timestamp.map(|text| signed_time(text, now, self.signing.tolerance)).transpose()?;
        let signed = signed_bytes(claim.id, claim.timestamp, body);

        let mut error = SignatureError::NoLiveSecret;
        for (secret_index, live) in self.keys.iter().enumerate() {
            if live.expires_at.is_some_and(|expires_at| now >= expires_at) {
                continue;
            }
            error = SignatureError::Mismatch;
            if claim.tags.iter().any(|tag| hmac::verify(&live.key, &signed, tag).is_ok()) {
                return Ok(Verified { secret_index, id: claim.id, signed_at });
            }
        }
        Err(error)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({}, {} secrets)", self.scheme, self.keys.len())
    }
}

fn signed_bytes<'b>(id: Option<&str>, timestamp: Option<&str>, body: &'b [u8]) -> Cow<'b, [u8]> {
    if id.is_none() && timestamp.is_none() {
        return Cow::Borrowed(body);
    }
    let mut signed = Vec::with_capacity(WEBHOOK_ID_BYTES_MAX + TIMESTAMP_DIGITS_MAX + 2 + body.len());
    for part in [id, timestamp].into_iter().flatten() {
        signed.extend_from_slice(part.as_bytes());
        signed.push(b'.');
    }
    signed.extend_from_slice(body);
    Cow::Owned(signed)
}
