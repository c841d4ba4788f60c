//! Amplitude's event upload: what a request is refused for is named by index, so the rest goes out again at once.

mod reply;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

use crate::common::USER_AGENT;
use crate::tracking::{self, Bulk, HOST_HELP, NAMES_HELP, Names, Pseudonyms, SALT_HELP};

/// Speaks to Amplitude.
pub(crate) struct Amplitude;

static MANIFEST: Manifest = Manifest {
    name: "amplitude",
    title: "Amplitude",
    summary: "Every event, in batches, with an insert id that makes repetitions harmless for a week.",
    category: Category::Analytics,
    notes: include_str!("amplitude/notes.md"),
    fields: &[
        Field::required("api_key", FieldKind::Secret, "the API key of the project, in Amplitude under its settings"),
        Field::optional("region", FieldKind::Choice { of: &["us", "eu"] }, "where the organisation keeps its data")
            .or("us"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "event properties to add or to put in place of others; one that comes out empty is left out",
        ),
        Field::optional("user_properties", FieldKind::Mapping, "user properties to set with each event"),
        Field::optional("salt", FieldKind::Secret, SALT_HELP),
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 100,
        items_max: 1_000,
        // An event about doubles on its way, and Amplitude takes 1 MB.
        bytes_max: 400 * 1024,
        linger_ms: 2_000,
        keeps_boundaries: false,
    },
    rate: Some(Rate { per_second: 100.0, per_day: None }),
    provisions: false,
    recognises: Some("`insert_id`"),
};

/// Largest body, in bytes.
const BYTES_MAX: usize = 1_000_000;

impl Connector for Amplitude {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let api_key = tracking::key(settings, "api_key")?;
        let usual = match settings.text("region") {
            Some("eu") => "https://api.eu.amplitude.com",
            _ => "https://api2.amplitude.com",
        };
        Ok(Box::new(Project {
            url: format!("{}/2/httpapi", tracking::host(settings, usual)?),
            names: Names::read(settings)?,
            pseudonyms: Pseudonyms::read(settings, &api_key)?,
            properties: tracking::mapping(settings, "properties")?,
            user_properties: tracking::mapping(settings, "user_properties")?,
            api_key,
        }))
    }
}

/// One project.
struct Project {
    url: String,
    api_key: String,
    names: Names,
    pseudonyms: Pseudonyms,
    properties: Mapping,
    user_properties: Mapping,
}

impl Outlet for Project {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        match reply::judge(reply) {
            reply::Judgement::All(verdict) => tracking::settle_sent(batch, progress, &verdict),
            reply::Judgement::Whole(alone) => Step::Split { alone },
            reply::Judgement::Named(refused) => self.go_on_without(batch, progress, &refused),
        }
    }
}

impl Project {
    /// Nothing of the request was stored: those that were named are done with, the others go out again.
    fn go_on_without(&self, batch: &Batch<'_>, progress: &mut Progress, refused: &reply::Refused) -> Step {
        let sent = tracking::sent(batch, progress);
        let mut is_any_named = false;
        for (place, &index) in sent.iter().enumerate() {
            let who = self.write(&batch.items[index], batch.now).unwrap_or_default();
            if let Some(verdict) = refused.verdict(place, &who) {
                tracking::set_aside(progress, index, verdict);
                is_any_named = true;
            }
        }
        if !is_any_named || progress.replies >= tracking::ROUNDS_MAX {
            return tracking::settle_sent(batch, progress, &refused.otherwise);
        }
        tracking::send(self, batch, progress)
    }
}

impl Bulk for Project {
    fn write(&self, item: &Item<'_>, _: Timestamp) -> Result<Value, Verdict> {
        let fields = item.fields();
        let mut event = Map::new();
        match tracking::user_id(&fields) {
            Some(user) => {
                event.insert("user_id".to_owned(), json!(user));
                if let Some(device) = tracking::real_device(&fields) {
                    event.insert("device_id".to_owned(), json!(device));
                }
            }
            None => {
                event.insert("device_id".to_owned(), json!(self.pseudonyms.device(item, &fields)));
            }
        }
        event.insert("event_type".to_owned(), json!(self.names.of(item)?));
        event.insert("time".to_owned(), json!(tracking::time(item)?.as_millis()));
        event.insert("insert_id".to_owned(), json!(item.event.id));
        let known = [
            ("platform", &fields.platform),
            ("os_name", &fields.os),
            ("os_version", &fields.os_version),
            ("app_version", &fields.app_version),
            ("country", &fields.country),
            ("region", &fields.region),
            ("ip", &fields.ip),
        ];
        event.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
        if let Some(revenue) = fields.revenue {
            // What was paid back is revenue too, with a sign.
            let is_refund = item.event.event_type.as_str() == "ecommerce.refund";
            event.insert("revenue".to_owned(), json!(if is_refund { -revenue.abs() } else { revenue }));
            if let Some(currency) = tracking::currency(&fields) {
                event.insert("currency".to_owned(), json!(currency));
            }
        }
        let mut properties = tracking::properties(item);
        tracking::apply(&self.properties, "properties", item, &mut properties)?;
        event.insert("event_properties".to_owned(), properties.into());
        let mut of_user = Map::new();
        tracking::apply(&self.user_properties, "user_properties", item, &mut of_user)?;
        if !of_user.is_empty() {
            event.insert("user_properties".to_owned(), of_user.into());
        }
        Ok(event.into())
    }

    fn call(&self, events: Vec<Value>, batch: &Batch<'_>) -> HttpCall {
        let body = json!({
            "api_key": self.api_key,
            "events": events,
            // Ids of less than five characters are refused otherwise, and `42` is a fine user id.
            "options": {"min_id_length": 1},
            "client_upload_time": batch.now,
        });
        HttpCall::post_json(self.url.as_str(), body.to_string()).header("User-Agent", USER_AGENT)
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

#[cfg(test)]
mod tests;
