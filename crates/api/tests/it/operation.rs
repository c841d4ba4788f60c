//! The process itself: health, readiness, metrics, appspaces, the catalogue.

use serde_json::json;

use crate::desk::{Desk, text};

#[tokio::test(start_paused = true)]
async fn health_readiness_and_metrics_are_open() {
    let desk = Desk::new().await;
    assert_eq!(desk.get("/healthz").no_key().expect(200).await["status"], "ok");
    assert_eq!(desk.get("/readyz").no_key().expect(200).await["status"], "ready");
    assert_eq!(desk.get("/").no_key().expect(200).await["name"], "afterclick");
    desk.pipeline.store.close().await.unwrap();
    desk.get("/healthz").no_key().expect(200).await;
    let problem = desk.get("/readyz").no_key().problem(503, "not_ready").await;
    assert!(text(&problem, "detail").contains("log"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_came_in_and_what_waits() {
    let desk = Desk::new().await;
    desk.source().await;
    desk.destination("orders").await;
    desk.post("/v1/destinations/orders/pause", json!({})).expect(200).await;
    desk.publish(1).await;
    desk.publish(1).await;
    desk.webhook("tolinku", "{}").raw("changed").problem(401, "signature_mismatch").await;
    desk.webhook("tolinku", vec![b' '; 300_000]).problem(413, "body_too_large").await;
    let answer = desk.get("/metrics").no_key().send().await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let metrics = answer.text();
    for line in [
        "afterclick_events_ingested_total 1",
        "afterclick_events_duplicate_total 1",
        "afterclick_requests_rejected_total{reason=\"signature_mismatch\"} 1",
        "afterclick_requests_rejected_total{reason=\"body_too_large\"} 1",
        "afterclick_backlog{destination=\"default/orders\"} 1",
        "afterclick_connections 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn appspaces_are_made_listed_and_found_by_name_or_id() {
    let desk = Desk::new().await;
    let acme = desk.post("/v1/appspaces", json!({ "name": "acme" })).expect(201).await;
    desk.post("/v1/appspaces", json!({ "name": "acme" })).problem(409, "name_taken").await;
    let names: Vec<_> = desk.get("/v1/appspaces").expect(200).await["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|appspace| text(appspace, "name"))
        .collect();
    assert_eq!(names, ["default", "acme"]);
    for path in ["acme", acme["id"].as_str().unwrap()] {
        assert_eq!(desk.get(&format!("/v1/appspaces/{path}")).expect(200).await, acme);
    }
    desk.get("/v1/appspaces/none").problem(404, "appspace_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_and_the_manifests_can_be_read() {
    let desk = Desk::new().await;
    let types = desk.get("/v1/event-types").expect(200).await;
    let clicked = types["data"].as_array().unwrap().iter().find(|entry| entry["type"] == "link.clicked").unwrap();
    assert_eq!(clicked["samples"][0]["event"], "link.clicked");
    let connectors = desk.get("/v1/connectors").expect(200).await;
    let webhook = connectors["data"].as_array().unwrap().iter().find(|entry| entry["name"] == "webhook").unwrap();
    let setting = |name: &str| webhook["settings"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
    assert_eq!((&setting("secret")["type"], &setting("url")["required"]), (&json!("secret"), &json!(true)));
    let kinds = desk.get("/v1/source-kinds").expect(200).await;
    assert!(kinds["data"].as_array().unwrap().iter().any(|kind| kind["name"] == "tolinku"));
}
