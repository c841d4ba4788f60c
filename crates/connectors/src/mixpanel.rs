//! Mixpanel's import: strict, so that what it does not take is told and named.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Value, json};

use crate::common::{USER_AGENT, in_brackets, is_page, on_one_line, page, retry, said, wait};
use crate::tracking::{self, Bulk, HOST_HELP, NAMES_HELP, Names, Pseudonyms, SALT_HELP};

/// Speaks to Mixpanel.
pub(crate) struct Mixpanel;

static MANIFEST: Manifest = Manifest {
    name: "mixpanel",
    title: "Mixpanel",
    summary: "Every event, in batches, with an insert id that makes repetitions harmless.",
    category: Category::Analytics,
    notes: include_str!("mixpanel/notes.md"),
    fields: &[
        Field::optional("project_id", FieldKind::Text, "the number of the project, in Mixpanel under its settings"),
        Field::optional("user", FieldKind::Text, "the user name of a service account"),
        Field::optional("secret", FieldKind::Secret, "the secret of that account"),
        Field::optional("token", FieldKind::Secret, "the project's token, in place of a service account"),
        Field::optional("region", FieldKind::Choice { of: &["us", "eu", "in"] }, "where the project keeps its data")
            .or("us"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "properties to add or to put in place of others; one that comes out empty is left out",
        ),
        Field::optional("salt", FieldKind::Secret, SALT_HELP),
    ],
    events: &["*"],
    batch: BatchLimits { items: 200, items_max: 2_000, bytes_max: 4 << 20, linger_ms: 2_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 20.0, per_day: None }),
    provisions: false,
    recognises: Some("`$insert_id`"),
};

/// Largest body, in bytes.
const BYTES_MAX: usize = 10_000_000;
/// Largest event, in bytes.
const EVENT_BYTES_MAX: usize = 1_000_000;
/// Most properties of an event.
const PROPERTIES_MAX: usize = 255;
/// Mixpanel does not say how long to stay away.
const RATE_WAIT: Duration = Duration::from_secs(10);

impl Connector for Mixpanel {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let usual = match settings.text("region") {
            Some("eu") => "https://api-eu.mixpanel.com",
            Some("in") => "https://api-in.mixpanel.com",
            _ => "https://api.mixpanel.com",
        };
        let login = Login::read(settings)?;
        let host = tracking::host(settings, usual)?;
        Ok(Box::new(Project {
            url: match &login.project_id {
                Some(id) => format!("{host}/import?strict=1&project_id={id}"),
                None => format!("{host}/import?strict=1"),
            },
            names: Names::read(settings)?,
            pseudonyms: Pseudonyms::read(settings, &login.secret)?,
            properties: tracking::mapping(settings, "properties")?,
            authorization: login.authorization(),
        }))
    }
}

/// One project.
struct Project {
    url: String,
    authorization: String,
    names: Names,
    pseudonyms: Pseudonyms,
    properties: Mapping,
}

impl Outlet for Project {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let body = reply.json().unwrap_or_default();
        let text = body["error"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
        let all = |verdict: &Verdict| tracking::settle_sent(batch, progress, verdict);
        match reply.status {
            200..=299 if is_page(reply) => all(&page(reply, "Mixpanel")),
            200..=299 => all(&Verdict::Delivered),
            400 => match body["failed_records"].as_array().filter(|failed| !failed.is_empty()) {
                Some(failed) => {
                    let sent = tracking::sent(batch, progress).len();
                    let refused = refused(failed);
                    if refused.len() < failed.len() || refused.keys().any(|place| *place >= sent) {
                        // Somebody failed and nobody says who; what is sent again is known by its insert id.
                        return Step::Split {
                            alone: Verdict::Reject { reason: FailureReason::Refused, message: text },
                        };
                    }
                    tracking::settle(batch, progress, |place| {
                        refused.get(&place).cloned().unwrap_or(Verdict::Delivered)
                    })
                }
                None => Step::Split { alone: Verdict::Reject { reason: FailureReason::Refused, message: text } },
            },
            401 | 403 => all(&Verdict::unauthorized(format!(
                "Mixpanel refused the login{}; give `project_id` with `user` and `secret` of a service account of \
                 that project, or its `token`, and set `region`",
                in_brackets(text)
            ))),
            404 | 405 => all(&Verdict::misconfigured(format!(
                "there is no Mixpanel at `host`{}; mend it or take it out",
                in_brackets(text)
            ))),
            413 => Step::Split { alone: Verdict::Reject { reason: FailureReason::TooLarge, message: text } },
            429 => all(&wait(reply, RATE_WAIT)),
            _ => all(&retry(reply)),
        }
    }
}

/// The events of a request that were refused, by their places; the others were stored.
fn refused(failed: &[Value]) -> BTreeMap<usize, Verdict> {
    let refusal = |record: &Value| {
        let message = record["message"].as_str().or(record["field"].as_str()).unwrap_or("the event is refused");
        let place = usize::try_from(record["index"].as_u64()?).ok()?;
        Some((place, Verdict::reject(FailureReason::Refused, on_one_line(message, 200))))
    };
    failed.iter().filter_map(refusal).collect()
}

impl Bulk for Project {
    fn write(&self, item: &Item<'_>, _: Timestamp) -> Result<Value, Verdict> {
        let fields = item.fields();
        let mut properties = tracking::properties(item);
        for (name, value) in [
            ("ip", &fields.ip),
            ("$os", &fields.os),
            ("$os_version", &fields.os_version),
            ("$browser", &fields.browser),
            ("$app_version_string", &fields.app_version),
            ("mp_country_code", &fields.country),
            ("$referrer", &fields.referrer),
            ("utm_campaign", &fields.campaign),
            ("utm_source", &fields.channel),
            ("utm_medium", &fields.medium),
        ] {
            if let Some(value) = value {
                properties.insert(name.to_owned(), json!(value));
            }
        }
        tracking::apply(&self.properties, "properties", item, &mut properties)?;
        // These come last: a field of the event that is called like them must not decide who it was.
        let user = tracking::user_id(&fields);
        let device = match &user {
            Some(_) => tracking::real_device(&fields),
            None => Some(self.pseudonyms.device(item, &fields)),
        };
        let person = match (&user, &device) {
            (Some(user), _) => user.clone(),
            (None, Some(device)) => format!("$device:{device}"),
            (None, None) => String::new(),
        };
        for (name, value) in [
            ("time", Some(json!(tracking::time(item)?.as_millis()))),
            ("distinct_id", Some(json!(person))),
            ("$user_id", user.map(Value::from)),
            ("$device_id", device.map(Value::from)),
            // Letters, digits and hyphens only, at most 36 of them.
            ("$insert_id", Some(json!(item.event.id.to_string().replace('_', "-")))),
        ] {
            match value {
                Some(value) => properties.insert(name.to_owned(), value),
                None => properties.remove(name),
            };
        }
        if properties.len() > PROPERTIES_MAX {
            let message = format!("it has {} properties and Mixpanel takes {PROPERTIES_MAX}", properties.len());
            return Err(Verdict::reject(FailureReason::TooLarge, message));
        }
        let event = json!({"event": self.names.of(item)?, "properties": properties});
        if event.to_string().len() > EVENT_BYTES_MAX {
            return Err(Verdict::reject(FailureReason::TooLarge, "it is larger than the 1 MB that Mixpanel takes"));
        }
        Ok(event)
    }

    fn call(&self, events: Vec<Value>, _: &Batch<'_>) -> HttpCall {
        HttpCall::post_json(self.url.as_str(), Value::from(events).to_string())
            .header("User-Agent", USER_AGENT)
            .header("Accept", "application/json")
            .header("Authorization", self.authorization.as_str())
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

/// Who we are to Mixpanel.
struct Login {
    project_id: Option<String>,
    user: String,
    secret: String,
}

impl Login {
    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.0.contains_key("token") {
            if let Some(name) = ["user", "secret"].into_iter().find(|name| settings.0.contains_key(*name)) {
                return Err(SettingsError::new(name, "stands beside `token`; keep the token or the service account"));
            }
            return Ok(Self { project_id: None, user: String::new(), secret: tracking::key(settings, "token")? });
        }
        if let Some(name) = ["project_id", "user", "secret"].into_iter().find(|name| !settings.0.contains_key(*name)) {
            let message = "is missing; give `project_id`, `user` and `secret` of a service account, or `token` in place of all three";
            return Err(SettingsError::new(name, message));
        }
        let project_id = tracking::key(settings, "project_id")?;
        if !project_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SettingsError::new("project_id", "is not a number; it stands in Mixpanel's project settings"));
        }
        let (user, secret) = (tracking::key(settings, "user")?, tracking::key(settings, "secret")?);
        Ok(Self { project_id: Some(project_id), user, secret })
    }

    fn authorization(&self) -> String {
        use base64::Engine as _;
        let login = match &self.project_id {
            Some(_) => format!("{}:{}", self.user, self.secret),
            None => format!("{}:", self.secret),
        };
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login))
    }
}

#[cfg(test)]
mod tests;
