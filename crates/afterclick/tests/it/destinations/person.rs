//! Somebody who has an app, from an anonymous device to a customer, as the tests of all CRMs tell it.

use serde_json::{Value, json};

use crate::support::{Server, Setup, until, until_done};

const KEY: &str = "an-admin-key-of-the-tests-of-people";

pub(super) fn start(setup: &Setup) -> Server {
    Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", KEY)).with_key(KEY)
}

pub(super) fn event(event_type: &str, minute: u32, data: &Value) -> Value {
    json!({"event": event_type, "timestamp": format!("2026-05-21T09:{minute:02}:00.000Z"), "data": data})
}

pub(super) fn install(n: usize) -> Value {
    let data = json!({
        "install_id": format!("ins-{n}"), "click_id": format!("clk-{n}"), "platform": "ios", "campaign": format!("spring-{n}"),
        "channel": "instagram", "token": "summer-promo", "prefix": "go",
    });
    event("install.tracked", 14, &data)
}

/// The app says whose the device is.
pub(super) fn claim(n: usize) -> Value {
    let data = json!({
        "install_id": format!("ins-{n}"), "user_id": format!("user-{n}"), "email": format!("person-{n}@example.org"),
        "name": format!("Ada {n}"), "deep_link_path": "/offer",
    });
    event("deferred_link.claimed", 15, &data)
}

pub(super) fn completion(n: usize) -> Value {
    let data =
        json!({"user_id": format!("user-{n}"), "referrer_id": "user-abc123", "revenue": 49.99, "currency": "EUR"});
    event("referral.completed", 32, &data)
}

/// The same fact in another event.
pub(super) fn again(envelope: &Value) -> Value {
    let mut envelope = envelope.clone();
    envelope["data"]["resent"] = json!(true);
    envelope
}

/// So many people live through everything, the last of it first, on a server that is killed twice: when there are some records, of
/// devices and of users of whom nobody knows yet that they belong together, and when some of those are merged.
pub(super) fn live(setup: &Setup, people: usize, has_some: impl Fn() -> bool, has_merged: impl Fn() -> bool) -> Server {
    let server = start(setup);
    let first: Value = (0..people).flat_map(|n| [completion(n), install(n)]).collect();
    server.publish(&first);
    until("some records", || has_some().then_some(()));
    let server = killed_and_started(server, setup);

    let second: Value = (0..people).rev().map(claim).collect();
    server.publish(&second);
    until("some records to be merged", || has_merged().then_some(()));
    let server = killed_and_started(server, setup);

    let third: Value =
        (0..people).flat_map(|n| [again(&completion(n)), again(&install(n)), again(&claim(n))]).collect();
    server.publish(&third);
    server
}

fn killed_and_started(server: Server, setup: &Setup) -> Server {
    server.signal("KILL");
    drop(server);
    start(setup)
}

/// Waits until nothing is owed to the destination, and nothing of it is lost.
pub(super) fn wait_until_everything_is_delivered(server: &Server, destination: &str) {
    let path = format!("/v1/destinations/{destination}/deliveries?limit=200");
    until_done("everything to be delivered", || {
        let mut deliveries = server.get(&path);
        let deliveries = deliveries["data"].as_array_mut().unwrap();
        let dead = deliveries.iter().find(|delivery| delivery["state"] == "dead");
        assert!(dead.is_none(), "{}", dead.unwrap());
        let is_empty = deliveries.is_empty();
        deliveries.retain(|delivery| delivery["state"] != "delivered");
        if deliveries.is_empty() && !is_empty { Ok(()) } else { Err(std::mem::take(deliveries)) }
    });
}

/// Waits until the destination is paused, with a message that says this.
pub(super) fn wait_until_paused(server: &Server, destination: &str, what: &str) {
    let paused = until("the destination to be paused", || {
        let paused = server.get(&format!("/v1/destinations/{destination}"))["paused"].take();
        (!paused.is_null()).then_some(paused)
    });
    assert!(paused["message"].as_str().is_some_and(|message| message.contains(what)), "{paused}");
}
