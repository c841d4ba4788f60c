//! `HubSpot` end to end: from a device to a customer, one contact per person, whatever goes wrong on the way.

mod sdk;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use vendors::hubspot::HubSpot;
use vendors::{Fault, Faults, Simulator, Vendor as _};

use super::fleet::section;
use super::person::{self, again, completion, install, start, wait_until_everything_is_delivered, wait_until_paused};
use crate::support::{Setup, until};

const DESTINATION: &str = "hubspot";
const PEOPLE: usize = 20;

/// A file with one destination, and these settings of it.
fn setup(simulator: &Simulator<HubSpot>, more: &[(&str, &str)]) -> Setup {
    let url = simulator.url();
    let settings = [&[("access_token", "access-token"), ("host", &*url)], more].concat();
    let lane = "breaker = false\nbatch = { items = 7, wait = \"50ms\" }\nrate = 1000";
    Setup::with(&section("hubspot", "hubspot", lane, &settings))
}

/// Devices have contacts too.
const STUBS: &[(&str, &str)] = &[("match", "stub")];

#[test]
fn from_a_device_to_a_customer_it_is_one_contact_through_faults_and_restarts() {
    let simulator = HubSpot::new().without_limit().start(Faults::none());
    let sales = simulator
        .vendor(|account| account.add_contact(&[("email", "Person-0@Example.org"), ("company", "Analytical Engines")]));
    let setup = setup(&simulator, STUBS);
    let server = start(&setup);
    server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0).prints("Deep Link Attribution");
    server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0).says("nothing to do");
    server.stop();
    simulator.set_faults(
        Faults::seeded(11)
            .with(Fault::DropAfter, 120)
            .with(Fault::DropBefore, 60)
            .with(Fault::ServerError(503), 80)
            .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 30)
            .with(Fault::PartialFailure, 60)
            .with(Fault::Garbage, 20)
            .for_the_first(400),
    );

    let has_some = || simulator.vendor(|account| account.contacts().len() > PEOPLE / 2);
    let has_merged = || simulator.vendor(|account| !account.merges().is_empty());
    let server = person::live(&setup, PEOPLE, has_some, has_merged);
    wait_until_everything_is_delivered(&server, DESTINATION);

    simulator.vendor(|account| {
        assert_eq!(account.contacts().len(), PEOPLE, "{:#?}", account.lines());
        for n in 0..PEOPLE {
            let email = format!("person-{n}@example.org");
            let contact = account.contact_with("email", &email).unwrap_or_else(|| panic!("nobody has {email}"));
            let said: BTreeMap<&str, &str> = EXPECTED.iter().map(|(name, _)| (*name, contact.get(name))).collect();
            assert_eq!(said, EXPECTED.iter().copied().collect(), "person {n}");
            assert_eq!(contact.get("first_touch_campaign"), format!("spring-{n}"));
            assert!(contact.get("afterclick_person_key").starts_with("sub_"));
        }
        assert_eq!(account.contact(sales).unwrap().get("company"), "Analytical Engines");
    });
    simulator
        .book(|book| assert!(book.lost.is_empty() && book.flagged.is_empty(), "{:?} {:?}", book.lost, book.flagged));
    server.stop();
}

/// What the sales team sees of everybody.
const EXPECTED: &[(&str, &str)] = &[
    ("deep_link_lead_source", "Deep Link"),
    ("firstname", "Ada"),
    ("first_touch_channel", "instagram"),
    ("first_touch_platform", "ios"),
    ("deep_link_token", "summer-promo"),
    ("deep_link_prefix", "go"),
    ("install_date", "2026-05-21T09:14:00.000Z"),
    ("referral_source", "user-abc123"),
    ("conversion_date", "2026-05-21T09:32:00.000Z"),
    ("deep_link_conversion_value", "49.99"),
    ("deep_link_conversion_currency", "EUR"),
];

#[test]
fn a_property_that_somebody_deletes_holds_what_follows_until_it_is_made_again() {
    let simulator = HubSpot::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, STUBS);
    let server = start(&setup);
    server.publish(&install(1));
    wait_until_paused(&server, DESTINATION, "run `afterclick destinations provision hubspot`");
    server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0);
    server.run(&["destinations", "resume", "hubspot"]).ended(0);
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.vendor(|account| {
        assert_eq!(account.contacts().len(), 1);
        account.scopes.remove("crm.objects.contacts.write");
    });
    server.publish(&install(2));
    wait_until_paused(&server, DESTINATION, "`crm.objects.contacts.write`");
    server.stop();
}

#[test]
fn whoever_is_identified_later_has_a_contact_from_then_on() {
    let simulator = HubSpot::new().without_limit().start(Faults::none());
    let setup = setup(&simulator, &[("lifecycle", "true")]);
    let server = start(&setup);
    server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0);
    server.publish(&json!([install(1), install(2)]));
    let contact = || simulator.vendor(|account| account.contact_with("email", "ada@example.org").cloned());

    let who = json!({"install_id": "ins-1", "user_id": "user-1", "email": "Ada@Example.org", "name": "Ada Lovelace"});
    for _ in 0..2 {
        server.send("POST", "/v1/identify", &who);
    }
    let identified = until("a contact of whoever was identified", contact);
    assert_eq!((identified.get("lastname"), identified.get("lifecyclestage")), ("Lovelace", "lead"));
    assert_eq!(identified.get("install_date"), "2026-05-21T09:14:00.000Z");

    server.publish(&completion(1));
    until("the conversion", || contact().filter(|contact| contact.get("lifecyclestage") == "customer"));
    server.publish(&again(&install(1)));
    server.send("POST", "/v1/identify", &json!({"user_id": "user-1", "phone": "+44 20 7946 0000"}));
    until("the number", || contact().filter(|contact| contact.get("phone") == "+44 20 7946 0000"));
    assert_eq!(contact().unwrap().get("lifecyclestage"), "customer");
    simulator.vendor(|account| assert_eq!(account.contacts().len(), 1, "{:#?}", account.lines()));
    simulator.book(|book| assert!(book.flagged.is_empty(), "{:?}", book.flagged));
    server.stop();
}
