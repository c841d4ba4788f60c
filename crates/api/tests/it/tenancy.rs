//! One appspace sees and changes nothing of another.

use domain::key::Scope;
use http::Method;
use serde_json::{Value, json};

use crate::desk::{ADMIN, Desk, SECRET, click, text};

/// Everything there is, in appspace `default`, and an owner of another one.
struct Neighbours {
    desk: Desk,
    source: String,
    destination: String,
    event: String,
    delivery: String,
    replay: String,
    subject: String,
}

impl Neighbours {
    async fn new() -> Self {
        let desk = Desk::new().await;
        let acme = desk.post("/v1/appspaces", json!({ "name": "acme" })).expect(201).await;
        desk.put_key("neighbour", Scope::Appspace, Some(text(&acme, "id").parse().unwrap())).await;
        let source = text(&desk.source().await, "id");
        let destination = text(&desk.destination("orders").await, "id");
        desk.post("/v1/destinations/orders/pause", json!({})).expect(200).await;
        let event = desk.publish(1).await;
        let delivery = text(&desk.get("/v1/deliveries").expect(200).await["data"][0], "id");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let wanted = json!({ "destination": "orders", "from": "2026-03-01T00:00:00Z" });
        let replay = text(&desk.post("/v1/replays", wanted).expect(201).await, "id");
        let subject = text(&desk.post("/v1/identify", json!({ "user_id": "42" })).expect(200).await, "subject");
        Self { desk, source, destination, event, delivery, replay, subject }
    }
}

#[tokio::test(start_paused = true)]
async fn every_id_of_another_appspace_is_not_found() {
    let there = Neighbours::new().await;
    let Neighbours { desk, source, destination, event, delivery, replay, subject } = &there;
    let routes = [
        ("GET", format!("/v1/events/{event}"), "event"),
        ("GET", format!("/v1/events/{event}/body"), "event"),
        ("GET", format!("/v1/events/{event}/explain"), "event"),
        ("GET", format!("/v1/sources/{source}"), "source"),
        ("PATCH", format!("/v1/sources/{source}"), "source"),
        ("DELETE", format!("/v1/sources/{source}"), "source"),
        ("POST", format!("/v1/sources/{source}/rotate-secret"), "source"),
        ("GET", format!("/v1/sources/{source}/quarantine"), "source"),
        ("GET", format!("/v1/destinations/{destination}"), "destination"),
        ("PATCH", format!("/v1/destinations/{destination}"), "destination"),
        ("DELETE", format!("/v1/destinations/{destination}"), "destination"),
        ("POST", format!("/v1/destinations/{destination}/rotate-secret"), "destination"),
        ("POST", format!("/v1/destinations/{destination}/pause"), "destination"),
        ("POST", format!("/v1/destinations/{destination}/resume"), "destination"),
        ("POST", format!("/v1/destinations/{destination}/test"), "destination"),
        ("POST", format!("/v1/destinations/{destination}/preview"), "destination"),
        ("GET", format!("/v1/destinations/{destination}/deliveries"), "destination"),
        ("GET", "/v1/destinations/orders".to_owned(), "destination"),
        ("GET", "/v1/sources/tolinku".to_owned(), "source"),
        ("GET", format!("/v1/deliveries/{delivery}"), "delivery"),
        ("POST", format!("/v1/deliveries/{delivery}/retry"), "delivery"),
        ("POST", format!("/v1/deliveries/{delivery}/cancel"), "delivery"),
        ("POST", format!("/v1/deliveries/{delivery}/resend"), "delivery"),
        ("GET", format!("/v1/replays/{replay}"), "replay"),
        ("POST", format!("/v1/replays/{replay}/cancel"), "replay"),
        ("GET", format!("/v1/subjects/{subject}"), "subject"),
        ("GET", "/v1/subjects/user:42".to_owned(), "subject"),
        ("GET", "/v1/subjects/42".to_owned(), "subject"),
        ("POST", format!("/v1/subjects/{subject}/unlink"), "subject"),
        ("DELETE", format!("/v1/subjects/{subject}"), "subject"),
        ("DELETE", "/v1/subjects/user:42".to_owned(), "subject"),
        ("GET", format!("/v1/journeys/{subject}"), "subject"),
        ("GET", "/v1/journeys/user:42".to_owned(), "subject"),
    ];
    let before = everything(desk).await;
    for (method, path, noun) in &routes {
        let method: Method = method.parse().unwrap();
        let ask = || desk.ask(method.clone(), path).json(&json!({}));
        ask().key("neighbour").problem(404, &format!("{noun}_not_found")).await;
        ask().key(ADMIN).appspace("acme").problem(404, &format!("{noun}_not_found")).await;
    }
    assert_eq!(everything(desk).await, before, "a neighbour changed something");
}

/// What the owner sees.
async fn everything(desk: &Desk) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in [
        "/v1/events",
        "/v1/sources",
        "/v1/destinations",
        "/v1/deliveries",
        "/v1/replays",
        "/v1/dead-letters",
        "/v1/subjects/user:42",
        "/v1/journeys/user:42",
    ] {
        seen.push(desk.get(path).expect(200).await);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn lists_filters_and_bodies_reach_nothing_of_another_appspace() {
    let there = Neighbours::new().await;
    let Neighbours { desk, source, destination, event, delivery, replay, .. } = &there;
    for path in [
        "/v1/events".to_owned(),
        format!("/v1/events?source={source}"),
        "/v1/sources".to_owned(),
        "/v1/destinations".to_owned(),
        "/v1/deliveries".to_owned(),
        format!("/v1/deliveries?destination={destination}"),
        format!("/v1/deliveries?event={event}"),
        format!("/v1/deliveries?replay={replay}"),
        "/v1/dead-letters".to_owned(),
        format!("/v1/dead-letters?destination={destination}"),
        "/v1/replays".to_owned(),
    ] {
        let list = desk.get(&path).key("neighbour").expect(200).await;
        assert_eq!(list["data"], json!([]), "{path}");
    }
    let redrive = |body: Value| desk.post("/v1/dead-letters/redrive", body).key("neighbour");
    let answer = redrive(json!({ "ids": [delivery] })).expect(200).await;
    assert_eq!(answer["skipped"][0]["code"], "delivery_not_found");
    assert_eq!(redrive(json!({ "destination": destination })).expect(200).await["redriven"], 0);
    let replay = json!({ "destination": destination, "from": "2026-03-01T00:00:00Z" });
    desk.post("/v1/replays", replay).key("neighbour").problem(404, "destination_not_found").await;

    let settings = json!({ "url": "https://example.com/", "secret": SECRET });
    let own = json!({ "name": "orders", "connector": "webhook", "settings": settings });
    desk.post("/v1/destinations", own).key("neighbour").expect(201).await;
    let preview = json!({ "event": event });
    desk.post("/v1/destinations/orders/preview", preview).key("neighbour").problem(404, "event_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn the_same_event_of_two_appspaces_is_two_events() {
    let there = Neighbours::new().await;
    let theirs = there.desk.post("/v1/events", click(1)).key("neighbour").expect(202).await;
    assert_eq!(theirs["duplicate"], false);
    assert_ne!(text(&theirs, "id"), there.event);
}

#[tokio::test(start_paused = true)]
async fn the_same_user_of_two_appspaces_is_two_people() {
    let there = Neighbours::new().await;
    let said = json!({ "user_id": "42", "email": "ada@example.org" });
    let theirs = there.desk.post("/v1/identify", said).key("neighbour").expect(200).await;
    assert_ne!(text(&theirs, "subject"), there.subject);
    let ours = there.desk.get("/v1/subjects/user:42").expect(200).await;
    assert_eq!(ours["identifiers"], json!(["user:42"]));
}

#[tokio::test(start_paused = true)]
async fn only_an_admin_key_may_name_an_appspace() {
    let there = Neighbours::new().await;
    for named in ["default", "acme"] {
        there.desk.get("/v1/events").key("neighbour").appspace(named).problem(403, "scope_missing").await;
    }
    there.desk.get("/v1/events").appspace("none").problem(404, "appspace_not_found").await;
    there.desk.get("/v1/events").appspace("acme").expect(200).await;
}
