//! What every CRM is spared: what a destination may not see, and, if it asks for that, what becomes known late.

use serde_json::{Value, json};
use vendors::hubspot::HubSpot;
use vendors::pipedrive::Pipedrive;
use vendors::salesforce::Salesforce;
use vendors::{Faults, Simulator, Vendor as _};

use super::fleet::section;
use super::person::{again, claim, install, start, wait_until_everything_is_delivered};
use crate::support::{Server, Setup, until};

const LANE: &str = "breaker = false\nbatch = { items = 7, wait = \"20ms\" }\nrate = 1000";
const NUMBER: &str = "+44 20 7946 0001";

/// A CRM of any kind: where it is, how to log in, and what it has been sent.
struct Crm {
    name: &'static str,
    settings: Vec<(&'static str, String)>,
    sent: Box<dyn Fn() -> String>,
}

impl Crm {
    fn of<V: Send + 'static>(
        name: &'static str,
        vendor: Simulator<V>,
        host: &'static str,
        login: &[(&'static str, &str)],
    ) -> Self {
        let login = login.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let settings = login.chain([(host, vendor.url())]).collect();
        let body = |received: &vendors::Received| String::from_utf8_lossy(&received.request.body).into_owned();
        let sent = move || vendor.book(|book| book.received.iter().map(body).collect::<Vec<_>>().join("\n"));
        Self { name, settings, sent: Box::new(sent) }
    }

    fn setup(&self, more: &str, settings: &[(&str, &str)]) -> Setup {
        let own = self.settings.iter().map(|(key, value)| (*key, &**value));
        let settings: Vec<_> = own.chain(settings.iter().copied()).collect();
        Setup::with(&section(self.name, self.name, &format!("{LANE}\n{more}"), &settings))
    }

    fn server(&self, setup: &Setup) -> Server {
        let server = start(setup);
        server.run(&["destinations", "provision", self.name, "--yes"]).ended(0);
        server
    }
}

fn all() -> [Crm; 3] {
    let hubspot = HubSpot::new().without_limit().start(Faults::none());
    let salesforce = Salesforce::new().without_limit().start(Faults::none());
    let pipedrive = Pipedrive::new().without_limit().start(Faults::none());
    let keys = [("client_id", "consumer-key"), ("client_secret", "consumer-secret")];
    [
        Crm::of("hubspot", hubspot, "host", &[("access_token", "access-token")]),
        Crm::of("salesforce", salesforce, "host", &keys),
        Crm::of("pipedrive", pipedrive, "host", &[("api_token", "api-token")]),
    ]
}

/// The types of the events that are owed to it.
fn owed(server: &Server, crm: &Crm) -> Vec<String> {
    let deliveries = server.get(&format!("/v1/destinations/{}/deliveries?limit=200", crm.name));
    let of = |delivery: &Value| delivery["type"].as_str().expect("a type").to_owned();
    deliveries["data"].as_array().expect("deliveries").iter().map(of).collect()
}

/// Waits until nothing is owed any more; the install of somebody unknown is skipped.
fn wait_until_everything_is_settled(server: &Server, crm: &Crm) {
    let path = format!("/v1/destinations/{}/deliveries?limit=200", crm.name);
    until("everything to be settled", || {
        let deliveries = server.get(&path);
        let deliveries = deliveries["data"].as_array().expect("deliveries");
        assert!(deliveries.iter().all(|delivery| delivery["state"] != "dead"), "{deliveries:?}");
        let is_over = |state: &Value| ["delivered", "skipped"].contains(&state.as_str().unwrap_or_default());
        deliveries.iter().all(|delivery| is_over(&delivery["state"])).then_some(())
    });
}

#[test]
fn on_identify_says_whether_a_record_is_written_for_what_becomes_known_late() {
    for (on_identify, is_told) in [(None, true), (Some("update"), true), (Some("ignore"), false)] {
        for crm in all() {
            let settings: Vec<_> = on_identify.map(|said| ("on_identify", said)).into_iter().collect();
            let setup = crm.setup("", &settings);
            let server = crm.server(&setup);
            server.publish(&json!([install(1), claim(1)]));
            wait_until_everything_is_delivered(&server, crm.name);
            server.send("POST", "/v1/identify", &json!({ "user_id": "user-1", "phone": NUMBER }));
            // What is to be told is owed by the time of the answer.
            let told = owed(&server, &crm).iter().filter(|owed| *owed == "afterclick.subject.updated").count();
            assert_eq!(told, usize::from(is_told), "{} {on_identify:?}", crm.name);
            wait_until_everything_is_delivered(&server, crm.name);
            assert_eq!((crm.sent)().contains(NUMBER), is_told, "{} {on_identify:?}", crm.name);
            // The next event of the person brings it in any case.
            server.publish(&again(&install(1)));
            wait_until_everything_is_delivered(&server, crm.name);
            assert!((crm.sent)().contains(NUMBER), "{} {on_identify:?}", crm.name);
            server.stop();
        }
    }
}

#[test]
fn what_is_taken_away_from_a_person_is_emptied_in_every_crm() {
    let emptied = ["\"install_date\":\"\"", "\"Install_Date__c\":null", ":null"];
    for (crm, emptied) in all().into_iter().zip(emptied) {
        let setup = crm.setup("", &[]);
        let server = crm.server(&setup);
        server.publish(&install(1));
        let who =
            json!({ "install_id": "ins-1", "user_id": "user-1", "email": "ada@example.org", "name": "Ada Lovelace" });
        server.send("POST", "/v1/identify", &who);
        wait_until_everything_is_settled(&server, &crm);
        let before = (crm.sent)();
        assert!(before.contains("spring-1"), "{}: {before}", crm.name);
        server.run(&["subjects", "unlink", "user:user-1", "--install", "ins-1"]).ended(0);
        wait_until_everything_is_settled(&server, &crm);
        let after = (crm.sent)().split_off(before.len());
        assert!(after.contains(emptied) && !after.contains("spring-1"), "{}: {after}", crm.name);
        server.stop();
    }
}

#[test]
fn what_is_dropped_hashed_or_cut_is_so_in_every_call_to_every_crm() {
    let privacy = "privacy = { drop = [\"campaign\", \"phone\"], hash = [\"referrer_id\"], truncate = { name = 1, channel = 4 } }";
    for crm in all() {
        let setup = crm.setup(privacy, &[("match", "stub")]);
        let server = crm.server(&setup);
        server.publish(&install(1));
        wait_until_everything_is_delivered(&server, crm.name);
        let who = json!({
            "install_id": "ins-1", "user_id": "user-1", "email": "ada@example.org", "name": "Lovelace", "phone": NUMBER,
        });
        server.send("POST", "/v1/identify", &who);
        let referred = json!({ "referred_user_id": "user-1", "referrer_id": "user-abc123", "campaign": "spring-1" });
        server.publish(&super::person::event("referral.created", 20, &referred));
        wait_until_everything_is_delivered(&server, crm.name);
        let sent = (crm.sent)();
        for secret in ["spring-1", NUMBER, "Lovelace", "user-abc123", "instagram"] {
            assert!(!sent.contains(secret), "{} was sent {secret}: {sent}", crm.name);
        }
        // SHA-256 of `user-abc123`.
        let hash = "57a1d65b13877c0467e4b0c825fc9a38ebf131a10745df8671267f6e325a64d3";
        for left in ["ada@example.org", "inst", "\"L\"", hash] {
            assert!(sent.contains(left), "{} was not sent {left}: {sent}", crm.name);
        }
        server.stop();
    }
}
