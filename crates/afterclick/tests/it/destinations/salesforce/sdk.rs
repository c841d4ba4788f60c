//! `jsforce`, the client that Salesforce keeps, and Afterclick say the same: every call that Afterclick makes is made once more with it, to
//! another organisation that is simulated, and both the requests and what becomes of the organisations are held against each other.

use serde_json::{Value, json};
use url::Url;
use vendors::salesforce::Salesforce;
use vendors::{Faults, Request, Simulator, Vendor as _};

use super::super::person::{again, claim, completion, event, install, start, wait_until_everything_is_delivered};
use super::{DESTINATION, setup};

#[test]
fn requests_are_what_jsforce_would_have_sent() {
    let Some(sdk) = peers::SalesforceSdk::start() else { return };
    let organisation = || Salesforce::new().without_limit().start(Faults::none());
    let (ours, theirs) = (organisation(), organisation());
    let setup = setup(&ours, &[("conversion", "convert")]);
    let server = start(&setup);
    server.run(&["destinations", "provision", "salesforce", "--yes"]).ended(0);
    for envelopes in [
        json!([completion(1), install(1), install(2)]),
        json!([again(&completion(1))]),
        json!([install(3), event_of_user(3)]),
        json!([claim(3)]),
    ] {
        server.publish(&envelopes);
        wait_until_everything_is_delivered(&server, DESTINATION);
    }
    server.stop();

    let sent = requests(&ours);
    let calls: Vec<_> = sent.iter().map(as_a_call).collect();
    for kind in ["describe", "toolingQuery", "query", "createField", "upsert", "update", "post", "merge"] {
        assert!(calls.iter().any(|call| call["call"] == kind), "no `{kind}` was made");
    }
    let answers = sdk.call(&theirs.url(), "consumer-key", "consumer-secret", &calls).unwrap();
    let refused: Vec<_> = answers.iter().filter(|answer| answer["refused"].is_string()).collect();
    assert!(refused.is_empty(), "{refused:?}");

    let made = requests(&theirs);
    assert_eq!(sent.len(), made.len());
    for (our, their) in sent.iter().zip(&made) {
        assert_eq!((&our.method, path(our)), (&their.method, path(their)));
        if is_soap(our) {
            assert_eq!(elements(our), elements(their));
            continue;
        }
        assert_eq!(our.json().unwrap_or_default(), their.json().unwrap_or_default(), "{}", our.target);
        assert_eq!(our.parameters(), their.parameters(), "{}", our.target);
        assert!(our.bearer().is_some() && their.bearer().is_some());
        let media =
            |request: &Request| request.header("content-type").map(|it| it.split(';').next().unwrap().to_owned());
        assert!(our.method == "GET" || media(our) == media(their), "{:?} {:?}", media(our), media(their));
    }
    let lines = |simulator: &Simulator<Salesforce>| {
        simulator.vendor(|org| (org.lines(), org.records("Contact"), org.merges().to_vec(), org.conversions().to_vec()))
    };
    assert_eq!(lines(&ours), lines(&theirs));
}

fn event_of_user(n: usize) -> Value {
    let data =
        json!({"user_id": format!("user-{n}"), "referrer_id": "user-abc123", "referred_user_id": format!("user-{n}")});
    event("referral.created", 20, &data)
}

/// Everything but what is asked for a token.
fn requests(simulator: &Simulator<Salesforce>) -> Vec<Request> {
    let is_call = |request: &Request| !request.path().starts_with("/services/oauth2/");
    simulator.book(|book| book.received.iter().map(|received| received.request.clone()).filter(is_call).collect())
}

fn path(request: &Request) -> &str {
    request.path().trim_end_matches('/')
}

fn is_soap(request: &Request) -> bool {
    path(request).starts_with("/services/Soap/")
}

/// What a SOAP call says, prefixes and wrappers apart: the session differs, as do the names that nobody looks at.
fn elements(request: &Request) -> Vec<String> {
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    let leaves = text.split('<').filter_map(|part| part.split_once('>')).filter(|(_, text)| !text.trim().is_empty());
    let local = |tag: &str| tag.split(' ').next().unwrap_or(tag).rsplit(':').next().unwrap_or(tag).to_owned();
    let leaves = leaves.map(|(tag, text)| format!("{}={}", local(tag), text.trim()));
    leaves.filter(|leaf| !leaf.starts_with("sessionId=") && !leaf.starts_with("?xml")).collect()
}

/// One of our requests as a call of the client's.
fn as_a_call(request: &Request) -> Value {
    let base = "/services/data/v66.0/";
    let query = request.parameter("q");
    if is_soap(request) {
        let merge = elements(request);
        let all = |name: &str| -> Vec<String> {
            merge.iter().filter_map(|leaf| leaf.strip_prefix(&format!("{name}="))).map(str::to_owned).collect()
        };
        let [object, master] = ["type", "Id"].map(|name| all(name).pop().unwrap());
        let request =
            json!({"masterRecord": {"type": object, "Id": master}, "recordToMergeIds": all("recordToMergeIds")});
        return json!({"call": "merge", "arguments": [[request]]});
    }
    let url = Url::parse("http://x").unwrap().join(&request.target).unwrap();
    let rest = url.path().strip_prefix(base).unwrap_or_else(|| panic!("{}", request.target));
    let body = request.json().unwrap_or_default();
    let records = || -> Value {
        let record = |record: &Value| {
            let mut record = record.clone();
            if let Some(id) = record.as_object_mut().unwrap().remove("id") {
                record["Id"] = id;
            }
            record
        };
        body["records"].as_array().unwrap().iter().map(record).collect()
    };
    let parts: Vec<_> = rest.split('/').collect();
    let (call, arguments) = match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["sobjects", object, "describe"]) => ("describe", json!([object])),
        ("GET", ["query"]) => ("query", json!([query])),
        ("GET", ["tooling", "query"]) => ("toolingQuery", json!([query])),
        ("POST", ["tooling", "sobjects", "CustomField"]) => ("createField", json!([body])),
        ("PATCH", ["composite", "sobjects", object, key]) => ("upsert", json!([object, records(), key])),
        ("PATCH", ["composite", "sobjects"]) => {
            let object = body["records"][0]["attributes"]["type"].clone();
            ("update", json!([object, records()]))
        }
        ("POST", _) => ("post", json!([format!("/{rest}"), body])),
        _ => panic!("{} {}", request.method, request.target),
    };
    json!({"call": call, "arguments": arguments})
}
