//! Manifests: what a vendor is called, which settings it takes and which limits it has.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::hint::hint;
use crate::retry::format_wait;
use crate::settings::Settings;
use crate::subscription::{Pattern, Subscriptions};

/// What the dashboard form, the listing, the validation, the masking and the reference page derive from.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Manifest {
    /// Lower case, the word in `connector = "…"`.
    pub name: &'static str,
    /// For a person.
    pub title: &'static str,
    /// One sentence: what reaches the vendor.
    pub summary: &'static str,
    pub category: Category,
    /// Where the vendor documents what is spoken here, and what else a person should know of this connector: whole
    /// paragraphs of Markdown for its reference page.
    pub notes: &'static str,
    pub fields: &'static [Field],
    /// What a destination gets that names no events, as patterns.
    pub events: &'static [&'static str],
    pub batch: BatchLimits,
    /// What the vendor bears. A destination can ask for less.
    pub rate: Option<Rate>,
    /// Whether [`super::Outlet::survey`] has something to look at.
    pub provisions: bool,
    /// By what the vendor knows an item that it is sent again, so that a repetition does no harm; `None` if it may take it for another
    /// one.
    pub recognises: Option<&'static str>,
}

/// What a vendor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Webhook,
    Automation,
    Chat,
    CustomerData,
    Warehouse,
    Storage,
    Email,
    Analytics,
    Engagement,
    Ads,
    Bus,
    Crm,
}

/// How much goes into one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BatchLimits {
    /// Most items, unless the destination says otherwise.
    pub items: usize,
    /// Most items that a destination may ask for: what the vendor takes.
    pub items_max: usize,
    /// Most bytes of the bodies of a batch; a single item may be larger. A connector that renders more than the vendor
    /// takes answers with [`super::Step::Split`].
    pub bytes_max: usize,
    /// How long the first item waits for others, unless the destination says otherwise.
    pub linger_ms: u64,
    /// Whether the vendor recognises a batch that it has seen by its boundaries, so that a retry must be the same batch,
    /// also after a restart.
    pub keeps_boundaries: bool,
}

impl BatchLimits {
    /// One item at a time, at once.
    pub const ONE: Self = Self { items: 1, items_max: 1, bytes_max: usize::MAX, linger_ms: 0, keeps_boundaries: false };

    /// How long the first item waits for others.
    pub const fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

/// Most calls to a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    pub per_second: f64,
    /// In a day of UTC, if the vendor counts days.
    pub per_day: Option<u32>,
}

impl Manifest {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// What a destination gets that names no events.
    pub fn default_events(&self) -> Subscriptions {
        let patterns: Vec<Pattern> = self.events.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        // The kit holds every manifest to patterns that can be read.
        Subscriptions::new(patterns).unwrap_or_else(|_| Subscriptions::every())
    }

    /// Whether the connector can make one message of many events: those whose messages people read.
    pub const fn digests(&self) -> bool {
        matches!(self.category, Category::Chat | Category::Email)
    }

    /// Whether the vendor keeps records of people. The engine then gives each item the [`crate::identity::Profile`] of the
    /// person it is about, as it stands when the batch is sent, and sends one batch at a time, so that an older state of a record
    /// never overtakes a newer one.
    pub const fn keeps_people(&self) -> bool {
        matches!(self.category, Category::Crm)
    }

    /// For a person: how many events go into one request.
    pub fn portions(&self) -> String {
        let BatchLimits { items, items_max, .. } = self.batch;
        let wait = format_wait(self.batch.linger());
        match (items_max, items) {
            (_, 1) if self.digests() => "each event by itself, or one message about many by `volume.digest`".to_owned(),
            (1, _) => "each event by itself".to_owned(),
            (max, 1) => format!("each event by itself; up to {max} if `batch.items` says so"),
            (max, items) => {
                format!("{items} events or {wait}, whichever comes first; `batch.items` may be up to {max}")
            }
        }
    }

    /// Whether the member `name` of the settings must never be shown. Unknown members count as secret, and so do the
    /// values of a map: headers carry credentials.
    pub fn is_secret(&self, name: &str) -> bool {
        self.field(name).is_none_or(|field| field.kind.is_secret())
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
            let known: Vec<_> = fields.iter().map(|field| field.name).collect();
            return Err(SettingsError::new(name, format!("is not a setting of `{owner}`; {}", hint(name, &known))));
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
    /// What holds if nothing is said, as it would be written in the file.
    pub default: Option<&'static str>,
}

impl Field {
    /// A setting that must be there.
    pub const fn required(name: &'static str, kind: FieldKind, help: &'static str) -> Self {
        Self { name, kind, required: true, help, default: None }
    }

    /// A setting that may be left out.
    pub const fn optional(name: &'static str, kind: FieldKind, help: &'static str) -> Self {
        Self { name, kind, required: false, help, default: None }
    }

    /// The same setting with what holds if nothing is said.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// An absolute URL. Shown without its query.
    Url,
    /// An absolute URL that is itself the credential, and never shown: those of chat webhooks.
    SecretUrl,
    /// One of these texts.
    Choice { of: &'static [&'static str] },
    /// Yes or no.
    Switch,
    /// A whole number in this range.
    Integer { min: i64, max: i64 },
    /// A text with expressions in it.
    Template,
    /// An object of values; texts among them may hold expressions. See [`crate::mapping`].
    Mapping,
    /// A list of texts.
    List,
    /// An object of texts, whose values are never shown.
    Map,
}

impl FieldKind {
    /// Whether a value of this kind must never be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretUrl | Self::Map)
    }

    /// Whether a value fits. The message continues "setting `…` …".
    pub fn check(self, value: &Value) -> Result<(), String> {
        let fits = match self {
            Self::Text | Self::Secret | Self::Url | Self::SecretUrl | Self::Template => value.is_string(),
            Self::Choice { of } => value.as_str().is_some_and(|text| of.contains(&text)),
            Self::Switch => value.is_boolean(),
            Self::Integer { min, max } => value.as_i64().is_some_and(|number| (min..=max).contains(&number)),
            Self::Mapping => value.is_object(),
            Self::List => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Self::Map => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        };
        if fits { Ok(()) } else { Err(format!("must be {}", self.describe())) }
    }

    /// What fits, for a person: `a text`, `one of …`.
    pub fn describe(self) -> String {
        match self {
            Self::Text | Self::Secret => "a text".to_owned(),
            Self::Url | Self::SecretUrl => "a URL".to_owned(),
            Self::Choice { of } => {
                format!("one of {}", of.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "))
            }
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Template => "a text with `{{ … }}` in it".to_owned(),
            Self::Mapping => "an object of values, texts with `{{ … }}` among them".to_owned(),
            Self::List => "a list of texts".to_owned(),
            Self::Map => "an object of texts".to_owned(),
        }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Url => "url",
            Self::SecretUrl => "secret_url",
            Self::Choice { .. } => "choice",
            Self::Switch => "switch",
            Self::Integer { .. } => "integer",
            Self::Template => "template",
            Self::Mapping => "mapping",
            Self::List => "list",
            Self::Map => "map",
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
