//! `/v1/destinations`.

use serde_json::{Value, json};

use crate::desk::{Desk, SECRET, text};

#[tokio::test(start_paused = true)]
async fn a_destination_lives_from_creation_to_deletion() {
    let desk = Desk::new().await;
    let wanted =
        json!({ "name": "orders", "connector": "webhook", "settings": { "url": "https://example.com/hooks" } });
    let created = desk.post("/v1/destinations", wanted).expect(201).await;
    assert!(text(&created, "secret").starts_with("whsec_"));
    assert_eq!(created["events"], json!(["*"]));
    assert_eq!((&created["retry"], &created["concurrency"]), (&json!("standard"), &json!(8)));
    assert_eq!(created["lane"]["breaker"]["state"], "closed");

    let change = json!({
        "name": "backend", "events": ["link.*"], "when": "data.revenue >= 100", "retry": ["1s", "5m"],
        "concurrency": 2, "rate": 5.5, "breaker": false, "settings": { "scheme": "timestamped" },
    });
    let changed = desk.patch("/v1/destinations/orders", change).expect(200).await;
    assert_eq!(changed["id"], created["id"]);
    assert_eq!((&changed["retry"], &changed["rate"]), (&json!(["1s", "5m"]), &json!(5.5)));
    assert_eq!(changed["settings"]["scheme"], "timestamped");
    let cleared = desk.patch("/v1/destinations/backend", json!({ "when": null, "rate": null })).expect(200).await;
    assert_eq!((&cleared["when"], &cleared["rate"], &cleared["breaker"]), (&Value::Null, &Value::Null, &json!(false)));

    desk.delete("/v1/destinations/backend").expect(204).await;
    desk.get("/v1/destinations/backend").problem(404, "destination_not_found").await;
    assert_eq!(desk.get("/v1/destinations").expect(200).await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn batch_and_volume_are_said_as_in_the_file_and_shown_as_they_were_said() {
    let desk = Desk::new().await;
    let (batch, volume) = (json!({ "items": 1, "wait": "2s" }), json!({ "sample": 0.5, "threshold": 100.0 }));
    let wanted = json!({
        "name": "orders", "connector": "webhook", "batch": batch, "volume": volume,
        "settings": { "url": "https://example.com/hooks" },
    });
    let created = desk.post("/v1/destinations", wanted).expect(201).await;
    assert_eq!((&created["batch"], &created["volume"]), (&batch, &volume));
    let change = json!({ "volume": { "first_per_subject_per_day": true } });
    let changed = desk.patch("/v1/destinations/orders", change.clone()).expect(200).await;
    assert_eq!((&changed["batch"], &changed["volume"]), (&batch, &change["volume"]));

    for (wrong, status, code, told) in [
        (json!({ "batch": { "items": 50 } }), 422, "batch_invalid", "by itself"),
        (json!({ "batch": { "wait": "1h" } }), 422, "batch_invalid", "15 minutes"),
        (json!({ "batch": { "wait": 2 } }), 400, "body_invalid", "string"),
        (json!({ "batch": { "item": 2 } }), 400, "body_invalid", "did you mean `items`?"),
        (json!({ "volume": { "sample": 2 } }), 422, "volume_invalid", "sample"),
        (json!({ "volume": { "digest": "30s" } }), 422, "volume_invalid", "only chat and mail"),
        (json!({ "volume": { "digest": "soon" } }), 400, "body_invalid", "10s"),
        (json!({ "volume": { "treshold": 1 } }), 400, "body_invalid", "did you mean `threshold`?"),
        (json!({ "settings": { "ulr": "x" } }), 422, "setting_invalid", "did you mean `url`?"),
    ] {
        let problem = desk.patch("/v1/destinations/orders", wrong).problem(status, code).await;
        assert!(text(&problem, "detail").contains(told), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_beside_a_digest_would_have_no_effect_and_is_refused() {
    let desk = Desk::new().await;
    let url = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX";
    let mut wanted = json!({
        "name": "alerts", "connector": "slack", "settings": { "url": url },
        "volume": { "digest": "30m" }, "batch": { "items": 1 },
    });
    let problem = desk.post("/v1/destinations", wanted.clone()).problem(422, "batch_invalid").await;
    assert!(text(&problem, "detail").contains("beside a `digest`"), "{problem}");
    wanted["batch"] = json!({});
    desk.post("/v1/destinations", wanted).expect(201).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_the_connectors() {
    let desk = Desk::new().await;
    let connectors = desk.get("/v1/connectors?limit=200").expect(200).await["data"].clone();
    let find = |name: &str| connectors.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
    let (slack, clickhouse) = (find("slack"), find("clickhouse"));
    assert_eq!((&slack["category"], &slack["rate"]["per_second"]), (&json!("chat"), &json!(1.0)));
    assert_eq!((&clickhouse["category"], &clickhouse["provisions"]), (&json!("warehouse"), &json!(true)));
    assert_eq!(clickhouse["batch"], json!({ "items": 100, "items_max": 10_000, "wait": "5s" }));

    let url = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX";
    let wanted =
        json!({ "name": "alerts", "connector": "slack", "settings": { "url": url }, "volume": { "digest": "30m" } });
    let created = desk.post("/v1/destinations", wanted).expect(201).await;
    assert_eq!(created["events"], slack["events"]);
    assert!(!created["events"].to_string().contains("clicked"), "clicks are not for people: {created}");
    let file = json!({ "destinations": [{ "name": "by-file", "connector": "slack", "settings": { "url": url } }] });
    desk.ask(http::Method::PUT, "/v1/config").json(&file).expect(200).await;
    assert_eq!(desk.get("/v1/destinations/by-file").expect(200).await["events"], slack["events"]);
}

#[tokio::test(start_paused = true)]
async fn settings_can_be_sent_back_as_they_were_shown() {
    let desk = Desk::new().await;
    let settings =
        json!({ "url": "https://example.com/h?token=hidden", "headers": { "Authorization": "Bearer hidden" } });
    let wanted = json!({ "name": "orders", "connector": "webhook", "settings": settings });
    let created = desk.post("/v1/destinations", wanted).expect(201).await;
    let before = desk.pipeline.registry.all_destinations()[0].destination.settings.clone();
    assert!(!created["settings"].to_string().contains("hidden"));
    desk.patch("/v1/destinations/orders", json!({ "settings": created["settings"] })).expect(200).await;
    assert_eq!(desk.pipeline.registry.all_destinations()[0].destination.settings, before);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_url_is_judged_when_it_is_saved_too() {
    let desk = Desk::new().await;
    let postgres = |host: &str| json!({"host": host, "database": "d", "user": "u", "password": "a-password"});
    let mail =
        |host: &str| json!({"provider": "smtp", "from": "a@example.com", "host": host, "subject": "s", "text": "t"});
    let kafka = |host: &str| json!({"brokers": ["kafka.example.com:9092", host]});
    let nats = |host: &str| json!({"servers": [host], "subject": "events.{{ type }}"});
    for host in ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "localhost", "db.internal"] {
        for (connector, settings, field) in [
            ("postgres", postgres(host), "host"),
            ("email", mail(host), "host"),
            ("kafka", kafka(host), "brokers"),
            ("nats", nats(host), "servers"),
        ] {
            let wanted = json!({"name": "inside", "connector": connector, "settings": settings});
            let problem = desk.post("/v1/destinations", wanted).problem(422, "setting_invalid").await;
            assert_eq!(problem["field"], field, "{connector} at {host}: {problem}");
        }
    }
    let outside = json!({"name": "outside", "connector": "postgres", "settings": postgres("db.example.com")});
    desk.post("/v1/destinations", outside).expect(201).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_work_is_refused_with_the_reason() {
    let desk = Desk::new().await;
    desk.destination("taken").await;
    let url = |url: &str| json!({ "name": "a", "connector": "webhook", "settings": { "url": url } });
    let with = |extra: Value| {
        let mut body = url("https://example.com/");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (body, status, code) in [
        (with(json!({ "name": "taken" })), 409, "name_taken"),
        (with(json!({ "connector": "nobody" })), 422, "connector_unknown"),
        (json!({ "name": "a", "connector": "webhook" }), 422, "setting_invalid"),
        (url("http://example.com/"), 422, "setting_invalid"),
        (url("https://127.0.0.1/"), 422, "setting_invalid"),
        (url("https://localhost/"), 422, "setting_invalid"),
        (url("https://[::ffff:10.0.0.1]/"), 422, "setting_invalid"),
        (with(json!({ "settings": { "url": "https://example.com/", "secret": "short" } })), 422, "setting_invalid"),
        (with(json!({ "when": "data.(" })), 422, "filter_invalid"),
        (with(json!({ "concurrency": 0 })), 422, "concurrency_invalid"),
        (with(json!({ "rate": -1 })), 422, "rate_invalid"),
        (with(json!({ "events": [] })), 400, "body_invalid"),
        (with(json!({ "events": ["link*"] })), 400, "body_invalid"),
        (with(json!({ "retry": "hourly" })), 400, "body_invalid"),
        (with(json!({ "evnts": ["*"] })), 400, "body_invalid"),
        (with(json!({ "backfill": { "from": "2030-01-01T00:00:00Z" } })), 422, "value_invalid"),
    ] {
        desk.post("/v1/destinations", body).problem(status, code).await;
    }
    let refused = desk.patch("/v1/destinations/taken", json!({ "settings": { "url": "https://10.0.0.1/" } }));
    assert_eq!(refused.problem(422, "setting_invalid").await["field"], "url");
    assert_eq!(desk.get("/v1/destinations").expect(200).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_signs_with_both_secrets_during_the_overlap() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    let signatures = async || {
        let preview = desk.post("/v1/destinations/orders/preview", json!({})).expect(200).await;
        let headers = preview["request"]["headers"].as_array().unwrap().clone();
        let signature = headers.iter().find(|header| header["name"] == "webhook-signature").unwrap();
        text(signature, "value").split(' ').count()
    };
    assert_eq!(signatures().await, 1);
    let rotated =
        desk.post("/v1/destinations/orders/rotate-secret", json!({ "overlap_seconds": 60 })).expect(200).await;
    assert!(text(&rotated, "secret").starts_with("whsec_"));
    assert_eq!(signatures().await, 2);
    let at_once = desk.post("/v1/destinations/orders/rotate-secret", json!({ "secret": SECRET })).expect(200).await;
    assert_eq!((&at_once["secret"], &at_once["settings"]["previous_secret"]), (&Value::Null, &Value::Null));
    assert_eq!(signatures().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_paused_destination_holds_and_a_resumed_one_delivers() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    let paused = desk.post("/v1/destinations/orders/pause", json!({ "message": "moving house" })).expect(200).await;
    assert_eq!((&paused["paused"]["reason"], &paused["paused"]["message"]), (&json!("manual"), &json!("moving house")));
    desk.publish(1).await;
    let held = desk.get("/v1/destinations/orders/deliveries").expect(200).await["data"][0].clone();
    assert_eq!((&held["state"], &held["held_by"]), (&json!("held"), &json!("manual")));
    assert_eq!(desk.get("/v1/deliveries?state=held").expect(200).await["data"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/v1/deliveries?state=pending").expect(200).await["data"], json!([]));

    let resumed = desk.ask(http::Method::POST, "/v1/destinations/orders/resume").expect(200).await;
    assert_eq!(resumed["paused"], Value::Null);
    let path = format!("/v1/deliveries/{}", text(&held, "id"));
    let delivered = desk.until(&path, |delivery| delivery["state"] == "delivered").await;
    assert_eq!(delivered["attempts_made"][0]["status"], 200);
}

#[tokio::test(start_paused = true)]
async fn a_test_event_goes_to_its_destination_alone() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    let other = json!({ "name": "other", "connector": "webhook", "events": ["test"], "settings": { "url": "https://example.com/" } });
    desk.post("/v1/destinations", other).expect(201).await;
    let tested = desk.ask(http::Method::POST, "/v1/destinations/orders/test").expect(202).await;
    let path = format!("/v1/deliveries/{}", text(&tested, "delivery"));
    let delivery = desk.until(&path, |delivery| delivery["state"] == "delivered").await;
    assert_eq!((&delivery["type"], &delivery["destination_name"]), (&json!("test"), &json!("orders")));
    let path = format!("/v1/deliveries?event={}", text(&tested, "event"));
    assert_eq!(desk.get(&path).expect(200).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_owes_the_past_to_a_new_destination() {
    let desk = Desk::new().await;
    for number in 0..3 {
        desk.publish(number).await;
    }
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let wanted = json!({
        "name": "late", "connector": "webhook", "settings": { "url": "https://example.com/" },
        "backfill": { "from": "2026-03-01T00:00:00Z" },
    });
    let created = desk.post("/v1/destinations", wanted).expect(201).await;
    let path = format!("/v1/replays/{}", text(&created, "replay"));
    let replay = desk.until(&path, |replay| replay["state"] == "done").await;
    assert_eq!((&replay["created"], &replay["select"]), (&json!(3), &json!("missing")));
}
