//! What the fixture cannot say: where tokens come from, and what is planned.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::connector::{Call, Means};
use serde_json::Value;

use super::*;
use crate::kit::{NOW, fixture, open, refusal, reply};

const MEANS: Means<'_> = Means { now: NOW, token: None };

fn outlet(case: &str) -> Box<dyn Outlet> {
    let fixture = fixture("snowflake");
    open(&Snowflake, fixture.cases.get(case).unwrap_or(&fixture.default))
}

fn claims(call: &HttpCall) -> Value {
    let token = call.headers.iter().find(|(name, _)| name == "Authorization").unwrap();
    let claims = token.1.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[test]
fn a_key_pair_asks_for_the_host_or_for_a_token_that_is_good_there() {
    let asking = outlet("host-asked-for").authorize(NOW).unwrap();
    assert_eq!(
        (asking.method, &*asking.url),
        ("GET", "https://acme-links.snowflakecomputing.com/v2/streaming/hostname")
    );
    let claims = claims(&asking);
    assert_eq!((&claims["sub"], &claims["exp"]), (&"ACME-LINKS.AFTERCLICK".into(), &(NOW.as_secs() + 3_600).into()));
    let issuer = claims["iss"].as_str().unwrap();
    assert!(issuer.starts_with("ACME-LINKS.AFTERCLICK.SHA256:") && issuer.ends_with('='), "{issuer}");

    let knowing = outlet("").authorize(NOW).unwrap();
    assert_eq!((knowing.method, &*knowing.url), ("POST", "https://acme-links.snowflakecomputing.com/oauth/token"));
    assert!(knowing.body.ends_with(b"&scope=xy12345.ingest.eu-west-1.snowflakecomputing.com"));
}

#[test]
fn the_answer_to_either_is_a_text_or_an_object() {
    for body in ["ingest.example", r#"{"hostname":"ingest.example"}"#, r#""ingest.example""#] {
        let token = outlet("host-asked-for").token(&reply(200, &[], body)).unwrap();
        assert_eq!(token.extra.as_deref(), Some("ingest.example"), "{body}");
    }
    for body in ["ver:1-x", r#"{"token":"ver:1-x"}"#, r#"{"access_token":"ver:1-x","expires_in":600}"#] {
        let token = outlet("").token(&reply(200, &[], body)).unwrap();
        assert_eq!(token.secret.expose(), "ver:1-x", "{body}");
    }
    for body in ["<html>hello</html>", "", "a b", r#"{"other":"x"}"#] {
        assert!(matches!(outlet("").token(&reply(200, &[], body)), Err(Verdict::Pause { .. })), "{body}");
    }
}

/// The statements that are planned after an answer like this.
fn planned(status: u16, body: &Value) -> Result<Vec<String>, String> {
    let actions = outlet("").plan(&MEANS, &[reply(status, &[], body.to_string())])?;
    let statement = |action: Action| match action.call {
        Call::Http(call) => {
            serde_json::from_slice::<Value>(&call.body).unwrap()["statement"].as_str().unwrap().to_owned()
        }
        call => panic!("{call:?}"),
    };
    Ok(actions.into_iter().map(statement).collect())
}

#[test]
fn a_table_is_made_or_gets_what_it_lacks_or_is_left_alone() {
    let missing =
        json!({"code": "002003", "message": "SQL compilation error: Table 'X' does not exist or not authorized."});
    let created = planned(422, &missing).unwrap();
    let expect =
        "CREATE TABLE IF NOT EXISTS \"LINKS\".\"PUBLIC\".\"DEEP_LINK_EVENTS\" (\"EVENT_ID\" VARCHAR NOT NULL, ";
    assert!(created.len() == 1 && created[0].starts_with(expect), "{created:?}");
    assert!(created[0].ends_with("\"DATA\" VARIANT NOT NULL) ENABLE_SCHEMA_EVOLUTION = TRUE"), "{created:?}");

    let layout = Layout::read_for(&fixture("snowflake").default, Manner { time: |at| at.to_string(), whole: &DATA });
    let all: Vec<_> = layout.unwrap().names.iter().map(|name| json!([name.to_uppercase(), "VARCHAR"])).collect();
    assert_eq!(planned(200, &json!({"data": all})), Ok(Vec::new()));
    assert_eq!(
        planned(200, &json!({"data": all[1..]})).unwrap(),
        ["ALTER TABLE \"LINKS\".\"PUBLIC\".\"DEEP_LINK_EVENTS\" ADD COLUMN \"EVENT_ID\" VARCHAR"]
    );
    assert_eq!(planned(202, &json!({})), Err("Snowflake is still at the question; try again".to_owned()));
    let refusal = planned(401, &json!({"code": "390144", "message": "JWT token is invalid."}));
    assert_eq!(refusal, Err("Snowflake says: 390144: JWT token is invalid.".to_owned()));
}

#[test]
fn settings_that_lead_nowhere_are_refused() {
    let with = |name: &str, value: &str| {
        let mut settings = fixture("snowflake").default;
        settings.0.insert(name.to_owned(), value.into());
        refusal(&Snowflake, &settings)
    };
    assert!(with("account", "https://x").starts_with("setting `account` is not the name of an account"));
    assert!(with("private_key", "nonsense").starts_with("setting `private_key` is no private key in PEM"));
    assert!(with("private_key", crate::auth::jwt::tests::EC_PEM).contains("is an elliptic key"));
    assert!(with("ingest_host", "host/path").starts_with("setting `ingest_host` is not"));
}

#[test]
fn an_amount_that_its_column_cannot_hold_is_a_dead_letter_and_takes_nobody_with_it() {
    let event = |revenue: f64| {
        let mut event = crate::kit::event("link.conversion");
        let mut body: Value = serde_json::from_slice(&event.body).unwrap();
        body["data"]["revenue"] = json!(revenue);
        event.body = body.to_string().into();
        event
    };
    let step = |events: &[domain::Event]| {
        let described = |batch: &Batch<'_>| crate::kit::described(&outlet("").prepare(batch, &mut Progress::default()));
        crate::kit::with_batch(events, false, described).remove(0)
    };
    let too_much = "`revenue` is -2e+20, and column `REVENUE` of type NUMBER(18, 4)";
    assert!(step(&[event(1.0), event(-2e20)]).starts_with("split, alone: reject refused"));
    assert!(step(&[event(-2e20)]).contains(too_much), "{}", step(&[event(-2e20)]));
    assert!(step(&[event(1.0), event(99_999_999_999_999.0)]).starts_with("send POST"));
}
