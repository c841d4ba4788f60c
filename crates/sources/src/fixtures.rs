//! Every file under `fixtures/<sender>/` is a test: a body, and what its sender's file makes of it.

use std::path::Path;

use domain::Settings;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Deserialize)]
struct Fixture {
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    expect: Value,
}

fn read(dialect: &dyn Dialect, fixture: &Fixture) -> Value {
    dialect.manifest().check(&fixture.settings).unwrap();
    dialect.validate(&fixture.settings).unwrap();
    let header = |(name, value): (&String, &String)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    let headers: HeaderMap = fixture.headers.iter().map(header).collect();
    match dialect.read(&headers, fixture.body.as_bytes(), &fixture.settings) {
        Ok(envelope) => json!({
            "type": envelope.event_type,
            "occurred_at": envelope.occurred_at,
            "sender_id": envelope.sender_id,
        }),
        Err(error) => json!({ "error": error.code() }),
    }
}

#[test]
fn every_fixture_reads_as_it_says() {
    for dialect in ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(dialect.manifest().name);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let fixture: Fixture = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(read(*dialect, &fixture), fixture.expect, "{}", path.display());
            count += 1;
        }
        assert!(count > 0, "`{}` has no fixture", dialect.manifest().name);
    }
}

#[test]
fn senders_are_found_by_name() {
    for dialect in ALL {
        assert_eq!(by_name(dialect.manifest().name).unwrap().manifest().name, dialect.manifest().name);
    }
    assert!(by_name("nope").is_none());
}

#[test]
fn a_body_that_is_not_utf8_is_not_json() {
    for dialect in ALL {
        let error = dialect.read(&HeaderMap::new(), b"{\"event\":\"\xff\"}", &Settings::default()).unwrap_err();
        assert_eq!(error.code(), "body_not_json");
    }
}

#[test]
fn settings_of_a_generic_sender_are_checked() {
    let generic = by_name("generic").unwrap();
    let check = |name: &str, value: Value| {
        let settings = Settings([(name.to_owned(), value)].into_iter().collect());
        generic.manifest().check(&settings).and_then(|()| generic.validate(&settings)).map_err(|e| e.to_string())
    };
    assert_eq!(check("signature_header", json!("X-Acme-Signature")), Ok(()));
    assert_eq!(check("tolerance_seconds", json!(86_400)), Ok(()));
    for (name, value) in [
        ("signature_header", json!("not a header")),
        ("signature_header", json!("")),
        ("type_pointer", json!("event")),
        ("time_pointer", json!("")),
        ("id_pointer", json!("/".repeat(257))),
        ("tolerance_seconds", json!(0)),
        ("tolerance_seconds", json!(86_401)),
        ("typo", json!("x")),
    ] {
        assert!(check(name, value.clone()).unwrap_err().starts_with(&format!("setting `{name}` ")), "{name}: {value}");
    }
}

#[test]
fn a_generic_sender_signs_under_its_own_headers() {
    use domain::signature::{Scheme, Signing};

    let generic = by_name("generic").unwrap();
    let settings = Settings(
        [("signature_header".to_owned(), json!("X-Acme-Signature")), ("tolerance_seconds".to_owned(), json!(60))]
            .into_iter()
            .collect(),
    );
    let signing = generic.signing(Scheme::StandardWebhooks, &settings);
    let default = Signing::default_for(Scheme::StandardWebhooks);
    assert_eq!(signing.signature_header, "x-acme-signature");
    assert_eq!(signing.timestamp_header, default.timestamp_header);
    assert_eq!(signing.tolerance, std::time::Duration::from_mins(1));
    assert_eq!(generic.signing(Scheme::StandardWebhooks, &Settings::default()), default);
}

#[test]
fn a_source_says_what_it_means_by_a_referral() {
    use domain::identity::ReferralCreated;

    for dialect in ALL {
        let meaning = |settings: Value| {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            dialect.manifest().check(&settings).map(|()| dialect.referral_created(&settings)).ok()
        };
        assert_eq!(meaning(json!({})), Some(ReferralCreated::Shown));
        let field = dialect.manifest().fields.iter().find(|field| field.name == "referral_created").unwrap();
        assert_eq!(field.default, Some("shown"), "it is shown as what holds");
        assert_eq!(meaning(json!({ "referral_created": "shown" })), Some(ReferralCreated::Shown));
        assert_eq!(meaning(json!({ "referral_created": "code" })), Some(ReferralCreated::Code));
        assert_eq!(meaning(json!({ "referral_created": "sign_up" })), Some(ReferralCreated::SignUp));
        assert_eq!(meaning(json!({ "referral_created": "both" })), None);
    }
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>, text in r#"[\[\]{}",:\\a1 ]{0,60}"#, pointer in "(/[a1~]{0,2}){1,3}") {
        let settings = Settings([("type_pointer".to_owned(), json!(pointer))].into_iter().collect());
        for dialect in ALL {
            for body in [body.as_slice(), text.as_bytes(), format!(r#"{{"event":{text},"a":{text}}}"#).as_bytes()] {
                let _ = dialect.read(&HeaderMap::new(), body, &settings);
            }
        }
    }

    #[test]
    fn what_is_read_is_what_json_says(event in "[a-z.]{1,20}", id in ".{1,20}", millis in 0..=domain::Timestamp::MAX.as_millis()) {
        let at = domain::Timestamp::from_millis(millis);
        let body = json!({ "event": event, "timestamp": at, "data": {}, "id": id }).to_string();
        let envelope = by_name("tolinku").unwrap().read(&HeaderMap::new(), body.as_bytes(), &Settings::default()).unwrap();
        prop_assert_eq!(envelope.event_type.as_str(), event);
        prop_assert_eq!(envelope.occurred_at, Some(at));
        prop_assert_eq!(envelope.sender_id, Some(id));
    }
}
