use super::*;
use crate::faults::Faults;
use crate::probe;
use crate::sigv4::tests::signed;

fn call(operation: &str, body: &Value) -> Request {
    let request = Request::new("POST", "/", body.to_string())
        .with("content-type", "application/x-amz-json-1.1")
        .with("x-amz-target", &format!("RedshiftData.{operation}"));
    signed(request, &Redshift::new().credentials)
}

fn insert(token: &str, value: &str) -> Value {
    json!({
        "Database": "dev", "WorkgroupName": "links", "ClientToken": token,
        "Sql": "INSERT INTO events VALUES (:id)", "Parameters": [{ "name": "id", "value": value }],
    })
}

fn converse(redshift: &mut Redshift, operation: &str, body: &Value, book: &mut Book) -> (u16, Value) {
    let answer = redshift.answer(&call(operation, body), book);
    (answer.status, answer.said_json())
}

#[test]
fn a_statement_runs_once_per_client_token_and_finishes_later() {
    let (mut redshift, mut book) = (Redshift { running_polls: 1, ..Redshift::new() }, Book::default());
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(converse(&mut redshift, "ExecuteStatement", &insert("t1", "a"), &mut book).1["Id"].clone());
    }
    assert_eq!((ids[0].clone(), book.stored_keys(), book.duplicates.len()), (ids[1].clone(), vec!["t1"], 1));
    let describe = json!({ "Id": ids[0] });
    let mut status = || converse(&mut redshift, "DescribeStatement", &describe, &mut book).1["Status"].clone();
    assert_eq!([status(), status()], ["STARTED", "FINISHED"]);
    let other = converse(&mut redshift, "ExecuteStatement", &insert("t1", "b"), &mut book);
    assert_eq!((other.0, other.1["__type"].clone()), (400, json!("ValidationException")));
}

#[test]
fn a_statement_that_fails_is_accepted_first() {
    let mut redshift = Redshift { failing: vec!["nope".to_owned()], ..Redshift::new() };
    let mut book = Book::default();
    let batch = json!({ "Database": "dev", "WorkgroupName": "links", "Sqls": ["SELECT 1", "COPY nope"] });
    let (status, said) = converse(&mut redshift, "BatchExecuteStatement", &batch, &mut book);
    assert_eq!((status, book.stored.len(), book.refused.len()), (200, 0, 1));
    let told = converse(&mut redshift, "DescribeStatement", &json!({ "Id": said["Id"] }), &mut book).1;
    assert_eq!((text(&told["Status"]), text(&told["Error"])), ("FAILED", "ERROR: the statement failed"));
}

#[test]
fn what_is_unsigned_or_too_much_is_refused_over_http() {
    let simulator = Redshift::new().start(Faults::none());
    let unsigned = Request::post("/", &insert("t1", "a")).with("x-amz-target", "RedshiftData.ExecuteStatement");
    let reply = probe::send(simulator.address(), &unsigned).unwrap();
    assert!(reply.status == 403 && reply.body.contains("Missing Authentication Token"), "{}", reply.body);
    let mut book = Book::default();
    let mut kind =
        |body: &Value| converse(&mut Redshift::new(), "BatchExecuteStatement", body, &mut book).1["__type"].clone();
    let sqls = |sqls: &[&str]| json!({ "Database": "dev", "WorkgroupName": "links", "Sqls": sqls });
    assert_eq!(kind(&sqls(&["SELECT 1"; 41])), "ValidationException");
    assert_eq!(kind(&sqls(&["x".repeat((100 << 10) + 1).as_str()])), "ValidationException");
    assert_eq!(kind(&json!({ "Database": "dev", "Sqls": ["SELECT 1"] })), "ValidationException");
}

#[test]
fn bad_luck_strikes_no_statement_twice_and_a_number_must_fit_its_column() {
    let (mut redshift, mut book) = (Redshift::new(), Book::default());
    let mut outcome = |token: &str, sql: &str, partial_failure: bool| {
        let body = json!({ "Database": "dev", "WorkgroupName": "links", "ClientToken": token, "Sql": sql });
        let request = Request { partial_failure, ..call("ExecuteStatement", &body) };
        let id = redshift.answer(&request, &mut book).said_json()["Id"].clone();
        let told = redshift.answer(&call("DescribeStatement", &json!({ "Id": id })), &mut book).said_json();
        told["Error"].as_str().unwrap_or_default().to_owned()
    };
    assert!(outcome("t1", "SELECT 1", true).contains("serialize"));
    assert_eq!(outcome("t2", "SELECT 1", true), "");
    assert_eq!(outcome("t3", "SELECT CAST('12.5' AS decimal(18, 4)) AS \"revenue\"", false), "");
    assert!(outcome("t4", "SELECT CAST('1e30' AS decimal(18, 4)) AS \"revenue\"", false).contains("overflow"));
}
