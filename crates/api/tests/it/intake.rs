//! `/webhooks/{source}`.

use domain::event::BODY_BYTES_MAX;
use http::Method;
use serde_json::json;

use crate::desk::{Desk, SECRET, click, text};

#[tokio::test(start_paused = true)]
async fn a_signed_webhook_is_answered_with_its_id_and_a_second_one_as_a_duplicate() {
    let desk = Desk::new().await;
    let source = desk.source().await;
    assert_eq!(source["path"], "/webhooks/tolinku");
    let body = click(1).to_string();
    let first = desk.webhook("tolinku", body.clone()).expect(200).await;
    assert_eq!((&first["received"], &first["duplicate"]), (&json!(true), &json!(false)));
    let again = desk.webhook(&text(&source, "id"), body.clone()).expect(200).await;
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));

    let stored = desk.get(&format!("/v1/events/{}", text(&first, "id"))).expect(200).await;
    assert_eq!(stored["duplicates"], 1);
    assert_eq!(text(&stored, "body"), body);
    let source = desk.get("/v1/sources/tolinku").expect(200).await;
    assert_eq!(source["secrets"][0]["last_matched_at"], "2026-03-04T14:32:08.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_refused_webhook_says_why() {
    let desk = Desk::new().await;
    desk.source().await;
    let body = click(1).to_string();
    desk.webhook("nobody", body.clone()).problem(404, "source_not_found").await;
    desk.webhook("tolinku", body.clone()).raw("{}").problem(401, "signature_mismatch").await;
    let unsigned = desk.ask(Method::POST, "/webhooks/tolinku").raw(body.clone());
    let problem = unsigned.no_key().problem(401, "signature_missing").await;
    assert!(!problem.to_string().contains(SECRET));
    desk.webhook("tolinku", body).header("content-encoding", "gzip").problem(415, "content_encoding_unsupported").await;
    desk.webhook("tolinku", vec![b'x'; BODY_BYTES_MAX + 1]).problem(413, "body_too_large").await;
    desk.ask(Method::GET, "/webhooks/tolinku").problem(405, "method_not_allowed").await;
    assert_eq!(desk.ask(Method::GET, "/webhooks/tolinku").send().await.headers["allow"], "POST");
}

#[tokio::test(start_paused = true)]
async fn a_signed_body_that_is_no_event_is_kept_once_and_shown() {
    let desk = Desk::new().await;
    desk.source().await;
    for _ in 0..2 {
        desk.webhook("tolinku", "not json").problem(400, "body_not_json").await;
    }
    desk.webhook("tolinku", "[]").problem(400, "body_not_an_object").await;
    let kept = desk.get("/v1/sources/tolinku/quarantine").expect(200).await;
    let bodies: Vec<_> = kept["data"].as_array().unwrap().iter().map(|entry| text(entry, "body")).collect();
    assert_eq!(bodies, ["[]", "not json"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_another_appspace_is_reached_by_its_id_only() {
    let desk = Desk::new().await;
    desk.post("/v1/appspaces", json!({ "name": "acme" })).expect(201).await;
    let wanted = json!({ "name": "theirs", "kind": "tolinku", "secrets": [SECRET] });
    let source = desk.post("/v1/sources", wanted).appspace("acme").expect(201).await;
    let body = click(1).to_string();
    desk.webhook("theirs", body.clone()).problem(404, "source_not_found").await;
    assert_eq!(text(&source, "path"), format!("/webhooks/{}", text(&source, "id")));
    desk.webhook(&text(&source, "id"), body).expect(200).await;
    assert_eq!(desk.get("/v1/events").expect(200).await["data"], json!([]));
    assert_eq!(desk.get("/v1/events").appspace("acme").expect(200).await["data"].as_array().unwrap().len(), 1);
}
