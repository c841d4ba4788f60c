//! `HubSpot`: one contact per person, upserted in batches by a unique property of our own, so that a repetition changes nothing.

mod answer;
mod bound;
mod properties;
mod provision;
mod refusal;
mod stage;
mod standing;
mod talk;

use domain::Settings;
use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, Rate, Reply, SettingsError, Step,
};
use serde_json::Value;

use self::properties::Properties;
use crate::common::USER_AGENT;
use crate::crm::{self, Matching};
use crate::tracking;

/// Speaks to `HubSpot`.
pub(crate) struct HubSpot;

/// The newest dated version; `HubSpot` keeps one for 18 months and longer.
const VERSION_DEFAULT: &str = "2026-09";
/// The property that `HubSpot` tells our people by.
const KEY_PROPERTY_DEFAULT: &str = "afterclick_person_key";
/// Most contacts of one call.
const CONTACTS_MAX: usize = 100;

static MANIFEST: Manifest = Manifest {
    name: "hubspot",
    title: "HubSpot",
    summary: "One contact per person, with the campaign, channel and link that led to them, and when they installed, signed up and \
              converted.",
    category: Category::Crm,
    notes: include_str!("hubspot/notes.md"),
    fields: &[
        Field::required(
            "access_token",
            FieldKind::Secret,
            "a service key (Settings › Integrations › Service Keys) or the token of an older private app, with the scopes \
             `crm.objects.contacts.read` and `crm.objects.contacts.write`, and for provisioning `crm.schemas.contacts.read` and \
             `crm.schemas.contacts.write`",
        ),
        crm::MATCH,
        crm::ON_IDENTIFY,
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "properties to add or to put in place of others, by their internal names, with `person` and the event in their \
             expressions; an empty text leaves one of ours out",
        ),
        Field::optional(
            "date_properties",
            FieldKind::Choice { of: &["datetime", "date"] },
            "what kind the properties `install_date`, `referral_date` and `conversion_date` are: `datetime`, as provisioning makes \
             them, or `date`, as the date picker of HubSpot's settings makes them; of a `date` only the day is sent",
        )
        .or("datetime"),
        Field::optional(
            "lifecycle",
            FieldKind::Switch,
            "whether `lifecyclestage` is moved too: to `lead`, and to `customer` after a conversion; never backward, and never from a stage \
             of your own making",
        )
        .or("false"),
        Field::optional(
            "stub_name",
            FieldKind::Text,
            "with `match = \"stub\"`: the last name that a contact of an unknown person is created with; without one it has no name \
             until there is a real one",
        ),
        Field::optional(
            "key_property",
            FieldKind::Text,
            "the internal name of the property by which contacts are told; it must have unique values",
        )
        .or(KEY_PROPERTY_DEFAULT),
        Field::optional("api_version", FieldKind::Text, "the version of the API, by its date").or(VERSION_DEFAULT),
        Field::optional("host", FieldKind::Url, tracking::HOST_HELP).or("https://api.hubapi.com"),
    ],
    events: crm::EVENTS,
    batch: BatchLimits {
        items: 50,
        items_max: CONTACTS_MAX,
        bytes_max: 1 << 20,
        linger_ms: 1_000,
        keeps_boundaries: false,
    },
    // What every account has, also a free one: 100 calls in ten seconds.
    rate: Some(Rate { per_second: 10.0, per_day: None }),
    provisions: true,
    recognises: None,
};

impl Connector for HubSpot {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let host = tracking::host(settings, "https://api.hubapi.com")?;
        let version = version(settings.text("api_version").unwrap_or(VERSION_DEFAULT))?;
        let stub_name = settings.text("stub_name").map(str::trim).filter(|name| !name.is_empty());
        if stub_name.is_some() && settings.text("match") != Some("stub") {
            let message = "is there although `match` is not `stub`, so that nobody gets it; leave one out";
            return Err(SettingsError::new("stub_name", message));
        }
        let token = tracking::key(settings, "access_token")?;
        Ok(Box::new(Portal {
            place: crm::fingerprint(&format!("{host} {token}")),
            contacts: format!("{host}/crm/objects/{version}/contacts"),
            schema: format!("{host}/crm/properties/{version}/contacts"),
            authorization: format!("Bearer {token}"),
            matching: Matching::of(settings),
            properties: Properties::read(settings)?,
            moves_stage: settings.0.get("lifecycle").and_then(Value::as_bool).unwrap_or(false),
            stub_name: stub_name.map(str::to_owned),
        }))
    }
}

/// A version is a month.
fn version(text: &str) -> Result<&str, SettingsError> {
    let bytes = text.as_bytes();
    let is_month = bytes.len() == 7
        && bytes.iter().enumerate().all(|(at, byte)| if at == 4 { *byte == b'-' } else { byte.is_ascii_digit() });
    if is_month {
        return Ok(text);
    }
    let message = format!(
        "is no version that is spoken here; write a date like `{VERSION_DEFAULT}` (those with numbers, such as `v3`, end in September 2027)"
    );
    Err(SettingsError::new("api_version", message))
}

/// One account.
struct Portal {
    /// Base URLs without a slash at the end.
    contacts: String,
    schema: String,
    /// Stands for the account where ids of contacts are kept: those of another one say nothing about this one.
    place: String,
    authorization: String,
    matching: Matching,
    properties: Properties,
    /// Whether it writes `lifecyclestage`.
    moves_stage: bool,
    /// The placeholder of unknown people.
    stub_name: Option<String>,
}

impl Outlet for Portal {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        talk::begin(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        talk::go_on(self, batch, progress, reply)
    }

    fn preview(&self, batch: &Batch<'_>) -> Step {
        talk::preview(self, batch)
    }

    fn subjects(&self, batch: &Batch<'_>) -> Vec<String> {
        crm::subjects(batch)
    }

    fn reissues(&self) -> bool {
        self.matching.reissues
    }

    fn survey(&self, _: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self))
    }

    fn plan(&self, _: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        provision::is_done(reply)
    }
}

impl Portal {
    fn post(&self, url: &str, body: &Value) -> Call {
        Call::Http(self.with_headers(HttpCall::post_json(url, body.to_string())))
    }

    fn get(&self, url: &str) -> Call {
        Call::Http(self.with_headers(HttpCall { method: "GET", ..HttpCall::post_json(url, "") }))
    }

    fn with_headers(&self, call: HttpCall) -> HttpCall {
        call.with_long_reply().header("User-Agent", USER_AGENT).header("Authorization", self.authorization.as_str())
    }
}

#[cfg(test)]
mod tests;
