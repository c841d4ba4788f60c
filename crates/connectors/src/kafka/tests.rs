//! What only Kafka asks for.

use domain::Settings;
use domain::connector::{Call, Progress, Step};
use serde_json::json;

use super::*;
use crate::kit::{Variant, event_with, refusal, with_batch};

fn settings(changes: serde_json::Value) -> Settings {
    let mut settings: Settings = serde_json::from_value(json!({"brokers": ["kafka.example.com"]})).unwrap();
    if let serde_json::Value::Object(changes) = changes {
        settings.0.extend(changes);
    }
    settings
}

fn key(setting: &str, variant: Variant) -> Option<String> {
    let topics = Kafka.open(&settings(json!({"key": setting}))).unwrap();
    let event = event_with("link.clicked", variant);
    let step = with_batch(std::slice::from_ref(&event), false, |batch| topics.prepare(batch, &mut Progress::default()));
    let Step::Send(Call::Records(call)) = step else { panic!("{step:?}") };
    call.records[0].key.clone().map(|key| key.replace(&event.id.to_string(), "own id"))
}

#[test]
fn a_key_is_the_subject_the_link_or_the_event_itself() {
    assert_eq!(key("subject", Variant::Full).as_deref(), Some("user:user_789"));
    assert_eq!(key("subject", Variant::Required).as_deref(), Some("own id"));
    assert_eq!(key("link", Variant::Required).as_deref(), Some("lnk_8xKp2mVq"));
    assert_eq!(key("event", Variant::Full).as_deref(), Some("own id"));
}

#[test]
fn half_a_login_is_none() {
    for (changes, field) in [
        (json!({"user": "a"}), "password"),
        (json!({"password": "a"}), "user"),
        (json!({"mechanism": "SCRAM-SHA-512"}), "mechanism"),
        (json!({"topic": "{{ data.x }}"}), "topic"),
        (json!({"topic": ""}), "topic"),
        (json!({"brokers": ["kafka://a"]}), "brokers"),
    ] {
        let error = refusal(&Kafka, &settings(changes));
        assert!(error.starts_with(&format!("setting `{field}` ")), "{error}");
    }
}
