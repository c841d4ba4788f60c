//! The process itself: health, readiness, metrics, appspaces, the catalogue.

use serde_json::{Value, json};

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
async fn a_short_list_is_whole_unless_it_is_asked_for_in_pages() {
    let desk = Desk::new().await;
    for name in ["a", "b", "c"] {
        desk.post("/v1/sources", json!({ "name": name, "kind": "tolinku" })).expect(201).await;
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
    }
    let names = |list: &Value| -> String {
        list["data"].as_array().unwrap().iter().map(|source| text(source, "name")).collect()
    };
    let all = desk.get("/v1/sources").expect(200).await;
    assert_eq!((names(&all), &all["next"]), ("abc".to_owned(), &Value::Null));
    let first = desk.get("/v1/sources?limit=2").expect(200).await;
    let path = format!("/v1/sources?limit=2&cursor={}", text(&first, "next"));
    let second = desk.get(&path).expect(200).await;
    assert_eq!((names(&first), names(&second), &second["next"]), ("ab".to_owned(), "c".to_owned(), &Value::Null));
    desk.get("/v1/keys?limit=0").problem(400, "query_invalid").await;
    desk.get("/v1/destinations?cursor=x").problem(400, "cursor_invalid").await;
    desk.get("/v1/connectors?page=2").problem(400, "query_invalid").await;
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
