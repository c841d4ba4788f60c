//! `/v1/replays`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{Desk, text};

const FROM: &str = "2026-03-01T00:00:00Z";

async fn with_history() -> Desk {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    for number in 0..3 {
        desk.publish(number).await;
    }
    let all = |list: &Value| list["data"].as_array().unwrap().len() == 3;
    desk.until("/v1/deliveries?state=delivered", all).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    desk
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_makes_nothing() {
    let desk = with_history().await;
    let wanted = |select: &str| json!({ "destination": "orders", "from": FROM, "select": select, "dry_run": true });
    assert_eq!(desk.post("/v1/replays", wanted("all")).expect(200).await, json!({ "dry_run": true, "count": 3 }));
    assert_eq!(desk.post("/v1/replays", wanted("failed")).expect(200).await["count"], 0);
    assert_eq!(desk.get("/v1/replays").expect(200).await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_replay_runs_to_its_end_and_its_deliveries_name_it() {
    let desk = with_history().await;
    let wanted = json!({ "destination": "orders", "from": FROM, "select": "all", "events": ["link.*"] });
    let created = desk.post("/v1/replays", wanted).expect(201).await;
    let id = text(&created, "id");
    let done = desk.until(&format!("/v1/replays/{id}"), |replay| replay["state"] == "done").await;
    assert_eq!((&done["scanned"], &done["created"]), (&json!(3), &json!(3)));
    let made = desk.get(&format!("/v1/deliveries?replay={id}")).expect(200).await;
    assert_eq!((made["data"].as_array().unwrap().len(), &made["data"][0]["replay"]), (3, &json!(id)));
    let listed = desk.get("/v1/replays").expect(200).await["data"][0].clone();
    assert_eq!((&listed["id"], &listed["destination_name"]), (&json!(id), &json!("orders")));
    assert_eq!((&listed["destination"], &done["destination_name"]), (&created["destination"], &json!("orders")));
}

#[tokio::test(start_paused = true)]
async fn a_replay_can_be_cancelled_midway() {
    let desk = with_history().await;
    let wanted = json!({ "destination": "orders", "from": FROM, "select": "all", "per_second": 0.001 });
    let id = text(&desk.post("/v1/replays", wanted).expect(201).await, "id");
    let path = format!("/v1/replays/{id}");
    desk.until(&path, |replay| replay["created"] == 1).await;
    let cancelled = desk.ask(http::Method::POST, &format!("{path}/cancel")).expect(200).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(desk.get(&path).expect(200).await["created"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_makes_no_sense_is_refused() {
    let desk = with_history().await;
    for (body, status, code) in [
        (json!({ "destination": "nobody", "from": FROM }), 404, "destination_not_found"),
        (json!({ "destination": "orders", "from": "2027-01-01T00:00:00Z" }), 422, "value_invalid"),
        (json!({ "destination": "orders", "from": FROM, "per_second": 0 }), 422, "value_invalid"),
        (json!({ "destination": "orders", "from": "yesterday" }), 400, "body_invalid"),
        (json!({ "destination": "orders" }), 400, "body_invalid"),
        (json!({ "destination": "orders", "from": FROM, "select": "some" }), 400, "body_invalid"),
    ] {
        desk.post("/v1/replays", body).problem(status, code).await;
    }
}
