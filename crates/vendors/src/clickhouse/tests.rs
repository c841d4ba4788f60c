use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::look::text;
use crate::probe;

const OLD: &str = "CREATE TABLE events (event_id String, at DateTime, n UInt8, x Nullable(Float64)) \
                   ENGINE = ReplacingMergeTree(at) PARTITION BY toYYYYMM(at) ORDER BY event_id";
const CURRENT: &str = "CREATE TABLE IF NOT EXISTS links.events (event_id String, at DateTime64(3, 'UTC') CODEC(ZSTD(3)), \
                       campaign LowCardinality(String) DEFAULT '', x Nullable(Decimal(18, 4))) ENGINE = MergeTree \
                       ORDER BY (event_id) SETTINGS non_replicated_deduplication_window = 100";

fn server(release: Release) -> ClickHouse {
    let mut server = ClickHouse::new(release);
    server.databases.insert("links".to_owned());
    server.with_table(if release == Release::Old { OLD } else { CURRENT })
}

/// A query in the URL, with further parameters and the rows in the body.
fn query(sql: &str, more: &str, rows: &[Value]) -> Request {
    let sql: String = url::form_urlencoded::byte_serialize(sql.as_bytes()).collect();
    let rows = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    Request::new("POST", &format!("/?query={sql}{more}"), rows)
}

fn insert(more: &str, rows: &[Value]) -> Request {
    query("INSERT INTO events FORMAT JSONEachRow", more, rows)
}

/// Status and exception code, read from the body as for an old server.
fn code(answer: &Answer) -> (u16, u32) {
    let digits = answer.said().strip_prefix("Code: ").unwrap_or("0");
    (answer.status, digits.split([',', '.', ' ']).next().unwrap().parse().unwrap())
}

#[test]
fn rows_are_inserted_over_http_and_can_be_read_back() {
    let simulator = server(Release::Current).start(Faults::none());
    let send = |request: &Request| probe::send(simulator.address(), request).unwrap();
    let row = json!({ "event_id": "evt_1", "at": "2026-03-04 14:32:08.441", "campaign": "spring-sale" });
    let reply = send(&insert("&async_insert=0", &[row.clone(), row.clone()]));
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!((simulator.rows("events").len(), simulator.rows_final("events")), (2, vec![row]));
    assert_eq!(send(&Request::new("GET", "/ping", "")).body, "Ok.\n");
    assert_eq!(send(&query("SELECT count() FROM events", "", &[])).body, "2\n");
}

#[test]
fn each_release_tells_its_version_settings_and_columns() {
    let ask = |release, sql: &str| server(release).answer(&query(sql, "", &[]), &mut Book::default()).said().to_owned();
    assert_eq!(ask(Release::Old, "SELECT version()"), "18.16.1\n");
    assert_eq!(ask(Release::Current, "select version() FORMAT JSONEachRow"), "{\"version()\":\"26.9.1.1\"}\n");
    let settings = "SELECT name FROM system.settings WHERE name IN ('async_insert', 'date_time_input_format')";
    assert_eq!(ask(Release::Old, settings), "date_time_input_format\n");
    assert_eq!(ask(Release::Current, settings), "date_time_input_format\nasync_insert\n");
    let zone = "SELECT version() AS version, timezone() AS zone FORMAT JSONEachRow";
    assert_eq!(ask(Release::Old, zone), "{\"version\":\"18.16.1\",\"zone\":\"UTC\"}\n");
    let columns = "SELECT name, type FROM system.columns WHERE database = 'links' AND table = 'events'";
    assert_eq!(ask(Release::Current, columns).lines().next(), Some("event_id\tString"));
    assert_eq!(ask(Release::Current, "SELECT name FROM system.databases WHERE name = 'nope'"), "");
    let described = ask(Release::Current, "DESCRIBE TABLE links.events FORMAT JSONEachRow");
    let columns: Vec<Value> = described.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = columns.iter().map(|column| text(&column["type"])).collect();
    assert_eq!(kinds, ["String", "DateTime64(3, 'UTC')", "LowCardinality(String)", "Nullable(Decimal(18, 4))"]);
}

#[test]
fn the_old_release_has_no_exception_header_and_odd_statuses() {
    let row = json!({ "event_id": "a", "extra": 1 });
    let old = server(Release::Old).answer(&insert("", &[row]), &mut Book::default());
    assert_eq!((code(&old), old.headers.len()), ((500, 117), 1));
    let unknown = insert("&async_insert=1", &[]);
    assert_eq!(code(&server(Release::Old).answer(&unknown, &mut Book::default())), (404, 115));
    let time = insert("", &[json!({ "event_id": "a", "at": "yesterday" })]);
    let current = server(Release::Current).answer(&time, &mut Book::default());
    assert_eq!(code(&current), (400, 27));
    assert_eq!(current.headers[1], ("x-clickhouse-exception-code", "27".to_owned()));
}

#[test]
fn the_releases_differ_in_what_they_swallow() {
    let cases = [
        (json!({ "event_id": { "a": 1 } }), 26, 0),
        (json!({ "n": null }), 26, 0),
        (json!({ "at": "2026-03-04T14:32:08.441Z" }), 27, 0),
        (json!({ "nope": 1 }), 117, 0),
        (json!({ "at": "2026-03-04 14:32:08", "x": "1.5" }), 0, 0),
        (json!({ "x": "much" }), 27, 27),
    ];
    for (row, old, current) in cases {
        let code =
            |release| code(&server(release).answer(&insert("", std::slice::from_ref(&row)), &mut Book::default())).1;
        assert_eq!((code(Release::Old), code(Release::Current)), (old, current), "{row}");
    }
    let lenient = insert("&date_time_input_format=best_effort", &[json!({ "at": "2026-03-04T14:32:08.441Z" })]);
    assert_eq!(server(Release::Old).answer(&lenient, &mut Book::default()).status, 200);
}

#[test]
fn one_bad_row_refuses_all_and_allowed_errors_lose_rows() {
    let rows = [json!({ "event_id": "a" }), json!({ "event_id": "b", "x": "much" }), json!({ "event_id": "c" })];
    let mut book = Book::default();
    server(Release::Current).answer(&insert("", &rows), &mut book);
    assert_eq!((book.stored.len(), book.refused[0].key.as_str()), (0, "b"));
    server(Release::Current).answer(&insert("&input_format_allow_errors_num=1", &rows), &mut book);
    assert_eq!((book.stored_keys(), book.lost[0].key.as_str()), (vec!["a", "c"], "b"));
    let blind = insert("&async_insert=1&wait_for_async_insert=0", &rows);
    assert_eq!((server(Release::Current).answer(&blind, &mut book).status, book.lost.len()), (200, 2));
    let number = insert("", &[json!({ "event_id": "d", "at": 1_772_634_728_441_u64 })]);
    server(Release::Current).answer(&number, &mut book);
    assert_eq!(book.flagged[0].reason, "`at` is a number that is not seconds");
}

#[test]
fn a_token_drops_whatever_comes_under_it_again() {
    let (mut server, mut book) = (server(Release::Current), Book::default());
    let token = |rows: &[Value]| insert("&insert_deduplication_token=t1", rows);
    for rows in [[json!({ "event_id": "a" })], [json!({ "event_id": "a" })], [json!({ "event_id": "b" })]] {
        assert_eq!(server.answer(&token(&rows), &mut book).status, 200);
    }
    assert_eq!((book.stored_keys(), book.duplicates.len()), (vec!["a"], 1));
    assert_eq!(book.lost[0].reason, "the token was seen before, with other rows");
    let mut plain =
        ClickHouse::new(Release::Current).with_table("CREATE TABLE events (event_id String) ENGINE = MergeTree");
    for _ in 0..2 {
        plain.answer(&token(&[json!({ "event_id": "c" })]), &mut book);
    }
    assert_eq!(book.times_stored("c"), 2);
}

#[test]
fn tables_are_made_and_widened_in_the_dialect_of_the_release() {
    let run = |server: &mut ClickHouse, sql: &str| code(&server.answer(&query(sql, "", &[]), &mut Book::default())).1;
    let mut old = server(Release::Old);
    assert_eq!(run(&mut old, "CREATE TABLE b (at DateTime64(3)) ENGINE = Log"), 50);
    assert_eq!(run(&mut old, "CREATE TABLE b (a LowCardinality(String)) ENGINE = Log"), 44);
    assert_eq!(run(&mut old, "CREATE TABLE b (a String CODEC(LZ4)) ENGINE = Log"), 62);
    assert_eq!(run(&mut old, "ALTER TABLE events ADD COLUMN IF NOT EXISTS b String"), 62);
    assert_eq!(run(&mut old, "ALTER TABLE events ADD COLUMN b String, ADD COLUMN c Decimal(9, 2)"), 0);
    assert_eq!((run(&mut old, OLD), old.tables["events"].columns.len(), old.definitions.len()), (57, 6, 2));
    let mut current = server(Release::Current);
    assert_eq!(run(&mut current, CURRENT), 0);
    assert_eq!(run(&mut current, "ALTER TABLE events ADD COLUMN IF NOT EXISTS x String"), 0);
    assert_eq!(run(&mut current, "CREATE TABLE `new`.`t` (`a` String) ENGINE = Log"), 81);
    assert_eq!(run(&mut current, "CREATE DATABASE IF NOT EXISTS `new`"), 0);
    assert_eq!(run(&mut current, "CREATE TABLE IF NOT EXISTS `new`.`t` (`a` String) ENGINE = Log"), 0);
    assert_eq!(run(&mut current, "INSERT INTO nope FORMAT JSONEachRow"), 60);
    assert_eq!(run(&mut current, "INSERT INTO events (nope) FORMAT JSONEachRow"), 16);
    assert_eq!(run(&mut current, "INSERT INTO events FORMAT RowBinaryy"), 73);
    assert_eq!(run(&mut current, "DROP TABLE events"), 62);
}

#[test]
fn strangers_and_inserting_gets_are_turned_away() {
    let guarded = |release| ClickHouse::new(release).with_login("me", "pw");
    let knock = |release, request: &Request| code(&guarded(release).answer(request, &mut Book::default()));
    let ask = query("SELECT 1", "", &[]);
    assert_eq!([knock(Release::Old, &ask), knock(Release::Current, &ask)], [(401, 193), (403, 516)]);
    let keyed = ask.clone().with("X-ClickHouse-User", "me").with("X-ClickHouse-Key", "pw");
    assert_eq!(knock(Release::Old, &keyed), (200, 0));
    assert_eq!(knock(Release::Current, &ask.with_basic("me", "pw")), (200, 0));
    let get = Request { method: "GET".to_owned(), ..insert("", &[]) };
    assert_eq!(code(&server(Release::Old).answer(&get, &mut Book::default())), (500, 164));
}

#[test]
fn an_exception_can_hide_behind_a_200() {
    let partial = |more: &str| Request { partial_failure: true, ..insert(more, &[json!({ "event_id": "a" })]) };
    let mut book = Book::default();
    assert_eq!(code(&server(Release::Old).answer(&partial(""), &mut book)), (200, 241));
    assert_eq!(code(&server(Release::Old).answer(&partial("&wait_end_of_query=1"), &mut book)), (500, 241));
    assert!(book.stored.is_empty());
    let mut server = server(Release::Current);
    let words = |server: &mut ClickHouse, fault| server.words(fault, &insert("", &[])).map(|answer| code(&answer));
    assert_eq!(words(&mut server, Fault::RateLimit { retry_after_s: 1 }), Some((500, 202)));
    assert_eq!(words(&mut server, Fault::ServerError(500)), Some((500, 252)));
    assert_eq!(words(&mut server, Fault::ServerError(503)), None);
}
