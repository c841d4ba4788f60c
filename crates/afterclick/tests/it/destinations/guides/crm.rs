//! The three files of the guide to CRMs: each from nothing to a record with attribution.

mod page;
mod stage;
mod wrongs;

use serde_json::{Map, Value, json};
use vendors::hubspot::Contact;
use vendors::pipedrive::Entity;
use vendors::salesforce::Salesforce;

use self::stage::{hubspot, pipedrive, salesforce};
use crate::support::{Headers, until};

const GUIDE: &str = include_str!("../../../../../../docs/guides/crm.md");

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
    let emptied = until("the contact without what came from the device", || {
        ada().filter(|contact| contact.get("install_date").is_empty() && contact.get("first_touch_campaign").is_empty())
    });
    assert_eq!((emptied.id, emptied.get("firstname"), emptied.get("deep_link_token")), (contact.id, "Ada", ""));
    // A visitor is told of as long as there is a record.
    stage.server.run(&["identify", "--user", "user_456", "--phone", "+44 20 7946 0000"]).ended(0);
    until("the number", || ada().filter(|contact| contact.get("phone") == "+44 20 7946 0000"));
    stage.server.run(&["identify", "--install", "i-4711", "--user", "user_457"]).ended(0);
    let theirs =
        || stage.vendor.vendor(|account| account.contacts().into_iter().find(|one| one.id != contact.id).cloned());
    let theirs = until("the other one", theirs);
    assert_eq!(theirs.get("install_date"), "2026-05-21T09:14:00.000Z");

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
fn a_code_that_was_merely_made_is_nobody_yet_and_a_preview_says_so() {
    let (hubspot, pipedrive) = (hubspot(), pipedrive());
    let said = "a code was made for somebody to hand out";
    assert!(GUIDE.contains(said));
    for (server, name) in [(&hubspot.server, "hubspot"), (&pipedrive.server, "pipedrive")] {
        server.run(&["destinations", "preview", name, "--type", "referral.created"]).ended(0).says(said);
    }
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
