//! Whole exchanges with the simulator, as the engine has them, and which settings lead nowhere.

mod deals;
mod merging;
mod people;
mod provisioning;
mod sent;
mod trial;
mod trouble;

use serde_json::{Value, json};

use super::Pipedrive;
use crate::kit::{fixture, refusal};

#[test]
fn settings_that_lead_nowhere_are_refused() {
    let with = |changes: Value| {
        let mut settings = fixture("pipedrive").default;
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => settings.0.shift_remove(name),
                value => settings.0.insert(name.clone(), value.clone()),
            };
        }
        refusal(&Pipedrive, &settings)
    };
    for (changes, message) in [
        (json!({"api_token": "a b"}), "setting `api_token` is empty or holds a space"),
        (json!({"domain": null}), "setting `domain` is missing; it is `acme` if you see Pipedrive at"),
        (json!({"domain": "acme.pipedrive.com"}), "setting `domain` is no company's domain; write `acme` if"),
        (json!({"host": "https://proxy.example"}), "setting `host` is there next to `domain`"),
        (json!({"domain": null, "host": "ftp://x"}), "setting `host` begins with `ftp:`"),
        (json!({"domain": null, "host": "https://x/?y"}), "setting `host` has a query"),
        (json!({"match": "guess"}), "setting `match` must be one of `registration`, `stub`, `referral`"),
        (json!({"deal": "sometimes"}), "setting `deal` must be one of `never`, `referral`, `always`"),
        (json!({"stage": "Fresh"}), "setting `stage` is there although nobody gets a deal; set `deal = \"referral\"`"),
        (json!({"deal": "always", "stage": " Fresh"}), "setting `stage` is empty, has a blank at an end"),
        (json!({"deal_properties": {}}), "setting `deal_properties` is there although nobody gets a deal"),
        (
            json!({"properties": {"Afterclick key": "x"}}),
            "setting `properties` holds `Afterclick key`, by which records",
        ),
        (json!({"properties": {"": "x"}}), "setting `properties` holds a name that is empty"),
        (json!({"properties": {"Plan": "{{ person."}}), "setting `properties` does not compile at `Plan`"),
        (json!({"placeholder_name": "{{ x"}), "setting `placeholder_name` does not compile"),
        (json!({"key_field": ""}), "setting `key_field` is empty"),
        (json!({"search_lag_seconds": 0}), "setting `search_lag_seconds` must be a whole number from 1 to 3600"),
        (json!({"token_share": 101}), "setting `token_share` must be a whole number from 1 to 100"),
    ] {
        let refused = with(changes.clone());
        assert!(refused.starts_with(message), "{changes}: {refused}");
    }
}
