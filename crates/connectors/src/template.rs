//! Acme Inc., over its HTTP API: each event as an object of JSON, in batches.

use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate,
    Reply, SettingsError, Step,
};
use domain::verdict::FailureReason;
use domain::{Secret, Settings, Verdict};
use serde_json::{Value, json};

use crate::common::{USER_AGENT, in_brackets, is_page, page, retry, said, url, wait};

/// Speaks to Acme Inc.
pub(crate) struct Acme;

static MANIFEST: Manifest = Manifest {
    name: "acme",
    title: "Acme Inc.",
    summary: "Every event as an object of JSON, in batches.",
    category: Category::Automation,
    notes: "Where Acme Inc. documents what is spoken here, and what a person should know before using it.",
    fields: &[
        Field::required("url", FieldKind::Url, "the address of the API, like `https://api.example.com/events`"),
        Field::required("api_key", FieldKind::Secret, "the key, in Acme Inc. under Settings › API keys"),
    ],
    events: &["*"],
    batch: BatchLimits { items: 20, items_max: 100, bytes_max: 256 * 1024, linger_ms: 2_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 10.0, per_day: None }),
    provisions: false,
    recognises: None,
};

impl Connector for Acme {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let url = settings.text("url").unwrap_or_default();
        let url = url::parse(url).map_err(|message| SettingsError::new("url", message))?;
        let api_key = Secret::from(settings.text("api_key").unwrap_or_default());
        Ok(Box::new(Account { url: url.into(), api_key }))
    }
}

/// One account at Acme Inc.
struct Account {
    url: String,
    api_key: Secret,
}

impl Outlet for Account {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        let events: Vec<Value> = batch.items.iter().map(object).collect();
        let call = HttpCall::post_json(&self.url, json!({ "events": events }).to_string())
            .header("User-Agent", USER_AGENT)
            .header("Authorization", format!("Bearer {}", self.api_key.expose()));
        Step::Send(Call::Http(call))
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        let said = || in_brackets(said(reply));
        let verdict = match reply.status {
            200..=299 if is_page(reply) => page(reply, "Acme Inc."),
            200..=299 => Verdict::Delivered,
            401 | 403 => Verdict::unauthorized(format!(
                "Acme Inc. refused the key{}; put a good one into `api_key`, then resume",
                said()
            )),
            404 => Verdict::misconfigured(format!("nothing takes events at `url`{}; correct it, then resume", said())),
            429 => wait(reply, RATE_WAIT),
            // Nobody says which event it was, so the batch is halved until one stands alone.
            400 | 413 | 422 => {
                let message = format!("Acme Inc. refused the event{}", said());
                return Step::Split { alone: Verdict::reject(FailureReason::Refused, message) };
            }
            _ => retry(reply),
        };
        Step::settle_all(batch, &verdict)
    }
}

/// The id lets the vendor recognise an event that comes twice.
fn object(item: &Item<'_>) -> Value {
    json!({
        "id": item.event.id.to_string(),
        "type": item.event.event_type.as_str(),
        "time": item.event.occurred_at.to_string(),
        "data": item.data(),
    })
}

/// How long to wait when asked to slow down, if the vendor does not say.
const RATE_WAIT: Duration = Duration::from_secs(10);
