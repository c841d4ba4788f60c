//! `HubSpot`.

use vendors::hubspot::{Contact, HubSpot};

use super::{Account, Crm, Keeps, Kept, Weather};
use crate::crm::truth::{Field, Strategy};

const LONGEST: usize = 65_535;

const KEEPS: Keeps = &[
    (Field::LeadSource, "deep_link_lead_source", LONGEST),
    (Field::Email, "email", LONGEST),
    (Field::FirstName, "firstname", LONGEST),
    (Field::LastName, "lastname", LONGEST),
    (Field::Phone, "phone", LONGEST),
    (Field::Campaign, "first_touch_campaign", LONGEST),
    (Field::Channel, "first_touch_channel", LONGEST),
    (Field::Platform, "first_touch_platform", LONGEST),
    (Field::Token, "deep_link_token", LONGEST),
    (Field::Prefix, "deep_link_prefix", LONGEST),
    (Field::LastCampaign, "last_deep_link_campaign", LONGEST),
    (Field::LastChannel, "last_deep_link_channel", LONGEST),
    (Field::InstallDate, "install_date", LONGEST),
    (Field::ReferralDate, "referral_date", LONGEST),
    (Field::ReferralSource, "referral_source", LONGEST),
    (Field::ConversionDate, "conversion_date", LONGEST),
    (Field::Value, "deep_link_conversion_value", LONGEST),
    (Field::Currency, "deep_link_conversion_currency", LONGEST),
    (Field::Stage, "lifecyclestage", LONGEST),
];

const CRM: Crm<HubSpot> = Crm {
    name: "hubspot",
    settings: &[("access_token", "\"access-token\""), ("lifecycle", "true")],
    keeps: KEEPS,
    stands_in: |_, _, _| false,
    records: |hubspot| hubspot.contacts().into_iter().map(kept).collect(),
};

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    // An exchange takes several calls: with more faults among them most would fail, and the lane would rest for minutes.
    CRM.account(HubSpot::new().without_limit(), weather, weather.faults(1, 2), strategy)
}

fn kept(contact: &Contact) -> Kept {
    let text = |name: &str| Some(contact.get(name).to_owned()).filter(|text| !text.is_empty());
    let key = contact.get("afterclick_person_key").to_owned();
    Kept::of(contact.id.to_string(), key, KEEPS, |_, name| text(name))
}
