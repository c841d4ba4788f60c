use serde_json::json;

use super::*;
use crate::kit::{described, event, fixture, prepare, refusal, request};

fn settings(more: Value) -> Settings {
    fixture("zapier").with(more)
}

fn sent(event_type: &str, more: Value) -> String {
    String::from_utf8(request(&Zapier, &event(event_type), &settings(more)).body.to_vec()).unwrap()
}

#[test]
fn an_event_is_one_flat_object_that_begins_with_what_it_is() {
    let text = sent("ecommerce.purchase", json!({}));
    let begin = r#"{"id":"evt_01KJWM6SZS000000000000001A","event":"ecommerce.purchase","timestamp":"2026-03-04T14:32:08.441Z","source":"tolinku","data__campaign":"#;
    assert!(text.starts_with(begin), "{text}");
    let fields: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert!(fields.values().all(|value| !value.is_object() && !value.is_array()));
    assert_eq!((&fields["data__items__0__quantity"], &fields["data__revenue"]), (&json!(2), &json!(129.5)));
}

#[test]
fn own_fields_are_added_replaced_taken_away_and_flat_too() {
    let more = json!({"properties": {"team": "growth", "data__channel": "{{ data.nope }}", "who": {"id": 1}, "all": "{{ data }}"}});
    let fields: Map<String, Value> = serde_json::from_str(&sent("link.conversion", more)).unwrap();
    assert_eq!(
        (&fields["team"], &fields["who__id"], &fields["all__channel"]),
        (&json!("growth"), &json!(1), &json!("email"))
    );
    assert!(!fields.contains_key("data__channel"));
}

#[test]
fn an_event_of_thousands_of_fields_is_refused() {
    let mut large = event("test");
    let data: Map<_, _> = (0..3_000).map(|n| (format!("f{n}"), json!(n))).collect();
    large.body = json!({"event": "test", "data": data}).to_string().into();
    assert_eq!(
        described(&prepare(&Zapier, &large, &settings(json!({})))),
        ["reject too_large: the event has more than 2000 fields"]
    );
}

#[test]
fn keys_travel_in_headers() {
    let call = request(&Zapier, &event("test"), &fixture("zapier").cases["make"]);
    assert!(call.headers.contains(&("x-make-apikey".to_owned(), "key-of-the-test".to_owned())));
    let call = request(&Zapier, &event("test"), &fixture("zapier").cases["n8n"]);
    assert!(call.headers.contains(&("Authorization".to_owned(), "Bearer abc".to_owned())));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (more, expect) in [
        (json!({"url": "https://n8n.example/webhook-test/abc"}), "setting `url` is a test URL of n8n"),
        (json!({"url": "http://hooks.zapier.com/hooks/catch/1/a/"}), "setting `url` begins with `http:`"),
        (json!({"url": "https://user@n8n.example/webhook/1"}), "setting `url` holds a user name"),
        (json!({"make_apikey": "a b"}), "setting `make_apikey` is empty or holds a space"),
        (json!({"headers": {"Host": "x"}}), "setting `headers` holds `Host`"),
        (json!({"properties": {"a": "{{ nope }}"}}), "setting `properties` does not compile at `a`"),
    ] {
        let error = refusal(&Zapier, &settings(more));
        assert!(error.starts_with(expect), "{error}");
    }
}
