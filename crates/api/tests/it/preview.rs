//! `…/preview`: what would be sent.

use serde_json::{Value, json};

use crate::desk::{Desk, SECRET, text};

async fn create(desk: &Desk, connector: &str, more: Value) {
    let mut wanted = json!({ "name": "here", "connector": connector });
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    desk.post("/v1/destinations", wanted).expect(201).await;
}

async fn preview(desk: &Desk, wanted: Value) -> Value {
    desk.post("/v1/destinations/here/preview", wanted).expect(200).await
}

#[tokio::test(start_paused = true)]
async fn a_preview_shows_the_request_and_sends_nothing() {
    let desk = Desk::new().await;
    let settings = json!({
        "url": "https://example.com/hooks?token=hidden-token", "secret": SECRET,
        "headers": { "Authorization": "Bearer hidden-bearer", "X-Team": "hidden-team" },
    });
    let wanted = json!({ "name": "orders", "connector": "webhook", "events": ["link.*"], "settings": settings });
    desk.post("/v1/destinations", wanted).expect(201).await;
    let event = desk.publish(7).await;
    desk.until("/v1/deliveries", |list| list["data"][0]["state"] == "delivered").await;

    let preview = desk.post("/v1/destinations/orders/preview", json!({ "event": event })).expect(200).await;
    assert_eq!((&preview["matches"], &preview["request"]["method"]), (&json!(true), &json!("POST")));
    assert!(text(&preview["request"], "body").contains("\"t7\""));
    assert!(text(&preview["request"], "url").starts_with("https://example.com/hooks"));
    assert!(!preview.to_string().contains("hidden") && !preview.to_string().contains(SECRET), "{preview}");
    let sample = desk.post("/v1/destinations/orders/preview", json!({ "type": "install.tracked" })).expect(200).await;
    assert_eq!(sample["matches"], false);

    desk.post("/v1/destinations/orders/preview", json!({ "type": "no.such" })).problem(422, "value_invalid").await;
    let missing = json!({ "event": "evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4" });
    desk.post("/v1/destinations/orders/preview", missing).problem(404, "event_not_found").await;
    let both = json!({ "event": event, "type": "test" });
    desk.post("/v1/destinations/orders/preview", both).problem(422, "value_invalid").await;
    assert_eq!(desk.get("/v1/deliveries").expect(200).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_with_a_secret_is_masked_in_whatever_form_it_is_sent() {
    for (connector, settings) in [
        ("segment", json!({ "write_key": "hidden+wri/te\\key", "properties": { "team": "growth" } })),
        ("segment", json!({ "write_key": "hidden+wri/te\\key", "auth": "body" })),
        ("clickhouse", json!({ "url": "https://ch.example.com:8443", "user": "me", "password": "hidden\"pass word" })),
    ] {
        let desk = Desk::new().await;
        create(&desk, connector, json!({ "settings": settings })).await;
        let shown = preview(&desk, json!({})).await;
        assert!(!shown["request"].is_null(), "{shown}");
        assert!(!shown.to_string().contains("hidden"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_connector_shows_a_secret_in_what_it_would_send() {
    for connector in connectors::ALL {
        let manifest = connector.manifest();
        let path = format!("{}/../connectors/fixtures/{}.json", env!("CARGO_MANIFEST_DIR"), manifest.name);
        let fixture: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let settings = fixture["cases"].as_object().into_iter().flatten().map(|(_, settings)| settings);
        for settings in std::iter::once(&fixture["default"]).chain(settings) {
            let desk = Desk::new().await;
            let wanted = json!({ "name": "here", "connector": manifest.name, "events": ["*"], "settings": settings });
            // Some fixtures lead to the operator's own network, which the API refuses.
            let created = desk.post("/v1/destinations", wanted).send().await;
            if created.text().contains("is refused: ") {
                continue;
            }
            assert_eq!(created.status, 201, "{}: {}", manifest.name, created.text());
            let secrets = manifest.fields.iter().filter(|field| field.kind.is_secret());
            let secrets: Vec<&str> = secrets.filter_map(|field| settings[field.name].as_str()).collect();
            for kind in domain::catalogue::ALL {
                let shown = preview(&desk, json!({ "type": kind.event_type })).await;
                let texts = [&shown["request"]["url"], &shown["request"]["body"], &shown["verdict"]];
                let headers = shown["request"]["headers"].as_array().into_iter().flatten();
                let texts = texts.into_iter().chain(headers.map(|header| &header["value"])).filter_map(Value::as_str);
                for (text, secret) in texts.flat_map(|text| secrets.iter().map(move |secret| (text, secret))) {
                    assert!(!text.contains(secret), "{} of {}: {secret} in {text}", kind.event_type, manifest.name);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn why_an_event_does_not_match_is_told() {
    let desk = Desk::new().await;
    let settings = json!({ "url": "https://example.com/hooks", "secret": SECRET });
    let wanted = json!({
        "settings": settings, "events": ["link.*", "ecommerce.*"], "when": "data.nothing is undefined",
        "volume": { "threshold": 1_000_000 },
    });
    create(&desk, "webhook", wanted).await;
    let clicked = preview(&desk, json!({ "type": "link.clicked" })).await;
    assert_eq!((&clicked["matches"], &clicked["why_not"]), (&json!(true), &Value::Null));
    let installed = preview(&desk, json!({ "type": "install.tracked" })).await;
    assert!(text(&installed, "why_not").contains("not among its events"), "{installed}");
    assert!(!installed["request"].is_null(), "the request is shown all the same");
    let bought = preview(&desk, json!({ "type": "ecommerce.purchase" })).await;
    assert_eq!(bought["why_not"], "the event has a value below the threshold");

    desk.patch("/v1/destinations/here", json!({ "when": "data.nothing == 1" })).expect(200).await;
    let filtered = preview(&desk, json!({ "type": "link.clicked" })).await;
    assert_eq!(filtered["why_not"], "its filter says no: `data.nothing == 1`");
}

#[tokio::test(start_paused = true)]
async fn without_a_type_the_sample_is_one_that_the_destination_gets() {
    let desk = Desk::new().await;
    let settings = json!({ "url": "https://example.com/hooks", "secret": SECRET });
    create(&desk, "webhook", json!({ "settings": settings, "events": ["referral.completed"] })).await;
    let shown = preview(&desk, json!({})).await;
    assert_eq!((&shown["type"], &shown["matches"]), (&json!("referral.completed"), &json!(true)));
}
