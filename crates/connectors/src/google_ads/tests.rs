use std::time::Duration;

use domain::Event;
use vendors::Book;

use super::*;
use crate::kit::{self, Variant, described, event_with, fixture, open, refusal};
use crate::tracking::trial::deliver_with;

fn look_alike() -> vendors::google_ads::GoogleAds {
    let mut vendor = vendors::google_ads::GoogleAds::new();
    vendor.rate = None;
    vendor
}

fn about(number: u128, data: &Value) -> Event {
    let body = json!({"event": "link.conversion", "timestamp": kit::NOW, "data": data}).to_string();
    Event { id: domain::EventId::mint(kit::NOW, number), body: body.into(), ..kit::event("link.conversion") }
}

fn sent(data: &Value) -> Value {
    let call = kit::request(&GoogleAds, &about(1, data), &fixture("google-ads").default);
    serde_json::from_slice::<Value>(&call.body).unwrap()["events"][0].clone()
}

#[test]
fn nobody_is_told_of_without_consent_and_nothing_without_a_click_or_a_person() {
    let settings = fixture("google-ads").default;
    let skipped = |data: Value| described(&kit::prepare(&GoogleAds, &about(1, &data), &settings)).join("");
    assert!(skipped(json!({"gclid": "x"})).starts_with("skip: the event does not say that the person agreed"));
    assert!(skipped(json!({"gclid": "x", "consent": "no"})).starts_with("skip: the person has not agreed"));
    assert!(
        skipped(json!({"user_id": "u", "ip": "192.0.2.1", "consent": true}))
            .starts_with("skip: nothing in the event ties")
    );
    assert_eq!(sent(&json!({"gclid": "x", "consent": true}))["consent"]["adUserData"], "CONSENT_GRANTED");
}

#[test]
fn people_leave_the_house_as_hashes_as_google_makes_them() {
    let event = sent(&json!({"email": "Jane.Doe@GMail.com", "phone": "+1 650 555 1212", "consent": true}));
    let people = &event["userData"]["userIdentifiers"];
    assert_eq!(people[0]["emailAddress"], ads::hashed("janedoe@gmail.com"));
    assert_eq!(people[1]["phoneNumber"], ads::hashed("+16505551212"));
    assert!(!event.to_string().to_lowercase().contains("doe"));
    let elsewhere = sent(&json!({"email": "jane.doe@example.org", "consent": true}));
    assert_eq!(elsewhere["userData"]["userIdentifiers"][0]["emailAddress"], ads::hashed("jane.doe@example.org"));
}

#[test]
fn a_click_is_found_as_a_field_or_in_the_url() {
    let event = sent(&json!({"url": "https://x.example/?gclid=G1&wbraid=W1", "gbraid": "B1", "consent": true}));
    assert_eq!(event["adIdentifiers"], json!({"gclid": "G1", "gbraid": "B1", "wbraid": "W1"}));
}

#[test]
fn an_order_is_told_by_its_own_id_and_anything_else_by_the_events() {
    assert_eq!(sent(&json!({"gclid": "x", "transaction_id": "T1", "consent": true}))["transactionId"], "T1");
    let id = sent(&json!({"gclid": "x", "consent": true}))["transactionId"].clone();
    assert!(id.as_str().unwrap().starts_with("evt_"));
}

#[test]
fn what_is_sent_is_taken_whatever_is_in_it() {
    let outlet = open(&GoogleAds, &fixture("google-ads").default);
    for kind in domain::catalogue::ALL {
        for variant in Variant::ALL {
            let (mut vendor, mut book) = (look_alike(), Book::default());
            let event = event_with(kind.event_type, variant);
            let verdict = &in_the_open(&*outlet, &[event], &mut vendor, &mut book)[0];
            assert!(matches!(verdict, Verdict::Delivered | Verdict::Skip { .. }), "{}: {verdict:?}", kind.event_type);
        }
    }
}

/// Delivers with a token that the look-alike has given out.
fn in_the_open(
    outlet: &dyn Outlet,
    events: &[Event],
    vendor: &mut vendors::google_ads::GoogleAds,
    book: &mut Book,
) -> Vec<Verdict> {
    // The kit's batches carry a token of their own; a signed assertion for the API is taken in place of one.
    deliver_with(outlet, events, vendor, book, |request| {
        let mut request = request;
        request.headers.retain(|(name, _)| name != "authorization");
        request.with("authorization", &format!("Bearer {}", assertion()))
    })
}

fn assertion() -> String {
    let key = crate::auth::jwt::Key::from_pem(vendors::private_key()).unwrap();
    let claims = json!({
        "iss": vendors::SERVICE_ACCOUNT_EMAIL, "aud": "https://datamanager.googleapis.com/", "iat": 1, "exp": 3_000,
    });
    key.sign(None, &claims)
}

#[test]
fn a_refused_token_is_renewed() {
    let outlet = open(&GoogleAds, &fixture("google-ads").default);
    let event = about(1, &json!({"gclid": "x", "consent": true}));
    kit::with_batch(std::slice::from_ref(&event), false, |batch| {
        let mut progress = Progress::default();
        let _ = outlet.prepare(batch, &mut progress);
        let step = outlet.advance(batch, &mut progress, &kit::reply(401, &[], "{}"));
        assert!(matches!(step, Step::Reauthorize { .. }));
    });
}

#[test]
fn an_event_that_google_names_is_rejected_and_the_others_go_out_again() {
    let outlet = open(&GoogleAds, &fixture("google-ads").default);
    let events: Vec<_> = (1..=3).map(|n| about(n, &json!({"gclid": "x", "consent": n != 2}))).collect();
    kit::with_batch(&events, false, |batch| {
        let mut progress = Progress::default();
        let _ = outlet.prepare(batch, &mut progress);
        // The second is skipped, so the second place of the request is the third event.
        let violation = json!({"field": "events.events[1].ad_identifiers", "description": "not a click id"});
        let body = json!({"error": {"code": 400, "message": "bad", "details": [{"fieldViolations": [violation]}]}});
        progress.replies = 1;
        let step = outlet.advance(batch, &mut progress, &kit::reply(400, &[], body.to_string()));
        assert!(matches!(step, Step::Send(_)), "{step:?}");
        let step = outlet.advance(batch, &mut progress, &kit::reply(200, &[], "{}"));
        let lines = described(&step);
        assert_eq!(
            (lines[0].as_str(), lines[2].as_str()),
            ("delivered", "reject refused: `ad_identifiers`: not a click id")
        );
        assert!(lines[1].starts_with("skip: the person has not agreed"));
    });
}

#[test]
fn what_is_too_old_is_skipped() {
    let old = Event {
        occurred_at: kit::NOW - Duration::from_hours(24 * 91),
        ..about(1, &json!({"gclid": "x", "consent": true}))
    };
    let step = kit::prepare(&GoogleAds, &old, &fixture("google-ads").default);
    assert_eq!(described(&step), ["skip: it is older than the 90 days that the platform looks back"]);
}

#[test]
fn wrong_settings_are_refused() {
    let with = |changes: Value| {
        let mut settings = fixture("google-ads").default;
        settings.0.extend(changes.as_object().unwrap().clone());
        refusal(&GoogleAds, &settings)
    };
    assert!(with(json!({"customer_id": "acme"})).contains("`customer_id` is not a number"));
    assert!(with(json!({"conversion_action": ""})).contains("`conversion_action` is not a number"));
    assert!(with(json!({"conversion_actions": {"a.b": "x"}})).contains("holds no number under `a.b`"));
    assert!(with(json!({"service_account": "{}"})).contains("`service_account` is not the key file"));
}
