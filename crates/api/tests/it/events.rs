//! `/v1/events`.

use serde_json::{Value, json};

use crate::desk::{Desk, click, text};

#[tokio::test(start_paused = true)]
async fn one_envelope_is_answered_with_one_entry_and_an_array_with_data() {
    let desk = Desk::new().await;
    let one = desk.post("/v1/events", click(1)).expect(202).await;
    assert_eq!(one["duplicate"], false);
    let many = desk.post("/v1/events", json!([click(2), click(1)])).expect(202).await;
    let duplicates: Vec<_> = many["data"].as_array().unwrap().iter().map(|entry| &entry["duplicate"]).collect();
    assert_eq!(duplicates, [false, true]);
    assert_eq!(many["data"][1]["id"], one["id"]);
}

#[tokio::test(start_paused = true)]
async fn an_array_is_stored_whole_or_not_at_all() {
    let desk = Desk::new().await;
    let problem = desk.post("/v1/events", json!([click(1), { "data": {} }])).problem(400, "event_type_missing").await;
    assert!(text(&problem, "detail").contains("event 1 of the call"), "{problem}");
    desk.post("/v1/events", json!([])).problem(400, "event_count").await;
    let too_many: Vec<Value> = (0..1_001).map(click).collect();
    desk.post("/v1/events", json!(too_many)).problem(400, "event_count").await;
    assert_eq!(desk.get("/v1/events").expect(200).await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_cannot_be_published() {
    let desk = Desk::new().await;
    let ours = json!({ "event": "afterclick.delivery.dead", "timestamp": "2026-03-04T14:32:08Z", "data": {} });
    desk.post("/v1/events", ours).problem(400, "event_type_reserved").await;
    desk.ask(http::Method::POST, "/v1/events").raw("{").problem(400, "body_not_json").await;
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_repeats_the_answer_and_refuses_another_body() {
    let desk = Desk::new().await;
    let call = |body: Value| desk.post("/v1/events", body).header("idempotency-key", "order-7");
    let first = call(json!([click(1), click(2)])).expect(202).await;
    let again = call(json!([click(1), click(2)])).expect(202).await;
    assert_eq!(again["data"][1]["id"], first["data"][1]["id"]);
    assert_eq!(again["data"][1]["duplicate"], true);
    for other in [json!([click(1), click(3)]), json!([click(1)]), json!([click(1), click(2), click(3)])] {
        call(other).problem(422, "idempotency_mismatch").await;
    }
    for bad in ["", "a b", &"x".repeat(257)] {
        let ask = desk.post("/v1/events", click(9)).header("idempotency-key", bad);
        ask.problem(400, "idempotency_key_malformed").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_is_filtered_and_paged_newest_first() {
    let desk = Desk::new().await;
    desk.source().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.insert(0, desk.publish(number).await);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    desk.webhook("tolinku", click(77).to_string().replace("link.clicked", "link.opened")).expect(200).await;

    let listed = |answer: &Value| -> Vec<String> {
        answer["data"].as_array().unwrap().iter().map(|event| text(event, "id")).collect()
    };
    let mut seen = Vec::new();
    let mut path = "/v1/events?source=api&limit=2".to_owned();
    loop {
        let page = desk.get(&path).expect(200).await;
        seen.extend(listed(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/events?source=api&limit=2&cursor={next}");
    }
    assert_eq!(seen, ids);

    let count = async |query: &str| listed(&desk.get(&format!("/v1/events?{query}")).expect(200).await).len();
    assert_eq!(count("type=link.opened").await, 1);
    assert_eq!(count("source=tolinku").await, 1);
    assert_eq!(count("from=2026-03-04T14:32:10Z&to=2026-03-04T14:32:12Z").await, 2);
    assert_eq!(count("source=afterclick").await, 0);
    desk.get("/v1/events?source=nobody").problem(404, "source_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_back_byte_for_byte() {
    let desk = Desk::new().await;
    let body = r#"{ "event":"custom.thing" , "data":{"n":10.0,"big":12345678901234567890,"é":"\u00e9"}, "x":[1e2] }"#;
    let stored = desk.ask(http::Method::POST, "/v1/events").raw(body).expect(202).await;
    let event = desk.get(&format!("/v1/events/{}", text(&stored, "id"))).expect(200).await;
    assert_eq!(text(&event, "body"), body);
    assert_eq!(event["time_mark"], "defaulted");
    assert_eq!(event["envelope"]["data"]["é"], "é");
    let raw = desk.get(&format!("/v1/events/{}/body", text(&stored, "id"))).send().await;
    assert_eq!(raw.body, body);
    assert_eq!(raw.headers["x-content-type-options"], "nosniff");
}

#[tokio::test(start_paused = true)]
async fn an_explanation_names_every_destination_and_its_reason() {
    let desk = Desk::new().await;
    let make = async |name: &str, extra: Value| {
        let mut body = json!({ "name": name, "connector": "webhook", "settings": { "url": "https://example.com/" } });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        desk.post("/v1/destinations", body).expect(201).await;
        // Destinations stand in the order of their ids, and those in the order of time.
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
    };
    make("a-takes-it", json!({})).await;
    make("b-other-types", json!({ "events": ["install.*"] })).await;
    make("c-filtered", json!({ "when": "data.token == 'other'" })).await;
    make("d-filter-fails", json!({ "when": "data.token - 1 > 3" })).await;
    make("e-gone-later", json!({})).await;
    let event = desk.publish(1).await;
    make("f-came-later", json!({})).await;
    desk.delete("/v1/destinations/e-gone-later").expect(204).await;

    let explained = desk.get(&format!("/v1/events/{event}/explain")).expect(200).await;
    let told: Vec<_> = explained["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["name"].as_str(), entry["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("a-takes-it"), "owed"),
            (Some("b-other-types"), "not_subscribed"),
            (Some("c-filtered"), "filtered"),
            (Some("d-filter-fails"), "owed"),
            (Some("f-came-later"), "matches_now"),
            (None, "owed"),
        ]
    );
    let failed = &explained["destinations"][3]["deliveries"][0];
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("dead"), &json!("filter_error")), "{failed}");
}
