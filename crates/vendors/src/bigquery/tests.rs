use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::google::tests::{ask, claims};
use crate::jwt::tests::signed;
use crate::look::text;
use crate::probe;

const TABLES: &str = "/bigquery/v2/projects/acme/datasets/links/tables";

fn big_query() -> BigQuery {
    BigQuery::new().with_table("acme.links.events", &[("event_id", "STRING"), ("value", "NUMERIC")])
}

/// The header that a real exchange earns.
fn authorize(big_query: &mut BigQuery) -> String {
    let assertion = signed(&json!({ "alg": "RS256" }), &claims(SCOPES[1]));
    let answer = big_query.answer(&ask(&assertion), &mut Book::default());
    format!("Bearer {}", text(&answer.said_json()["access_token"]))
}

fn insert(rows: &[(&str, Value)], skip_invalid: bool) -> Value {
    let rows: Vec<_> = rows.iter().map(|(id, row)| json!({ "insertId": id, "json": row })).collect();
    json!({ "skipInvalidRows": skip_invalid, "ignoreUnknownValues": false, "rows": rows })
}

fn row(id: &str) -> (&str, Value) {
    (id, json!({ "event_id": id, "value": "1.50" }))
}

/// The answer to one insert, and the reasons of `insertErrors` by index.
fn check(request: Request, stored: &[&str], reasons: &[(u64, &str)]) {
    let mut big_query = big_query();
    let bearer = authorize(&mut big_query);
    let mut book = Book::default();
    let answer = big_query.answer(&request.with("authorization", &bearer), &mut book);
    let said = answer.said_json();
    let errors = said["insertErrors"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> =
        errors.iter().map(|e| (e["index"].as_u64().unwrap(), text(&e["errors"][0]["reason"]))).collect();
    assert_eq!((answer.status, book.stored_keys(), found.as_slice()), (200, stored.to_vec(), reasons));
}

fn insert_all(body: &Value) -> Request {
    Request::post(&format!("{TABLES}/events/insertAll"), body)
}

#[test]
fn a_key_file_buys_a_token_and_the_token_stores_rows_over_http() {
    let simulator = big_query().start(Faults::none());
    let file: Value = serde_json::from_str(&simulator.service_account()).unwrap();
    assert_eq!(file["token_uri"], format!("{}/token", simulator.url()));
    assert!(text(&file["private_key"]).starts_with("-----BEGIN PRIVATE KEY-----"));
    let assertion = signed(&json!({ "alg": "RS256" }), &claims(SCOPES[1]));
    let reply = probe::send(simulator.address(), &ask(&assertion)).unwrap();
    let token: Value = serde_json::from_str(&reply.body).unwrap();
    let bearer = format!("Bearer {}", text(&token["access_token"]));
    let request = insert_all(&insert(&[row("evt_1")], true)).with("authorization", &bearer);
    assert_eq!(probe::send(simulator.address(), &request).unwrap().status, 200);
    simulator.book(|book| assert_eq!(book.stored_keys(), ["evt_1"]));
    assert_eq!(simulator.vendor(|vendor| vendor.tokens_issued()), 1);
}

#[test]
fn one_bad_row_stops_the_others_unless_it_may_be_skipped() {
    let bad = ("b", json!({ "event_id": "b", "value": "much" }));
    let rows = [row("a"), bad, row("c")];
    check(insert_all(&insert(&rows, true)), &["a", "c"], &[(1, "invalid")]);
    check(insert_all(&insert(&rows, false)), &[], &[(0, "stopped"), (1, "invalid"), (2, "stopped")]);
    let partial = Request { partial_failure: true, ..insert_all(&insert(&[row("a"), row("b")], true)) };
    check(partial, &["a"], &[(1, "timeout")]);
    check(insert_all(&insert(&[("a", json!({ "nope": 1 }))], true)), &[], &[(0, "invalid")]);
}

#[test]
fn an_insert_id_is_remembered_for_a_minute() {
    let mut big_query = big_query();
    let bearer = authorize(&mut big_query);
    let mut book = Book::default();
    for seconds in [0, 59, 60] {
        let request = insert_all(&insert(&[row("a")], true)).with("authorization", &bearer);
        big_query.answer(&request.at(Duration::from_secs(seconds)), &mut book);
    }
    assert_eq!((book.times_stored("a"), book.duplicates.len()), (2, 1));
}

#[test]
fn a_token_that_is_void_or_missing_is_401_and_an_hour_later_it_is_void() {
    let mut big_query = big_query();
    let bearer = authorize(&mut big_query);
    let request = insert_all(&insert(&[row("a")], true)).with("authorization", &bearer);
    let mut status = |request: &Request| big_query.answer(request, &mut Book::default()).status;
    assert_eq!(status(&insert_all(&insert(&[row("a")], true))), 401);
    assert_eq!([status(&request), status(&request.clone().at(Duration::from_hours(1)))], [200, 401]);
    assert_eq!(big_query.words(Fault::TokenExpired, &request).unwrap().status, 401);
    assert_eq!(big_query.answer(&request, &mut Book::default()).status, 401);
}

#[test]
fn a_new_table_is_not_found_at_first_and_its_columns_only_grow() {
    let mut big_query = big_query();
    let bearer = authorize(&mut big_query);
    let mut answer = |request: Request| {
        let answer = big_query.answer(&request.with("authorization", &bearer), &mut Book::default());
        (answer.status, answer.said_json())
    };
    let schema = |names: &[&str]| {
        let fields: Vec<_> = names.iter().map(|name| json!({ "name": name, "type": "STRING" })).collect();
        json!({ "tableReference": { "tableId": "fresh" }, "schema": { "fields": fields } })
    };
    let create = Request::post(TABLES, &schema(&["event_id"]));
    assert_eq!([answer(create.clone()).0, answer(create).0], [200, 409]);
    let insert =
        Request::post(&format!("{TABLES}/fresh/insertAll"), &insert(&[("a", json!({ "event_id": "a" }))], true));
    assert_eq!([404, 404, 200].map(|_| answer(insert.clone()).0), [404, 404, 200]);
    let patch = |names: &[&str]| Request::new("PATCH", &format!("{TABLES}/fresh"), schema(names).to_string());
    assert_eq!([answer(patch(&["other"])).0, answer(patch(&["event_id", "other"])).0], [400, 200]);
    let shown = answer(Request::new("GET", &format!("{TABLES}/fresh"), "")).1;
    assert_eq!(shown["schema"]["fields"][1]["name"], "other");
}

#[test]
fn a_rate_limit_looks_like_a_missing_permission() {
    let answer = big_query().words(Fault::RateLimit { retry_after_s: 1 }, &insert_all(&json!({}))).unwrap();
    assert_eq!((answer.status, text(&answer.said_json()["error"]["errors"][0]["reason"])), (403, "rateLimitExceeded"));
}
