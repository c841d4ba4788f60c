//! `PUT /v1/config`, and what belongs to a file.

use domain::key::Scope;
use serde_json::{Value, json};

use crate::desk::{Desk, SECRET, text};

fn file() -> Value {
    json!({
        "sources": [{ "name": "tolinku", "kind": "tolinku", "secrets": [SECRET] }],
        "destinations": [{
            "name": "orders", "connector": "webhook", "events": ["link.*"], "retry": "tolinku",
            "settings": { "url": "https://example.com/hooks", "secret": SECRET },
        }],
    })
}

async fn apply(desk: &Desk, file: &Value) -> Vec<String> {
    let answer = desk.ask(http::Method::PUT, "/v1/config").json(file).expect(200).await;
    let line = |step: &Value| {
        let changes: Vec<_> =
            step["changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
        format!("{} {} {} {}", text(step, "action"), text(step, "kind"), text(step, "name"), changes.join(","))
            .trim_end()
            .to_owned()
    };
    answer["plan"].as_array().unwrap().iter().map(line).collect()
}

fn with(mut file: Value, member: &str, value: Value) -> Value {
    file[member] = value;
    file
}

#[tokio::test(start_paused = true)]
async fn a_file_is_applied_once_and_then_changes_nothing() {
    let desk = Desk::new().await;
    let created = ["create source tolinku", "create destination orders"];
    assert_eq!(apply(&desk, &with(file(), "dry_run", json!(true))).await, created);
    assert_eq!(desk.get("/v1/sources").expect(200).await["data"], json!([]));
    assert_eq!(apply(&desk, &file()).await, created);
    assert_eq!(apply(&desk, &file()).await, ["unchanged source tolinku", "unchanged destination orders"]);
    assert_eq!(desk.get("/v1/sources/tolinku").expect(200).await["managed_by"], "file");
}

#[tokio::test(start_paused = true)]
async fn a_plan_names_what_differs_and_shows_no_value() {
    let desk = Desk::new().await;
    apply(&desk, &file()).await;
    desk.post("/v1/destinations/orders/pause", json!({})).expect(200).await;
    let mut changed = file();
    changed["sources"][0]["secrets"] = json!([SECRET, "another-secret-of-the-file"]);
    changed["destinations"][0]["events"] = json!(["*"]);
    changed["destinations"][0]["settings"]["url"] = json!("https://example.com/other");
    changed["destinations"][0]["batch"] = json!({ "wait": "2s" });
    changed["destinations"][0]["volume"] = json!({ "sample": 0.1, "threshold": 100 });
    let plan = apply(&desk, &changed).await;
    let members = "events,batch.wait,volume.sample,volume.threshold,settings.url";
    assert_eq!(plan, ["update source tolinku secrets".to_owned(), format!("update destination orders {members}")]);
    let destination = desk.get("/v1/destinations/orders").expect(200).await;
    assert_eq!(destination["settings"]["url"], "https://example.com/other");
    assert_eq!(destination["paused"]["reason"], "manual", "a file does not resume what a person paused");
}

#[tokio::test(start_paused = true)]
async fn what_left_the_file_is_removed_only_when_pruned_and_only_what_came_from_it() {
    let desk = Desk::new().await;
    apply(&desk, &file()).await;
    desk.destination("by-hand").await;
    let empty = json!({});
    assert!(apply(&desk, &empty).await.is_empty());
    let pruned = apply(&desk, &with(empty, "prune", json!(true))).await;
    assert_eq!(pruned, ["delete source tolinku", "delete destination orders"]);
    let left = desk.get("/v1/destinations").expect(200).await;
    assert_eq!((left["data"].as_array().unwrap().len(), &left["data"][0]["name"]), (1, &json!("by-hand")));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_in_order_changes_nothing_at_all() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    let put = |body: Value| desk.ask(http::Method::PUT, "/v1/config").json(&body);
    put(file()).problem(409, "name_taken").await;
    desk.delete("/v1/destinations/orders").expect(204).await;

    let edit = |pointer: &str, value: Value| {
        let mut file = file();
        *file.pointer_mut(pointer).unwrap() = value;
        file
    };
    let settings = |value: Value| edit("/destinations/0/settings", value);
    for (bad, status, code) in [
        (settings(json!({ "url": "https://example.com/" })), 422, "setting_invalid"),
        (settings(json!({ "url": "https://10.0.0.1/", "secret": SECRET })), 422, "setting_invalid"),
        (edit("/sources/0/secrets", json!([])), 422, "secret_count"),
        (edit("/sources/0/kind", json!("nobody")), 422, "kind_unknown"),
        (edit("/destinations/0/connector", json!("nobody")), 422, "connector_unknown"),
        (with(file(), "sources", json!([file()["sources"][0], file()["sources"][0]])), 422, "name_repeated"),
        (with(file(), "surces", json!([])), 400, "body_invalid"),
    ] {
        let problem = put(bad).problem(status, code).await;
        assert!(!problem.to_string().contains(SECRET), "{problem}");
    }
    assert_eq!(desk.get("/v1/sources").expect(200).await["data"], json!([]));
    assert_eq!(desk.get("/v1/destinations").expect(200).await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_file_cannot_be_changed_by_hand_but_paused() {
    let desk = Desk::new().await;
    apply(&desk, &file()).await;
    for (noun, path) in [("sources", "/v1/sources/tolinku"), ("destinations", "/v1/destinations/orders")] {
        desk.patch(path, json!({ "name": "mine" })).problem(409, "managed_by_file").await;
        desk.delete(path).problem(409, "managed_by_file").await;
        desk.post(&format!("{path}/rotate-secret"), json!({})).problem(409, "managed_by_file").await;
        desk.get(&format!("/v1/{noun}")).expect(200).await;
    }
    desk.post("/v1/destinations/orders/pause", json!({})).expect(200).await;
    desk.post("/v1/destinations/orders/resume", json!({})).expect(200).await;
    desk.post("/v1/destinations/orders/test", json!({})).expect(202).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_applied_to_the_default_appspace_only() {
    let desk = Desk::new().await;
    let acme = desk.post("/v1/appspaces", json!({ "name": "acme" })).expect(201).await;
    desk.put_key("of-acme", Scope::Appspace, Some(text(&acme, "id").parse().unwrap())).await;
    desk.ask(http::Method::PUT, "/v1/config").json(&file()).key("of-acme").problem(403, "scope_missing").await;
    desk.ask(http::Method::PUT, "/v1/config").json(&file()).appspace("acme").problem(403, "scope_missing").await;
}
