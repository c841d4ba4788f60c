//! The settings of a destination, read once.

use std::time::Duration;

use domain::Settings;
use domain::connector::SettingsError;
use domain::expression::{Escape, Template};
use domain::mapping::Mapping;
use serde_json::{Map, Value};

use super::calls::Entity;
use super::fields::{DEAL_MEMBERS, DEAL_OURS, Ours, PERSON_MEMBERS, PERSON_OURS};
use crate::crm::Matching;
use crate::tracking;

/// Longest name of a company's domain, of a field, a pipeline or a stage, in characters.
const NAME_CHARS_MAX: usize = 255;

/// A company, and how people are kept there.
pub(super) struct Account {
    /// Without a slash at the end: `https://acme.pipedrive.com`.
    pub(super) host: String,
    /// Eight digits by which an id is known to be from this host.
    pub(super) place: String,
    pub(super) token: String,
    pub(super) matching: Matching,
    pub(super) key_field: String,
    pub(super) people: Properties,
    pub(super) placeholder: Option<Template>,
    pub(super) deals: Deals,
    pub(super) search_lag: Duration,
    /// In percent.
    pub(super) token_share: u64,
}

/// The properties of one kind of record.
pub(super) struct Properties {
    pub(super) mapping: Mapping,
    left_out: Vec<String>,
    /// Members of the record that the settings fill alike for everybody.
    fixed: Vec<String>,
    ours: &'static [Ours],
    members: &'static [&'static str],
}

/// Which deals there are.
pub(super) struct Deals {
    pub(super) whose: Whose,
    pub(super) title: Option<Template>,
    pub(super) pipeline: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) properties: Properties,
}

/// Who gets a deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Nobody,
    Referred,
    Everybody,
}

impl Account {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let (host, token) = (host(settings)?, tracking::key(settings, "api_token")?);
        // A domain is one company's. Behind another host it is the token that says which company is spoken to.
        let whose_token = if settings.text("domain").is_some() { "" } else { token.as_str() };
        let digest = ring::digest::digest(&ring::digest::SHA256, format!("{host}{whose_token}").as_bytes());
        let seconds = settings.integer("search_lag_seconds").unwrap_or(60);
        let whose = match settings.text("deal") {
            Some("referral") => Whose::Referred,
            Some("always") => Whose::Everybody,
            _ => Whose::Nobody,
        };
        let only_with_deals = ["deal_title", "pipeline", "stage", "deal_properties"];
        if let Some(name) =
            only_with_deals.into_iter().find(|name| whose == Whose::Nobody && settings.0.contains_key(*name))
        {
            let message = "is there although nobody gets a deal; set `deal = \"referral\"`, or leave it out";
            return Err(SettingsError::new(name, message));
        }
        let key_field = name(settings, "key_field")?.unwrap_or_else(|| "Afterclick key".to_owned());
        Ok(Self {
            place: hex::encode(&digest.as_ref()[..4]),
            host,
            token,
            matching: Matching::of(settings),
            people: Properties::read(settings, "properties", &key_field, PERSON_OURS, PERSON_MEMBERS)?,
            placeholder: template(settings, "placeholder_name")?,
            deals: Deals {
                whose,
                title: template(settings, "deal_title")?,
                pipeline: name(settings, "pipeline")?,
                stage: name(settings, "stage")?,
                properties: Properties::read(settings, "deal_properties", &key_field, DEAL_OURS, DEAL_MEMBERS)?,
            },
            key_field,
            search_lag: Duration::from_secs(u64::try_from(seconds).unwrap_or(60)),
            token_share: settings.integer("token_share").and_then(|it| u64::try_from(it).ok()).unwrap_or(90),
        })
    }

    /// The properties of a kind of record, and the setting that fills them.
    pub(super) const fn properties_of(&self, entity: Entity) -> (&'static str, &Properties) {
        match entity {
            Entity::Person => ("properties", &self.people),
            Entity::Deal => ("deal_properties", &self.deals.properties),
        }
    }

    /// Whether there are deals at all.
    pub(super) fn has_deals(&self) -> bool {
        self.deals.whose != Whose::Nobody
    }
}

impl Properties {
    fn read(
        settings: &Settings,
        setting: &'static str,
        key_field: &str,
        ours: &'static [Ours],
        members: &'static [&'static str],
    ) -> Result<Self, SettingsError> {
        let none = Map::new();
        let written = settings.object(setting).unwrap_or(&none);
        for name in written.keys() {
            if name == key_field {
                let message = format!("holds `{name}`, by which records are told and which is ours; take it out");
                return Err(SettingsError::new(setting, message));
            }
            check_name(name).map_err(|message| SettingsError::new(setting, format!("holds a name that {message}")))?;
        }
        let left_out = written.iter().filter(|(_, value)| !is_something(value));
        Ok(Self {
            left_out: left_out.map(|(name, _)| name.clone()).collect(),
            fixed: written
                .iter()
                .filter(|(name, value)| members.contains(&name.as_str()) && is_fixed(value))
                .map(|(name, _)| name.clone())
                .collect(),
            mapping: tracking::mapping(settings, setting)?,
            ours,
            members,
        })
    }

    /// The custom fields that are filled, each with the one of ours that it is, if it is one.
    pub(super) fn custom(&self) -> Vec<(&str, Option<&'static Ours>)> {
        let ours = self.ours.iter().filter(|ours| ours.is_custom() && !self.is_left_out(ours.name));
        let ours = ours.map(|ours| (ours.name, Some(ours)));
        let added = self.mapping.names().filter(|name| {
            !self.is_member(name) && !self.is_left_out(name) && self.ours.iter().all(|ours| ours.name != *name)
        });
        ours.chain(added.map(|name| (name, None))).collect()
    }

    /// Whether it is a member of the record itself and no custom field.
    pub(super) fn is_member(&self, name: &str) -> bool {
        self.members.contains(&name)
    }

    /// Whether the settings fill it in place of us.
    pub(super) fn is_overridden(&self, name: &str) -> bool {
        self.mapping.names().any(|it| it == name)
    }

    /// Which of those that have the same value in every record a refusal names. A name with an underscore is no word of a sentence.
    pub(super) fn fixed_in(&self, text: &str) -> Option<&str> {
        let is_named = |name: &&String| {
            let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            name.contains('_') && words.any(|word| word == name.as_str())
        };
        self.fixed.iter().find(is_named).map(String::as_str)
    }

    pub(super) const fn ours(&self) -> &'static [Ours] {
        self.ours
    }

    fn is_left_out(&self, name: &str) -> bool {
        self.left_out.iter().any(|left_out| left_out == name)
    }
}

fn host(settings: &Settings) -> Result<String, SettingsError> {
    let Some(domain) = settings.text("domain") else {
        if settings.text("host").is_none() {
            let message = "is missing; it is `acme` if you see Pipedrive at `https://acme.pipedrive.com`";
            return Err(SettingsError::new("domain", message));
        }
        let host = tracking::host(settings, "")?;
        if host.contains('?') {
            return Err(SettingsError::new("host", "has a query; leave out `?` and what follows"));
        }
        return Ok(host);
    };
    if settings.text("host").is_some() {
        return Err(SettingsError::new("host", "is there next to `domain`, which says the same; leave one out"));
    }
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if domain.is_empty() || domain.len() > 63 || !domain.bytes().all(is_label) {
        let message = "is no company's domain; write `acme` if you see Pipedrive at `https://acme.pipedrive.com`";
        return Err(SettingsError::new("domain", message));
    }
    Ok(format!("https://{}.pipedrive.com", domain.to_ascii_lowercase()))
}

fn name(settings: &Settings, setting: &str) -> Result<Option<String>, SettingsError> {
    let Some(name) = settings.text(setting) else { return Ok(None) };
    check_name(name).map_err(|message| SettingsError::new(setting, message))?;
    Ok(Some(name.to_owned()))
}

fn check_name(name: &str) -> Result<(), String> {
    if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
        return Err("is empty, has a blank at an end or a control character; write it as Pipedrive shows it".to_owned());
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("is longer than {NAME_CHARS_MAX} characters"));
    }
    Ok(())
}

fn template(settings: &Settings, setting: &str) -> Result<Option<Template>, SettingsError> {
    let wrong = |error| SettingsError::new(setting, format!("does not compile: {error}"));
    settings.text(setting).map(|source| Template::compile(source, Escape::None).map_err(wrong)).transpose()
}

/// Whether it is something, and the same whatever the event.
fn is_fixed(value: &Value) -> bool {
    let text = value.to_string();
    is_something(value) && !["{{", "{%", "{#"].iter().any(|begin| text.contains(begin))
}

/// Whether it is to be written: in TOML, which has no null, an empty text leaves a field out.
pub(super) fn is_something(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}
