//! The seam to the vendors: a connector turns events into calls and replies into verdicts, and does nothing else.
//!
//! A connector is sans-I/O. It opens no socket, sleeps, retries, reads no storage and no clock; the engine does, so one
//! retry loop, one address guard, one deadline and one log serve every vendor, and "what would be sent?" is the same
//! function call.

use bytes::Bytes;
use serde::Serialize;

use crate::event::Event;
use crate::id::DeliveryId;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::verdict::Verdict;

/// The code that speaks one vendor's language.
pub trait Connector: Send + Sync {
    /// What the vendor is called, which settings it takes, how much fits into one batch.
    fn manifest(&self) -> &'static Manifest;

    /// Checks what the manifest cannot say. Called after the manifest's own checks passed.
    fn validate(&self, settings: &Settings) -> Result<(), SettingsError>;

    /// What to do first for a batch: a call, or verdicts at once.
    fn prepare(&self, batch: &Batch<'_>, settings: &Settings) -> Step;

    /// What to do after a reply: the next call of a multi-step exchange, or one verdict per item.
    fn advance(&self, batch: &Batch<'_>, settings: &Settings, progress: &mut Progress, reply: &Reply) -> Step;
}

/// What the dashboard form, the listing, the validation, the masking and the reference page derive from.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Manifest {
    /// Lower case, the word in `connector = "…"`.
    pub name: &'static str,
    /// For a person.
    pub title: &'static str,
    /// One sentence: what reaches the vendor.
    pub summary: &'static str,
    pub fields: &'static [Field],
    /// Most events in one call.
    pub batch_items_max: usize,
}

impl Manifest {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether the member `name` of the settings must never be shown. Unknown members count as secret, and so do the
    /// values of a map: headers carry credentials.
    pub fn is_secret(&self, name: &str) -> bool {
        self.field(name).is_none_or(|field| matches!(field.kind, FieldKind::Secret | FieldKind::Map))
    }

    /// Checks settings against the fields: nothing unknown, nothing missing, everything of its kind.
    pub fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        check_fields(self.name, self.fields, settings)
    }
}

/// Checks settings against the fields of `owner`: nothing unknown, nothing missing, everything of its kind.
pub(crate) fn check_fields(owner: &str, fields: &[Field], settings: &Settings) -> Result<(), SettingsError> {
    for (name, value) in &settings.0 {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let known: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SettingsError::new(name, format!("is not a setting of `{owner}`; it has {known}")));
        };
        field.kind.check(value).map_err(|message| SettingsError::new(name, message))?;
    }
    match fields.iter().find(|field| field.required && !settings.0.contains_key(field.name)) {
        Some(field) => Err(SettingsError::new(field.name, format!("is missing; {}", field.help))),
        None => Ok(()),
    }
}

/// One setting of a connector.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    /// For a person: what to put here, as the end of a sentence.
    pub help: &'static str,
}

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// An absolute URL. Shown without its query: chat webhooks carry their token in the path, so such a connector
    /// declares its URL as [`FieldKind::Secret`].
    Url,
    /// One of these texts.
    Choice { of: &'static [&'static str] },
    /// A whole number in this range.
    Integer { min: i64, max: i64 },
    /// An object of texts, whose values are never shown.
    Map,
}

impl FieldKind {
    fn check(self, value: &serde_json::Value) -> Result<(), String> {
        let fits = match self {
            Self::Text | Self::Secret | Self::Url => value.is_string(),
            Self::Choice { of } => value.as_str().is_some_and(|text| of.contains(&text)),
            Self::Integer { min, max } => value.as_i64().is_some_and(|number| (min..=max).contains(&number)),
            Self::Map => value.as_object().is_some_and(|map| map.values().all(serde_json::Value::is_string)),
        };
        if fits { Ok(()) } else { Err(format!("must be {}", self.describe())) }
    }

    /// What fits, for a person: `a text`, `one of …`.
    pub fn describe(self) -> String {
        match self {
            Self::Text | Self::Secret => "a text".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Choice { of } => {
                format!("one of {}", of.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "))
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Map => "an object of texts".to_owned(),
        }
    }
}

/// A setting that is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting `{field}` {message}")]
pub struct SettingsError {
    pub field: String,
    pub message: String,
}

impl SettingsError {
    /// `message` continues the sentence "setting `field` …".
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// What a connector is given: one or more deliveries to one destination.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub items: &'a [Item<'a>],
    /// The time to sign with.
    pub now: Timestamp,
}

/// One delivery of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub event: &'a Event,
    pub delivery: DeliveryId,
    /// 1 for the first try.
    pub attempt: u32,
}

/// What the engine is to do next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Make this call and come back with the reply.
    Send(Call),
    /// Done: one verdict per item, in order.
    Settle(Vec<Verdict>),
}

/// Data for one of the transports.
#[derive(Debug, Clone)]
pub enum Call {
    Http(HttpCall),
}

/// An HTTP request to make.
#[derive(Clone)]
pub struct HttpCall {
    /// An upper-case method.
    pub method: &'static str,
    /// An absolute URL.
    pub url: String,
    /// Names and values, in order. `Host` and `Content-Length` are the transport's.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl std::fmt::Debug for HttpCall {
    /// Headers and URLs carry credentials, so neither is printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpCall({}, {} bytes)", self.method, self.body.len())
    }
}

/// What came back from a call. A call that got no reply at all is judged by the engine, not by the connector.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Lower-case names and values as received; those that are not visible ASCII are left out.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, as far as the transport reads.
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl Reply {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }
}

/// Where a multi-step exchange stands: how many replies it has had.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub replies: u32,
}
