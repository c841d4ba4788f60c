//! From secret to key: the same text is two different keys, depending on the scheme.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;

use super::Scheme;
use crate::secret::Secret;

/// Shortest secret, in bytes. An empty key makes a valid HMAC, so "no secret" must never pass for one; how long a secret is
/// beyond that is often the choice of the sender, so `doctor` warns where this refuses.
pub const SECRET_BYTES_MIN: usize = 8;
/// How many bytes the key of `standard-webhooks` may have.
const STANDARD_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// Why a secret cannot be used. Says nothing about the secret but its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("there is no secret; a source needs at least one")]
    None,
    #[error(
        "the secret has {0} bytes; use at least {SECRET_BYTES_MIN}, better `whsec_` and the base64 of 32 random bytes"
    )]
    TooShort(usize),
    #[error(
        "the secret is not base64 after `whsec_`, which `standard-webhooks` needs; use `whsec_` and the base64 of 32 random bytes"
    )]
    NotBase64,
    #[error("the secret holds a key of {0} bytes; `standard-webhooks` needs 16 to 64, better 32 random bytes")]
    KeyLength(usize),
}

/// The HMAC key that a scheme derives from a secret.
pub(super) fn key_of(scheme: Scheme, secret: &Secret) -> Result<hmac::Key, SecretError> {
    let text = secret.expose();
    if text.len() < SECRET_BYTES_MIN {
        return Err(SecretError::TooShort(text.len()));
    }
    let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
    match scheme {
        Scheme::BodyHex | Scheme::BodyHexPrefixed | Scheme::Timestamped => Ok(key(text.as_bytes())),
        Scheme::StandardWebhooks => {
            let encoded = text.strip_prefix("whsec_").unwrap_or(text);
            let bytes = zeroize::Zeroizing::new(BASE64.decode(encoded).map_err(|_| SecretError::NotBase64)?);
            if STANDARD_KEY_BYTES.contains(&bytes.len()) {
                Ok(key(&bytes))
            } else {
                Err(SecretError::KeyLength(bytes.len()))
            }
        }
    }
}
