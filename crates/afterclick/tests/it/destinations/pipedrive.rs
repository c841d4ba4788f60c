//! Pipedrive end to end: from a device to a won deal, one person and one deal each, whatever goes wrong on the way.

mod sdk;

use std::time::Duration;

use serde_json::json;
use vendors::pipedrive::{Entity, Pipedrive, Record};
use vendors::{Fault, Faults, Simulator, Vendor as _};

use super::fleet::{RETRY, section};
use super::person::{self, completion, install, start, wait_until_everything_is_delivered, wait_until_paused};
use crate::support::{Setup, until};

const DESTINATION: &str = "pipedrive";
const PEOPLE: usize = 12;
/// How far the simulator's search lags behind.
const SEARCH_LAG: Duration = Duration::from_millis(500);

/// A company whose search is slow, though not as slow as the real one's.
fn company() -> Pipedrive {
    let mut company = Pipedrive::new().without_limit();
    company.search_lag = SEARCH_LAG;
    company
}

/// A file with one destination, and these settings of it.
fn setup(simulator: &Simulator<Pipedrive>, more: &[(&str, &str)]) -> Setup {
    let url = simulator.url();
    let settings = [&[("api_token", "api-token"), ("host", &*url), ("search_lag_seconds", "2")], more].concat();
    let lane = "breaker = false\nbatch = { items = 7, wait = \"50ms\" }\nrate = 1000";
    // An exchange is up to eight calls, each of which can fail: more tries than where it is one.
    let patient = RETRY.replace(']', &r#", "2s""#.repeat(16)) + "]";
    Setup::with(&section("pipedrive", "pipedrive", lane, &settings).replace(RETRY, &patient))
}

/// Devices have records too, and referrals have deals.
const STUBS: &[(&str, &str)] = &[("match", "stub"), ("deal", "referral")];

/// Somebody of the sales team knows a person already.
fn known_to_sales(company: &mut Pipedrive, n: usize) -> u64 {
    let emails = json!([{"value": format!("Person-{n}@Example.org"), "primary": true, "label": "home"}]);
    company.add_by_hand(Entity::Person, &json!({"name": "The one from the fair", "emails": emails}), Duration::ZERO)
}

fn with_email(company: &Pipedrive, email: &str) -> Vec<Record> {
    let has = |person: &&Record| {
        let mut entries = person.entries("emails").iter();
        entries.any(|entry| entry["value"].as_str().is_some_and(|value| value.eq_ignore_ascii_case(email)))
    };
    company.people().filter(has).cloned().collect()
}

#[test]
fn from_a_device_to_a_won_deal_it_is_one_person_through_faults_and_restarts() {
    let simulator = company().start(Faults::none());
    let sales = simulator.vendor(|company| known_to_sales(company, 0));
    let setup = setup(&simulator, STUBS);
    let server = start(&setup);
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0).prints("Deep link campaign");
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0).says("nothing to do");
    server.stop();
    simulator.set_faults(
        Faults::seeded(11)
            .with(Fault::DropAfter, 100)
            .with(Fault::DropBefore, 40)
            .with(Fault::ServerError(503), 60)
            .with(Fault::RateLimit { retry_after_s: 1 }, 20)
            .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 30)
            .with(Fault::Garbage, 20)
            .for_the_first(200),
    );

    let has_some = || simulator.vendor(|company| company.people().count() > PEOPLE / 2);
    let has_merged = || simulator.vendor(|company| !company.merges().is_empty());
    let server = person::live(&setup, PEOPLE, has_some, has_merged);
    wait_until_everything_is_delivered(&server, DESTINATION);

    simulator.vendor(|company| {
        let lines: Vec<_> = company.people().map(|person| company.look(person)).collect();
        assert_eq!(company.people().count(), PEOPLE, "{lines:#?}");
        assert_eq!(company.deals().count(), PEOPLE, "{:#?}", company.deals().collect::<Vec<_>>());
        for n in 0..PEOPLE {
            let found = with_email(company, &format!("person-{n}@example.org"));
            let [person] = &found[..] else { panic!("person {n}: {lines:#?}") };
            for (name, value) in EXPECTED {
                assert_eq!(*company.value(Entity::Person, person, name), *value, "{name} of {n}");
            }
            assert_eq!(*company.value(Entity::Person, person, "Deep link campaign"), format!("spring-{n}"));
            let key = company.value(Entity::Person, person, "Afterclick key");
            assert!(key.as_str().is_some_and(|key| key.starts_with("sub_")), "{key}");
            let name = if n == 0 { "The one from the fair".to_owned() } else { format!("Ada {n}") };
            assert_eq!(person.name(), name);
            let deals: Vec<_> = company.deals().filter(|deal| *deal.member("person_id") == person.id).collect();
            let [deal] = deals[..] else { panic!("deals of {n}: {deals:#?}") };
            let said = ["status", "value", "currency"].map(|name| deal.member(name).clone());
            assert_eq!(said, [json!("won"), json!(49.99), json!("EUR")]);
            assert_eq!(company.value(Entity::Deal, deal, "Afterclick key"), key);
        }
        assert!(company.record(Entity::Person, sales).is_some(), "what sales has made is the one that stays");
    });
    simulator
        .book(|book| assert!(book.lost.is_empty() && book.flagged.is_empty(), "{:?} {:?}", book.lost, book.flagged));
    server.stop();
}

/// What the sales team sees of everybody.
const EXPECTED: &[(&str, &str)] = &[
    ("Deep link lead source", "Deep Link"),
    ("Deep link channel", "instagram"),
    ("Deep link platform", "ios"),
    ("Deep link token", "summer-promo"),
    ("Deep link prefix", "go"),
    ("Install date", "2026-05-21"),
    ("Referral source", "user-abc123"),
    ("Conversion date", "2026-05-21"),
    ("Conversion currency", "EUR"),
];

#[test]
fn a_field_that_somebody_deletes_holds_what_follows_until_it_is_made_again() {
    let simulator = company().start(Faults::none());
    let setup = setup(&simulator, STUBS);
    let server = start(&setup);
    server.publish(&install(1));
    wait_until_paused(&server, DESTINATION, "run `afterclick destinations provision pipedrive`");
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0);
    server.run(&["destinations", "resume", "pipedrive"]).ended(0);
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.vendor(|company| {
        assert_eq!(company.people().count(), 1);
        company.delete_field(Entity::Person, "Deep link campaign");
    });
    server.publish(&install(2));
    wait_until_paused(&server, DESTINATION, "`Deep link campaign`");
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0);
    server.run(&["destinations", "resume", "pipedrive"]).ended(0);
    wait_until_everything_is_delivered(&server, DESTINATION);
    simulator.vendor(|company| assert_eq!(company.people().count(), 2));
    server.stop();
}

#[test]
fn whoever_is_identified_later_is_a_person_from_then_on() {
    let simulator = company().start(Faults::none());
    let setup = setup(&simulator, &[]);
    let server = start(&setup);
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0);
    server.publish(&json!([install(1), install(2)]));
    let person = || simulator.vendor(|company| with_email(company, "ada@example.org").pop());

    let who = json!({"install_id": "ins-1", "user_id": "user-1", "email": "Ada@Example.org", "name": "Ada Lovelace"});
    for _ in 0..2 {
        server.send("POST", "/v1/identify", &who);
    }
    let identified = until("whoever was identified", person);
    assert_eq!(identified.name(), "Ada Lovelace");
    server.publish(&completion(1));
    let converted = |company: &Pipedrive| {
        let person = with_email(company, "ada@example.org").pop()?;
        (*company.value(Entity::Person, &person, "Conversion date") == "2026-05-21").then_some(())
    };
    until("the conversion", || simulator.vendor(|company| converted(company)));
    server.send("POST", "/v1/identify", &json!({"user_id": "user-1", "phone": "+44 20 7946 0000"}));
    until("the number", || person().filter(|person| !person.entries("phones").is_empty()));
    simulator.vendor(|company| assert_eq!(company.people().count(), 1));
    server.stop();
}
