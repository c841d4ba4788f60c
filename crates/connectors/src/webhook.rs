//! Signed webhooks to any URL: the stored bytes, untouched, under headers that are fresh on each attempt.

mod secrets;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress,
    REPLY_BYTES_DEFAULT, Reply, SettingsError, Step,
};
use domain::signature::Scheme;
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Timestamp, Verdict};

use self::secrets::Secrets;
use crate::common::{USER_AGENT, asked_wait, headers, url};

/// Speaks to receivers of webhooks.
pub(crate) struct Webhook;

static MANIFEST: Manifest = Manifest {
    name: "webhook",
    title: "Webhook",
    summary: "Every event, byte for byte as it was received, in a signed POST to a URL of yours.",
    category: Category::Webhook,
    notes: "The body is never rendered again, so a signature over it stays good. Whatever the setting `scheme` says, the \
            three headers of [Standard Webhooks](https://www.standardwebhooks.com) are sent too; `webhook-id` is the id \
            of the event and the same on every try.",
    fields: &[
        Field::required("url", FieldKind::Url, "the URL that takes the events"),
        Field::required(
            "secret",
            FieldKind::Secret,
            "what signs the requests; `whsec_` and the base64 of 32 random bytes fits every scheme",
        ),
        Field::optional(
            "previous_secret",
            FieldKind::Secret,
            "the secret before this one, which also signs until it expires",
        ),
        Field::optional(
            "previous_secret_expires_at",
            FieldKind::Integer { min: 0, max: Timestamp::MAX.as_millis() },
            "when the previous secret stops signing, in milliseconds since 1970",
        ),
        Field::optional("scheme", FieldKind::Choice { of: Scheme::NAMES }, "how `X-Webhook-Signature` is made")
            .or("body-hex"),
        Field::optional("headers", FieldKind::Map, "headers to send along, for example `Authorization`"),
    ],
    events: &["*"],
    batch: BatchLimits::ONE,
    rate: None,
    provisions: false,
    recognises: None,
};

impl Connector for Webhook {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let url = settings.text("url").unwrap_or_default();
        url::parse_or(url, url::INTO_A_HEADER).map_err(|message| SettingsError::new("url", message))?;
        headers::validate(settings)?;
        let scheme = settings.text("scheme").and_then(Scheme::from_name).unwrap_or_default();
        Ok(Box::new(Receiver {
            url: url.to_owned(),
            secrets: Secrets::read(scheme, settings)?,
            headers: headers::custom(settings).collect(),
        }))
    }
}

/// One receiver.
struct Receiver {
    url: String,
    secrets: Secrets,
    headers: Vec<(String, String)>,
}

impl Outlet for Receiver {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        match batch.items {
            [item] => Step::Send(Call::Http(self.call(item, batch.now))),
            // The manifest says one at a time; anything else is the engine's mistake, and halves come down to one.
            _ => Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) },
        }
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        Step::settle_all(batch, &verdict(reply))
    }
}

impl Receiver {
    fn call(&self, item: &Item<'_>, now: Timestamp) -> HttpCall {
        let event = item.event;
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("User-Agent".to_owned(), USER_AGENT.to_owned()),
            ("X-Webhook-Event".to_owned(), event.event_type.to_string()),
        ];
        headers.extend(self.secrets.headers(&event.id.to_string(), now, &event.body));
        headers.extend(self.headers.iter().cloned());
        let (url, body) = (self.url.clone(), event.body.clone());
        HttpCall { method: "POST", url, headers, body, reply_bytes_max: REPLY_BYTES_DEFAULT }
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
        status => Verdict::Retry { after: asked_wait(reply), reason: FailureReason::of_status(status), message: None },
    }
}

#[cfg(test)]
mod tests;
