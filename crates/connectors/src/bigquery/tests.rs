//! What the fixture cannot say: what is planned, and which settings lead nowhere.

use domain::connector::{Call, Means};
use serde_json::{Value, json};

use super::*;
use crate::kit::{NOW, fixture, open, refusal, reply};

/// The method and body of each action that is planned after an answer like this.
fn planned(status: u16, body: &Value) -> Result<Vec<(&'static str, Value)>, String> {
    let means = Means { now: NOW, token: None };
    let outlet = open(&BigQuery, &fixture("bigquery").default);
    let actions = outlet.plan(&means, &[reply(status, &[], body.to_string())])?;
    let call = |action: Action| match action.call {
        Call::Http(call) => (call.method, serde_json::from_slice(&call.body).unwrap()),
        call => panic!("{call:?}"),
    };
    Ok(actions.into_iter().map(call).collect())
}

fn not_found(what: &str) -> Value {
    json!({"error": {"code": 404, "message": format!("Not found: {what}"), "errors": [{"reason": "notFound"}]}})
}

#[test]
fn a_table_is_made_or_gets_what_it_lacks_or_is_left_alone() {
    let made = planned(404, &not_found("Table acme:links.deep_link_events")).unwrap();
    let [("POST", table)] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(table["schema"]["fields"][0], json!({"name": "event_id", "type": "STRING", "mode": "REQUIRED"}));
    assert_eq!(table["schema"]["fields"][18], json!({"name": "data", "type": "JSON", "mode": "REQUIRED"}));
    assert_eq!(table["timePartitioning"], json!({"type": "DAY", "field": "occurred_at"}));

    let fields = table["schema"]["fields"].as_array().unwrap();
    assert_eq!(planned(200, &json!({"schema": {"fields": fields}})), Ok(Vec::new()));
    let lacking = planned(200, &json!({"schema": {"fields": fields[1..]}})).unwrap();
    let [("PATCH", patch)] = lacking.as_slice() else { panic!("{lacking:?}") };
    let patched = patch["schema"]["fields"].as_array().unwrap();
    assert_eq!(patched[..18], fields[1..], "what is there stays as it is");
    assert_eq!(patched[18], json!({"name": "event_id", "type": "STRING", "mode": "NULLABLE"}));
}

#[test]
fn a_dataset_is_not_made_because_its_region_is_for_ever() {
    let message = planned(404, &not_found("Dataset acme:links")).unwrap_err();
    assert!(
        message
            .starts_with("there is no dataset `acme.links` (Not found: Dataset acme:links); create it in the region")
    );
    assert_eq!(planned(403, &json!({"error": {"message": "no"}})), Err("BigQuery says: no".to_owned()));
}

#[test]
fn settings_that_lead_nowhere_are_refused() {
    let with = |name: &str, value: &str| {
        let mut settings = fixture("bigquery").default;
        settings.0.insert(name.to_owned(), value.into());
        refusal(&BigQuery, &settings)
    };
    assert!(with("service_account", "key.json").starts_with("setting `service_account` is not the key file"));
    assert!(
        with("service_account", r#"{"client_email":"a","private_key":"b","token_uri":"c"}"#).contains("private_key")
    );
    assert!(with("dataset", "a.b").starts_with("setting `dataset` is no name"));
    assert!(with("url", "ftp://x").starts_with("setting `url` begins with `ftp:`"));
}
