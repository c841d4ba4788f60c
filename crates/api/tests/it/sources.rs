//! `/v1/sources`.

use std::time::Duration;

use domain::Secret;
use domain::secret::MASK;
use domain::signature::{Scheme, Signer, Signing};
use serde_json::{Value, json};

use crate::desk::{Desk, SECRET, START, click, text};

#[tokio::test(start_paused = true)]
async fn a_source_lives_from_creation_to_deletion() {
    let desk = Desk::new().await;
    let created = desk.post("/v1/sources", json!({ "name": "tolinku", "kind": "tolinku" })).expect(201).await;
    let secret = text(&created, "secret");
    assert!(secret.starts_with("whsec_"));
    let shown = desk.get("/v1/sources/tolinku").expect(200).await;
    assert_eq!(shown["secret"], Value::Null);
    assert_eq!(text(&shown["secrets"][0], "hint"), format!("{MASK}{}", &secret[secret.len() - 4..]));
    assert_eq!((&shown["scheme"], &shown["managed_by"]), (&json!("body-hex"), &json!("api")));

    let changed = json!({ "name": "links", "scheme": "timestamped", "secrets": [SECRET] });
    let changed = desk.patch("/v1/sources/tolinku", changed).expect(200).await;
    assert_eq!(
        (&changed["id"], &changed["name"], &changed["scheme"]),
        (&created["id"], &json!("links"), &json!("timestamped"))
    );
    desk.get("/v1/sources/tolinku").problem(404, "source_not_found").await;
    assert_eq!(desk.get("/v1/sources").expect(200).await["data"].as_array().unwrap().len(), 1);

    desk.delete("/v1/sources/links").expect(204).await;
    desk.get(&format!("/v1/sources/{}", text(&created, "id"))).problem(404, "source_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_work_is_refused_with_the_reason() {
    let desk = Desk::new().await;
    desk.source().await;
    for (body, status, code) in [
        (json!({ "name": "tolinku", "kind": "tolinku" }), 409, "name_taken"),
        (json!({ "name": "a", "kind": "nobody" }), 422, "kind_unknown"),
        (json!({ "name": "a", "kind": "tolinku", "secrets": [] }), 422, "secret_count"),
        (json!({ "name": "a", "kind": "tolinku", "secrets": [""] }), 422, "secret_invalid"),
        (json!({ "name": "a", "kind": "tolinku", "settings": { "nope": 1 } }), 422, "setting_invalid"),
        (json!({ "name": "A b", "kind": "tolinku" }), 400, "body_invalid"),
        (json!({ "name": "a", "kind": "tolinku", "scheme": "rot13" }), 400, "body_invalid"),
        (json!({ "nam": "a", "kind": "tolinku" }), 400, "body_invalid"),
        (json!({ "name": "a" }), 400, "body_invalid"),
    ] {
        desk.post("/v1/sources", body).problem(status, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_with_an_overlap_takes_both_secrets_until_it_ends() {
    let desk = Desk::new().await;
    desk.source().await;
    let rotated = desk.post("/v1/sources/tolinku/rotate-secret", json!({ "overlap_seconds": 60 })).expect(200).await;
    let new = text(&rotated, "secret");
    assert_eq!(rotated["secrets"][1]["expires_at"], "2026-03-04T14:33:08.000Z");

    let send = async |secret: &str, number: u32| {
        let body = click(number).to_string();
        let signer = Signer::new(Scheme::BodyHex, &Secret::new(secret)).unwrap();
        let signed = signer.headers(&Signing::default_for(Scheme::BodyHex), "", START, body.as_bytes());
        let signature = signed["x-webhook-signature"].to_str().unwrap().to_owned();
        desk.webhook("tolinku", body).header("x-webhook-signature", &signature).send().await.status.as_u16()
    };
    assert_eq!((send(&new, 1).await, send(SECRET, 2).await), (200, 200));
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!((send(&new, 3).await, send(SECRET, 4).await), (200, 401));

    let given = json!({ "secret": SECRET });
    let given = desk.post("/v1/sources/tolinku/rotate-secret", given).expect(200).await;
    assert_eq!((&given["secret"], given["secrets"].as_array().unwrap().len()), (&Value::Null, 1));
    assert_eq!((send(&new, 5).await, send(SECRET, 6).await), (401, 200));
    let long = json!({ "overlap_seconds": 604_801 });
    desk.post("/v1/sources/tolinku/rotate-secret", long).problem(422, "value_invalid").await;
}

#[tokio::test(start_paused = true)]
async fn a_source_is_tried_with_a_sample_that_it_signs_itself() {
    let desk = Desk::new().await;
    desk.source().await;
    let tested = desk.post("/v1/sources/tolinku/test", json!({ "type": "link.clicked" })).expect(202).await;
    let event = desk.get(&format!("/v1/events/{}", text(&tested, "event"))).expect(200).await;
    assert_eq!((&event["type"], &event["source"]), (&json!("link.clicked"), &json!("tolinku")));
    desk.post("/v1/sources/tolinku/test", json!({ "type": "no.such" })).problem(422, "value_invalid").await;
    desk.post("/v1/sources/nobody/test", json!({})).problem(404, "source_not_found").await;

    let other = json!({ "name": "other", "kind": "generic", "settings": { "type_pointer": "/kind" } });
    desk.post("/v1/sources", other).expect(201).await;
    desk.post("/v1/sources/other/test", json!({})).problem(422, "value_invalid").await;
    let kept = desk.get("/v1/sources/other/quarantine").expect(200).await;
    assert_eq!(kept["data"], json!([]), "a trial is no evidence");
}
