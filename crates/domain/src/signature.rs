//! The four signature schemes: signing what we send, verifying what we receive.
//!
//! Verification works on the raw bytes, decodes every claimed signature to exactly 32 bytes before anything is compared,
//! and leaves the comparison to `ring`, which takes the same time wherever two signatures differ. Whatever a stranger
//! puts into the headers, the answer is a [`SignatureError`], never a panic.

pub mod doctor;

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::time::Timestamp;

/// How far a signed timestamp may be from our clock unless the source says otherwise.
pub const TOLERANCE_DEFAULT: Duration = Duration::from_mins(5);
/// Shortest secret, in bytes. An empty key makes a valid HMAC, so "no secret" must never pass for one.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest value of any header that takes part, in bytes.
pub const HEADER_BYTES_MAX: usize = 4_096;
/// Most entries in one `webhook-signature`.
pub const SIGNATURES_MAX: usize = 8;
/// Longest `webhook-id`, in bytes.
pub const WEBHOOK_ID_BYTES_MAX: usize = 256;
/// Longest signed timestamp, in digits: enough for 30,000 years.
const TIMESTAMP_DIGITS_MAX: usize = 12;
/// How many bytes the key of `standard-webhooks` may have.
const STANDARD_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

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

// ---------------------------------------------------------------------------------------------------------------------

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

/// Why a request is not genuine. Nothing of the request or of a secret is in it, so it may be shown to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature header is missing; send it, and check that no proxy strips it")]
    SignatureMissing,
    #[error("the signature header is not in the form of this source's scheme; check which scheme the sender uses")]
    SignatureMalformed,
    #[error("the signature header holds no version that is known here; send a `v1` signature")]
    VersionUnknown,
    #[error("the timestamp header is missing; send the unix time in seconds")]
    TimestampMissing,
    #[error("the timestamp header is not a unix time in seconds; send digits only")]
    TimestampMalformed,
    #[error("the signed timestamp is {} s in the {}; sign each attempt anew and check both clocks",
        ahead_secs.unsigned_abs(), if *ahead_secs > 0 { "future" } else { "past" })]
    TimestampOutsideTolerance { ahead_secs: i64 },
    #[error("the id header is missing; send the id of the message")]
    IdMissing,
    #[error("the id header is malformed; send 1 to {WEBHOOK_ID_BYTES_MAX} visible ASCII characters without a dot")]
    IdMalformed,
    #[error("a signature header occurs more than once; send each once")]
    HeaderRepeated,
    #[error("a signature header is longer than {HEADER_BYTES_MAX} bytes")]
    HeaderTooLong,
    #[error("the signature header holds more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    #[error("no secret of this source is live; add one")]
    NoLiveSecret,
    #[error("the signature does not match; check the secret, and that exactly the bytes sent were signed")]
    Mismatch,
}

impl SignatureError {
    /// Every code, for metrics and documentation.
    pub const CODES: [&'static str; 13] = [
        "signature_missing",
        "signature_malformed",
        "signature_version_unknown",
        "timestamp_missing",
        "timestamp_malformed",
        "timestamp_outside_tolerance",
        "id_missing",
        "id_malformed",
        "header_repeated",
        "header_too_long",
        "too_many_signatures",
        "no_live_secret",
        "signature_mismatch",
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature_missing",
            Self::SignatureMalformed => "signature_malformed",
            Self::VersionUnknown => "signature_version_unknown",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::TimestampOutsideTolerance { .. } => "timestamp_outside_tolerance",
            Self::IdMissing => "id_missing",
            Self::IdMalformed => "id_malformed",
            Self::HeaderRepeated => "header_repeated",
            Self::HeaderTooLong => "header_too_long",
            Self::TooManySignatures => "too_many_signatures",
            Self::NoLiveSecret => "no_live_secret",
            Self::Mismatch => "signature_mismatch",
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------

const PREFIX: &str = "sha256=";
const VERSION: &str = "v1,";

type Tag = [u8; 32];

/// What the headers claim, decoded but not believed.
struct Claim<'h> {
    tags: Vec<Tag>,
    id: Option<&'h str>,
    /// As sent: the text is what was signed.
    timestamp: Option<&'h str>,
}

impl<'h> Claim<'h> {
    fn read(scheme: Scheme, signing: &Signing, headers: &'h HeaderMap) -> Result<Self, SignatureError> {
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
fn hex_tag(text: &str) -> Option<Tag> {
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
fn base64_tag(text: &str) -> Option<Tag> {
    // 44 characters hold up to 33 bytes; the decoder wants room for all it might find.
    let mut buffer = [0; 33];
    let count = BASE64.decode_slice(text, &mut buffer).ok()?;
    buffer.get(..count)?.try_into().ok()
}

/// Reads a signed timestamp and holds it against the clock.
fn signed_time(text: &str, now: Timestamp, tolerance: Duration) -> Result<Timestamp, SignatureError> {
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

/// The HMAC key that a scheme derives from a secret: the same text is two different keys.
fn key_of(scheme: Scheme, secret: &Secret) -> Result<hmac::Key, SecretError> {
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

#[cfg(test)]
mod tests;
