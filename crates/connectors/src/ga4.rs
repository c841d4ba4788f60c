//! Google Analytics 4 by its measurement protocol, which answers 204 to everything: what it would drop without a word
//! is found out here.

mod names;
mod params;
mod urls;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate,
    Reply, SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Value, json};

use self::names::EVENT_NAMES;
use crate::common::{USER_AGENT, is_page, page, retry};
use crate::tracking::{self, HOST_HELP, NAMES_HELP, Names, Pseudonyms, SALT_HELP};

/// Speaks to Google Analytics.
pub(crate) struct Ga4;

static MANIFEST: Manifest = Manifest {
    name: "ga4",
    title: "Google Analytics 4",
    summary: "Every event, by the measurement protocol, under a name that Google Analytics takes.",
    category: Category::Analytics,
    notes: include_str!("ga4/notes.md"),
    fields: &[
        Field::optional(
            "measurement_id",
            FieldKind::Text,
            "the measurement ID of a web stream, like `G-ABCDE12345`, in Google Analytics under Admin › Data streams",
        ),
        Field::optional("firebase_app_id", FieldKind::Text, "the Firebase app ID of an app stream, in its place"),
        Field::required(
            "api_secret",
            FieldKind::Secret,
            "a secret of that stream, made under Measurement Protocol API secrets; a wrong one is never told",
        ),
        Field::optional(
            "region",
            FieldKind::Choice { of: &["global", "eu"] },
            "where Google takes the events in; `eu` keeps them in the European Union on their way",
        )
        .or("global"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "params",
            FieldKind::Mapping,
            "parameters to add or to put in place of others; never put an address or name into them, Google forbids it",
        ),
        Field::optional(
            "client_id",
            FieldKind::Template,
            "the id of the browser or app, like `{{ data.ga_client_id }}`; if it comes out empty, one is made up",
        ),
        Field::optional("salt", FieldKind::Secret, SALT_HELP),
    ],
    events: &["*"],
    // A request is about one browser or app, so there is nothing to gather.
    batch: BatchLimits::ONE,
    rate: Some(Rate { per_second: 100.0, per_day: None }),
    provisions: false,
    recognises: None,
};

/// How far back an event may lie.
const AGE_MAX: std::time::Duration = std::time::Duration::from_hours(72);
/// Largest body, in bytes.
const BYTES_MAX: usize = 130_000;
/// Events of one client within so many seconds of each other make a session.
const SESSION_S: i64 = 30 * 60;

impl Connector for Ga4 {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let api_secret = tracking::key(settings, "api_secret")?;
        let usual = match settings.text("region") {
            Some("eu") => "https://region1.google-analytics.com",
            _ => "https://www.google-analytics.com",
        };
        let (stream, is_app) = stream(settings)?;
        names::check(settings)?;
        params::check(settings)?;
        let client_id = settings.text("client_id").map(|text| {
            domain::expression::Template::compile(text, domain::expression::Escape::None)
                .map_err(|error| SettingsError::new("client_id", format!("does not compile: {error}")))
        });
        let escaped = domain::expression::Escape::Url.apply(&api_secret);
        Ok(Box::new(Stream {
            url: format!("{}/mp/collect?{stream}&api_secret={escaped}", tracking::host(settings, usual)?),
            is_app,
            client_id: client_id.transpose()?,
            names: Names::with_table(settings, EVENT_NAMES)?,
            params: tracking::mapping(settings, "params")?,
            pseudonyms: Pseudonyms::read(settings, &api_secret)?,
        }))
    }
}

/// One data stream.
struct Stream {
    url: String,
    is_app: bool,
    client_id: Option<domain::expression::Template>,
    names: Names,
    params: Mapping,
    pseudonyms: Pseudonyms,
}

impl Outlet for Stream {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        match batch.items {
            [item] => match self.body(item, batch.now) {
                Ok(body) => Step::Send(Call::Http(
                    HttpCall::post_json(self.url.as_str(), body).header("User-Agent", USER_AGENT),
                )),
                Err(verdict) => Step::settle_all(batch, &verdict),
            },
            _ => Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) },
        }
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        let verdict = match reply.status {
            200..=299 if is_page(reply) => page(reply, "Google Analytics"),
            200..=299 => Verdict::Delivered,
            404 | 405 => Verdict::misconfigured("there is no measurement protocol at `host`; mend it or take it out"),
            413 => Verdict::reject(FailureReason::TooLarge, "the event is larger than Google Analytics takes"),
            _ => retry(reply),
        };
        Step::settle_all(batch, &verdict)
    }
}

impl Stream {
    fn body(&self, item: &Item<'_>, now: Timestamp) -> Result<String, Verdict> {
        let fields = item.fields();
        let at = tracking::time(item)?;
        if now.since(at) > AGE_MAX {
            return Err(Verdict::skip("it is older than the 72 hours that Google Analytics looks back"));
        }
        // Later than now it would be dropped; a clock that is ahead must not cost an event.
        let at = at.min(now);
        let name = names::sanitised(&self.names.of(item)?)?;
        let mut params = params::of(item, &fields, &name);
        tracking::apply(&self.params, "params", item, &mut params)?;
        let mut params = params::limited(params, &self.params);
        // Without these two an event is counted and shows in no report.
        params.insert("session_id".to_owned(), json!((at.as_secs() / SESSION_S * SESSION_S).to_string()));
        params.insert("engagement_time_msec".to_owned(), json!(100));
        let mut body = json!({
            "timestamp_micros": at.as_millis() * 1_000,
            "events": [{"name": name, "params": params}],
        });
        let (field, id) = self.who(item)?;
        body[field] = json!(id);
        if let Some(user) = tracking::user_id(&fields) {
            body["user_id"] = json!(user);
        }
        if let Some(consent) = fields.consent {
            let word = if consent { "GRANTED" } else { "DENIED" };
            body["consent"] = json!({"ad_user_data": word, "ad_personalization": word});
        }
        let body = body.to_string();
        if body.len() > BYTES_MAX {
            let message = format!("it is larger than the {BYTES_MAX} bytes that Google Analytics takes");
            return Err(Verdict::reject(FailureReason::TooLarge, message));
        }
        Ok(body)
    }

    /// The browser, or the app; one that is not known to Google can be made up for a browser only.
    fn who(&self, item: &Item<'_>) -> Result<(&'static str, String), Verdict> {
        let fields = item.fields();
        let text = |name| item.data().get(name).and_then(Value::as_str).map(str::to_owned);
        let told = match &self.client_id {
            Some(template) => Some(template.render(item.value()).map_err(|error| {
                Verdict::reject(FailureReason::TemplateError, format!("setting `client_id`: {error}"))
            })?),
            None if self.is_app => text("app_instance_id"),
            None => text("ga_client_id").or_else(|| text("client_id")),
        };
        match told.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
            Some(id) if self.is_app => Ok(("app_instance_id", id)),
            Some(id) => Ok(("client_id", id)),
            None if self.is_app => Err(Verdict::skip(
                "the event names no `app_instance_id`, and Google Analytics knows an app by nothing else",
            )),
            None => Ok(("client_id", self.pseudonyms.device(item, &fields))),
        }
    }
}

/// The parameter of the URL that names the stream, and whether it is an app's.
fn stream(settings: &Settings) -> Result<(String, bool), SettingsError> {
    match (settings.text("measurement_id"), settings.text("firebase_app_id")) {
        (Some(id), None) => {
            let is_id = id.strip_prefix("G-").is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            });
            if !is_id {
                return Err(SettingsError::new("measurement_id", "is none; it looks like `G-ABCDE12345`"));
            }
            Ok((format!("measurement_id={id}"), false))
        }
        (None, Some(id)) => {
            let is_id =
                id.split(':').count() == 4 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
            if !is_id {
                return Err(SettingsError::new(
                    "firebase_app_id",
                    "is none; it looks like `1:1234567890:ios:321abc456def`",
                ));
            }
            Ok((format!("firebase_app_id={}", domain::expression::Escape::Url.apply(id)), true))
        }
        (Some(_), Some(_)) => {
            Err(SettingsError::new("firebase_app_id", "stands beside `measurement_id`; a destination is one stream"))
        }
        (None, None) => Err(SettingsError::new(
            "measurement_id",
            "is missing; give it for a web stream, or `firebase_app_id` for an app",
        )),
    }
}

#[cfg(test)]
mod tests;
