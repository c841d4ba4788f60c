//! No secret is ever in an answer, but the once that it is made.

use serde_json::{Value, json};

use crate::desk::{ADMIN, Desk, click, text};

const CANARIES: [&str; 6] = [
    "whsec_Y2FuYXJ5LXNvdXJjZS1zZWNyZXQtMzItYnl0ZXMtISE=",
    "whsec_Y2FuYXJ5LWRlc3QtLXNlY3JldC0zMi1ieXRlcy1sbyE=",
    "canary-in-a-header",
    "canary-in-the-query",
    "canary-previous-secret-0123456789",
    ADMIN,
];

async fn planted() -> Desk {
    let desk = Desk::new().await;
    let source = json!({ "name": "tolinku", "kind": "tolinku", "secrets": [CANARIES[0]] });
    desk.post("/v1/sources", source).expect(201).await;
    let settings = json!({
        "url": format!("https://example.com/h?key={}", CANARIES[3]),
        "secret": CANARIES[1],
        "previous_secret": CANARIES[4],
        "previous_secret_expires_at": 1_999_999_999_000_i64,
        "headers": { "Authorization": format!("Bearer {}", CANARIES[2]), "X-Api": CANARIES[2] },
    });
    let destination = json!({ "name": "orders", "connector": "webhook", "settings": settings, "retry": [] });
    desk.post("/v1/destinations", destination).expect(201).await;
    desk.network.answer(500);
    desk
}

#[tokio::test(start_paused = true)]
async fn no_route_that_reads_shows_a_secret() {
    let desk = planted().await;
    let event = desk.publish(1).await;
    let dead = desk.until("/v1/dead-letters", |list| list["data"] != json!([])).await;
    let delivery = text(&dead["data"][0], "id");
    let document = desk.get("/v1/openapi.json").expect(200).await;
    let mut read = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if item["get"].is_null() {
            continue;
        }
        let path = path
            .replace("{event}", &event)
            .replace("{source}", "tolinku")
            .replace("{destination}", "orders")
            .replace("{delivery}", &delivery)
            .replace("{appspace}", "default");
        check(&path, &desk.get(&path).send().await.text());
        read += 1;
    }
    assert!(read > 20, "{read} routes were read");
}

#[tokio::test(start_paused = true)]
async fn no_answer_to_a_change_repeats_a_secret_that_was_given() {
    let desk = planted().await;
    for (path, body) in [
        ("/v1/destinations/orders/preview", json!({})),
        ("/v1/destinations/orders/provision", json!({})),
        ("/v1/destinations/orders/pause", json!({})),
        ("/v1/destinations/orders/resume", json!({})),
        ("/v1/destinations/orders/test", json!({})),
        ("/v1/destinations/orders/rotate-secret", json!({ "secret": CANARIES[1], "overlap_seconds": 60 })),
        ("/v1/sources/tolinku/rotate-secret", json!({ "secret": CANARIES[0], "overlap_seconds": 60 })),
        (
            "/v1/destinations",
            json!({ "name": "orders", "connector": "webhook", "settings": { "url": "https://example.com/", "secret": CANARIES[1] } }),
        ),
        (
            "/v1/destinations",
            json!({ "name": "b", "connector": "webhook", "settings": { "url": "https://10.0.0.1/", "secret": CANARIES[1] } }),
        ),
        (
            "/v1/destinations",
            json!({ "name": "b", "connector": "webhook", "settings": { "url": 1, "secret": CANARIES[1] } }),
        ),
        ("/v1/sources", json!({ "name": "tolinku", "kind": "tolinku", "secrets": [CANARIES[0]] })),
        ("/v1/events", click(2)),
    ] {
        check(path, &desk.post(path, body).send().await.text());
    }
    let change = |value: Value| desk.patch("/v1/destinations/orders", value);
    check("patch", &change(json!({ "settings": { "secret": CANARIES[1] } })).send().await.text());
}

fn check(path: &str, answer: &str) {
    for canary in CANARIES {
        assert!(!answer.contains(canary), "{path} shows {canary}: {answer}");
    }
}
