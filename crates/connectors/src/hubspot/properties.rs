//! What is written into a contact. `HubSpot` wants every value as a text.

use domain::connector::SettingsError;
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value};

use super::KEY_PROPERTY_DEFAULT;
use crate::common::on_one_line;
use crate::crm::{Given, Part, Person, Record};
use crate::tracking;

/// Longest text that a property holds, in characters.
const TEXT_CHARS_MAX: usize = 65_536;
/// The stage of a contact, which `HubSpot` has in every account.
pub(super) const STAGE: &str = "lifecyclestage";
pub(super) const EMAIL: &str = "email";

/// A property that we fill.
pub(super) struct Property {
    pub(super) name: &'static str,
    /// For the people who read it.
    pub(super) label: &'static str,
    pub(super) of: Of,
    /// What it is emptied with; the others are never emptied, or by rules of their own.
    part: Option<Part>,
}

/// Where its value comes from, and so what kind it is.
pub(super) enum Of {
    Text(for<'r> fn(&'r Record<'_>) -> Option<&'r str>),
    Time(fn(&Record<'_>) -> Option<Timestamp>),
    Number(fn(&Record<'_>) -> Option<f64>),
}

impl Property {
    const fn kept(name: &'static str, label: &'static str, of: Of) -> Self {
        Self { name, label, of, part: None }
    }

    const fn new(name: &'static str, label: &'static str, part: Part, of: Of) -> Self {
        Self { name, label, of, part: Some(part) }
    }
}

/// Those that `HubSpot` has in every account.
const STANDARD: &[Property] = &[
    Property::kept(EMAIL, "Email", Of::Text(|record| record.email)),
    Property::new("firstname", "First name", Part::FirstName, Of::Text(|record| record.first_name)),
    Property::kept("lastname", "Last name", Of::Text(|record| record.last_name)),
    Property::kept("phone", "Phone number", Of::Text(|record| record.phone)),
];

/// Those that provisioning makes.
pub(super) const OURS: &[Property] = &[
    Property::kept("deep_link_lead_source", "Lead source", Of::Text(|record| record.lead_source)),
    Property::new("first_touch_campaign", "First touch campaign", Part::Campaign, Of::Text(|record| record.campaign)),
    Property::new("first_touch_channel", "First touch channel", Part::Channel, Of::Text(|record| record.channel)),
    Property::new("first_touch_platform", "First touch platform", Part::Platform, Of::Text(|record| record.platform)),
    Property::new(
        "last_deep_link_campaign",
        "Last deep link campaign",
        Part::LastCampaign,
        Of::Text(|record| record.last_campaign),
    ),
    Property::new(
        "last_deep_link_channel",
        "Last deep link channel",
        Part::LastChannel,
        Of::Text(|record| record.last_channel),
    ),
    Property::new("deep_link_token", "Link token", Part::Token, Of::Text(|record| record.token)),
    Property::new("deep_link_prefix", "Link prefix", Part::Prefix, Of::Text(|record| record.prefix)),
    Property::new("install_date", "Install date", Part::InstalledAt, Of::Time(|record| record.installed_at)),
    Property::new(
        "referral_source",
        "Referral source",
        Part::ReferralSource,
        Of::Text(|record| record.referral_source),
    ),
    Property::new("referral_date", "Referral date", Part::ReferredAt, Of::Time(|record| record.referred_at)),
    Property::new("conversion_date", "Conversion date", Part::ConvertedAt, Of::Time(|record| record.converted_at)),
    Property::new("deep_link_conversion_value", "Conversion value", Part::Value, Of::Number(|record| record.value)),
    Property::new(
        "deep_link_conversion_currency",
        "Conversion currency",
        Part::Currency,
        Of::Text(|record| record.currency),
    ),
];

/// Those that are emptied where they are known to be nothing, and with what.
pub(super) fn parts() -> impl Iterator<Item = (&'static str, Part)> {
    STANDARD.iter().chain(OURS).filter_map(|property| Some((property.name, property.part?)))
}

/// What the settings make of them.
pub(super) struct Properties {
    /// The property by which contacts are told.
    pub(super) key: String,
    /// Whether those with times are days only.
    pub(super) are_days: bool,
    mapping: Mapping,
    /// Ours that are left out.
    left_out: Vec<String>,
}

impl Properties {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let key = settings.text("key_property").unwrap_or(KEY_PROPERTY_DEFAULT).to_owned();
        if !is_name(&key) {
            let message =
                "is no internal name; those have small letters, digits and underscores and begin with a letter";
            return Err(SettingsError::new("key_property", message));
        }
        let written = settings.object("properties");
        let wrong = |message: String| SettingsError::new("properties", message);
        for name in written.into_iter().flat_map(Map::keys) {
            if *name == key {
                let message = format!("holds `{name}`, by which contacts are told and which is ours; take it out");
                return Err(wrong(message));
            }
            if !is_name(name) {
                let message = format!(
                    "holds `{name}`; internal names have small letters, digits and underscores and begin with a letter"
                );
                return Err(wrong(message));
            }
        }
        let left_out = written.into_iter().flatten().filter(|(_, value)| value.is_null() || *value == "");
        Ok(Self {
            key,
            are_days: settings.text("date_properties") == Some("date"),
            left_out: left_out.map(|(name, _)| name.clone()).collect(),
            mapping: tracking::mapping(settings, "properties")?,
        })
    }

    /// What is known of a person. What is not known is not sent, because that would clear what is there; what is known to be
    /// nothing is sent empty, because that clears what is there, if we have given it. An address is, whoever gave it.
    pub(super) fn of(&self, person: &Person<'_>, given: &Given) -> Result<Map<String, Value>, Verdict> {
        let record = Record::of(person.profile);
        let ours = STANDARD.iter().chain(OURS).filter_map(|property| {
            let text = self.text(&property.of, &record).filter(|text| !text.is_empty())?;
            Some((property.name.to_owned(), Value::String(text)))
        });
        let mut properties: Map<String, Value> = ours.collect();
        self.mapping
            .apply(person.item.value(), &mut properties)
            .map_err(|error| Verdict::reject(FailureReason::TemplateError, format!("setting `properties`: {error}")))?;
        let written = properties.into_iter().map(|(name, value)| (name, as_text(&value)));
        let written = written.filter(|(_, text)| !text.is_empty());
        let mut properties: Map<String, Value> = written.map(|(name, text)| (name, Value::String(text))).collect();
        let nothing = parts().filter(|(_, part)| given.has(*part) && record.is_nothing(*part)).map(|(name, _)| name);
        let no_email = (record.email == Some("")).then_some(EMAIL);
        for name in nothing.chain(no_email).filter(|name| self.is_filled(name) && !self.overrides(name)) {
            properties.entry(name).or_insert_with(|| Value::String(String::new()));
        }
        Ok(properties)
    }

    /// Whether one of ours is filled.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        !self.left_out.iter().any(|left_out| left_out == name)
    }

    /// Whether the settings fill it in place of us.
    pub(super) fn overrides(&self, name: &str) -> bool {
        self.mapping.names().any(|it| it == name)
    }

    /// Those that the settings add, by their names.
    pub(super) fn added(&self) -> impl Iterator<Item = &str> {
        let is_known = |name: &str| name == STAGE || STANDARD.iter().chain(OURS).any(|property| property.name == name);
        self.mapping.names().filter(move |name| !is_known(name) && self.is_filled(name))
    }

    /// Whether it is one of those that hold a time.
    pub(super) fn is_time(name: &str) -> bool {
        OURS.iter().any(|property| property.name == name && matches!(property.of, Of::Time(_)))
    }

    fn text(&self, of: &Of, record: &Record<'_>) -> Option<String> {
        Some(match of {
            Of::Text(of) => on_one_line(of(record)?, TEXT_CHARS_MAX - 1),
            Of::Number(of) => Value::from(of(record)?).to_string(),
            // A date is midnight in UTC, and HubSpot refuses any other time of the day.
            Of::Time(of) if self.are_days => of(record)?.to_string().split('T').next()?.to_owned(),
            Of::Time(of) => of(record)?.to_string(),
        })
    }
}

/// A value as `HubSpot` wants it: choices of several are joined by semicolons.
fn as_text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.replace('\0', ""),
        Value::Array(values) if values.iter().all(|value| !value.is_array() && !value.is_object()) => {
            values.iter().map(as_text).collect::<Vec<_>>().join(";")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

fn is_name(name: &str) -> bool {
    name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
