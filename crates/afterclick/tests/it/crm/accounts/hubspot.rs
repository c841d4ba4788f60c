//! `HubSpot`.

use std::sync::Arc;

use vendors::Vendor as _;
use vendors::hubspot::{Contact, HubSpot};

use super::{Account, Kept, Weather, is_moment, moment, section, trouble};
use crate::crm::truth::{Field, Strategy};

/// The property that tells people apart.
const KEY: &str = "afterclick_person_key";
const LONGEST: usize = 65_535;

const KEEPS: &[(Field, usize)] = &[
    (Field::LeadSource, LONGEST),
    (Field::Email, LONGEST),
    (Field::FirstName, LONGEST),
    (Field::LastName, LONGEST),
    (Field::Phone, LONGEST),
    (Field::Campaign, LONGEST),
    (Field::Channel, LONGEST),
    (Field::Platform, LONGEST),
    (Field::Token, LONGEST),
    (Field::Prefix, LONGEST),
    (Field::LastCampaign, LONGEST),
    (Field::LastChannel, LONGEST),
    (Field::InstallDate, LONGEST),
    (Field::ReferralDate, LONGEST),
    (Field::ReferralSource, LONGEST),
    (Field::ConversionDate, LONGEST),
    (Field::Value, LONGEST),
    (Field::Currency, LONGEST),
    (Field::Stage, LONGEST),
];

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let simulator = Arc::new(HubSpot::new().without_limit().start(weather.faults(1, 1)));
    let url = format!("\"{}\"", simulator.url());
    let settings = [("host", &*url), ("access_token", "\"access-token\""), ("lifecycle", "true")];
    let met = Arc::clone(&simulator);
    Account {
        name: "hubspot",
        strategy,
        config: section("hubspot", strategy, &settings),
        keeps: KEEPS,
        stands_in: |_, _, _| false,
        records: Box::new(move || simulator.vendor(|hubspot| hubspot.contacts().into_iter().map(kept).collect())),
        trouble: Box::new(move || trouble(&met)),
        is_rough: weather != Weather::Calm,
    }
}

fn kept(contact: &Contact) -> Kept {
    let value = |field: Field| {
        let text = contact.get(property(field));
        let text = if is_moment(field) { moment(text) } else { text.to_owned() };
        (!text.is_empty()).then_some((field, text))
    };
    Kept {
        id: contact.id.to_string(),
        key: contact.get(KEY).to_owned(),
        fields: KEEPS.iter().filter_map(|(field, _)| value(*field)).collect(),
    }
}

const fn property(field: Field) -> &'static str {
    match field {
        Field::LeadSource => "deep_link_lead_source",
        Field::Email => "email",
        Field::FirstName => "firstname",
        Field::LastName => "lastname",
        Field::Phone => "phone",
        Field::Campaign => "first_touch_campaign",
        Field::Channel => "first_touch_channel",
        Field::Platform => "first_touch_platform",
        Field::Token => "deep_link_token",
        Field::Prefix => "deep_link_prefix",
        Field::LastCampaign => "last_deep_link_campaign",
        Field::LastChannel => "last_deep_link_channel",
        Field::InstallDate => "install_date",
        Field::ReferralDate => "referral_date",
        Field::ReferralSource => "referral_source",
        Field::ConversionDate => "conversion_date",
        Field::Value => "deep_link_conversion_value",
        Field::Currency => "deep_link_conversion_currency",
        Field::Stage => "lifecyclestage",
        Field::Name | Field::Deal => "",
    }
}
