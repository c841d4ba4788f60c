//! Who gets in: keys, scopes, expiry.

use std::time::Duration;

use domain::key::Scope;
use http::Method;
use serde_json::json;

use crate::desk::{ADMIN, Desk, click, text};

#[tokio::test(start_paused = true)]
async fn a_call_without_a_live_key_is_told_how_to_send_one() {
    let desk = Desk::new().await;
    let answer = desk.get("/v1/events").no_key().send().await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"afterclick\"");
    desk.get("/v1/events").no_key().problem(401, "key_missing").await;
    for bad in ["Bearer ", "Bearer nope", "Basic YWRtaW46eA==", "nope", &format!("Bearer {}", "x".repeat(9_000))] {
        desk.get("/v1/events").header("authorization", bad).problem(401, "key_invalid").await;
    }
    desk.get("/v1/events").header("authorization", &format!("bearer  {ADMIN}")).expect(200).await;
}

#[tokio::test(start_paused = true)]
async fn each_scope_opens_its_own_doors_only() {
    let desk = Desk::new().await;
    let appspace = desk.pipeline.registry.default_appspace().id;
    for (scope, key) in [(Scope::Appspace, "owner"), (Scope::Publish, "publisher"), (Scope::Read, "reader")] {
        desk.put_key(key, scope, Some(appspace)).await;
    }
    let doors = [
        ("GET", "/v1/events", json!(null), "owner reader"),
        ("POST", "/v1/events", click(1), "owner publisher"),
        ("POST", "/v1/identify", json!({ "user_id": "42" }), "owner publisher"),
        ("GET", "/v1/subjects/user:42", json!(null), "owner reader"),
        ("GET", "/v1/journeys/user:42", json!(null), "owner reader"),
        ("POST", "/v1/subjects/user:42/unlink", json!({ "user_id": "42" }), "owner"),
        ("DELETE", "/v1/subjects/none", json!(null), "owner"),
        ("GET", "/v1/sources", json!(null), "owner reader"),
        ("POST", "/v1/sources", json!({ "name": "a", "kind": "tolinku" }), "owner"),
        ("DELETE", "/v1/sources/none", json!(null), "owner"),
        ("GET", "/v1/destinations", json!(null), "owner reader"),
        ("POST", "/v1/destinations/none/pause", json!({}), "owner"),
        ("POST", "/v1/destinations/none/preview", json!({}), "owner reader"),
        ("GET", "/v1/deliveries", json!(null), "owner reader"),
        ("GET", "/v1/dead-letters", json!(null), "owner reader"),
        ("POST", "/v1/dead-letters/redrive", json!({ "all": true }), "owner"),
        ("GET", "/v1/replays", json!(null), "owner reader"),
        ("GET", "/v1/event-types", json!(null), "owner reader"),
        ("GET", "/v1/connectors", json!(null), "owner reader"),
        ("GET", "/v1/source-kinds", json!(null), "owner reader"),
        ("PUT", "/v1/config", json!({ "dry_run": true }), "owner"),
        ("GET", "/v1/appspaces", json!(null), ""),
        ("POST", "/v1/appspaces", json!({ "name": "x" }), ""),
        ("GET", "/v1/keys", json!(null), ""),
        ("POST", "/v1/keys", json!({ "scope": "read", "label": "x" }), ""),
        ("GET", "/v1/key", json!(null), "owner publisher reader"),
    ];
    for (method, path, body, opens_for) in doors {
        for key in ["owner", "publisher", "reader"] {
            let method: Method = method.parse().unwrap();
            let answer = desk.ask(method.clone(), path).json(&body).key(key).send().await;
            let is_open = opens_for.split(' ').any(|opens| opens == key);
            assert_eq!(answer.status != 403, is_open, "{key}: {method} {path} {}", answer.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_shown_once_works_until_it_expires_and_can_be_revoked() {
    let desk = Desk::new().await;
    let wanted = json!({ "scope": "read", "label": "report", "expires_at": "2026-03-04T15:32:08Z" });
    let created = desk.post("/v1/keys", wanted).expect(201).await;
    let key = text(&created, "key");
    assert!(key.starts_with("ack_") && key.len() == 47, "{key}");
    assert!(!desk.get("/v1/keys").expect(200).await.to_string().contains(&key));

    let whoami = desk.get("/v1/key").key(&key).expect(200).await;
    assert_eq!((&whoami["key"]["id"], &whoami["acts_in"]["name"]), (&created["id"], &json!("default")));
    tokio::time::advance(Duration::from_secs(3_700)).await;
    desk.get("/v1/events").key(&key).problem(401, "key_invalid").await;

    let created = desk.post("/v1/keys", json!({ "scope": "read", "label": "x" })).expect(201).await;
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    desk.get("/v1/events").key(&key).expect(200).await;
    desk.delete(&format!("/v1/keys/{id}")).expect(204).await;
    desk.get("/v1/events").key(&key).problem(401, "key_invalid").await;
    desk.delete(&format!("/v1/keys/{id}")).problem(404, "key_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_cannot_revoke_itself() {
    let desk = Desk::new().await;
    let own = text(&desk.get("/v1/key").expect(200).await["key"], "id");
    desk.delete(&format!("/v1/keys/{own}")).problem(409, "key_in_use").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_makes_no_sense_is_not_made() {
    let desk = Desk::new().await;
    for bad in [
        json!({ "scope": "read", "label": "" }),
        json!({ "scope": "read", "label": "a\nb" }),
        json!({ "scope": "admin", "label": "x", "appspace": "default" }),
        json!({ "scope": "read", "label": "x", "expires_at": "2020-01-01T00:00:00Z" }),
    ] {
        desk.post("/v1/keys", bad).problem(422, "value_invalid").await;
    }
    desk.post("/v1/keys", json!({ "scope": "read", "label": "x", "appspace": "no" }))
        .problem(404, "appspace_not_found")
        .await;
    desk.post("/v1/keys", json!({ "scope": "root", "label": "x" })).problem(400, "body_invalid").await;
}
