//! `/v1/deliveries` and `/v1/dead-letters`.

use serde_json::{Value, json};

use crate::desk::{Desk, text};

/// A desk with dead letters of `count` events, all refused with 500 and never retried.
async fn with_dead_letters(count: u32) -> Desk {
    let desk = Desk::new().await;
    desk.network.answer(500);
    let created = desk.destination("orders").await;
    desk.patch(&format!("/v1/destinations/{}", text(&created, "id")), json!({ "breaker": false })).expect(200).await;
    for number in 0..count {
        desk.publish(number).await;
    }
    let dead = |list: &Value| list["data"].as_array().unwrap().len() == count as usize;
    desk.until("/v1/dead-letters?limit=200", dead).await;
    desk
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_shows_why_and_can_be_retried_or_cancelled() {
    let desk = with_dead_letters(2).await;
    let dead = desk.get("/v1/dead-letters").expect(200).await["data"].as_array().unwrap().clone();
    assert_eq!((&dead[0]["state"], &dead[0]["reason"]), (&json!("dead"), &json!("server_error")));
    assert_eq!((&dead[0]["last_attempt"]["status"], &dead[0]["last_attempt"]["reply"]), (&json!(500), &json!("seen")));
    let (first, second) = (text(&dead[0], "id"), text(&dead[1], "id"));

    desk.network.answer(200);
    let post = |path: String| desk.ask(http::Method::POST, &path);
    post(format!("/v1/deliveries/{first}/retry")).expect(200).await;
    let path = format!("/v1/deliveries/{first}");
    let delivered = desk.until(&path, |delivery| delivery["state"] == "delivered").await;
    assert_eq!(delivered["attempts_made"].as_array().unwrap().len(), 2);
    post(format!("/v1/deliveries/{first}/retry")).problem(409, "illegal_transition").await;
    post(format!("/v1/deliveries/{first}/cancel")).problem(409, "illegal_transition").await;

    let cancelled = post(format!("/v1/deliveries/{second}/cancel")).expect(200).await;
    assert_eq!(cancelled["state"], "cancelled");
    let resent = post(format!("/v1/deliveries/{first}/resend")).expect(201).await;
    assert_ne!(text(&resent, "id"), first);
    assert_eq!(resent["event"], delivered["event"]);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_redriven_by_id_filter_or_all() {
    let desk = with_dead_letters(4).await;
    let dead = desk.get("/v1/dead-letters").expect(200).await["data"].as_array().unwrap().clone();
    desk.post("/v1/destinations/orders/pause", json!({})).expect(200).await;
    let redrive = |body: Value| desk.post("/v1/dead-letters/redrive", body);
    for unclear in [json!({}), json!({ "all": true, "reason": "dns" }), json!({ "ids": [] })] {
        redrive(unclear).problem(400, "redrive_unclear").await;
    }
    redrive(json!({ "reason": "bad luck" })).problem(400, "reason_unknown").await;
    redrive(json!({ "destination": "nobody" })).problem(404, "destination_not_found").await;

    let ids = json!({ "ids": [dead[0]["id"], "dlv_01JD3ZK7Q0M8X2V4N6B8C0D2F4_0", "nonsense"] });
    let answer = redrive(ids.clone()).expect(200).await;
    assert_eq!((&answer["redriven"], answer["skipped"].as_array().unwrap().len()), (&json!(1), 2));
    let again = redrive(ids).expect(200).await;
    assert_eq!((&again["redriven"], &again["skipped"][0]["code"]), (&json!(0), &json!("not_dead")));

    let none = redrive(json!({ "destination": "orders", "reason": "timeout" })).expect(200).await;
    assert_eq!(none, json!({ "redriven": 0, "more": false, "skipped": [] }));
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let counted = redrive(json!({ "destination": "orders", "dry_run": true })).expect(200).await;
    assert_eq!(counted, json!({ "dry_run": true, "count": 3 }));
    redrive(json!({ "ids": ["x"], "dry_run": true })).problem(400, "redrive_unclear").await;
    let rest = redrive(json!({ "destination": "orders", "reason": "server_error" })).expect(200).await;
    assert_eq!(rest["redriven"], 3);
    assert_eq!(redrive(json!({ "all": true })).expect(200).await["redriven"], 0);
    let held = desk.get("/v1/destinations/orders/deliveries?state=held").expect(200).await;
    assert_eq!(held["data"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_holds_and_says_so() {
    let desk = Desk::new().await;
    desk.network.answer(500);
    desk.destination("orders").await;
    for number in 0..30 {
        desk.publish(number).await;
    }
    let broken = |destination: &Value| destination["lane"]["breaker"]["state"] == "open";
    desk.until("/v1/destinations/orders", broken).await;
    let held = desk.get("/v1/deliveries?state=held&destination=orders").expect(200).await;
    assert_eq!(held["data"][0]["held_by"], "breaker");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_gathers_for_a_digest_is_tried_when_the_digest_goes_out() {
    let desk = Desk::new().await;
    let url = "https://hooks.slack.com/services/T0/B0/x";
    let wanted = json!({
        "name": "alerts", "connector": "slack", "settings": { "url": url }, "events": ["link.clicked"],
        "volume": { "digest": "30m" },
    });
    desk.post("/v1/destinations", wanted).expect(201).await;
    desk.publish(1).await;
    let gathering = desk.until("/v1/deliveries", |list| list["data"][0]["state"] == "pending").await["data"][0].clone();
    // It came at 14:32:08.
    assert_eq!(gathering["due_at"], "2026-03-04T15:00:00.000Z");
    let path = format!("/v1/deliveries/{}", text(&gathering, "id"));
    assert_eq!(desk.get(&path).expect(200).await["due_at"], gathering["due_at"]);

    desk.network.answer_first(&["ok"]);
    tokio::time::advance(std::time::Duration::from_mins(28)).await;
    let delivered = desk.until(&path, |delivery| delivery["state"] == "delivered").await;
    assert_eq!(delivered["due_at"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_filtered_and_paged() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    desk.destination("other").await;
    for number in 0..3 {
        desk.publish(number).await;
    }
    let all = |list: &Value| list["data"].as_array().unwrap().len() == 6;
    desk.until("/v1/deliveries?state=delivered", all).await;
    let page = desk.get("/v1/deliveries?destination=orders&limit=2").expect(200).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let path = format!("/v1/deliveries?destination=orders&limit=2&cursor={}", text(&page, "next"));
    let rest = desk.get(&path).expect(200).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let event = text(&page["data"][0], "event");
    let of_event = desk.get(&format!("/v1/deliveries?event={event}")).expect(200).await;
    assert_eq!(of_event["data"].as_array().unwrap().len(), 2);
    desk.get("/v1/deliveries?destination=nobody").problem(404, "destination_not_found").await;
    desk.get("/v1/deliveries?state=lost").problem(400, "query_invalid").await;
}
