//! Whole exchanges with the simulator, as the engine has them, and which settings lead nowhere.

mod accounts;
mod by_hand;
mod conflicts;
mod emptied;
mod flows;
mod hostile;
mod provisioning;
mod sent;
mod trial;

use serde_json::json;

use super::*;
use crate::kit::{fixture, refusal};

#[test]
fn settings_that_lead_nowhere_are_refused() {
    let with = |name: &str, value: Value| {
        let mut settings = fixture("hubspot").default;
        settings.0.insert(name.to_owned(), value);
        refusal(&HubSpot, &settings)
    };
    assert!(with("access_token", json!("a b")).starts_with("setting `access_token` is empty or holds a space"));
    assert!(
        with("api_version", json!("v3"))
            .starts_with("setting `api_version` is no version that is spoken here; write a date like `2026-09`")
    );
    assert!(with("host", json!("ftp://x")).starts_with("setting `host` begins with `ftp:`"));
    assert!(with("key_property", json!("Person Key")).starts_with("setting `key_property` is no internal name"));
    assert!(
        with("match", json!("guess")).starts_with("setting `match` must be one of `registration`, `stub`, `referral`")
    );
    assert!(with("date_properties", json!("epoch")).starts_with("setting `date_properties` must be one of"));
    assert!(
        with("stub_name", json!("Deep Link"))
            .starts_with("setting `stub_name` is there although `match` is not `stub`")
    );
    assert!(with("lifecycle", json!("yes")).starts_with("setting `lifecycle` must be `true` or `false`"));
    let properties = |properties: Value| with("properties", properties);
    assert!(
        properties(json!({"First Touch": "x"})).starts_with("setting `properties` holds `First Touch`; internal names")
    );
    assert!(properties(json!({"afterclick_person_key": "x"})).contains("by which contacts are told"));
    assert!(
        properties(json!({"company": "{{ person."})).starts_with("setting `properties` does not compile at `company`")
    );
}
