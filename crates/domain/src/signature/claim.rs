//! What the headers of a request claim: decoded, bounded, and not yet believed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName};

use super::{PREFIX, Scheme, SignatureError, Signing, VERSION};
use crate::time::Timestamp;

/// Longest value of any header that takes part, in bytes.
pub const HEADER_BYTES_MAX: usize = 4_096;
/// Most entries in one `webhook-signature`.
pub const SIGNATURES_MAX: usize = 8;
/// Longest `webhook-id`, in bytes.
pub const WEBHOOK_ID_BYTES_MAX: usize = 256;
/// Longest signed timestamp, in digits: enough for 30,000 years.
pub(super) const TIMESTAMP_DIGITS_MAX: usize = 12;

/// An HMAC-SHA256 as it is compared.
pub(super) type Tag = [u8; 32];

/// What the headers claim, decoded but not believed.
pub(super) struct Claim<'h> {
    pub(super) tags: Vec<Tag>,
    pub(super) id: Option<&'h str>,
    /// As sent: the text is what was signed.
    pub(super) timestamp: Option<&'h str>,
}

impl<'h> Claim<'h> {
    pub(super) fn read(scheme: Scheme, signing: &Signing, headers: &'h HeaderMap) -> Result<Self, SignatureError> {
        use SignatureError::{IdMalformed, IdMissing, SignatureMalformed, SignatureMissing};
        use SignatureError::{TimestampMalformed, TimestampMissing};

        let signature = single(headers, &signing.signature_header, SignatureMissing, SignatureMalformed)?;
        let tags = match scheme {
            Scheme::BodyHex | Scheme::Timestamped => vec![hex_tag(signature).ok_or(SignatureMalformed)?],
            Scheme::BodyHexPrefixed => {
                vec![signature.strip_prefix(PREFIX).and_then(hex_tag).ok_or(SignatureMalformed)?]
            }
            Scheme::StandardWebhooks => listed_tags(signature)?,
        };
        let id = match scheme {
            Scheme::StandardWebhooks => {
                let id = single(headers, &signing.id_header, IdMissing, IdMalformed)?;
                // A dot in the id would let it run into the timestamp in what is signed.
                let fits = (1..=WEBHOOK_ID_BYTES_MAX).contains(&id.len()) && !id.contains(['.', ' ', '\t']);
                Some(if fits { id } else { return Err(IdMalformed) })
            }
            Scheme::BodyHex | Scheme::BodyHexPrefixed | Scheme::Timestamped => None,
        };
        let timestamp = if scheme.signs_timestamp() {
            Some(single(headers, &signing.timestamp_header, TimestampMissing, TimestampMalformed)?)
        } else {
            None
        };
        Ok(Self { tags, id, timestamp })
    }
}

/// The only value of a header, as visible ASCII.
fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    missing: SignatureError,
    malformed: SignatureError,
) -> Result<&'h str, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(missing)?;
    if values.next().is_some() {
        return Err(SignatureError::HeaderRepeated);
    }
    if value.len() > HEADER_BYTES_MAX {
        return Err(SignatureError::HeaderTooLong);
    }
    value.to_str().map_err(|_| malformed)
}

/// Exactly 64 hex digits, in either case.
pub(super) fn hex_tag(text: &str) -> Option<Tag> {
    let mut tag = Tag::default();
    hex::decode_to_slice(text, &mut tag).ok()?;
    Some(tag)
}

/// The `v1` entries of a space-separated list. Versions not known here are skipped, so that a sender may add its own.
fn listed_tags(text: &str) -> Result<Vec<Tag>, SignatureError> {
    let mut tags = Vec::new();
    for (index, entry) in text.split(' ').enumerate() {
        if index == SIGNATURES_MAX {
            return Err(SignatureError::TooManySignatures);
        }
        match entry.strip_prefix(VERSION) {
            Some(tag) => tags.push(base64_tag(tag).ok_or(SignatureError::SignatureMalformed)?),
            None if entry.contains(',') => {}
            None => return Err(SignatureError::SignatureMalformed),
        }
    }
    if tags.is_empty() { Err(SignatureError::VersionUnknown) } else { Ok(tags) }
}

/// Canonical base64 of exactly 32 bytes.
pub(super) fn base64_tag(text: &str) -> Option<Tag> {
    // 44 characters hold up to 33 bytes; the decoder wants room for all it might find.
    let mut buffer = [0; 33];
    let count = BASE64.decode_slice(text, &mut buffer).ok()?;
    buffer.get(..count)?.try_into().ok()
}

/// Reads a signed timestamp and holds it against the clock.
pub(super) fn signed_time(text: &str, now: Timestamp, tolerance: Duration) -> Result<Timestamp, SignatureError> {
    // Digits only: no sign, no spaces, no other script's digits, nothing behind them.
    if text.is_empty() || text.len() > TIMESTAMP_DIGITS_MAX || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SignatureError::TimestampMalformed);
    }
    let secs: i64 = text.parse().map_err(|_| SignatureError::TimestampMalformed)?;
    let ahead_secs = secs.saturating_sub(now.as_secs());
    if ahead_secs.unsigned_abs() > tolerance.as_secs() {
        return Err(SignatureError::TimestampOutsideTolerance { ahead_secs });
    }
    Ok(Timestamp::from_secs(secs))
}
