//! Who is trusted with a token and with people's data, and which settings lead nowhere.

use super::*;
use crate::auth::jwt::tests::{EC_PEM, RSA_PEM};
use crate::kit::{fixture, refusal, reply};

fn granted(host: &str, instance: &Value) -> Result<String, String> {
    let mut settings = fixture("salesforce").default;
    settings.0.insert("host".to_owned(), host.into());
    let outlet = open(&Salesforce, &settings);
    let body = json!({
        "access_token": "00D!x", "instance_url": instance, "id": "https://login.salesforce.com/id/00D5g00000AaBbCEAV/0055g00000AaBbCAAV",
    });
    match outlet.token(&reply(200, &[], body.to_string())) {
        Ok(token) => Ok(token.extra.unwrap()),
        Err(Verdict::Pause { message, .. }) => Err(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_token_leads_to_salesforce_and_nowhere_else() {
    let ours = "https://acme.my.salesforce.com";
    let (user, org) = ("0055g00000AaBbCAAV", "00D5g00000AaBbCEAV");
    for (host, named, expect) in [
        (ours, "https://acme.my.salesforce.com", "https://acme.my.salesforce.com/"),
        (ours, "https://eu45.salesforce.com/x?y#z", "https://eu45.salesforce.com/"),
        (ours, "https://acme.my.site.force.com", "https://acme.my.site.force.com/"),
        // A proxy of one's own stays in between.
        ("https://proxy.example", "https://acme.my.salesforce.com", "https://proxy.example/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
    ] {
        assert_eq!(granted(host, &json!(named)), Ok(format!("{expect} {user} {org}")), "{named}");
    }
    for named in [
        "https://evil.example",
        "https://evilsalesforce.com",
        "https://salesforce.com.evil.example",
        "https://acme.my.salesforce.com@evil.example",
        "https://a:b@eu45.salesforce.com",
        "https://acme.my.salesforce.com:8443",
        "http://acme.my.salesforce.com",
        "javascript:alert(1)",
        "",
    ] {
        let message = granted(ours, &json!(named)).unwrap_err();
        assert!(message.contains("names a host that is not Salesforce's"), "{named}: {message}");
    }
    assert_eq!(granted(ours, &Value::Null), Ok(format!("{ours}/ {user} {org}")));
}

#[test]
fn what_was_kept_with_a_token_is_judged_again_where_it_is_used() {
    let outlet = open(&Salesforce, &fixture("salesforce").default);
    let token = Token { secret: "t".into(), valid_for: None, extra: Some("https://evil.example/ 005".to_owned()) };
    let calls = outlet.survey(&Means { now: NOW, token: Some(&token) }).unwrap();
    for call in calls {
        assert!(call.shown().url.starts_with("https://acme.my.salesforce.com/services/data/v66.0/"));
    }
}

#[test]
fn tokens_are_asked_for_in_a_form_or_with_a_short_lived_signature() {
    let fixture = fixture("salesforce");
    let client = open(&Salesforce, &fixture.default).authorize(NOW).unwrap();
    assert_eq!(client.url, "https://acme.my.salesforce.com/services/oauth2/token");
    assert_eq!(client.body, "grant_type=client_credentials&client_id=3MVG9consumer.key&client_secret=consumer-secret");
    let signed = open(&Salesforce, &fixture.cases["jwt-in-a-sandbox"]).authorize(NOW).unwrap();
    let body = String::from_utf8(signed.body.to_vec()).unwrap();
    let claims = body.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let expect = json!({
        "iss": "3MVG9consumer.key", "sub": "afterclick@acme.example.uat", "aud": "https://test.salesforce.com",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 150,
    });
    assert_eq!(claims, expect);
}

#[test]
fn a_signed_login_is_what_the_simulator_takes() {
    let mut world = World::new(&json!({}));
    world.settings.remove("client_secret");
    world.settings.insert("username".to_owned(), json!("afterclick@acme.example"));
    world.settings.insert("private_key".to_owned(), json!(vendors::private_key()));
    assert_eq!(world.deliver(&[person(&["user:1"])]), ["delivered"]);
}

#[test]
fn a_session_is_used_for_a_little_less_than_it_lives() {
    let mut settings = fixture("salesforce").default;
    settings.0.insert("session_minutes".to_owned(), json!(20));
    let token = open(&Salesforce, &settings).token(&reply(200, &[], r#"{"access_token":"00D!x"}"#)).unwrap();
    assert_eq!(token.valid_for, Some(std::time::Duration::from_mins(19)));
}

#[test]
fn whoever_gives_no_token_is_named_and_too_many_are_waited_for() {
    let outlet = open(&Salesforce, &fixture("salesforce").default);
    let refused = |error: &str, description: &str| {
        let body = json!({"error": error, "error_description": description}).to_string();
        outlet.token(&reply(400, &[], body)).unwrap_err()
    };
    for error in ["invalid_client_id", "invalid_client", "invalid_grant", "inactive_user"] {
        let Verdict::Pause { message, .. } = refused(error, "x") else { panic!("{error}") };
        let expect =
            format!("Salesforce gave no token and answered 400 ({error}: x); have an administrator of Salesforce see");
        assert!(message.starts_with(&expect), "{message}");
    }
    assert!(matches!(refused("rate_limit_exceeded", "x"), Verdict::Wait { .. }));
}

#[test]
fn settings_that_lead_nowhere_are_refused_with_what_to_write() {
    let without = |name: &str| {
        let mut settings = fixture("salesforce").default;
        settings.0.remove(name);
        refusal(&Salesforce, &settings)
    };
    let with = |more: &Value| {
        let mut settings = fixture("salesforce").default;
        settings.0.extend(more.as_object().unwrap().clone());
        refusal(&Salesforce, &settings)
    };
    let jwt = |more: &Value| {
        let mut settings = fixture("salesforce").default;
        settings.0.remove("client_secret");
        settings.0.extend(more.as_object().unwrap().clone());
        refusal(&Salesforce, &settings)
    };
    assert!(without("host").starts_with("setting `host` is missing"));
    assert!(without("client_secret").starts_with("setting `client_secret` is missing; it is the consumer secret"));
    for (settings, expect) in [
        (json!({"host": "https://login.salesforce.com"}), "setting `host` is `login.salesforce.com`, where this login"),
        (
            json!({"host": "https://acme.lightning.force.com/x"}),
            "setting `host` is `acme.lightning.force.com`, which is for",
        ),
        (
            json!({"host": "acme.my.salesforce.com"}),
            "setting `host` does not begin with `https://`; write your My Domain, like `https://acme.my.salesforce.com`",
        ),
        (json!({"client_id": "a b"}), "setting `client_id` is empty or holds a space"),
        (json!({"username": "x"}), "setting `client_secret` is there together with"),
        (json!({"api_version": "latest"}), "setting `api_version` is no version of the API; write it like `66.0`"),
        (json!({"api_version": "66.1"}), "setting `api_version` is no version"),
        (json!({"object": "Account"}), "setting `object` must be one of"),
        (json!({"object": "Contact", "conversion": "convert"}), "setting `conversion` is `convert`, but only a lead"),
        (json!({"conversion": "convert", "converted_status": " "}), "setting `converted_status` is empty"),
        (json!({"key_field": "Key__c/../x"}), "setting `key_field` names `Key__c/../x`, which is not the API name"),
        (json!({"properties": {"Owner.Name": "x"}}), "setting `properties` names `Owner.Name`, which is not"),
        (json!({"properties": {"id": "x"}}), "setting `properties` names `id`, which is not"),
        (json!({"properties": {"attributes": {}}}), "setting `properties` names `attributes`"),
        (
            json!({"properties": {"afterclick_key__c": "x"}}),
            "setting `properties` holds `afterclick_key__c`, which is our key",
        ),
        (json!({"properties": {"Plan__c": "a", "plan__c": "b"}}), "setting `properties` holds `plan__c` twice"),
        (json!({"on_create": {"Status": "{{ nope"}}), "setting `on_create` does not compile at `Status`"),
        (json!({"session_minutes": 5}), "setting `session_minutes` must be a whole number from 15 to 1440"),
    ] {
        let message = with(&settings);
        assert!(message.starts_with(expect), "{message}");
    }
    assert!(jwt(&json!({"username": "x"})).starts_with("setting `private_key` is missing"));
    assert!(jwt(&json!({"private_key": RSA_PEM})).starts_with("setting `username` is missing"));
    assert!(jwt(&json!({"username": "x", "private_key": "x"})).starts_with("setting `private_key` is no private key"));
    assert!(jwt(&json!({"username": "x", "private_key": EC_PEM})).contains("is an elliptic key"));
}
