//! Why a request is not genuine.

use super::{HEADER_BYTES_MAX, SIGNATURES_MAX, WEBHOOK_ID_BYTES_MAX};

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
