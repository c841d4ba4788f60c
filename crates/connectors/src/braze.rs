//! Braze's `/users/track`: errors of single events come with a 201, and nothing tells a repetition.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

use crate::common::{USER_AGENT, asked_wait, in_brackets, is_page, on_one_line, page, retry, said, wait};
use crate::tracking::{self, Bulk, HOST_HELP, NAMES_HELP, Names};

/// Speaks to Braze.
pub(crate) struct Braze;

static MANIFEST: Manifest = Manifest {
    name: "braze",
    title: "Braze",
    summary: "Events about users whom Braze knows, as custom events, in batches.",
    category: Category::Engagement,
    notes: include_str!("braze/notes.md"),
    fields: &[
        Field::required(
            "instance",
            FieldKind::Text,
            "the instance of your account, like `iad-01` or `fra-02`; it stands in the address of Braze's dashboard",
        ),
        Field::required("api_key", FieldKind::Secret, "a REST API key with the permission `users.track`"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
        Field::optional("app_id", FieldKind::Text, "the app identifier that events are counted under"),
        Field::optional(
            "anonymous",
            FieldKind::Choice { of: &["skip", "alias"] },
            "what becomes of events without user and address; with `alias` whoever has an install or click id \
             becomes a user of their own, who counts and costs",
        )
        .or("skip"),
        Field::optional("alias_label", FieldKind::Text, "the label of those aliases").or("afterclick"),
        Field::optional(
            "update_existing_only",
            FieldKind::Switch,
            "whether events about users whom Braze does not know make no new users",
        )
        .or("true"),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "properties to add or to put in place of others; one that comes out empty is left out",
        ),
    ],
    events: &[
        "link.opened",
        "install.tracked",
        "deferred_link.claimed",
        "link.conversion",
        "referral.*",
        "ecommerce.*",
    ],
    batch: BatchLimits { items: 50, items_max: 75, bytes_max: 1 << 20, linger_ms: 2_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 1_000.0, per_day: None }),
    provisions: false,
    recognises: None,
};

/// Largest body, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// Largest event, in bytes.
const EVENT_BYTES_MAX: usize = 100 << 10;
/// Longest name of an event or property, in characters.
const NAME_CHARS_MAX: usize = 255;
/// Properties that Braze has uses of its own for.
const RESERVED: &[&str] = &["time", "event_name"];
/// A wait that is not named; the limit is counted by windows of three seconds.
const RATE_WAIT: Duration = Duration::from_secs(3);
/// The longest wait that is believed.
const RESET_MAX: Duration = Duration::from_hours(1);

impl Connector for Braze {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let instance = settings.text("instance").unwrap_or_default();
        if instance.is_empty() || !instance.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(SettingsError::new("instance", "is none; it looks like `iad-01` or `fra-02`"));
        }
        let is_eu = instance.starts_with("fra-");
        let usual = format!("https://rest.{instance}.braze.{}", if is_eu { "eu" } else { "com" });
        Ok(Box::new(Workspace {
            url: format!("{}/users/track", tracking::host(settings, &usual)?),
            authorization: format!("Bearer {}", tracking::key(settings, "api_key")?),
            app_id: settings.text("app_id").map(str::to_owned),
            alias_label: (settings.text("anonymous") == Some("alias"))
                .then(|| settings.text("alias_label").unwrap_or("afterclick").to_owned()),
            update_existing_only: settings.0.get("update_existing_only").and_then(Value::as_bool).unwrap_or(true),
            names: Names::read(settings)?,
            properties: tracking::mapping(settings, "properties")?,
        }))
    }
}

/// One workspace.
struct Workspace {
    url: String,
    authorization: String,
    app_id: Option<String>,
    /// Set if people without a name become users of their own.
    alias_label: Option<String>,
    update_existing_only: bool,
    names: Names,
    properties: Mapping,
}

impl Outlet for Workspace {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let body = reply.json().unwrap_or_default();
        let text = body["message"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
        let all = |verdict: &Verdict| tracking::settle_sent(batch, progress, verdict);
        match reply.status {
            200..=299 if is_page(reply) => all(&page(reply, "Braze")),
            200..=299 => {
                let sent = tracking::sent(batch, progress).len();
                let refused = refused(&body["errors"], sent);
                let others = others(&body, sent, &refused);
                if sent > 1 && body["events_processed"] == 0 && others != Verdict::Delivered {
                    // None was taken, so nothing is counted twice when the halves are sent.
                    return Step::Split { alone: others };
                }
                tracking::settle(batch, progress, |place| refused.get(&place).unwrap_or(&others).clone())
            }
            400 | 422 => Step::Split { alone: Verdict::Reject { reason: FailureReason::Refused, message: text } },
            401 | 403 => all(&Verdict::unauthorized(format!(
                "Braze refused the API key{}; give a REST API key of this workspace with the permission `users.track`",
                in_brackets(text)
            ))),
            404 | 405 => all(&Verdict::misconfigured(format!(
                "there is no Braze at that address{}; set `instance` to the one of your account",
                in_brackets(text)
            ))),
            413 => Step::Split { alone: Verdict::Reject { reason: FailureReason::TooLarge, message: text } },
            429 => all(&wait(reply, until_reset(reply).or_else(|| asked_wait(reply)).unwrap_or(RATE_WAIT))),
            _ => all(&retry(reply)),
        }
    }
}

/// The events of a request that was taken that were not, by their places among those sent.
fn refused(errors: &Value, sent: usize) -> BTreeMap<usize, Verdict> {
    let refusal = |error: &Value| {
        let place = place(error).filter(|place| *place < sent)?;
        Some((place, Verdict::reject(FailureReason::Refused, said_of_event(error))))
    };
    errors.as_array().into_iter().flatten().filter_map(refusal).collect()
}

/// The place of the event that an error is about, if it names one.
fn place(error: &Value) -> Option<usize> {
    if error["input_array"] != "events" {
        return None;
    }
    usize::try_from(error["index"].as_u64()?).ok()
}

fn said_of_event(error: &Value) -> String {
    on_one_line(error["type"].as_str().or(error.as_str()).unwrap_or("the event is refused"), 200)
}

/// The verdict on the events that no error names. Nothing tells Braze a repetition, so where some of them were not taken and
/// nobody says which, none is sent again by itself.
fn others(body: &Value, sent: usize, refused: &BTreeMap<usize, Verdict>) -> Verdict {
    let is_named = |error: &Value| place(error).is_some_and(|place| refused.contains_key(&place));
    let unnamed = body["errors"].as_array().into_iter().flatten().find(|error| !is_named(error));
    let processed = body["events_processed"].as_u64();
    let expected = (sent - refused.len()) as u64;
    match (unnamed, processed) {
        (None, _) => Verdict::Delivered,
        (Some(_), Some(processed)) if processed >= expected => Verdict::Delivered,
        (Some(error), Some(0)) => Verdict::reject(FailureReason::Refused, said_of_event(error)),
        (Some(error), None) if sent == 1 => Verdict::reject(FailureReason::Refused, said_of_event(error)),
        (Some(error), processed) => Verdict::reject(
            FailureReason::UnknownOutcome,
            format!(
                "Braze took {} of {expected} events and did not say which it refused ({}); look whether this one is \
                 there before sending it again",
                processed.map_or_else(|| "some".to_owned(), |count| count.to_string()),
                said_of_event(error)
            ),
        ),
    }
}

/// The limit is told as the second at which it is over.
fn until_reset(reply: &Reply) -> Option<Duration> {
    let at = reply.header("x-ratelimit-reset")?.parse().ok()?;
    Some(Timestamp::from_secs(at).since(reply.received_at).min(RESET_MAX))
}

impl Bulk for Workspace {
    fn write(&self, item: &Item<'_>, _: Timestamp) -> Result<Value, Verdict> {
        let mut event = self.who(item)?;
        let name: String = self.names.of(item)?.chars().take(NAME_CHARS_MAX).collect();
        event.insert("name".to_owned(), json!(name));
        event.insert("time".to_owned(), json!(tracking::time(item)?));
        if let Some(app_id) = &self.app_id {
            event.insert("app_id".to_owned(), json!(app_id));
        }
        let mut properties = tracking::properties(item);
        tracking::apply(&self.properties, "properties", item, &mut properties)?;
        event.insert("properties".to_owned(), with_good_names(properties).into());
        if self.update_existing_only {
            event.insert("_update_existing_only".to_owned(), json!(true));
        }
        let event = Value::from(event);
        if event.to_string().len() > EVENT_BYTES_MAX {
            return Err(Verdict::reject(FailureReason::TooLarge, "it is larger than the 100 KB that Braze takes"));
        }
        Ok(event)
    }

    fn call(&self, events: Vec<Value>, _: &Batch<'_>) -> HttpCall {
        HttpCall::post_json(self.url.as_str(), json!({"events": events}).to_string())
            .header("User-Agent", USER_AGENT)
            .header("Authorization", self.authorization.as_str())
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

impl Workspace {
    /// The user whom an event is about, as Braze knows them.
    fn who(&self, item: &Item<'_>) -> Result<Map<String, Value>, Verdict> {
        let fields = item.fields();
        let one = |name: &str, value: Value| Ok(Map::from_iter([(name.to_owned(), value)]));
        if let Some(user) = tracking::user_id(&fields) {
            return one("external_id", json!(user));
        }
        if let Some(email) = &fields.email {
            return one("email", json!(email.trim().to_lowercase()));
        }
        match (&self.alias_label, tracking::real_device(&fields)) {
            (Some(label), Some(device)) => one("user_alias", json!({"alias_name": device, "alias_label": label})),
            _ => Err(Verdict::skip("the event names nobody whom Braze could know: no user, no address")),
        }
    }
}

/// Properties under names that Braze takes: none of its own, no dollar sign in front.
fn with_good_names(properties: Map<String, Value>) -> Map<String, Value> {
    let rename = |name: String| -> String {
        let name: String = name.trim_start_matches('$').chars().take(NAME_CHARS_MAX - 1).collect();
        if RESERVED.contains(&name.as_str()) { format!("{name}_") } else { name }
    };
    properties.into_iter().map(|(name, value)| (rename(name), value)).filter(|(name, _)| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests;
