//! Salesforce.

use std::time::Duration;

use serde_json::{Map, Value};
use vendors::salesforce::Salesforce;

use super::{Account, Crm, Keeps, Kept, Weather, text};
use crate::crm::truth::{Field, Strategy};

/// How long a session lasts on a rough day, which nobody is told.
const SESSION: Duration = Duration::from_secs(7);

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
    ],
    keeps: KEEPS,
    stands_in: |field, is, wanted| {
        let is_nameless = !wanted.contains_key(&Field::LastName);
        is_nameless && matches!((field, is), (Field::FirstName, "Deep Link") | (Field::LastName, "Unknown"))
    },
    records: |salesforce| salesforce.records("Lead").iter().map(kept).collect(),
};

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let mut organisation = Salesforce::new().without_limit();
    if weather != Weather::Calm {
        organisation.session = SESSION;
    }
    CRM.account(organisation, weather, weather.faults(2, 1), strategy)
}

fn kept(lead: &Map<String, Value>) -> Kept {
    let text = |name: &str| text(lead.get(name));
    let [id, key] = ["Id", "Afterclick_Key__c"].map(|name| text(name).unwrap_or_default());
    Kept::of(id, key, KEEPS, |_, name| text(name))
}
