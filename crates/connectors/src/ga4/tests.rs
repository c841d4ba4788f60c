use std::time::Duration;

use domain::Event;
use vendors::Book;

use super::*;
use crate::kit::{self, Variant, described, event_with, fixture, open, refusal};
use crate::tracking::trial::deliver;

fn look_alike() -> vendors::ga4::Ga4 {
    vendors::ga4::Ga4 {
        epoch: Duration::from_millis(kit::NOW.as_millis().cast_unsigned()),
        measurement_id: "G-ABCDE12345".to_owned(),
        api_secret: "secret-of/the stream".replace(' ', "-"),
    }
}

fn about(data: &Value) -> Event {
    let event = kit::event("link.opened");
    let body = json!({"event": "link.opened", "timestamp": kit::NOW, "data": data}).to_string();
    Event { body: body.into(), ..event }
}

fn sent(settings: &Settings, event: &Event) -> Value {
    serde_json::from_slice(&kit::request(&Ga4, event, settings).body).unwrap()
}

#[test]
fn nothing_that_is_sent_is_dropped_without_a_word_whatever_is_in_it() {
    let outlet = open(&Ga4, &fixture("ga4").default);
    for kind in domain::catalogue::ALL {
        for variant in Variant::ALL {
            let (mut vendor, mut book) = (look_alike(), Book::default());
            let verdicts = deliver(&*outlet, &[event_with(kind.event_type, variant)], &mut vendor, &mut book);
            assert_eq!(verdicts, [Verdict::Delivered]);
            assert!(book.lost.is_empty() && book.flagged.is_empty(), "{}: {book:#?}", kind.event_type);
            assert_eq!(book.stored.len(), 1);
        }
    }
}

#[test]
fn an_event_that_google_would_drop_for_its_age_is_skipped() {
    let settings = fixture("ga4").default;
    let back = |hours| Event { occurred_at: kit::NOW - Duration::from_hours(hours), ..about(&json!({})) };
    assert!(matches!(kit::prepare(&Ga4, &back(71), &settings), Step::Send(_)));
    let step = kit::prepare(&Ga4, &back(73), &settings);
    assert_eq!(described(&step), ["skip: it is older than the 72 hours that Google Analytics looks back"]);
}

#[test]
fn nothing_that_tells_who_somebody_is_becomes_a_parameter() {
    let data = json!({
        "email": "ada@example.org", "name": "Ada Lovelace", "phone": "+4930123456", "ip": "192.0.2.1", "campaign": "c",
        "user_agent": "Mozilla/5.0",
    });
    let body = sent(&fixture("ga4").default, &about(&data)).to_string();
    for secret in ["ada@", "Lovelace", "4930123456", "192.0.2.1", "Mozilla"] {
        assert!(!body.contains(secret), "{body}");
    }
}

#[test]
fn who_it_was_is_what_google_knows_or_else_made_up() {
    let settings = fixture("ga4").default;
    assert_eq!(sent(&settings, &about(&json!({"ga_client_id": "123.456"})))["client_id"], "123.456");
    assert_eq!(sent(&settings, &about(&json!({"install_id": "i1"})))["client_id"], "i1");
    assert_eq!(sent(&settings, &about(&json!({"ip": "192.0.2.1"})))["client_id"].as_str().unwrap().len(), 32);
    let app = fixture("ga4").cases.remove("an-app").unwrap();
    assert_eq!(sent(&app, &about(&json!({"app_instance_id": "a1"})))["app_instance_id"], "a1");
    let step = kit::prepare(&Ga4, &about(&json!({})), &app);
    assert!(described(&step)[0].starts_with("skip: the event names no `app_instance_id`"));
}

#[test]
fn parameters_are_kept_within_googles_limits() {
    let mut settings = fixture("ga4").default;
    let many: serde_json::Map<_, _> = (0..40).map(|n| (format!("p{n}"), json!("x".repeat(150)))).collect();
    settings.0.insert("params".to_owned(), many.into());
    let body = sent(&settings, &about(&json!({"campaign": "c"})));
    let params = body["events"][0]["params"].as_object().unwrap();
    assert_eq!(params.len(), 25);
    assert!(params.values().filter_map(Value::as_str).all(|value| value.chars().count() <= 100));
}

#[test]
fn what_the_destination_asked_for_is_never_what_there_is_no_room_for() {
    let mut settings = fixture("ga4").default;
    settings.0.insert("params".to_owned(), json!({"plan": "pro", "campaign": "mine", "country": null, "shop": "b"}));
    let full = event_with("ecommerce.purchase", Variant::Full);
    let body = sent(&settings, &full);
    let params = &body["events"][0]["params"];
    assert_eq!((&params["plan"], &params["shop"], &params["campaign"]), (&json!("pro"), &json!("b"), &json!("mine")));
    assert!(params["country"].is_null(), "{params}");
    for kept in ["transaction_id", "value", "currency", "items", "session_id"] {
        assert!(!params[kept].is_null(), "{kept}: {params}");
    }
    assert!(params.as_object().unwrap().len() <= 25);
}

#[test]
fn no_url_and_no_name_of_a_campaign_tells_google_an_address() {
    let data = json!({
        "url": "https://a.example/x?email=ada@example.org&utm_source=mail", "referrer": "https://b.example/?u=ada%40example.org",
        "campaign": "for ada@example.org", "referral_code": "ada@example.org", "route": "/u/ada@example.org",
    });
    let body = sent(&fixture("ga4").default, &about(&data));
    assert!(!body.to_string().contains("ada"), "{body}");
    assert_eq!(body["events"][0]["params"]["page_location"], "https://a.example/x?utm_source=mail");
}

#[test]
fn settings_that_google_would_swallow_are_refused() {
    let with = |changes: Value| refusal(&Ga4, &fixture("ga4").with(changes));
    assert!(with(json!({"measurement_id": "UA-123"})).contains("looks like `G-ABCDE12345`"));
    assert!(with(json!({"firebase_app_id": "1:2:ios:3"})).contains("`firebase_app_id` stands beside"));
    assert!(
        with(json!({"names": {"link.opened": "first_open"}})).contains("gives `link.opened` the name `first_open`")
    );
    assert!(with(json!({"names": {"link.opened": "a b"}})).contains("which Google Analytics drops"));
    assert!(with(json!({"params": {"ga_x": 1}})).contains("`params` holds `ga_x`"));
    assert!(with(json!({"api_secret": ""})).contains("`api_secret` is empty"));
    assert!(with(json!({"client_id": "{{"})).contains("`client_id` does not compile"));
}
