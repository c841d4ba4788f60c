//! Salesforce.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use vendors::Vendor as _;
use vendors::salesforce::Salesforce;

use super::{Account, Kept, Weather, is_moment, moment, section, text, trouble};
use crate::crm::truth::{Field, Strategy};

const KEY: &str = "Afterclick_Key__c";
/// How long a session lasts on a rough day, which nobody is told.
const SESSION: Duration = Duration::from_secs(7);

const KEEPS: &[(Field, usize)] = &[
    (Field::LeadSource, 255),
    (Field::Email, 80),
    (Field::FirstName, 40),
    (Field::LastName, 80),
    (Field::Phone, 40),
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
];

pub(super) fn account(weather: Weather, strategy: Strategy) -> Account {
    let mut organisation = Salesforce::new().without_limit();
    if weather != Weather::Calm {
        organisation.session = SESSION;
    }
    let simulator = Arc::new(organisation.start(weather.faults(2, 1)));
    let url = format!("\"{}\"", simulator.url());
    let settings = [
        ("host", &*url),
        ("client_id", "\"consumer-key\""),
        ("client_secret", "\"consumer-secret\""),
        ("lost_answer_seconds", "1"),
    ];
    let met = Arc::clone(&simulator);
    Account {
        name: "salesforce",
        strategy,
        config: section("salesforce", strategy, &settings),
        keeps: KEEPS,
        stands_in: |field, is, wanted| {
            let is_nameless = !wanted.contains_key(&Field::LastName);
            is_nameless && matches!((field, is), (Field::FirstName, "Deep Link") | (Field::LastName, "Unknown"))
        },
        records: Box::new(move || simulator.vendor(|salesforce| salesforce.records("Lead").iter().map(kept).collect())),
        trouble: Box::new(move || trouble(&met)),
        is_rough: weather != Weather::Calm,
    }
}

fn kept(lead: &Map<String, Value>) -> Kept {
    let value = |field: Field| {
        let text = text(lead.get(name(field)?))?;
        Some((field, if is_moment(field) { moment(&text) } else { text }))
    };
    Kept {
        id: text(lead.get("Id")).unwrap_or_default(),
        key: text(lead.get(KEY)).unwrap_or_default(),
        fields: KEEPS.iter().filter_map(|(field, _)| value(*field)).collect(),
    }
}

const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::LeadSource => "LeadSource",
        Field::Email => "Email",
        Field::FirstName => "FirstName",
        Field::LastName => "LastName",
        Field::Phone => "Phone",
        Field::Campaign => "Deep_Link_Campaign__c",
        Field::Channel => "Deep_Link_Channel__c",
        Field::Platform => "Deep_Link_Platform__c",
        Field::Token => "Deep_Link_Token__c",
        Field::Prefix => "Deep_Link_Prefix__c",
        Field::LastCampaign => "Deep_Link_Last_Campaign__c",
        Field::LastChannel => "Deep_Link_Last_Channel__c",
        Field::InstallDate => "Install_Date__c",
        Field::ReferralDate => "Referral_Date__c",
        Field::ReferralSource => "Referral_Source__c",
        Field::ConversionDate => "Conversion_Date__c",
        Field::Value => "Deep_Link_Conversion_Value__c",
        Field::Currency | Field::Stage | Field::Name | Field::Deal => return None,
    })
}
