//! Salesforce end to end: from a device to a converted lead, one record per person, whatever goes wrong on the way.

mod sdk;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use vendors::salesforce::Salesforce;
use vendors::{Fault, Faults, Simulator, Vendor as _};

use super::fleet::section;
use crate::support::{Server, Setup, until};

const KEY: &str = "an-admin-key-of-the-salesforce-tests";
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

fn start(setup: &Setup) -> Server {
    Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", KEY)).with_key(KEY)
}

fn event(event_type: &str, minute: u32, data: &Value) -> Value {
    json!({"event": event_type, "timestamp": format!("2026-05-21T09:{minute:02}:00.000Z"), "data": data})
}

fn install(n: usize) -> Value {
    let data = json!({
        "install_id": format!("ins-{n}"), "click_id": format!("clk-{n}"), "platform": "ios", "campaign": format!("spring-{n}"),
        "channel": "instagram", "token": "summer-promo", "prefix": "go",
    });
    event("install.tracked", 14, &data)
}

/// The app says whose the device is.
fn claim(n: usize) -> Value {
    let data = json!({
        "install_id": format!("ins-{n}"), "user_id": format!("user-{n}"), "email": format!("person-{n}@example.org"),
        "name": format!("Ada Lovelace {n}"), "deep_link_path": "/offer",
    });
    event("deferred_link.claimed", 15, &data)
}

fn completion(n: usize) -> Value {
    let data =
        json!({"user_id": format!("user-{n}"), "referrer_id": "user-abc123", "revenue": 49.99, "currency": "EUR"});
    event("referral.completed", 32, &data)
}

/// The same fact in another event.
fn again(envelope: &Value) -> Value {
    let mut envelope = envelope.clone();
    envelope["data"]["resent"] = json!(true);
    envelope
}

fn wait_until_everything_is_delivered(server: &Server) {
    until("everything to be delivered", || {
        let deliveries = server.get("/v1/destinations/salesforce/deliveries?limit=200");
        let deliveries = deliveries["data"].as_array().unwrap();
        let dead = deliveries.iter().find(|delivery| delivery["state"] == "dead");
        assert!(dead.is_none(), "{}", dead.unwrap());
        (!deliveries.is_empty() && deliveries.iter().all(|delivery| delivery["state"] == "delivered")).then_some(())
    });
}

fn paused(server: &Server, what: &str) {
    let paused = until("the destination to be paused", || {
        let paused = server.get("/v1/destinations/salesforce")["paused"].take();
        (!paused.is_null()).then_some(paused)
    });
    assert!(paused["message"].as_str().is_some_and(|message| message.contains(what)), "{paused}");
}

#[test]
fn from_a_device_to_a_customer_it_is_one_lead_through_faults_and_restarts() {
    let simulator = Salesforce::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, &[]);
    let mut server = start(&setup);
    let made = server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    made.prints("create field `Lead.Afterclick_Key__c`").prints("permission set `Afterclick`");
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0).says("nothing to do");
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

    // The last comes first, and nobody knows yet that user and device belong together: each has a lead.
    let first: Value = (0..PEOPLE).flat_map(|n| [completion(n), install(n)]).collect();
    server.publish(&first);
    until("some leads", || simulator.vendor(|org| org.records("Lead").len() > PEOPLE / 2).then_some(()));
    server.signal("KILL");
    drop(server);
    server = start(&setup);

    let second: Value = (0..PEOPLE).rev().map(claim).collect();
    server.publish(&second);
    until("some leads to be merged", || simulator.vendor(|org| !org.merges().is_empty()).then_some(()));
    server.signal("KILL");
    drop(server);
    server = start(&setup);
    let third: Value =
        (0..PEOPLE).flat_map(|n| [again(&completion(n)), again(&install(n)), again(&claim(n))]).collect();
    server.publish(&third);
    wait_until_everything_is_delivered(&server);

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
    ("FirstName", "Ada Lovelace"),
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
    wait_until_everything_is_delivered(&server);
    simulator.set_faults(Faults::script([None, Some(Fault::DropAfter)]));
    server.publish(&json!([completion(1)]));
    wait_until_everything_is_delivered(&server);
    server.publish(&json!([again(&claim(1)), again(&completion(1))]));
    wait_until_everything_is_delivered(&server);
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
    paused(&server, "run `afterclick destinations provision salesforce`");
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    server.run(&["destinations", "resume", "salesforce"]).ended(0);
    wait_until_everything_is_delivered(&server);
    simulator.vendor(|org| {
        assert_eq!(org.records("Lead").len(), 1);
        "rotated".clone_into(&mut org.client_secret);
        org.session = Duration::ZERO;
    });
    simulator.set_faults(Faults::script([Some(Fault::TokenExpired)]));
    server.publish(&json!([install(2)]));
    paused(&server, "Salesforce gave no token and answered 400 (invalid_client");
    server.stop();
}
