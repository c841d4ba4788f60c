//! The signature doctor: given a request and a secret, which scheme fits, or which of the classic mistakes was made.
//!
//! It tries far more than any receiver may and so must never decide about a request: it is for a person who holds the
//! secret and wants to know why two programs disagree.

mod mistakes;

use std::fmt;

use http::HeaderMap;

use super::{HEADER_BYTES_MAX, Scheme, SignatureError, Signing, Verifier};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub outcome: Outcome,
    /// For a person, one sentence each; the most telling first.
    pub findings: Vec<String>,
}

/// What is to be said in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The request verifies in these schemes; a sender may sign in more than one.
    Genuine(Vec<Scheme>),
    /// Secret, bytes and scheme are right, only the signed timestamp is too far from the clock.
    Stale(Scheme),
    /// It does not verify, and a known mistake explains why.
    Mistake,
    /// It does not verify, and nothing known explains it.
    Unexplained,
    /// There is no signature to verify.
    Unsigned,
}

impl Diagnosis {
    /// Whether a receiver with the right scheme accepts the request.
    pub fn is_genuine(&self) -> bool {
        matches!(self.outcome, Outcome::Genuine(_))
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.findings.join("\n"))
    }
}

/// Looks at a request with a body exactly as it was received.
pub fn diagnose(headers: &HeaderMap, body: &[u8], secret: &Secret, now: Timestamp) -> Diagnosis {
    let tried: Vec<_> = Scheme::ALL.map(|scheme| (scheme, verify(scheme, headers, body, secret, now))).into();
    let fits: Vec<_> = tried.iter().filter(|(_, result)| result.is_ok()).map(|(scheme, _)| *scheme).collect();
    if !fits.is_empty() {
        return genuine(fits);
    }
    if let Some(stale) = stale(&tried, headers, body, secret, now) {
        return stale;
    }
    let claims = mistakes::claims(headers);
    if claims.is_empty() {
        return unsigned(headers);
    }
    let mistakes = mistakes::explain(&claims, headers, body, secret);
    if !mistakes.is_empty() {
        return Diagnosis { outcome: Outcome::Mistake, findings: mistakes };
    }
    unexplained(&tried)
}

type Tried = Result<(), Refusal>;

/// Why a scheme does not fit.
enum Refusal {
    Secret(super::SecretError),
    Signature(SignatureError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

fn verify(scheme: Scheme, headers: &HeaderMap, body: &[u8], secret: &Secret, now: Timestamp) -> Tried {
    let verifier = Verifier::new(scheme, Signing::default_for(scheme), [(secret, None)]).map_err(Refusal::Secret)?;
    verifier.verify(headers, body, now).map(|_| ()).map_err(Refusal::Signature)
}

fn genuine(fits: Vec<Scheme>) -> Diagnosis {
    let names: Vec<_> = fits.iter().map(|scheme| format!("`{scheme}`")).collect();
    Diagnosis {
        findings: vec![format!("the signature is genuine in {}", names.join(" and "))],
        outcome: Outcome::Genuine(fits),
    }
}

fn stale(
    tried: &[(Scheme, Tried)],
    headers: &HeaderMap,
    body: &[u8],
    secret: &Secret,
    now: Timestamp,
) -> Option<Diagnosis> {
    tried.iter().find_map(|(scheme, result)| {
        let Err(Refusal::Signature(error @ SignatureError::TimestampOutsideTolerance { ahead_secs })) = result else {
            return None;
        };
        // At its own time the request verifies: then time is all that is wrong with it.
        let its_time = Timestamp::from_secs(now.as_secs().saturating_add(*ahead_secs));
        verify(*scheme, headers, body, secret, its_time).ok()?;
        let findings = vec![
            format!("the signature fits `{scheme}`, but {error}"),
            "a request that was recorded some time ago looks like this too; then nothing is wrong".to_owned(),
        ];
        Some(Diagnosis { outcome: Outcome::Stale(*scheme), findings })
    })
}

fn unsigned(headers: &HeaderMap) -> Diagnosis {
    let mut findings = mistakes::unreadable(headers);
    if findings.is_empty() {
        findings.push("there is neither `X-Webhook-Signature` nor `webhook-signature`".to_owned());
        let looks_like_one =
            |name: &&http::HeaderName| ["signature", "hmac", "digest"].iter().any(|word| name.as_str().contains(word));
        findings.extend(headers.keys().filter(looks_like_one).map(|name| {
            format!("`{name}` may be the one; give it to a source of kind `generic` as `signature_header`")
        }));
    }
    Diagnosis { outcome: Outcome::Unsigned, findings }
}

fn unexplained(tried: &[(Scheme, Tried)]) -> Diagnosis {
    let mut findings = vec![
        "no scheme fits, and none of the usual mistakes explains it; most often the secret belongs to another webhook, or \
         something between sender and receiver changed the body"
            .to_owned(),
    ];
    findings.extend(
        tried
            .iter()
            .filter_map(|(scheme, result)| result.as_ref().err().map(|refusal| format!("`{scheme}`: {refusal}"))),
    );
    Diagnosis { outcome: Outcome::Unexplained, findings }
}

/// The values of a header that are worth a look.
fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter(|value| value.len() <= HEADER_BYTES_MAX).filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
