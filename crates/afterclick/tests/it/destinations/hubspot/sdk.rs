//! `HubSpot`'s own SDK and Afterclick say the same: every call that Afterclick makes is made once more with the SDK, to another account that
//! is simulated, and both the requests and what becomes of the accounts are held against each other.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vendors::hubspot::HubSpot;
use vendors::{Faults, Request, Simulator, Vendor as _};

use super::super::person::{again, claim, completion, install, start, wait_until_everything_is_delivered};
use super::{DESTINATION, STUBS, setup};

/// The methods of the SDK, by the ends of the paths that they stand for.
const METHODS: &[(&str, &str, &str)] = &[
    ("GET", "properties/contacts/groups", "crm.properties.groupsApi.getAll"),
    ("POST", "properties/contacts/groups", "crm.properties.groupsApi.create"),
    ("POST", "properties/contacts/batch/read", "crm.properties.batchApi.read"),
    ("POST", "properties/contacts/batch/create", "crm.properties.batchApi.create"),
    ("POST", "objects/contacts/batch/upsert", "crm.contacts.batchApi.upsert"),
    ("POST", "objects/contacts/batch/read", "crm.contacts.batchApi.read"),
    ("POST", "objects/contacts/batch/update", "crm.contacts.batchApi.update"),
    ("POST", "objects/contacts/merge", "crm.contacts.basicApi.merge"),
];

fn account() -> Simulator<HubSpot> {
    let simulator = HubSpot::new().without_limit().start(Faults::none());
    simulator.vendor(|account| account.add_contact(&[("email", "person-1@example.org")]));
    simulator
}

#[test]
fn requests_are_what_hubspots_own_sdk_would_have_sent() {
    let Some(sdk) = peers::HubSpotSdk::start() else { return };
    let (ours, theirs) = (account(), account());
    let setup = setup(&ours, STUBS);
    let server = start(&setup);
    server.run(&["destinations", "provision", "hubspot", "--yes"]).ended(0);
    for envelopes in
        [json!([completion(1), install(1), install(2)]), json!([claim(1), claim(2)]), json!([again(&claim(1))])]
    {
        server.publish(&envelopes);
        wait_until_everything_is_delivered(&server, DESTINATION);
    }
    server.stop();

    let sent = requests(&ours);
    let calls: Vec<_> = sent.iter().map(as_a_call).collect();
    let made: BTreeSet<_> = calls.iter().map(|call| call["method"].as_str().unwrap().to_owned()).collect();
    assert_eq!(made, METHODS.iter().map(|(.., name)| (*name).to_owned()).collect(), "every kind of call was made");

    let answers = sdk.call(&theirs.url(), "access-token", &calls).unwrap();
    let refused: Vec<_> = answers.iter().filter(|answer| answer["refused"].is_number()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let again = requests(&theirs);
    assert_eq!(sent.len(), again.len());
    for (our, their) in sent.iter().zip(&again) {
        assert_eq!((&our.method, path(our)), (&their.method, path(their)));
        assert_eq!(our.json().unwrap_or_default(), their.json().unwrap_or_default(), "{}", our.target);
        assert_eq!(our.header("authorization"), their.header("authorization"));
        let media =
            |request: &Request| request.header("content-type").map(|it| it.split(';').next().unwrap().to_owned());
        assert!(our.method == "GET" || media(our) == media(their), "{:?} {:?}", media(our), media(their));
    }
    assert_eq!(ours.vendor(|account| account.lines()), theirs.vendor(|account| account.lines()));
}

fn requests(simulator: &Simulator<HubSpot>) -> Vec<Request> {
    simulator.book(|book| book.received.iter().map(|received| received.request.clone()).collect())
}

/// Where a request goes, whatever the version: the SDK still has the one with a number, and says it in another place.
fn path(request: &Request) -> String {
    let path = request.target.trim_start_matches("/crm/").replace("v3/", "").replace("2026-09/", "");
    path.trim_end_matches('?').to_owned()
}

fn as_a_call(request: &Request) -> Value {
    let path = path(request);
    let is_it = |(method, end, _): &&(&str, &str, &str)| *method == request.method && *end == path;
    let (.., name) = METHODS.iter().find(is_it).unwrap_or_else(|| panic!("{} {path}", request.method));
    let mut arguments = Vec::new();
    if path.starts_with("properties/") {
        arguments.push(json!("contacts"));
    }
    if request.method == "POST" {
        arguments.push(request.json().unwrap());
    }
    json!({"method": name, "arguments": arguments})
}
