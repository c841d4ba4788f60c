use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::probe;

const UPSERT: &str = "/crm/objects/2026-09/contacts/batch/upsert";

fn account() -> HubSpot {
    HubSpot::new().with_unique_property("person").with_property("campaign", "string")
}

fn post(path: &str, body: &Value) -> Request {
    Request::post(path, body).with("authorization", "Bearer access-token")
}

fn input(id: &str, properties: &Value) -> Value {
    json!({"id": id, "idProperty": "person", "properties": properties})
}

fn traced(id: &str, properties: &Value) -> Value {
    let mut input = input(id, properties);
    input["objectWriteTraceId"] = json!(format!("trace-{id}"));
    input
}

fn say(account: &mut HubSpot, path: &str, body: &Value) -> Answer {
    account.answer(&post(path, body), &mut Book::default())
}

#[test]
fn a_contact_is_upserted_by_a_unique_property_in_whatever_case() {
    let simulator = account().start(Faults::none());
    for id in ["Sub_1", "sub_1"] {
        let body = json!({"inputs": [input(id, &json!({"campaign": "spring"}))]});
        let reply = probe::send(simulator.address(), &post(UPSERT, &body)).unwrap();
        assert_eq!((reply.status, reply.body.contains(r#""new":true"#)), (200, id == "Sub_1"));
    }
    simulator.book(|book| assert_eq!((book.times_stored("Sub_1"), book.duplicates.len()), (1, 1)));
    simulator.vendor(|account| assert_eq!(account.contacts().len(), 1));
}

#[test]
fn a_batch_without_traces_is_taken_whole_or_not_at_all() {
    let mut account = account();
    let bad = json!({"nope": "x"});
    let whole = say(&mut account, UPSERT, &json!({"inputs": [input("a", &json!({})), input("b", &bad)]}));
    assert_eq!((whole.status, account.contacts().len()), (400, 0));
    assert!(whole.said_json()["message"].as_str().unwrap().contains("PROPERTY_DOESNT_EXIST"));

    let parts = say(&mut account, UPSERT, &json!({"inputs": [traced("a", &json!({})), traced("b", &bad)]}));
    assert_eq!((parts.status, account.contacts().len()), (207, 1));
    let said = parts.said_json();
    assert_eq!(said["results"][0]["objectWriteTraceId"], "trace-a");
    assert_eq!(said["errors"][0]["context"]["objectWriteTraceId"][0], "trace-b");
    let twice = say(&mut account, UPSERT, &json!({"inputs": [traced("a", &json!({})), traced("A", &json!({}))]}));
    assert_eq!(twice.status, 400);
}

#[test]
fn values_are_texts_of_the_right_kind() {
    let mut account =
        account().with_property("day", "date").with_property("time", "datetime").with_property("sum", "number");
    let long = Property { chars_max: Some(3), ..Property::new("string") };
    account.properties.insert("short".to_owned(), long);
    let mut status = |version: &str, properties: Value| {
        let path = format!("/crm/objects/{version}/contacts/batch/upsert");
        say(&mut account, &path, &json!({"inputs": [input("a", &properties)]})).status
    };
    for (properties, expected) in [
        (json!({"day": "2026-03-04"}), 200),
        (json!({"day": "1772582400000"}), 200),
        (json!({"day": "2026-03-04T14:32:08.441Z"}), 400),
        (json!({"time": "2026-03-04T14:32:08.441Z"}), 200),
        (json!({"time": "soon"}), 400),
        (json!({"sum": "12.50"}), 200),
        (json!({"sum": 12.5}), 400),
        (json!({"email": "nobody"}), 400),
        (json!({"lifecyclestage": "Lead!"}), 400),
        (json!({"short": "long"}), 400),
    ] {
        assert_eq!(status("2026-09", properties.clone()), expected, "{properties}");
    }
    assert_eq!(status("2026-03", json!({"short": "long"})), 200, "rules hold from 2026-09 on");
    assert_eq!(status("2019-01", json!({})), 404);
}

#[test]
fn an_address_belongs_to_one_contact() {
    let mut account = account();
    account.add_contact(&[("email", "ada@example.org")]);
    let body = json!({"inputs": [traced("a", &json!({"email": "Ada@Example.org"}))]});
    let said = say(&mut account, UPSERT, &body).said_json();
    assert_eq!(said["errors"][0]["category"], "CONFLICT");
    assert_eq!(said["errors"][0]["message"], "Contact already exists. Existing ID: 101");
    let create = say(&mut account, "/crm/v3/objects/contacts", &json!({"properties": {"email": "ada@example.org"}}));
    assert_eq!(create.status, 409);
    let nameless = say(&mut account, "/crm/v3/objects/contacts", &json!({"properties": {"campaign": "spring"}}));
    assert_eq!(nameless.status, 400);
}

#[test]
fn an_address_that_the_contact_has_already_becomes_its_first_one() {
    let mut account = account();
    let ada = account.add_contact(&[("email", "ada@work.example"), ("hs_additional_emails", "ada@a.org;ada@b.org")]);
    let input = json!({"id": ada.to_string(), "properties": {"email": "Ada@A.org"}});
    let update = "/crm/objects/2026-09/contacts/batch/update";
    assert_eq!(say(&mut account, update, &json!({"inputs": [input]})).status, 200);
    let contact = account.contact(ada).unwrap();
    assert_eq!(
        (contact.get("email"), contact.get("hs_additional_emails")),
        ("Ada@A.org", "ada@b.org;ada@work.example")
    );
}

#[test]
fn two_contacts_become_one_and_the_old_id_leads_to_it() {
    for makes_ids in [false, true] {
        let mut account = account();
        account.merging_makes_ids = makes_ids;
        let ada = account.add_contact(&[("email", "ada@example.org")]);
        let stub = account.add_contact(&[("person", "sub_1"), ("campaign", "spring")]);
        let body = json!({"primaryObjectId": ada.to_string(), "objectIdToMerge": stub.to_string()});
        let answer = say(&mut account, "/crm/objects/2026-09/contacts/merge", &body);
        assert_eq!((answer.status, account.contacts().len()), (200, 1));
        let survivor = account.contacts()[0].clone();
        assert_eq!(answer.said_json()["id"], survivor.id.to_string());
        assert_eq!((survivor.id == ada, survivor.get("campaign"), survivor.get("person")), (!makes_ids, "spring", ""));
        assert_eq!(account.contact(stub).map(|contact| contact.id), Some(survivor.id));
        assert!(survivor.get("hs_merged_object_ids").split(';').any(|id| id == stub.to_string()));
        assert_eq!(say(&mut account, "/crm/objects/2026-09/contacts/merge", &body).status, 404);
    }
}

#[test]
fn a_stage_does_not_go_back_and_nobody_is_told() {
    let (mut account, mut book) = (account(), Book::default());
    for stage in ["customer", "lead"] {
        let body = json!({"inputs": [input("a", &json!({"lifecyclestage": stage}))]});
        assert_eq!(account.answer(&post(UPSERT, &body), &mut book).status, 200);
    }
    assert_eq!((account.contacts()[0].get("lifecyclestage"), book.flagged.len()), ("customer", 1));
}

#[test]
fn reading_is_up_to_date_and_search_is_not() {
    let mut account = account();
    say(&mut account, UPSERT, &json!({"inputs": [input("a", &json!({}))]}));
    let read = json!({"idProperty": "person", "inputs": [{"id": "a"}, {"id": "b"}], "properties": ["person"]});
    let answer = say(&mut account, "/crm/objects/2026-09/contacts/batch/read", &read);
    assert_eq!((answer.status, answer.said_json()["results"].as_array().unwrap().len()), (207, 1));
    assert_eq!(answer.said_json()["errors"][0]["context"]["ids"], json!(["b"]));
    let filter = json!({"filterGroups": [{"filters": [{"propertyName": "person", "operator": "EQ", "value": "a"}]}]});
    let search = post("/crm/objects/2026-09/contacts/search", &filter);
    let mut total = |at| {
        account.answer(&search.clone().at(Duration::from_secs(at)), &mut Book::default()).said_json()["total"].clone()
    };
    assert_eq!((total(1), total(10)), (json!(0), json!(1)));
}

#[test]
fn calls_are_counted_in_windows_and_in_days_and_scopes_are_minded() {
    let mut account = account();
    (account.per_ten_seconds, account.per_day) = (Some(2), Some(3));
    let mut said = |at| {
        let answer = account.answer(
            &post(UPSERT, &json!({"inputs": [input("a", &json!({}))]})).at(Duration::from_secs(at)),
            &mut Book::default(),
        );
        let left = answer
            .headers
            .iter()
            .find(|(name, _)| *name == "x-hubspot-ratelimit-remaining")
            .map(|(_, left)| left.clone());
        (answer.status, left.unwrap_or_default(), answer.said_json()["policyName"].clone())
    };
    assert_eq!([said(0).1, said(1).1], ["1", "0"]);
    assert_eq!(said(2).2, "TEN_SECONDLY_ROLLING");
    assert_eq!(said(11).0, 200);
    assert_eq!(said(30).2, "DAILY");
    assert_eq!(said(86_400).0, 200);

    account.scopes.remove("crm.objects.contacts.write");
    let answer =
        account.answer(&post(UPSERT, &json!({"inputs": []})).at(Duration::from_hours(25)), &mut Book::default());
    assert_eq!(answer.said_json()["errors"][0]["context"]["requiredGranularScopes"][0], "crm.objects.contacts.write");
}

#[test]
fn properties_are_made_once() {
    let mut account = account();
    let group = json!({"name": "links", "label": "Links"});
    let path = "/crm/properties/2026-09/contacts";
    assert_eq!([201, 409].map(|_| say(&mut account, &format!("{path}/groups"), &group).status), [201, 409]);
    let property = json!({"name": "install_date", "label": "Install", "groupName": "links", "type": "datetime", "fieldType": "date"});
    let batch = json!({"inputs": [property]});
    assert_eq!([201, 207].map(|_| say(&mut account, &format!("{path}/batch/create"), &batch).status), [201, 207]);
    let read = json!({"inputs": [{"name": "install_date"}, {"name": "nope"}]});
    let said = say(&mut account, &format!("{path}/batch/read"), &read).said_json();
    assert_eq!((&said["results"][0]["type"], &said["numErrors"]), (&json!("datetime"), &json!(1)));
}

#[test]
fn a_line_tells_a_person_of_each_contact() {
    let mut account = account();
    account.add_contact(&[("firstname", "Ada"), ("first_touch_campaign", "spring"), ("install_date", "2026-03-04")]);
    account.add_contact(&[]);
    assert_eq!(
        account.lines(),
        ["contact 101: Ada · campaign spring · installed 2026-03-04", "contact 102: nobody known"]
    );
}
