//! Pipedrive.

use std::time::Duration;

use vendors::pipedrive::{Entity, Pipedrive, Record};

use super::{Account, Crm, Keeps, Kept, Weather, text};
use crate::crm::truth::{Field, Strategy};

/// How far search lags behind; the setting says a second.
const SEARCH_LAG: Duration = Duration::from_millis(700);

/// What a day may cost, of which each answer tells what is left; more than the whole day takes.
const TOKENS_PER_DAY: u64 = 5_000_000;

/// Addresses, numbers, the name and the deal are no custom fields.
const KEEPS: Keeps = &[
    (Field::LeadSource, "Deep link lead source", 255),
    (Field::Email, "emails", 254),
    (Field::Name, "name", 254),
    (Field::Phone, "phones", 254),
    (Field::Campaign, "Deep link campaign", 255),
    (Field::Channel, "Deep link channel", 255),
    (Field::Platform, "Deep link platform", 255),
    (Field::Token, "Deep link token", 255),
    (Field::Prefix, "Deep link prefix", 255),
    (Field::LastCampaign, "Last deep link campaign", 255),
    (Field::LastChannel, "Last deep link channel", 255),
    (Field::InstallDate, "Installed at", 255),
    (Field::ReferralDate, "Referred at", 255),
    (Field::ReferralSource, "Referral source", 255),
    (Field::ConversionDate, "Converted at", 255),
    (Field::InstallDay, "Install date", 255),
    (Field::ReferralDay, "Referral date", 255),
    (Field::ConversionDay, "Conversion date", 255),
    (Field::Value, "Conversion value", 255),
    (Field::Currency, "Conversion currency", 255),
    (Field::Deal, "", 255),
];

/// Our fields are of the type that keeps days; these are fields of somebody's own that keep moments.
const PROPERTIES: &str = r#"{ "Installed at" = "{{ person.installed_at }}", "Referred at" = "{{ person.referred_at }}", "Converted at" = "{{ person.converted_at }}" }"#;

const CRM: Crm<Pipedrive> = Crm {
    name: "pipedrive",
    settings: &[
        ("api_token", "\"api-token\""),
        ("search_lag_seconds", "1"),
        ("deal", "\"referral\""),
        ("properties", PROPERTIES),
    ],
    keeps: KEEPS,
    stands_in: |field, is, wanted| {
        let is_email = || wanted.get(&Field::Email).is_some_and(|email| email == is);
        field == Field::Name && (is.starts_with("Deep Link Lead") || is_email())
    },
    records: |pipedrive| pipedrive.people().map(|person| kept(pipedrive, person)).collect(),
};

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let names = ["Installed at", "Referred at", "Converted at"];
    let mut company = names
        .into_iter()
        .fold(Pipedrive::new().without_limit(), |company, name| company.with_field(Entity::Person, name, "varchar"));
    (company.search_lag, company.open_deals_max) = (SEARCH_LAG, usize::MAX);
    company.tokens_per_day = Some(TOKENS_PER_DAY);
    CRM.account(company, weather, weather.faults(3, 4), strategy)
}

fn kept(pipedrive: &Pipedrive, person: &Record) -> Kept {
    let entry = |name: &str| person.entries(name).first().and_then(|entry| text(entry.get("value")));
    let custom = |name: &str| text(Some(pipedrive.value(Entity::Person, person, name)));
    let key = custom("Afterclick key").unwrap_or_default();
    Kept::of(person.id.to_string(), key, KEEPS, |field, name| match field {
        Field::Email | Field::Phone => entry(name),
        Field::Name => Some(person.name().to_owned()),
        Field::Deal => deal(pipedrive, person),
        _ => custom(name),
    })
}

/// How the person's deal stands, of which there must be no second one.
fn deal(pipedrive: &Pipedrive, person: &Record) -> Option<String> {
    let deals = pipedrive.deals().filter(|deal| deal.member("person_id").as_u64() == Some(person.id));
    let states: Vec<&str> = deals.map(|deal| deal.member("status").as_str().unwrap_or("open")).collect();
    (!states.is_empty()).then(|| states.join(" and "))
}
