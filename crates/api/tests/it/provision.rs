//! `…/provision`: making what a destination needs.

use serde_json::{Value, json};

use crate::desk::{Desk, text};

const VERSION: &str = r#"{"version":"24.8.1.1","zone":"UTC"}"#;
const DATABASE: &str = r#"{"name":"default"}"#;

async fn warehouse() -> Desk {
    let desk = Desk::new().await;
    let settings = json!({ "url": "https://ch.example.com:8443", "user": "me", "password": "hidden-password" });
    let wanted = json!({ "name": "warehouse", "connector": "clickhouse", "settings": settings });
    desk.post("/v1/destinations", wanted).expect(201).await;
    desk
}

async fn provision(desk: &Desk, dry_run: bool) -> Value {
    desk.post("/v1/destinations/warehouse/provision", json!({ "dry_run": dry_run })).expect(200).await
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_shown_before_it_is_done_and_holds_no_secret() {
    let desk = warehouse().await;
    desk.network.answer_first(&[VERSION, DATABASE, ""]);
    let planned = provision(&desk, true).await;
    assert_eq!((&planned["applied"], planned["plan"].as_array().unwrap().len()), (&json!(false), 1));
    let step = &planned["plan"][0];
    assert_eq!(step["state"], "planned");
    assert!(text(step, "reason").starts_with("create table"), "{step}");
    assert!(text(&step["request"], "body").starts_with("CREATE TABLE IF NOT EXISTS"), "{step}");
    assert!(!planned.to_string().contains("hidden"), "{planned}");

    desk.network.answer_first(&[VERSION, DATABASE, "", ""]);
    let made = provision(&desk, false).await;
    assert_eq!((&made["applied"], &made["plan"][0]["state"]), (&json!(true), &json!("done")));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_says_what_the_vendor_said() {
    let desk = warehouse().await;
    desk.network.answer_first(&[VERSION, DATABASE, ""]);
    desk.network.answer(403);
    let made = provision(&desk, false).await;
    assert_eq!(made["plan"][0]["state"], "failed");
    assert!(!text(&made["plan"][0], "error").is_empty(), "{made}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_planned_changes_nothing_and_has_a_code() {
    let desk = warehouse().await;
    desk.destination("orders").await;
    desk.post("/v1/destinations/orders/provision", json!({})).problem(422, "provisioning_unsupported").await;
    desk.network.answer_first(&[r#"{"version":"24.8.1.1","zone":"Europe/Berlin"}"#, DATABASE]);
    desk.network.answer_first(&[r#"{"name":"occurred_at","type":"DateTime"}"#]);
    desk.post("/v1/destinations/warehouse/provision", json!({})).problem(422, "provisioning_impossible").await;
    desk.post("/v1/destinations/nobody/provision", json!({})).problem(404, "destination_not_found").await;
}
