//! Pipedrive's own SDK and Afterclick say the same: every call that Afterclick makes is made once more with the SDK, to another company that
//! is simulated, and both the requests and what becomes of the companies are held against each other.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use vendors::pipedrive::Pipedrive;
use vendors::{Faults, Request, Simulator, Vendor as _};

use super::super::person::{again, claim, completion, install, start, wait_until_everything_is_delivered};
use super::{DESTINATION, STUBS, known_to_sales, setup};

/// Methods of the SDK by method and path, `{id}` in it, with the class and the name of the body's parameter.
const METHODS: &[(&str, &str, &str, &str, &str)] = &[
    ("GET", "v2/personFields", "PersonFieldsApi", "getPersonFields", ""),
    ("POST", "v2/personFields", "PersonFieldsApi", "addPersonField", "AddPersonFieldRequest"),
    ("GET", "v2/dealFields", "DealFieldsApi", "getDealFields", ""),
    ("POST", "v2/dealFields", "DealFieldsApi", "addDealField", "AddDealFieldRequest"),
    ("GET", "v2/pipelines", "PipelinesApi", "getPipelines", ""),
    ("GET", "v2/stages", "StagesApi", "getStages", ""),
    ("GET", "v2/itemSearch/field", "ItemSearchApi", "searchItemByField", ""),
    ("GET", "v2/persons/search", "PersonsApi", "searchPersons", ""),
    ("POST", "v2/persons", "PersonsApi", "addPerson", "AddPersonRequest"),
    ("GET", "v2/persons/{id}", "PersonsApi", "getPerson", ""),
    ("PATCH", "v2/persons/{id}", "PersonsApi", "updatePerson", "UpdatePersonRequest"),
    ("PUT", "v1/persons/{id}/merge", "PersonsApi", "mergePersons", "MergePersonsRequest"),
    ("GET", "v2/deals", "DealsApi", "getDeals", ""),
    ("POST", "v2/deals", "DealsApi", "addDeal", "AddDealRequest"),
    ("GET", "v2/deals/{id}", "DealsApi", "getDeal", ""),
    ("PATCH", "v2/deals/{id}", "DealsApi", "updateDeal", "UpdateDealRequest"),
];
/// Asked for under other settings only, or where there is more to be merged than in this test.
const NOT_MADE: [&str; 1] = ["getDeals"];

/// A company whose search knows at once, so that both see the same.
fn company() -> Simulator<Pipedrive> {
    let mut company = Pipedrive::new().without_limit();
    company.search_lag = Duration::ZERO;
    let simulator = company.start(Faults::none());
    simulator.vendor(|company| known_to_sales(company, 1));
    simulator
}

#[test]
fn requests_are_what_pipedrives_own_sdk_would_have_sent() {
    let Some(sdk) = peers::PipedriveSdk::start() else { return };
    let (ours, theirs) = (company(), company());
    let settings = [STUBS, &[("pipeline", "Pipeline"), ("stage", "Won soon")]].concat();
    let setup = setup(&ours, &settings);
    let server = start(&setup);
    server.run(&["destinations", "provision", "pipedrive", "--yes"]).ended(0);
    for envelopes in [
        json!([install(1), install(2)]),
        json!([claim(1), claim(2)]),
        json!([completion(1), completion(2)]),
        json!([again(&claim(1))]),
    ] {
        server.publish(&envelopes);
        wait_until_everything_is_delivered(&server, DESTINATION);
    }
    let more = json!({"event": "referral.completed", "timestamp": "2026-05-22T09:00:00.000Z",
        "data": {"user_id": "user-1", "referrer_id": "user-abc123", "revenue": 99.5, "currency": "EUR"}});
    server.publish(&more);
    wait_until_everything_is_delivered(&server, DESTINATION);
    server.stop();

    let sent = requests(&ours);
    let calls: Vec<_> = sent.iter().map(as_a_call).collect();
    let made: BTreeSet<_> = calls.iter().map(|call| call["method"].as_str().unwrap().to_owned()).collect();
    let all = METHODS.iter().map(|(_, _, _, name, _)| *name).filter(|name| !NOT_MADE.contains(name));
    let left: Vec<_> = all.filter(|name| !made.contains(*name)).collect();
    assert_eq!(left, [""; 0], "calls of every other kind were made");

    let answers = sdk.call(&theirs.url(), "api-token", &calls).unwrap();
    let refused: Vec<_> = answers.iter().filter(|answer| answer["success"] != true).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let again = requests(&theirs);
    assert_eq!(sent.len(), again.len());
    for (our, their) in sent.iter().zip(&again) {
        assert_eq!((&our.method, our.path()), (&their.method, their.path()));
        assert_eq!(sorted(our), sorted(their), "{}", our.target);
        assert_eq!(our.json().unwrap_or_default(), their.json().unwrap_or_default(), "{}", our.target);
        assert_eq!(our.header("x-api-token"), their.header("x-api-token"));
        let media =
            |request: &Request| request.header("content-type").map(|it| it.split(';').next().unwrap().to_owned());
        assert!(our.method == "GET" || media(our) == media(their), "{:?} {:?}", media(our), media(their));
    }
    let lines = |simulator: &Simulator<Pipedrive>| {
        simulator.vendor(|company| company.people().map(|person| company.look(person)).collect::<Vec<_>>())
    };
    assert_eq!(lines(&ours), lines(&theirs));
}

fn requests(simulator: &Simulator<Pipedrive>) -> Vec<Request> {
    simulator.book(|book| book.received.iter().map(|received| received.request.clone()).collect())
}

fn sorted(request: &Request) -> Vec<(String, String)> {
    let mut parameters = request.parameters();
    parameters.sort();
    parameters
}

fn as_a_call(request: &Request) -> Value {
    let path = request.path().trim_start_matches("/api/");
    let is_id = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let id = path.split('/').find(is_id);
    let pattern = id.map_or_else(|| path.to_owned(), |id| path.replacen(&format!("/{id}"), "/{id}", 1));
    let is_it = |entry: &&(&str, &str, &str, &str, &str)| entry.0 == request.method && entry.1 == pattern;
    let (_, path, api, name, body) =
        METHODS.iter().find(is_it).unwrap_or_else(|| panic!("{} {}", request.method, request.target));
    let mut parameters = Map::new();
    if let Some(id) = id {
        parameters.insert("id".to_owned(), json!(id.parse::<u64>().unwrap()));
    }
    for (name, value) in request.parameters() {
        let value = match value.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) if value == "true" => json!(true),
            Err(_) => json!(value),
        };
        parameters.insert(name, value);
    }
    if !body.is_empty() {
        parameters.insert((*body).to_owned(), request.json().unwrap());
    }
    json!({"version": path.split('/').next(), "api": api, "method": name, "parameters": parameters})
}
