//! What a destination gets less of: how it is said, and that a preview shows it.

use serde_json::{Value, json};

use crate::desk::{Desk, SECRET, text};

async fn create(desk: &Desk, connector: &str, settings: Value, privacy: Value) -> Value {
    let wanted = json!({ "name": "here", "connector": connector, "settings": settings, "privacy": privacy });
    desk.post("/v1/destinations", wanted).expect(201).await
}

fn webhook() -> Value {
    json!({ "url": "https://example.com/hooks", "secret": SECRET })
}

#[tokio::test(start_paused = true)]
async fn privacy_is_set_shown_changed_and_taken_away() {
    let desk = Desk::new().await;
    let privacy = json!({ "drop": ["user_agent"], "hash": ["email"], "truncate": { "ip": 24 } });
    assert_eq!(create(&desk, "webhook", webhook(), privacy.clone()).await["privacy"], privacy);
    let change = async |privacy: Value| {
        desk.patch("/v1/destinations/here", json!({ "privacy": privacy })).expect(200).await["privacy"].clone()
    };
    assert_eq!(desk.patch("/v1/destinations/here", json!({ "rate": 5 })).expect(200).await["privacy"], privacy);
    assert_eq!(change(json!({ "drop": ["phone"] })).await, json!({ "drop": ["phone"] }));
    assert_eq!(change(json!({})).await, json!({}));
}

#[tokio::test(start_paused = true)]
async fn privacy_that_makes_no_sense_is_refused_with_its_reason() {
    let desk = Desk::new().await;
    create(&desk, "webhook", webhook(), json!({})).await;
    for (privacy, says) in [
        (json!({ "drop": ["ip"], "truncate": { "ip": 24 } }), "two things of `ip`"),
        (json!({ "drop": [""] }), "1 to 64 bytes"),
        (json!({ "hash": (0..65).map(|number| number.to_string()).collect::<Vec<_>>() }), "more than 64 fields"),
    ] {
        let problem =
            desk.patch("/v1/destinations/here", json!({ "privacy": privacy })).problem(422, "privacy_invalid").await;
        assert!(text(&problem, "detail").contains(says), "{problem}");
        assert_eq!(problem["field"], "privacy");
    }
    let unknown = json!({ "privacy": { "dropp": ["ip"] } });
    let problem = desk.patch("/v1/destinations/here", unknown).problem(400, "body_invalid").await;
    assert!(text(&problem, "detail").contains("did you mean `drop`?"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_file_can_say_it_and_a_plan_names_it() {
    let desk = Desk::new().await;
    let file = |privacy: Value| {
        let destination = json!({ "name": "here", "connector": "webhook", "settings": webhook(), "privacy": privacy });
        json!({ "destinations": [destination] })
    };
    let apply = async |privacy: Value| desk.ask(http::Method::PUT, "/v1/config").json(&file(privacy)).expect(200).await;
    apply(json!({})).await;
    let plan = apply(json!({ "drop": ["ip"] })).await;
    assert_eq!(plan["plan"][0]["changes"], json!(["privacy"]));
    assert_eq!(desk.get("/v1/destinations/here").expect(200).await["privacy"], json!({ "drop": ["ip"] }));
}

#[tokio::test(start_paused = true)]
async fn a_preview_shows_what_the_destination_would_see() {
    let desk = Desk::new().await;
    create(&desk, "webhook", webhook(), json!({ "drop": ["email"], "truncate": { "ip": 24 } })).await;
    let when = json!({ "when": "data.email is defined" });
    desk.patch("/v1/destinations/here", when).expect(200).await;
    let data = json!({ "user_id": "42", "email": "ada@example.org", "ip": "192.0.2.77" });
    let event =
        text(&desk.post("/v1/events", json!({ "event": "link.clicked", "data": data })).expect(202).await, "id");
    let preview = desk.post("/v1/destinations/here/preview", json!({ "event": event })).expect(200).await;
    let body: Value = serde_json::from_str(&text(&preview["request"], "body")).unwrap();
    assert_eq!(body["data"], json!({ "user_id": "42", "ip": "192.0.2.0" }));
    assert_eq!(preview["matches"], true, "a filter sees what the destination does not");
}

#[tokio::test(start_paused = true)]
async fn a_preview_shows_what_is_known_of_the_person_as_the_destination_may_know_it() {
    let desk = Desk::new().await;
    let settings = json!({ "write_key": "a-write-key", "properties": {
        "who": "{{ person.name }}", "mail": "{{ person.email }}", "first": "{{ person.first_touch.campaign }}",
    } });
    create(&desk, "segment", settings, json!({ "drop": ["name"], "hash": ["email"] })).await;
    let clicked = json!({ "event": "link.clicked", "data": { "click_id": "c", "campaign": "summer" } });
    desk.post("/v1/events", clicked).expect(202).await;
    let installed = json!({ "event": "install.tracked", "data": { "click_id": "c", "install_id": "i" } });
    let event = text(&desk.post("/v1/events", installed).expect(202).await, "id");
    let said = json!({ "user_id": "42", "email": "ada@example.org", "name": "Ada", "install_id": "i" });
    desk.post("/v1/identify", said).expect(200).await;

    let preview = desk.post("/v1/destinations/here/preview", json!({ "event": event })).expect(200).await;
    let body = text(&preview["request"], "body");
    assert!(body.contains("summer"), "{body}");
    assert!(!body.contains("Ada") && !body.contains("ada@"), "{body}");
    assert!(
        body.contains("cfe00dde46ef942601ffafb9e2825e802858b460e586b8305b344c1eb826357d"),
        "the SHA-256 of the address: {body}"
    );
}
