//! The settings of a destination, read once.

use std::time::Duration;

use domain::Settings;
use domain::connector::{SettingsError, Token};
use domain::mapping::Mapping;
use serde_json::{Map, Value};
use url::Url;

use super::fields;
use super::login::{self, Login};
use crate::common::url as receivers;
use crate::crm::Matching;

/// Longest name of a field, in characters.
const NAME_CHARS_MAX: usize = 80;
/// Names that mean something else to Salesforce than a field.
const RESERVED: [&str; 2] = ["attributes", "Id"];

/// An organisation, and how people are kept there.
pub(super) struct Org {
    /// The My Domain, without a path.
    pub(super) host: Url,
    pub(super) login: Login,
    pub(super) session: Duration,
    /// Like `66.0`.
    pub(super) version: String,
    pub(super) object: Object,
    pub(super) key_field: String,
    pub(super) matching: Matching,
    pub(super) properties: Mapping,
    /// Fields of ours that are not to be written at all.
    pub(super) left_out: Vec<String>,
    pub(super) on_create: Mapping,
    /// Fields that are given the same value in every record, each with the setting that gives it.
    pub(super) constants: Vec<(&'static str, String)>,
    /// The status that conversion gives, if leads are converted.
    pub(super) converts_to: Option<String>,
    pub(super) follows_contacts: bool,
    pub(super) duplicates: Duplicates,
    /// How long a call may go on in Salesforce after its answer was lost: no transaction runs longer than ten minutes.
    pub(super) lost_answer: Duration,
    /// In percent.
    pub(super) api_share: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Lead,
    Contact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Reject,
    Adopt,
    Allow,
}

impl Object {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lead => "Lead",
            Self::Contact => CONTACT,
        }
    }

    /// What its ids begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Lead => "00Q",
            Self::Contact => "003",
        }
    }
}

/// The object that a converted lead becomes.
pub(super) const CONTACT: &str = "Contact";

impl Org {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let host = host(settings)?;
        let object = if settings.text("object") == Some(CONTACT) { Object::Contact } else { Object::Lead };
        let key_field = settings.text("key_field").unwrap_or("Afterclick_Key__c");
        field(key_field, "key_field")?;
        let converts = settings.text("conversion") == Some("convert");
        if converts && object == Object::Contact {
            return Err(SettingsError::new("conversion", "is `convert`, but only a lead is converted; leave it out"));
        }
        let converted_status = settings.text("converted_status").unwrap_or("Closed - Converted").trim();
        if converted_status.is_empty() {
            return Err(SettingsError::new("converted_status", "is empty; name the status of a converted lead"));
        }
        let integer =
            |name, otherwise| settings.integer(name).and_then(|it| u64::try_from(it).ok()).unwrap_or(otherwise);
        let login = Login::read(settings, &host)?;
        Ok(Self {
            login,
            session: login::good_for(Duration::from_mins(integer("session_minutes", 120))),
            version: version(settings)?,
            object,
            matching: Matching::of(settings),
            properties: mapping(settings, "properties", key_field)?,
            left_out: left_out(settings),
            constants: constants(settings),
            on_create: mapping(settings, "on_create", key_field)?,
            key_field: key_field.to_owned(),
            converts_to: converts.then(|| converted_status.to_owned()),
            follows_contacts: settings.text("converted") != Some("reject"),
            duplicates: match settings.text("duplicates") {
                Some("adopt") => Duplicates::Adopt,
                Some("allow") => Duplicates::Allow,
                _ => Duplicates::Reject,
            },
            lost_answer: Duration::from_secs(integer("lost_answer_seconds", 600)),
            api_share: integer("api_share", 90),
            host,
        })
    }

    /// Where calls go: to the host that came with the token, if it may be followed there.
    pub(super) fn base(&self, token: Option<&Token>) -> Url {
        let named = token.and_then(|token| token.extra.as_deref()).and_then(|extra| extra.split(' ').next());
        named.and_then(|named| login::instance(&self.host, named)).unwrap_or_else(|| self.host.clone())
    }

    /// The URL of a resource of the REST API.
    pub(super) fn url(&self, token: Option<&Token>, path: &[&str]) -> Url {
        let mut url = self.base(token);
        let version = format!("v{}", self.version);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["services", "data", &version]).extend(path);
        }
        url
    }

    /// Whether a field of ours is written.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.left_out.iter().any(|left_out| left_out.eq_ignore_ascii_case(name))
    }
}

fn host(settings: &Settings) -> Result<Url, SettingsError> {
    let wrong = |message: String| SettingsError::new("host", message);
    let text = settings.text("host").unwrap_or_default();
    if !text.contains("://") {
        return Err(wrong(
            "does not begin with `https://`; write your My Domain, like `https://acme.my.salesforce.com`".to_owned(),
        ));
    }
    let mut url = receivers::parse(text).map_err(wrong)?;
    let name = url.host_str().unwrap_or_default();
    if matches!(name, "login.salesforce.com" | "test.salesforce.com") {
        return Err(wrong(format!(
            "is `{name}`, where this login does not work; write your My Domain, like `https://acme.my.salesforce.com`"
        )));
    }
    if name.ends_with(".lightning.force.com") {
        return Err(wrong(format!(
            "is `{name}`, which is for browsers; write your My Domain, like `https://acme.my.salesforce.com`"
        )));
    }
    if url.query().is_some() {
        return Err(wrong("has a query; write your My Domain alone".to_owned()));
    }
    url.set_path("/");
    Ok(url)
}

fn version(settings: &Settings) -> Result<String, SettingsError> {
    let text = settings.text("api_version").unwrap_or("66.0").trim();
    let number = text.strip_prefix('v').unwrap_or(text);
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, "0")) if is_number(whole) => Ok(number.to_owned()),
        None if is_number(number) => Ok(format!("{number}.0")),
        _ => Err(SettingsError::new("api_version", "is no version of the API; write it like `66.0`")),
    }
}

fn mapping(settings: &Settings, setting: &'static str, key_field: &str) -> Result<Mapping, SettingsError> {
    let mut properties = Map::new();
    for (name, value) in settings.object(setting).into_iter().flatten() {
        let wrong = |message: String| SettingsError::new(setting, message);
        field(name, setting)?;
        if name.eq_ignore_ascii_case(key_field) {
            return Err(wrong(format!("holds `{name}`, which is our key; name another field by `key_field`")));
        }
        let is_same = |known: &String| known.eq_ignore_ascii_case(name);
        if properties.keys().any(is_same) {
            return Err(wrong(format!("holds `{name}` twice in different spellings; keep one")));
        }
        properties.insert(fields::canonical(name).to_owned(), value.clone());
    }
    Mapping::compile(&properties).map_err(|message| SettingsError::new(setting, message))
}

/// Fields of ours that the setting leaves out whatever the event is.
fn left_out(settings: &Settings) -> Vec<String> {
    let properties = settings.object("properties").into_iter().flatten();
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
    properties.filter(|(_, value)| is_empty(value)).map(|(name, _)| name.clone()).collect()
}

/// Fields whose values do not depend on the event.
fn constants(settings: &Settings) -> Vec<(&'static str, String)> {
    let is_said = |value: &Value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
    let is_same =
        |value: &Value| value.as_str().is_none_or(|text| !["{{", "{%", "{#"].iter().any(|it| text.contains(it)));
    let of = |setting: &'static str| {
        let values = settings.object(setting).into_iter().flatten();
        let constants = values.filter(move |(_, value)| is_said(value) && is_same(value));
        constants.map(move |(name, _)| (setting, fields::canonical(name).to_owned()))
    };
    of("properties").chain(of("on_create")).collect()
}

/// A name of a field, which ends up in paths and in the record itself.
fn field(name: &str, setting: &'static str) -> Result<(), SettingsError> {
    let is_plain = name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain && !RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Ok(());
    }
    let name = name.escape_debug();
    let message = format!("names `{name}`, which is not the API name of a field; Setup › Object Manager shows them");
    Err(SettingsError::new(setting, message))
}
