//! Pipedrive.

use std::sync::Arc;
use std::time::Duration;

use vendors::Vendor as _;
use vendors::pipedrive::{Entity, Pipedrive, Record};

use super::{Account, Kept, Weather, is_moment, moment, section, text, trouble};
use crate::crm::truth::{Field, Fields, Strategy};

const KEY: &str = "Afterclick key";
/// How far search lags behind; the setting says a second.
const SEARCH_LAG: Duration = Duration::from_millis(700);

const KEEPS: &[(Field, usize)] = &[
    (Field::LeadSource, 255),
    (Field::Email, 254),
    (Field::Name, 254),
    (Field::Phone, 254),
    (Field::Campaign, 255),
    (Field::Channel, 255),
    (Field::Platform, 255),
    (Field::Token, 255),
    (Field::Prefix, 255),
    (Field::LastCampaign, 255),
    (Field::LastChannel, 255),
    (Field::InstallDate, 255),
    (Field::ReferralDate, 255),
    (Field::ReferralSource, 255),
    (Field::ConversionDate, 255),
    (Field::Value, 255),
    (Field::Currency, 255),
    (Field::Deal, 255),
];

/// Pipedrive keeps days; these are fields of somebody's own that keep moments.
const PROPERTIES: &str = r#"{ "Installed at" = "{{ person.installed_at }}", "Referred at" = "{{ person.referred_at }}", "Converted at" = "{{ person.converted_at }}" }"#;

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let names = ["Installed at", "Referred at", "Converted at"];
    let mut company = names
        .into_iter()
        .fold(Pipedrive::new().without_limit(), |company, name| company.with_field(Entity::Person, name, "varchar"));
    (company.search_lag, company.open_deals_max) = (SEARCH_LAG, usize::MAX);
    let simulator = Arc::new(company.start(weather.faults(3, 4)));
    let url = format!("\"{}\"", simulator.url());
    let settings = [
        ("host", &*url),
        ("api_token", "\"api-token\""),
        ("search_lag_seconds", "1"),
        ("deal", "\"referral\""),
        ("properties", PROPERTIES),
    ];
    let met = Arc::clone(&simulator);
    Account {
        name: "pipedrive",
        strategy,
        config: section("pipedrive", strategy, &settings),
        keeps: KEEPS,
        stands_in: |field, is, wanted| {
            let is_email = || wanted.get(&Field::Email).is_some_and(|email| email == is);
            field == Field::Name && (is.starts_with("Deep Link Lead") || is_email())
        },
        records: Box::new(move || {
            simulator.vendor(|pipedrive| pipedrive.people().map(|person| kept(pipedrive, person)).collect())
        }),
        trouble: Box::new(move || trouble(&met)),
        is_rough: weather != Weather::Calm,
    }
}

fn kept(pipedrive: &Pipedrive, person: &Record) -> Kept {
    let entry = |name: &str| person.entries(name).first().and_then(|entry| text(entry.get("value")));
    let custom = |name: &str| text(Some(pipedrive.value(Entity::Person, person, name)));
    let value = |field: Field| {
        let value = match field {
            Field::Email => entry("emails"),
            Field::Phone => entry("phones"),
            Field::Name => Some(person.name().to_owned()),
            Field::Deal => deal(pipedrive, person),
            _ => custom(name(field)),
        };
        let value = value.map(|text| if is_moment(field) { moment(&text) } else { text });
        value.map(|value| (field, value))
    };
    let fields: Fields = KEEPS.iter().filter_map(|(field, _)| value(*field)).collect();
    Kept { id: person.id.to_string(), key: custom(KEY).unwrap_or_default(), fields }
}

/// How the person's deal stands, of which there must be no second one.
fn deal(pipedrive: &Pipedrive, person: &Record) -> Option<String> {
    let deals = pipedrive.deals().filter(|deal| deal.member("person_id").as_u64() == Some(person.id));
    let states: Vec<&str> = deals.map(|deal| deal.member("status").as_str().unwrap_or("open")).collect();
    (!states.is_empty()).then(|| states.join(" and "))
}

const fn name(field: Field) -> &'static str {
    match field {
        Field::LeadSource => "Deep link lead source",
        Field::Campaign => "Deep link campaign",
        Field::Channel => "Deep link channel",
        Field::Platform => "Deep link platform",
        Field::Token => "Deep link token",
        Field::Prefix => "Deep link prefix",
        Field::LastCampaign => "Last deep link campaign",
        Field::LastChannel => "Last deep link channel",
        Field::InstallDate => "Installed at",
        Field::ReferralSource => "Referral source",
        Field::ReferralDate => "Referred at",
        Field::ConversionDate => "Converted at",
        Field::Value => "Conversion value",
        Field::Currency => "Conversion currency",
        _ => "",
    }
}
