//! Salesforce.

use std::time::Duration;

use serde_json::{Map, Value};
use vendors::salesforce::{DuplicateRule, Salesforce};

use super::{Account, Crm, Keeps, Kept, Weather, text};
use crate::crm::truth::{Field, Strategy};

/// How long a session lasts on a rough day, which nobody is told.
const SESSION: Duration = Duration::from_secs(7);
/// What an organisation of middling size may ask in a day.
const CALLS_PER_DAY: u64 = 100_000;
/// Every so many calls the answer is lost on a rough day, and a 200 stands in for it.
const HOLLOW_EVERY: u64 = 29;

const KEEPS: Keeps = &[
    (Field::LeadSource, "LeadSource", 255),
    (Field::Email, "Email", 80),
    (Field::FirstName, "FirstName", 40),
    (Field::LastName, "LastName", 80),
    (Field::Phone, "Phone", 40),
    (Field::Campaign, "Deep_Link_Campaign__c", 255),
    (Field::Channel, "Deep_Link_Channel__c", 255),
    (Field::Platform, "Deep_Link_Platform__c", 255),
    (Field::Token, "Deep_Link_Token__c", 255),
    (Field::Prefix, "Deep_Link_Prefix__c", 255),
    (Field::LastCampaign, "Deep_Link_Last_Campaign__c", 255),
    (Field::LastChannel, "Deep_Link_Last_Channel__c", 255),
    (Field::InstallDate, "Install_Date__c", 255),
    (Field::ReferralDate, "Referral_Date__c", 255),
    (Field::ReferralSource, "Referral_Source__c", 255),
    (Field::ConversionDate, "Conversion_Date__c", 255),
    (Field::Value, "Deep_Link_Conversion_Value__c", 255),
];

const CRM: Crm<Salesforce> = Crm {
    name: "salesforce",
    settings: &[
        ("client_id", "\"consumer-key\""),
        ("client_secret", "\"consumer-secret\""),
        ("lost_answer_seconds", "1"),
        ("duplicates", "\"allow\""),
    ],
    keeps: KEEPS,
    stands_in: |field, is, wanted| {
        let is_nameless = !wanted.contains_key(&Field::LastName);
        is_nameless && matches!((field, is), (Field::FirstName, "Deep Link") | (Field::LastName, "Unknown"))
    },
    records: |salesforce| salesforce.records("Lead").iter().map(kept).collect(),
};

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let mut organisation = Salesforce::new();
    (organisation.api_limit, organisation.duplicate_rule) = (CALLS_PER_DAY, Some(DuplicateRule::Alert));
    organisation.validation =
        Some(|object, record| is_of_unknown_origin(object, record).then_some("say where it is from"));
    if weather != Weather::Calm {
        (organisation.session, organisation.hollow_every) = (SESSION, Some(HOLLOW_EVERY));
    }
    CRM.account(organisation, weather, weather.faults(2, 1), strategy)
}

/// A lead of which nobody could say where it is from, or who it is.
fn is_of_unknown_origin(object: &str, record: &Map<String, Value>) -> bool {
    let lacks = |name: &str| record.get(name).is_none_or(Value::is_null);
    object == "Lead" && (lacks("LeadSource") || lacks("Afterclick_Key__c"))
}

fn kept(lead: &Map<String, Value>) -> Kept {
    let text = |name: &str| text(lead.get(name));
    let [id, key] = ["Id", "Afterclick_Key__c"].map(|name| text(name).unwrap_or_default());
    Kept::of(id, key, KEEPS, |_, name| text(name))
}
