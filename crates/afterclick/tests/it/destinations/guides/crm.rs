//! The three files of the guide to CRMs: each from nothing to a record with attribution; and what the guide says of wrong
//! settings is what happens.

use std::path::{Path, PathBuf};

use domain::signature::Scheme;
use serde_json::{Map, Value, json};
use vendors::hubspot::{Contact, HubSpot};
use vendors::pipedrive::{Entity, Pipedrive};
use vendors::salesforce::Salesforce;
use vendors::{Faults, Simulator, Vendor as _};

use super::start;
use crate::support::{Headers, Server, until};

const GUIDE: &str = include_str!("../../../../../../docs/guides/crm.md");

/// A vendor, and the program with the file of the guide, which speaks to it.
struct Stage<V> {
    vendor: Simulator<V>,
    server: Server,
    name: &'static str,
}

fn hubspot() -> Stage<HubSpot> {
    let vendor = HubSpot::new().without_limit().start(Faults::none());
    let host = format!("settings.host = \"{}\"\nsettings.access_token", vendor.url());
    let here = [("settings.access_token", &*host), ("connector = \"hubspot\"", &soon("hubspot"))];
    let server = start("crm-hubspot", &[("HUBSPOT_ACCESS_TOKEN", "access-token")], &here);
    Stage { vendor, server, name: "hubspot" }
}

fn salesforce() -> Stage<Salesforce> {
    let vendor = Salesforce::new().without_limit().start(Faults::none());
    let url = vendor.url();
    let here = [("https://acme.my.salesforce.com", &*url), ("connector = \"salesforce\"", &soon("salesforce"))];
    let login = [("SALESFORCE_CLIENT_ID", "consumer-key"), ("SALESFORCE_CLIENT_SECRET", "consumer-secret")];
    let server = start("crm-salesforce", &login, &here);
    Stage { vendor, server, name: "salesforce" }
}

fn pipedrive() -> Stage<Pipedrive> {
    let vendor = Pipedrive::new().without_limit().start(Faults::none());
    let host = format!("settings.host = \"{}\"", vendor.url());
    let here = [("settings.domain = \"acme\"", &*host), ("connector = \"pipedrive\"", &soon("pipedrive"))];
    let server = start("crm-pipedrive", &[("PIPEDRIVE_API_TOKEN", "api-token")], &here);
    Stage { vendor, server, name: "pipedrive" }
}

/// A second is long for a test.
fn soon(connector: &str) -> String {
    format!("connector = \"{connector}\"\nbatch.wait = \"20ms\"")
}

impl<V: Send + 'static> Stage<V> {
    /// The steps of the guide before anything is sent.
    fn prepared(&self, makes: &str, sends: &str) {
        self.server.run(&["destinations", "provision", self.name, "--yes"]).ended(0).prints(makes);
        self.server.run(&["destinations", "provision", self.name, "--yes"]).ended(0).says("nothing to do");
        let before = self.vendor.book(|book| book.stored.len());
        let preview = ["destinations", "preview", self.name, "--type", "referral.completed"];
        self.server.run(&preview).ended(0).prints(sends);
        assert_eq!(self.vendor.book(|book| book.stored.len()), before, "a preview sends nothing");
    }

    /// An event of the platform's, so many minutes after nine.
    fn tell(&self, minute: u32, event_type: &str, data: &Value) -> String {
        let at = format!("2026-05-21T09:{minute:02}:00.000Z");
        let body = json!({ "event": event_type, "timestamp": at, "data": data }).to_string();
        let answer = self.server.post("tolinku", Scheme::BodyHex, "", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    fn click(&self) {
        let click = json!({
            "click_id": "c-1", "prefix": "go", "token": "summer-promo", "campaign": "instagram-story-may",
            "channel": "instagram",
        });
        self.tell(10, "link.clicked", &click);
    }

    fn install(&self) -> String {
        self.tell(14, "install.tracked", &json!({ "click_id": "c-1", "install_id": "i-4711", "platform": "ios" }))
    }

    /// As the guide says it by hand.
    fn identify(&self) {
        let said = "identify --install i-4711 --user user_456 --email ada@example.org";
        assert!(GUIDE.contains(said), "the guide does not show `{said}`");
        let mut said: Vec<&str> = said.split(' ').collect();
        said.extend(["--name", "Ada Lovelace", "--trait", "job_title=Countess"]);
        self.server.run(&said).ended(0);
    }

    /// Somebody completes a referral.
    fn completion(&self, user: &str) -> String {
        let data = json!({
            "referred_user_id": user, "referrer_id": "user-abc123", "revenue": 49.99, "currency": "EUR",
        });
        self.tell(32, "referral.completed", &data)
    }

    /// Somebody signs up by a referral.
    fn referral(&self, user: &str) -> String {
        self.tell(20, "referral.created", &json!({ "referred_user_id": user, "referrer_id": "user-abc123" }))
    }

    fn message(&self, event: &str, state: &str) -> String {
        self.server.delivery(event, state).to_string()
    }
}

#[test]
fn leads_with_attribution_in_hubspot() {
    let stage = hubspot();
    stage.prepared("Deep Link Attribution", "/contacts/batch/upsert");
    stage.click();
    let install = stage.install();
    assert!(stage.message(&install, "skipped").contains("nobody knows yet who this is"));
    assert!(stage.vendor.vendor(|account| account.contacts().is_empty()));

    stage.identify();
    let ada = || stage.vendor.vendor(|account| account.contact_with("email", "ada@example.org").cloned());
    let lead = until("the contact", ada);
    let said = |contact: &Contact, expected: &[(&str, &str)]| {
        for (property, value) in expected {
            assert_eq!(contact.get(property), *value, "{property}");
        }
    };
    said(&lead, &[("first_touch_campaign", "instagram-story-may"), ("install_date", "2026-05-21T09:14:00.000Z")]);
    said(
        &lead,
        &[("firstname", "Ada"), ("lastname", "Lovelace"), ("jobtitle", "Countess"), ("lifecyclestage", "lead")],
    );
    assert_eq!(lead.get("conversion_date"), "");

    let completed = stage.completion("user_456");
    stage.server.delivery(&completed, "delivered");
    let customer = ada().expect("a contact");
    said(
        &customer,
        &[("first_touch_platform", "ios"), ("deep_link_token", "summer-promo"), ("deep_link_prefix", "go")],
    );
    said(&customer, &[("referral_source", "user-abc123"), ("conversion_date", "2026-05-21T09:32:00.000Z")]);
    said(&customer, &[("lifecyclestage", "customer"), ("first_touch_campaign", "instagram-story-may")]);
    assert_eq!((customer.id, stage.vendor.vendor(|account| account.contacts().len())), (lead.id, 1));
    let journey = stage.server.run(&["journeys", "show", "user:user_456"]).ended(0).stdout;
    assert!(journey.contains("18 minutes after install") && journey.contains("What sales sees"), "{journey}");
}

#[test]
fn leads_with_attribution_in_salesforce() {
    let stage = salesforce();
    stage.prepared("permission set `Afterclick`", "/sobjects/Lead/Afterclick_Key__c");
    stage.click();
    let install = stage.install();
    stage.server.delivery(&install, "delivered");
    // The click is no event for a CRM; what it tells may come to the lead a moment after the install.
    let has_campaign =
        |org: &mut Salesforce| org.records("Lead")[0].contains_key("Deep_Link_Campaign__c").then_some(());
    until("the campaign", || stage.vendor.vendor(has_campaign));
    let lead = || stage.vendor.vendor(|org| org.records("Lead").first().cloned()).expect("a lead");
    let said = |lead: &Map<String, Value>, expected: &[(&str, &str)]| {
        for (field, value) in expected {
            assert_eq!(lead.get(*field).and_then(Value::as_str), Some(*value), "{field}");
        }
    };
    let stub = lead();
    said(&stub, &[("FirstName", "Deep Link"), ("LastName", "Unknown"), ("Company", "Unknown")]);
    said(&stub, &[("LeadSource", "Deep Link"), ("Status", "Open - Not Contacted"), ("Deep_Link_Platform__c", "ios")]);
    said(&stub, &[("Deep_Link_Campaign__c", "instagram-story-may"), ("Install_Date__c", "2026-05-21T09:14:00.000Z")]);

    // Somebody in sales takes it up before anybody is known.
    let id = stub["Id"].as_str().expect("an id").to_owned();
    stage.vendor.vendor(|org| org.write(&id, "Status", "Working - Contacted"));
    stage.identify();
    until("the name", || (lead().get("LastName") == Some(&json!("Lovelace"))).then_some(()));
    let completed = stage.completion("user_456");
    stage.server.delivery(&completed, "delivered");
    let known = lead();
    said(&known, &[("FirstName", "Ada"), ("Email", "ada@example.org"), ("Company", "Unknown")]);
    said(&known, &[("Status", "Working - Contacted"), ("Conversion_Date__c", "2026-05-21T09:32:00.000Z")]);
    said(&known, &[("Id", &id), ("Referral_Source__c", "user-abc123")]);
    assert_eq!(stage.vendor.vendor(|org| (org.records("Lead").len(), org.conversions().len())), (1, 0));
}

#[test]
fn leads_with_attribution_in_pipedrive() {
    let stage = pipedrive();
    stage.prepared("create field `Deep link campaign`", "/api/v2/persons");
    stage.click();
    let install = stage.install();
    assert!(stage.message(&install, "skipped").contains("nobody knows yet who this is"));
    stage.identify();
    let people = || stage.vendor.vendor(|company| company.people().cloned().collect::<Vec<_>>());
    let person = until("the person", || people().pop());
    assert_eq!(person.name(), "Ada Lovelace");
    assert_eq!(stage.vendor.vendor(|company| company.deals().count()), 0, "there is no referral yet");

    let completed = stage.completion("user_456");
    stage.server.delivery(&completed, "delivered");
    let [ada] = &people()[..] else { panic!("{:?}", people()) };
    assert_eq!((ada.id, &ada.entries("emails")[0]["value"]), (person.id, &json!("ada@example.org")));
    stage.vendor.vendor(|company| {
        for (field, value) in [
            ("Deep link lead source", "Deep Link"),
            ("Deep link campaign", "instagram-story-may"),
            ("Deep link platform", "ios"),
            ("Referral source", "user-abc123"),
            ("Install date", "2026-05-21"),
            ("Conversion date", "2026-05-21"),
        ] {
            assert_eq!(company.value(Entity::Person, ada, field), &json!(value), "{field}");
        }
        let deals: Vec<_> = company.deals().collect();
        assert_eq!(deals.len(), 1);
        assert_eq!(deals[0].member("status"), "won");
        assert_eq!(deals[0].member("person_id"), &json!(ada.id));
    });
}

#[test]
fn the_last_may_come_first_and_everything_twice() {
    let stage = hubspot();
    stage.server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0);
    stage.server.delivery(&stage.completion("user_456"), "delivered");
    stage.identify();
    stage.identify();
    stage.server.delivery(&stage.install(), "delivered");
    stage.install();
    stage.click();
    stage.click();
    let lead = until("the campaign", || {
        let contact = stage.vendor.vendor(|account| account.contact_with("email", "ada@example.org").cloned());
        contact.filter(|contact| !contact.get("first_touch_campaign").is_empty())
    });
    let dates = [lead.get("install_date"), lead.get("conversion_date"), lead.get("lifecyclestage")];
    assert_eq!(dates, ["2026-05-21T09:14:00.000Z", "2026-05-21T09:32:00.000Z", "customer"]);
    assert_eq!(stage.vendor.vendor(|account| account.contacts().len()), 1);
}

#[test]
fn a_mistake_is_undone_and_somebody_is_forgotten_as_the_guide_says() {
    let stage = hubspot();
    stage.server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0);
    stage.click();
    stage.install();
    stage.identify();
    let ada = || stage.vendor.vendor(|account| account.contact_with("email", "ada@example.org").cloned());
    let contact = until("the contact", ada);

    let undo = as_shown("afterclick subjects unlink user:user_456 --install i-4711");
    stage.server.run(&undo).ended(0).prints("install:i-4711");
    let known = stage.server.run(&["subjects", "show", "user:user_456"]).ended(0).stdout;
    assert!(!known.contains("i-4711") && !known.contains("instagram-story-may"), "{known}");
    stage.server.run(&["identify", "--install", "i-4711", "--user", "user_457"]).ended(0);
    until("the other one", || stage.vendor.vendor(|account| (account.contacts().len() == 2).then_some(())));

    let forget = [&as_shown("afterclick subjects erase user:user_456")[..], &["--yes"]].concat();
    stage.server.run(&forget).ended(0).prints("erased sub_").prints(&contact.id.to_string());
    stage.server.run(&["subjects", "show", "user:user_456"]).ended(1).says("subject_not_found");
    stage.server.run(&["subjects", "show", "user:user_457"]).ended(0).prints("i-4711");
}

/// The arguments of a command that the guide shows.
fn as_shown(command: &str) -> Vec<&str> {
    assert!(GUIDE.lines().any(|line| line == command), "the guide does not show `{command}`");
    command.split(' ').skip(1).collect()
}

#[test]
fn an_install_that_names_nobody_makes_no_record_and_says_why() {
    // What the platform's reference shows, and what the article's code makes a lead called "Unknown" of.
    let install =
        json!({ "hostname": "links.example.com", "ip": "203.0.113.42", "platform": "ios", "token": "summer-promo" });
    let (hubspot, salesforce, pipedrive) = (hubspot(), salesforce(), pipedrive());
    let said = [
        hubspot.message(&hubspot.tell(14, "install.tracked", &install), "skipped"),
        salesforce.message(&salesforce.tell(14, "install.tracked", &install), "skipped"),
        pipedrive.message(&pipedrive.tell(14, "install.tracked", &install), "skipped"),
    ];
    for said in said {
        assert!(said.contains("this event names nobody"), "{said}");
    }
    assert!(GUIDE.contains("this event names nobody"));
    assert!(hubspot.vendor.vendor(|account| account.contacts().is_empty()));
    assert!(salesforce.vendor.vendor(|org| org.records("Lead").is_empty()));
    assert_eq!(pipedrive.vendor.vendor(|company| company.people().count()), 0);
}

#[test]
fn an_unsigned_text_is_refused_and_the_next_event_is_taken() {
    let stage = hubspot();
    let headers: Headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    for body in ["not json", "", "{\"event\":\"install.tracked\"}"] {
        assert_eq!(stage.server.post_raw("tolinku", &headers, body.as_bytes()).status, 401);
    }
    stage.server.delivery(&stage.install(), "skipped");
}

#[test]
fn the_token_of_pipedrive_is_in_no_url() {
    let stage = pipedrive();
    stage.prepared("create field", "/api/v2/persons");
    stage.server.delivery(&stage.completion("user_456"), "delivered");
    stage.vendor.book(|book| {
        assert!(book.received.len() > 3);
        for received in &book.received {
            assert!(!received.request.target.contains("api-token"), "{}", received.request.target);
        }
    });
}

/// Something that is wrong at a vendor, and what the guide says of it.
struct Wrong<V> {
    becomes: fn(&mut V),
    /// In the guide and in the message of the paused destination.
    says: &'static str,
    /// What somebody does at the vendor; fields are made again in any case.
    is_mended: fn(&mut V),
}

/// While it is wrong everything is held; once it is mended everything arrives.
fn holds_and_loses_nothing<V: Send + 'static>(
    stage: &Stage<V>,
    tell: fn(&Stage<V>, &str) -> String,
    wrongs: &[Wrong<V>],
) {
    let path = format!("/v1/destinations/{}", stage.name);
    for (number, wrong) in wrongs.iter().enumerate() {
        assert!(GUIDE.contains(wrong.says), "the guide does not say `{}`", wrong.says);
        stage.vendor.vendor(wrong.becomes);
        let first = tell(stage, &format!("first-{number}"));
        stage.server.delivery(&first, "held");
        let paused = stage.server.get(&path)["paused"].take();
        let message = paused["message"].as_str().unwrap_or_default();
        assert!(message.contains(wrong.says) && message.contains("then resume the destination"), "{paused}");
        let second = tell(stage, &format!("second-{number}"));
        stage.server.delivery(&second, "held");

        stage.vendor.vendor(wrong.is_mended);
        stage.server.run(&["destinations", "provision", stage.name, "--yes"]).ended(0);
        stage.server.run(&["destinations", "resume", stage.name]).ended(0);
        for event in [first, second] {
            stage.server.delivery(&event, "delivered");
        }
    }
}

#[test]
fn what_is_wrong_with_hubspot_holds_everything_until_it_is_mended() {
    let stage = hubspot();
    let wrongs: &[Wrong<HubSpot>] = &[
        Wrong { becomes: |_| {}, says: "contacts lack a property that is written", is_mended: |_| {} },
        Wrong {
            becomes: |account| "rotated".clone_into(&mut account.access_token),
            says: "HubSpot refused the access token",
            is_mended: |account| "access-token".clone_into(&mut account.access_token),
        },
        Wrong {
            becomes: |account| {
                account.scopes.remove("crm.objects.contacts.write");
            },
            says: "the access token may not write contacts",
            is_mended: |account| {
                account.scopes.insert("crm.objects.contacts.write".to_owned());
            },
        },
        Wrong {
            becomes: |account| "date".clone_into(&mut account.properties.get_mut("conversion_date").unwrap().kind),
            says: "is of another kind than is written",
            is_mended: |account| {
                "datetime".clone_into(&mut account.properties.get_mut("conversion_date").unwrap().kind);
            },
        },
        Wrong {
            becomes: |account| account.versions.retain(|version| version != "2026-09"),
            says: "there is no such API at HubSpot",
            is_mended: |account| account.versions.push("2026-09".to_owned()),
        },
    ];
    holds_and_loses_nothing(&stage, Stage::completion, wrongs);
    assert_eq!(stage.vendor.vendor(|account| account.contacts().len()), 2 * wrongs.len());
}

#[test]
fn what_is_wrong_with_salesforce_holds_everything_until_it_is_mended() {
    let stage = salesforce();
    let wrongs: &[Wrong<Salesforce>] = &[
        Wrong {
            becomes: |org| "rotated".clone_into(&mut org.client_secret),
            says: "Salesforce gave no token",
            is_mended: |org| "consumer-secret".clone_into(&mut org.client_secret),
        },
        Wrong {
            becomes: |org| {
                org.fields.get_mut("Lead").unwrap().remove("Conversion_Date__c");
            },
            says: "a field is not there or, more often, the integration user may not see or write it",
            is_mended: |_| {},
        },
        Wrong {
            becomes: |org| org.lead_sources = Some(vec!["Web".to_owned()]),
            says: "a restricted picklist lacks a value that every record has",
            is_mended: |org| org.lead_sources = None,
        },
    ];
    holds_and_loses_nothing(&stage, Stage::completion, wrongs);
    assert_eq!(stage.vendor.vendor(|org| org.records("Lead").len()), 2 * wrongs.len());
}

#[test]
fn what_is_wrong_with_pipedrive_holds_everything_until_it_is_mended() {
    let stage = pipedrive();
    let wrongs: &[Wrong<Pipedrive>] = &[
        Wrong { becomes: |_| {}, says: "in Pipedrive lack custom fields that are written", is_mended: |_| {} },
        Wrong {
            becomes: |company| "rotated".clone_into(&mut company.api_token),
            says: "Pipedrive refused the API token",
            is_mended: |company| "api-token".clone_into(&mut company.api_token),
        },
        Wrong {
            becomes: |company| company.open_deals_max = 0,
            says: "this Pipedrive account has reached a limit of its plan",
            is_mended: |company| company.open_deals_max = 3_000,
        },
    ];
    holds_and_loses_nothing(&stage, Stage::referral, wrongs);
    assert_eq!(stage.vendor.vendor(|company| company.people().count()), 2 * wrongs.len());
}

#[test]
fn what_the_guide_says_of_fields_is_what_is_there_after_provisioning() {
    let (hubspot, salesforce, pipedrive) = (hubspot(), salesforce(), pipedrive());
    for (server, name) in
        [(&hubspot.server, "hubspot"), (&salesforce.server, "salesforce"), (&pipedrive.server, "pipedrive")]
    {
        server.run(&["destinations", "provision", name, "--yes"]).ended(0);
    }
    let mut count = 0;
    for row in rows("## What arrives", "| --- | --- | --- | --- |") {
        for property in in_backticks(row[1]) {
            assert!(hubspot.vendor.vendor(|account| account.properties.contains_key(property)), "{property}");
        }
        for field in in_backticks(row[2]) {
            assert!(salesforce.vendor.vendor(|org| org.fields["Lead"].contains_key(field)), "{field}");
        }
        for field in in_backticks(row[3]) {
            assert!(pipedrive.vendor.vendor(|company| company.code(Entity::Person, field).is_some()), "{field}");
        }
        count += 1;
    }
    assert!(count > 10, "{count} rows");
}

#[test]
fn every_line_of_a_file_that_the_guide_shows_stands_in_that_file() {
    for name in ["hubspot", "salesforce", "pipedrive"] {
        let path = root().join(format!("examples/crm-{name}.toml"));
        let example = std::fs::read_to_string(path).unwrap();
        let (_, shown) = GUIDE.split_once(&format!("(../../examples/crm-{name}.toml)")).expect("a link to the file");
        let (_, shown) = shown.split_once("```toml\n").expect("a block");
        let (shown, _) = shown.split_once("```").expect("the end of the block");
        for line in shown.lines().map(str::trim) {
            assert!(example.lines().any(|there| there == line), "examples/crm-{name}.toml has no line `{line}`");
        }
    }
}

#[test]
fn every_test_that_the_guide_names_is_there() {
    let mut numbers = Vec::new();
    for row in rows("## What the document's code does", "| --- | --- | --- | --- |")
        .chain(rows("Where the documents contradict", "| --- | --- | --- | --- | --- |"))
    {
        let named = in_backticks(row[row.len() - 1]);
        assert!(!named.is_empty(), "{} is shown by nothing", row[0]);
        for test in named {
            let (file, test) = test.split_once("::").expect("a file and a test");
            let text =
                std::fs::read_to_string(root().join("crates").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(is_test(&text, test), "{file} has no test `{test}`");
        }
        numbers.push(row[0].to_owned());
    }
    let bugs = (1..=26).map(|number| format!("C{number}"));
    let contradictions = [3, 4, 13, 14, 16].map(|number| format!("T{number}"));
    assert_eq!(numbers, bugs.chain(contradictions).collect::<Vec<_>>());
}

/// Whether a function of this name is one that is run: a plain one, one that waits, or one of many cases.
fn is_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        match line {
            "#[test]" | "#[tokio::test]" => is_marked = true,
            _ if line.starts_with("#[tokio::test(") => is_marked = true,
            _ if line.starts_with("#[") || line.starts_with("//") => {}
            _ if line.contains(&head) => return is_marked,
            _ => is_marked = false,
        }
    }
    false
}

/// The rows of the first table after this text, without its head.
fn rows(after: &str, rule: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, text) = GUIDE.split_once(after).unwrap_or_else(|| panic!("the guide has no `{after}`"));
    let (_, text) = text.split_once(rule).expect("a table");
    let lines = text.trim_start().lines().take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
