//! Salesforce end to end: from a device to a converted lead, one record per person, whatever goes wrong on the way.

mod sdk;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use vendors::salesforce::Salesforce;
use vendors::{Fault, Faults, Simulator, Vendor as _};

use super::fleet::section;
use super::person::{
    self, again, claim, completion, install, start, wait_until_everything_is_delivered, wait_until_paused,
};
use crate::support::Setup;

const DESTINATION: &str = "salesforce";
const PEOPLE: usize = 20;

/// A file with one destination, which keeps leads of devices too.
fn setup(simulator: &Simulator<Salesforce>, more: &[(&str, &str)]) -> Setup {
    let engine = "breaker = false\nbatch = { items = 7, wait = \"50ms\" }\nrate = 1000";
    let url = simulator.url();
    let login = [
        ("host", &*url),
        ("client_id", "consumer-key"),
        ("client_secret", "consumer-secret"),
        ("match", "stub"),
        ("lost_answer_seconds", "2"),
    ];
    Setup::with(&section("salesforce", "salesforce", engine, &[&login, more].concat()))
}

#[test]
fn from_a_device_to_a_customer_it_is_one_lead_through_faults_and_restarts() {
    let simulator = Salesforce::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, &[]);
    let server = start(&setup);
    let made = server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    made.prints("create field `Lead.Afterclick_Key__c`").prints("permission set `Afterclick`");
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0).says("nothing to do");
    server.stop();
    simulator.set_faults(
        Faults::seeded(11)
            .with(Fault::DropAfter, 120)
            .with(Fault::DropBefore, 60)
            .with(Fault::ServerError(503), 80)
            .with(Fault::TokenExpired, 40)
            .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 30)
            .with(Fault::PartialFailure, 60)
            .with(Fault::Garbage, 20)
            .for_the_first(400),
    );

    let has_some = || simulator.vendor(|org| org.records("Lead").len() > PEOPLE / 2);
    let has_merged = || simulator.vendor(|org| !org.merges().is_empty());
    let server = person::live(&setup, PEOPLE, has_some, has_merged);
    wait_until_everything_is_delivered(&server, DESTINATION);

    simulator.vendor(|org| {
        let leads = org.records("Lead");
        assert_eq!(leads.len(), PEOPLE, "{:#?}", org.lines());
        for n in 0..PEOPLE {
            let email = json!(format!("person-{n}@example.org"));
            let lead = leads.iter().find(|lead| lead.get("Email") == Some(&email));
            let lead = lead.unwrap_or_else(|| panic!("nobody has {email}"));
            let said: BTreeMap<&str, &str> = EXPECTED.iter().map(|(name, _)| (*name, said(lead, name))).collect();
            assert_eq!(said, EXPECTED.iter().copied().collect(), "person {n}");
            assert_eq!(lead["Deep_Link_Campaign__c"], json!(format!("spring-{n}")));
            assert_eq!(lead["LastName"], json!(n.to_string()));
            assert_eq!(lead["Deep_Link_Conversion_Value__c"], json!(49.99));
        }
    });
    simulator.book(|book| assert!(book.lost.is_empty(), "{:?}", book.lost));
    server.stop();
}

fn said<'r>(record: &'r Map<String, Value>, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What the sales team sees of everybody.
const EXPECTED: &[(&str, &str)] = &[
    ("FirstName", "Ada"),
    ("Company", "Unknown"),
    ("LeadSource", "Deep Link"),
    ("Status", "Open - Not Contacted"),
    ("Deep_Link_Channel__c", "instagram"),
    ("Deep_Link_Platform__c", "ios"),
    ("Deep_Link_Token__c", "summer-promo"),
    ("Deep_Link_Prefix__c", "go"),
    ("Install_Date__c", "2026-05-21T09:14:00.000Z"),
    ("Referral_Source__c", "user-abc123"),
    ("Conversion_Date__c", "2026-05-21T09:32:00.000Z"),
];

#[test]
fn a_lead_whose_person_converts_is_converted_once_and_sales_keeps_the_contact() {
    let simulator = Salesforce::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, &[("conversion", "convert")]);
    let server = start(&setup);
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    server.publish(&json!([install(1), claim(1)]));
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.set_faults(Faults::script([None, Some(Fault::DropAfter)]));
    server.publish(&json!([completion(1)]));
    wait_until_everything_is_delivered(&server, DESTINATION);
    server.publish(&json!([again(&claim(1)), again(&completion(1))]));
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.vendor(|org| {
        assert_eq!((org.conversions().len(), org.records("Contact").len(), org.records("Lead").len()), (1, 1, 1));
        assert_eq!(said(&org.records("Contact")[0], "Email"), "person-1@example.org");
    });
    server.stop();
}

#[test]
fn access_that_somebody_takes_away_holds_what_follows_until_it_is_given_again() {
    let simulator = Salesforce::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, &[]);
    let server = start(&setup);
    server.publish(&json!([install(1)]));
    wait_until_paused(&server, DESTINATION, "run `afterclick destinations provision salesforce`");
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    server.run(&["destinations", "resume", "salesforce"]).ended(0);
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.vendor(|org| {
        assert_eq!(org.records("Lead").len(), 1);
        "rotated".clone_into(&mut org.client_secret);
        org.session = Duration::ZERO;
    });
    simulator.set_faults(Faults::script([Some(Fault::TokenExpired)]));
    server.publish(&json!([install(2)]));
    wait_until_paused(&server, DESTINATION, "Salesforce gave no token and answered 400 (invalid_client");
    server.stop();
}
