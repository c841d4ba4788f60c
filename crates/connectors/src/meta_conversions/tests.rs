use std::time::Duration;

use domain::Event;
use domain::verdict::FailureReason;
use vendors::Book;

use super::*;
use crate::kit::{self, Variant, described, event_with, fixture, open, refusal};
use crate::tracking::trial::deliver;

fn look_alike() -> vendors::meta::Meta {
    vendors::meta::Meta {
        epoch: Duration::from_millis(kit::NOW.as_millis().cast_unsigned()),
        ..vendors::meta::Meta::new()
    }
}

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.conversion", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..kit::event("link.conversion") }
}

fn sent(data: &Value) -> Value {
    let call = kit::request(&MetaConversions, &about(1, data), &fixture("meta-conversions").default);
    serde_json::from_slice::<Value>(&call.body).unwrap()["data"][0].clone()
}

fn refused(event: &Event) -> String {
    described(&kit::prepare(&MetaConversions, event, &fixture("meta-conversions").default)).join("\n")
}

#[test]
fn what_is_sent_is_taken_whatever_is_in_it() {
    let outlet = open(&MetaConversions, &fixture("meta-conversions").default);
    for kind in domain::catalogue::ALL {
        for variant in Variant::ALL {
            let (mut vendor, mut book) = (look_alike(), Book::default());
            let verdict = &deliver(&*outlet, &[event_with(kind.event_type, variant)], &mut vendor, &mut book)[0];
            let is_fine = matches!(verdict, Verdict::Delivered | Verdict::Skip { .. })
                || matches!(verdict, Verdict::Reject { reason: FailureReason::Unprocessable, .. });
            assert!(is_fine && book.refused.is_empty() && book.flagged.is_empty(), "{}: {verdict:?}", kind.event_type);
        }
    }
}

#[test]
fn nobody_is_told_of_without_consent_and_nothing_without_a_click_or_a_person() {
    let skipped = |data: Value| refused(&about(1, &data));
    assert!(skipped(json!({"fbclid": "x"})).starts_with("skip: the event does not say that the person agreed"));
    assert!(skipped(json!({"fbclid": "x", "consent": false})).starts_with("skip: the person has not agreed"));
    assert!(
        skipped(json!({"ip": "192.0.2.1", "user_agent": "x", "consent": true}))
            .starts_with("skip: nothing in the event ties")
    );
    let assumed = fixture("meta-conversions").cases.remove("assumed").unwrap();
    let prepare = |data: Value| kit::prepare(&MetaConversions, &about(1, &data), &assumed);
    assert!(matches!(prepare(json!({"fbclid": "x"})), Step::Send(_)));
    assert!(matches!(prepare(json!({"fbclid": "x", "ad_consent": "denied"})), Step::Settle(_)));
}

#[test]
fn people_leave_the_house_as_hashes_only() {
    let data = json!({
        "email": " John_Smith@Gmail.com ", "phone": "+1 (650) 555-1212", "user_id": "u1", "name": "John Smith",
        "consent": true,
    });
    let event = sent(&data);
    assert_eq!(event["user_data"]["em"], json!(["62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"]));
    assert_eq!(event["user_data"]["ph"], json!(["e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"]));
    let text = event.to_string().to_lowercase();
    for secret in ["smith", "gmail", "555", "u1\""] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn a_click_becomes_what_the_cookie_would_hold() {
    let of_field = sent(&json!({"fbclid": "AbC", "original_click_at": "2026-03-03T00:00:00Z", "consent": true}));
    assert_eq!(of_field["user_data"]["fbc"], "fb.1.1772496000000.AbC");
    let of_url = sent(&json!({"url": "https://x.example/?fbclid=AbC", "consent": true}));
    assert_eq!(of_url["user_data"]["fbc"], format!("fb.1.{}.AbC", kit::NOW.as_millis()));
    let of_cookie = sent(&json!({"_fbc": "fb.1.1.Z", "fbclid": "AbC", "consent": true}));
    assert_eq!(of_cookie["user_data"]["fbc"], "fb.1.1.Z");
}

#[test]
fn a_conversion_is_named_by_what_it_is_worth() {
    let name = |data: Value| sent(&data)["event_name"].clone();
    assert_eq!(name(json!({"fbclid": "x", "consent": true, "revenue": 5, "currency": "eur"})), "Purchase");
    assert_eq!(name(json!({"fbclid": "x", "consent": true, "revenue": 5})), "Lead");
    let event = Event {
        event_type: "ecommerce.purchase".parse().unwrap(),
        ..about(1, &json!({"fbclid": "x", "consent": true}))
    };
    assert!(refused(&event).starts_with("reject unprocessable: Meta takes a `Purchase` with value and currency only"));
}

#[test]
fn an_old_event_is_left_out_and_one_that_meta_refuses_is_found() {
    let outlet = open(&MetaConversions, &fixture("meta-conversions").default);
    let (mut vendor, mut book) = (look_alike(), Book::default());
    let with = |n: u128| about(n, &json!({"fbclid": "x", "consent": true}));
    let old = Event { occurred_at: kit::NOW - Duration::from_hours(24 * 8), ..with(2) };
    let ahead = Event { occurred_at: kit::NOW + Duration::from_hours(1), ..with(3) };
    let verdicts = deliver(&*outlet, &[with(1), old, ahead, with(4)], &mut vendor, &mut book);
    assert_eq!(verdicts[1], Verdict::skip("it is older than the 7 days that the platform looks back"));
    assert_eq!(
        (&verdicts[0], &verdicts[2], &verdicts[3]),
        (&Verdict::Delivered, &Verdict::Delivered, &Verdict::Delivered)
    );
    // The simulator's clock is behind ours: everything lies in its future and each event is refused for itself.
    vendor.epoch -= Duration::from_hours(24);
    let verdicts = deliver(&*outlet, &[with(5), with(6)], &mut vendor, &mut book);
    assert!(
        verdicts.iter().all(|it| matches!(it, Verdict::Reject { reason: FailureReason::Refused, .. })),
        "{verdicts:?}"
    );
}

#[test]
fn an_app_is_told_in_sixteen_places() {
    let settings = fixture("meta-conversions").cases.remove("an-app").unwrap();
    let data =
        json!({"user_id": "u", "consent": true, "platform": "ios", "app_version": "3.2.1", "os_version": "19.3"});
    let call = kit::request(&MetaConversions, &about(1, &data), &settings);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let app = &body["data"][0]["app_data"];
    assert_eq!(app["extinfo"].as_array().unwrap().len(), 16);
    assert_eq!((&app["extinfo"][0], &app["extinfo"][4]), (&json!("i2"), &json!("19.3")));
    let step = kit::prepare(&MetaConversions, &about(1, &json!({"user_id": "u", "consent": true})), &settings);
    assert!(described(&step)[0].starts_with("skip: the event names neither iOS nor Android"));
}

#[test]
fn wrong_settings_are_refused() {
    let with = |changes: Value| {
        let mut settings = fixture("meta-conversions").default;
        settings.0.extend(changes.as_object().unwrap().clone());
        refusal(&MetaConversions, &settings)
    };
    assert!(with(json!({"dataset_id": "act_1"})).contains("`dataset_id` is not a number"));
    assert!(with(json!({"access_token": ""})).contains("`access_token` is empty"));
    assert!(with(json!({"app_package": "com.acme"})).contains("`app_package` belongs to"));
}
