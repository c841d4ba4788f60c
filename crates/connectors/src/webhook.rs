//! Signed webhooks to any URL: the stored bytes, untouched, under headers that are fresh on each attempt.

mod headers;
mod secrets;
mod url;

use domain::connector::{
    Batch, Call, Connector, Field, FieldKind, HttpCall, Item, Manifest, Progress, Reply, SettingsError, Step,
};
use domain::signature::{Scheme, Signer};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Secret, Settings, Timestamp, Verdict, retry_after};

use self::secrets::Secrets;

/// Speaks to a receiver of webhooks.
pub(crate) struct Webhook;

static MANIFEST: Manifest = Manifest {
    name: "webhook",
    title: "Webhook",
    summary: "Every event, byte for byte as it was received, in a signed POST to a URL of yours.",
    fields: &[
        Field { name: "url", kind: FieldKind::Url, required: true, help: "the URL that takes the events" },
        Field {
            name: "secret",
            kind: FieldKind::Secret,
            required: true,
            help: "what signs the requests; `whsec_` and the base64 of 32 random bytes fits every scheme",
        },
        Field {
            name: "previous_secret",
            kind: FieldKind::Secret,
            required: false,
            help: "the secret before this one, which also signs until it expires",
        },
        Field {
            name: "previous_secret_expires_at",
            kind: FieldKind::Integer { min: 0, max: Timestamp::MAX.as_millis() },
            required: false,
            help: "when the previous secret stops signing, in milliseconds since 1970",
        },
        Field {
            name: "scheme",
            kind: FieldKind::Choice { of: Scheme::NAMES },
            required: false,
            help: "how `X-Webhook-Signature` is made; `body-hex` by default",
        },
        Field {
            name: "headers",
            kind: FieldKind::Map,
            required: false,
            help: "headers to send along, for example `Authorization`",
        },
    ],
    batch_items_max: 1,
};

impl Connector for Webhook {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn validate(&self, settings: &Settings) -> Result<(), SettingsError> {
        url::parse(settings.text("url").unwrap_or_default()).map_err(|message| SettingsError::new("url", message))?;
        headers::validate(settings)?;
        let scheme = scheme_of(settings);
        for name in ["secret", "previous_secret"] {
            if let Some(secret) = settings.text(name) {
                Signer::new(scheme, &Secret::from(secret))
                    .map_err(|error| SettingsError::new(name, format!("is refused: {error}")))?;
            }
        }
        if settings.text("previous_secret").is_some() != settings.integer("previous_secret_expires_at").is_some() {
            return Err(SettingsError::new(
                "previous_secret_expires_at",
                "goes with `previous_secret`; give both or neither",
            ));
        }
        Ok(())
    }

    fn prepare(&self, batch: &Batch<'_>, settings: &Settings) -> Step {
        // `batch_items_max` is 1; anything else is the engine's mistake, and the one verdict that loses nothing is to retry.
        let [item] = batch.items else {
            let retry = Verdict::Retry { after: None, reason: FailureReason::Unprocessable };
            return Step::Settle(vec![retry; batch.items.len()]);
        };
        match call(item, batch.now, settings) {
            Ok(call) => Step::Send(Call::Http(call)),
            Err(message) => Step::Settle(vec![Verdict::Pause { reason: PauseReason::Misconfigured, message }]),
        }
    }

    fn advance(&self, batch: &Batch<'_>, _: &Settings, _: &mut Progress, reply: &Reply) -> Step {
        Step::Settle(vec![verdict(reply); batch.items.len()])
    }
}

/// 2xx is success, 410 is good-bye, and everything else is tried again: the receiver may be mended meanwhile.
fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Pause {
            reason: PauseReason::Gone,
            message: "the receiver answered 410, which says that it wants no more events; resume when it is back"
                .to_owned(),
        },
        status => Verdict::Retry {
            after: reply.header("retry-after").and_then(|value| retry_after::parse(value, reply.received_at)),
            reason: FailureReason::of_status(status),
        },
    }
}

// ---------------------------------------------------------------------------------------------------------------------

fn call(item: &Item<'_>, now: Timestamp, settings: &Settings) -> Result<HttpCall, String> {
    // Checked when it was saved; the transport parses it once and not on each attempt.
    let url = settings.text("url").unwrap_or_default().to_owned();
    let event = item.event;
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("User-Agent".to_owned(), USER_AGENT.to_owned()),
        ("X-Webhook-Event".to_owned(), event.event_type.to_string()),
    ];
    let signed = Secrets::of(settings, now).headers(scheme_of(settings), &event.id.to_string(), now, &event.body);
    headers.extend(signed.map_err(|error| format!("setting `secret` is refused: {error}"))?);
    headers.extend(headers::custom(settings));
    Ok(HttpCall { method: "POST", url, headers, body: event.body.clone() })
}

const USER_AGENT: &str = concat!("Afterclick/", env!("CARGO_PKG_VERSION"));

fn scheme_of(settings: &Settings) -> Scheme {
    settings.text("scheme").and_then(Scheme::from_name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
