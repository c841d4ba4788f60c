//! What analytics, engagement and ad platforms share: an event becomes one JSON object of a bulk request, some events
//! are set aside on the way, and the reply speaks about the others by their place in the request.

mod aside;
mod names;
mod person;
#[cfg(test)]
pub(crate) mod trial;

use domain::connector::{Batch, Call, HttpCall, Item, Progress, SettingsError, Step};
use domain::fields::Fields;
use domain::mapping::{Mapping, weight};
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

pub(crate) use self::aside::{sent, set_aside, settle};
pub(crate) use self::names::{NAMES_HELP, Names};
pub(crate) use self::person::{Pseudonyms, SALT_HELP, real_device, user_id};

/// Most requests about one batch: each but the first leaves out what the last one was refused for.
pub(crate) const ROUNDS_MAX: u32 = 4;

/// A vendor that takes events in bulk.
pub(crate) trait Bulk {
    /// The object of one event, or why there is none.
    fn write(&self, item: &Item<'_>, now: Timestamp) -> Result<Value, Verdict>;

    /// The request for some objects of a batch.
    fn call(&self, events: Vec<Value>, batch: &Batch<'_>) -> HttpCall;

    /// Largest body that the vendor takes, in bytes.
    fn bytes_max(&self) -> usize;
}

/// The request for every event that is not set aside, or the end if there is none left.
pub(crate) fn send(bulk: &impl Bulk, batch: &Batch<'_>, progress: &mut Progress) -> Step {
    let mut events = Vec::with_capacity(batch.items.len());
    let mut bytes = 0;
    for index in sent(batch, progress) {
        match bulk.write(&batch.items[index], batch.now) {
            Ok(event) => {
                // What a destination adds to each event may make much of little: what will not fit is not made first.
                bytes += weight(&event);
                if bytes > bulk.bytes_max() {
                    return too_large(bulk);
                }
                events.push(event);
            }
            Err(verdict) => set_aside(progress, index, &verdict),
        }
    }
    if events.is_empty() {
        return settle(batch, progress, |_| Verdict::Delivered);
    }
    let call = bulk.call(events, batch);
    if call.body.len() > bulk.bytes_max() {
        return too_large(bulk);
    }
    Step::Send(Call::Http(call.with_long_reply()))
}

fn too_large(bulk: &impl Bulk) -> Step {
    let message = format!("the event is larger than the {} bytes that are taken", bulk.bytes_max());
    Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) }
}

/// The same verdict for every event that was sent.
pub(crate) fn settle_sent(batch: &Batch<'_>, progress: &Progress, verdict: &Verdict) -> Step {
    settle(batch, progress, |_| verdict.clone())
}

/// The mapping of a setting.
pub(crate) fn mapping(settings: &Settings, name: &str) -> Result<Mapping, SettingsError> {
    let none = Map::new();
    Mapping::compile(settings.object(name).unwrap_or(&none)).map_err(|message| SettingsError::new(name, message))
}

/// Puts a destination's own properties into those of an event.
pub(crate) fn apply(
    mapping: &Mapping,
    setting: &str,
    item: &Item<'_>,
    properties: &mut Map<String, Value>,
) -> Result<(), Verdict> {
    mapping
        .apply(item.value(), properties)
        .map_err(|error| Verdict::reject(FailureReason::TemplateError, format!("setting `{setting}`: {error}")))
}

/// Everything that an event says, with the source that it came from and its type.
pub(crate) fn properties(item: &Item<'_>) -> Map<String, Value> {
    let mut properties = match item.data() {
        Value::Object(data) => data.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("data".to_owned(), other.clone())]),
    };
    properties.retain(|_, value| !value.is_null());
    if let Some(source) = properties.remove("source") {
        properties.insert("original_source".to_owned(), source);
    }
    properties.insert("source".to_owned(), json!(format!("{}_webhook", item.source())));
    properties.insert("original_event_type".to_owned(), json!(item.event.event_type.as_str()));
    properties
}

/// When it happened, if a vendor can be told so.
pub(crate) fn time(item: &Item<'_>) -> Result<Timestamp, Verdict> {
    let at = item.event.occurred_at;
    if at < YEAR_1971 || at > Timestamp::MAX {
        return Err(Verdict::reject(FailureReason::Unprocessable, "its time is outside the years 1971 to 9999"));
    }
    Ok(at)
}

/// A currency as ISO 4217 writes it, if it is one.
pub(crate) fn currency(fields: &Fields<'_>) -> Option<String> {
    let currency = fields.currency.as_deref()?.trim();
    (currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| currency.to_uppercase())
}

/// A key or token, which ends up in a header or in a URL.
pub(crate) fn key(settings: &Settings, name: &str) -> Result<String, SettingsError> {
    let key = settings.text(name).unwrap_or_default();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "is empty or holds a space or a character that no key has; copy it again";
        return Err(SettingsError::new(name, message));
    }
    Ok(key.to_owned())
}

/// The vendor's server without a slash at its end, unless the setting `host` names another one that speaks its
/// language.
pub(crate) fn host(settings: &Settings, usual: &str) -> Result<String, SettingsError> {
    let Some(text) = settings.text("host") else { return Ok(usual.to_owned()) };
    let url = crate::common::url::parse(text).map_err(|message| SettingsError::new("host", message))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Help of the setting `host`.
pub(crate) const HOST_HELP: &str = "another server that speaks this API, a proxy of yours for example";

/// Before it, times are mistakes: an empty clock, seconds that were taken for milliseconds.
const YEAR_1971: Timestamp = Timestamp::from_secs(31_536_000);
