//! What only NATS asks for.

use domain::Settings;
use serde_json::json;

use super::*;
use crate::kit::refusal;

fn settings(changes: serde_json::Value) -> Settings {
    let mut settings: Settings = serde_json::from_value(json!({"servers": ["nats.example.com"]})).unwrap();
    if let serde_json::Value::Object(changes) = changes {
        settings.0.extend(changes);
    }
    settings
}

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

#[test]
fn an_event_cannot_choose_to_speak_to_the_server_itself() {
    for subject in [
        "{{ data.x }}",
        "a{{ data.x }}.b",
        "$JS.API.{{ data.x }}",
        "_INBOX.{{ data.x }}",
        "",
        "{% if x %}a.{% endif %}",
    ] {
        let error = refusal(&Nats, &settings(json!({"subject": subject})));
        assert!(error.starts_with("setting `subject` "), "{subject}: {error}");
    }
    for subject in ["events", "events.{{ type }}", "acme.{{ data.campaign }}.x"] {
        assert!(Nats.open(&settings(json!({"subject": subject}))).is_ok(), "{subject}");
    }
}

#[test]
fn there_is_one_login() {
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\neyJ.a.b\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{SEED}\n\
         ------END USER NKEY SEED------\n"
    );
    for login in [
        json!({}),
        json!({"user": "a", "password": "b"}),
        json!({"token": "t"}),
        json!({"nkey_seed": SEED}),
        json!({"credentials": creds}),
    ] {
        assert!(Nats.open(&settings(login.clone())).is_ok(), "{login}");
    }
    for (login, field) in [
        (json!({"user": "a", "token": "t"}), "token"),
        (json!({"password": "b"}), "user"),
        (json!({"nkey_seed": "UDXU4"}), "nkey_seed"),
        (json!({"credentials": SEED}), "credentials"),
    ] {
        let error = refusal(&Nats, &settings(login));
        assert!(error.starts_with(&format!("setting `{field}` ")), "{error}");
    }
}
