//! Which secrets sign at a moment, and the headers they make.

use domain::signature::{Scheme, SecretError, Signer, timestamp_text};
use domain::{Secret, Settings, Timestamp};

/// The secret, and the one before it while their overlap lasts.
pub(super) struct Secrets {
    current: Secret,
    previous: Option<Secret>,
}

impl Secrets {
    pub(super) fn of(settings: &Settings, now: Timestamp) -> Self {
        let expires_at = settings.integer("previous_secret_expires_at").map(Timestamp::from_millis);
        let in_overlap = expires_at.is_some_and(|expires_at| now < expires_at);
        Self {
            current: Secret::from(settings.text("secret").unwrap_or_default()),
            previous: settings.text("previous_secret").filter(|_| in_overlap).map(Secret::from),
        }
    }

    /// The signature headers of one attempt.
    ///
    /// `X-Webhook-Signature` has room for one signature; while two secrets are live it is made with the old one, which
    /// every receiver still knows. `webhook-signature` is a list and carries both.
    pub(super) fn headers(
        &self,
        scheme: Scheme,
        id: &str,
        now: Timestamp,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, SecretError> {
        let mut headers = Vec::with_capacity(5);
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        if scheme != Scheme::StandardWebhooks {
            let oldest = self.previous.as_ref().unwrap_or(&self.current);
            add("X-Webhook-Signature", Signer::new(scheme, oldest)?.sign(id, now, body));
        }
        add("X-Webhook-Timestamp", timestamp_text(now));
        add("webhook-id", id.to_owned());
        add("webhook-timestamp", timestamp_text(now));

        let live = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        let signers = live.map(|secret| Signer::new(Scheme::StandardWebhooks, secret));
        let signatures: Vec<_> = if scheme == Scheme::StandardWebhooks {
            signers.map(|signer| Ok(signer?.sign(id, now, body))).collect::<Result<_, _>>()?
        } else {
            // A secret that is not base64 has no key in this scheme; its receivers use the other header.
            signers.filter_map(Result::ok).map(|signer| signer.sign(id, now, body)).collect()
        };
        if !signatures.is_empty() {
            add("webhook-signature", signatures.join(" "));
        }
        Ok(headers)
    }
}
