//! Which secrets sign at a moment, and the headers they make.

use domain::connector::SettingsError;
use domain::signature::{Scheme, SecretError, Signer, timestamp_text};
use domain::{Secret, Settings, Timestamp};

/// The secret, and the one before it while their overlap lasts.
pub(super) struct Secrets {
    scheme: Scheme,
    current: Signers,
    previous: Option<(Signers, Timestamp)>,
}

/// What one secret signs with: in the chosen scheme, and in Standard Webhooks' if it has a key there.
struct Signers {
    chosen: Signer,
    standard: Option<Signer>,
}

impl Signers {
    fn of(scheme: Scheme, secret: &Secret) -> Result<Self, SecretError> {
        Ok(Self {
            chosen: Signer::new(scheme, secret)?,
            // A secret that is not base64 has no key in this scheme; its receivers use the other header.
            standard: Signer::new(Scheme::StandardWebhooks, secret).ok(),
        })
    }
}

impl Secrets {
    /// Reads the settings `secret`, `previous_secret` and `previous_secret_expires_at`.
    pub(super) fn read(scheme: Scheme, settings: &Settings) -> Result<Self, SettingsError> {
        let signers = |name: &str| {
            let signers = settings.text(name).map(|secret| Signers::of(scheme, &Secret::from(secret))).transpose();
            signers.map_err(|error| SettingsError::new(name, format!("is refused: {error}")))
        };
        let current = signers("secret")?.ok_or_else(|| SettingsError::new("secret", "is missing"))?;
        let expires_at = settings.integer("previous_secret_expires_at").map(Timestamp::from_millis);
        let previous = match (signers("previous_secret")?, expires_at) {
            (Some(previous), Some(expires_at)) => Some((previous, expires_at)),
            (None, None) => None,
            _ => {
                let message = "goes with `previous_secret`; give both or neither";
                return Err(SettingsError::new("previous_secret_expires_at", message));
            }
        };
        Ok(Self { scheme, current, previous })
    }

    /// The signature headers of one attempt.
    ///
    /// `X-Webhook-Signature` has room for one signature; while two secrets are live it is made with the old one, which
    /// every receiver still knows. `webhook-signature` is a list and carries both.
    pub(super) fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(5);
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        let previous = self.previous.as_ref().filter(|(_, expires_at)| now < *expires_at).map(|(signers, _)| signers);
        if self.scheme != Scheme::StandardWebhooks {
            let oldest = previous.unwrap_or(&self.current);
            add("X-Webhook-Signature", oldest.chosen.sign(id, now, body));
        }
        add("X-Webhook-Timestamp", timestamp_text(now));
        add("webhook-id", id.to_owned());
        add("webhook-timestamp", timestamp_text(now));

        let live = [Some(&self.current), previous].into_iter().flatten();
        let signatures: Vec<_> =
            live.filter_map(|signers| signers.standard.as_ref()).map(|signer| signer.sign(id, now, body)).collect();
        if !signatures.is_empty() {
            add("webhook-signature", signatures.join(" "));
        }
        headers
    }
}
