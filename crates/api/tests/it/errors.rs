//! What goes wrong before a handler knows of it.

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::desk::{Desk, text};

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_a_problem_document_too() {
    let desk = Desk::new().await;
    desk.get("/nothing").problem(404, "route_not_found").await;
    desk.get("/v1/events/a/b/c").problem(404, "route_not_found").await;
    desk.get("/v1/events/").problem(404, "route_not_found").await;
    desk.delete("/v1/events").problem(405, "method_not_allowed").await;
    let answer = desk.delete("/v1/events").send().await;
    let allowed: std::collections::BTreeSet<_> = answer.headers["allow"].to_str().unwrap().split(',').collect();
    assert_eq!(allowed.into_iter().collect::<Vec<_>>(), ["GET", "HEAD", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_id_is_not_found_like_any_other() {
    let desk = Desk::new().await;
    for id in ["x", "evt_", "dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4", "%00", "..%2f..", "%F0%9F%98%80"] {
        desk.get(&format!("/v1/events/{id}")).problem(404, "event_not_found").await;
        desk.get(&format!("/v1/deliveries/{id}")).problem(404, "delivery_not_found").await;
    }
    desk.get("/v1/events/%ff").problem(400, "path_invalid").await;
}

#[tokio::test(start_paused = true)]
async fn a_query_is_read_strictly() {
    let desk = Desk::new().await;
    for query in
        ["limit=0", "limit=201", "limit=x", "limit=-1", "typ=link.clicked", "from=yesterday", "limit=1&limit=2"]
    {
        desk.get(&format!("/v1/events?{query}")).problem(400, "query_invalid").await;
    }
    for cursor in ["", "x", "AAAAAAAAAAAA", "AQAAAAAAAAA"] {
        desk.get(&format!("/v1/events?cursor={cursor}")).problem(400, "cursor_invalid").await;
    }
    desk.get("/v1/events?type=a%20b").problem(400, "event_type_malformed").await;
    let problem = desk.get("/v1/events?typ=x").problem(400, "query_invalid").await;
    assert_eq!(text(&problem, "detail"), "`typ` is not known here; did you mean `type`?");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_strictly_and_told_where_it_breaks() {
    let desk = Desk::new().await;
    let send = |body: &'static str| desk.ask(Method::POST, "/v1/sources").raw(body);
    let problem = send("{\n  \"name\": oops}").problem(400, "json_malformed").await;
    assert_eq!((&problem["line"], &problem["column"]), (&json!(2), &json!(11)));
    let problem = send(r#"{"name": "a", "kind": "tolinku", "sceme": 1}"#).problem(400, "body_invalid").await;
    assert_eq!(text(&problem, "detail"), "`sceme` is not known here; did you mean `scheme`?");
    for bad in ["[]", "null", "1", "{} {}", "\u{feff}{}"] {
        assert_eq!(send(bad).send().await.status, 400, "{bad}");
    }
    let large = vec![b' '; 4 * 1_024 * 1_024 + 1];
    desk.ask(Method::POST, "/v1/sources").raw(large).problem(413, "body_too_large").await;
    let gzip = desk.ask(Method::POST, "/v1/sources").raw("{}").header("content-encoding", "gzip");
    gzip.problem(415, "content_encoding_unsupported").await;
    let deep = format!("{}{}", r#"{"settings":"#.repeat(200), "}".repeat(200));
    desk.ask(Method::POST, "/v1/sources").raw(deep).problem(400, "json_malformed").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_length_is_cut_off_when_it_is_too_much() {
    let desk = Desk::new().await;
    desk.source().await;
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 64 * 1_024]));
    let request = Request::post("/webhooks/tolinku").body(Body::from_stream(chunks)).unwrap();
    let response = desk.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["connection"], "close");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("body_too_large"));
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_like_get_without_a_body() {
    let desk = Desk::new().await;
    let answer = desk.ask(Method::HEAD, "/healthz").send().await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}
