use peers::ClickHouse;

#[test]
fn the_engine_of_today_takes_types_that_the_old_server_does_not_know() {
    let Some(server) = ClickHouse::start_current() else { return };
    let table =
        "CREATE TABLE t (id String, at DateTime64(3, 'UTC'), kind LowCardinality(String)) ENGINE = ReplacingMergeTree
                 ORDER BY id SETTINGS non_replicated_deduplication_window = 100";
    server.query(table).unwrap();
    let row = r#"{"id":"it's; \"a\"","at":"2026-11-01T10:00:00.123Z","kind":"click","unknown":1}"#;
    server.insert("INSERT INTO t FORMAT JSONEachRow", &[], row.as_bytes()).unwrap();
    assert_eq!(server.query("SELECT * FROM t FORMAT TSVRaw").unwrap(), "it's; \"a\"\t2026-11-01 10:00:00.123\tclick\n");
}

#[test]
fn settings_hold_for_one_statement_and_an_insert_token_counts_once() {
    let Some(server) = ClickHouse::start_current() else { return };
    server
        .query(
            "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 9",
        )
        .unwrap();
    let insert = |token| {
        let settings = [("insert_deduplication_token", token), ("async_insert", "0")];
        server.insert("INSERT INTO t FORMAT JSONEachRow", &settings, br#"{"n":7}"#).unwrap();
    };
    insert("one");
    insert("one");
    insert("two");
    assert_eq!(server.query("SELECT count() FROM t").unwrap(), "2\n");
    let token = "SELECT value FROM system.settings WHERE name = 'insert_deduplication_token'";
    assert_eq!(server.query(token).unwrap(), "\n");

    let error = server.insert("INSERT INTO t FORMAT JSONEachRow", &[("no_such", "1")], b"{}").unwrap_err().to_string();
    assert!(error.starts_with("Code: 115."), "{error}");
    let error = server.insert("INSERT INTO t FORMAT JSONEachRow", &[], br#"{"n":"x"}"#).unwrap_err().to_string();
    assert!(error.starts_with("Code: "), "{error}");
}

#[test]
fn a_large_body_is_one_insert() {
    let Some(server) = ClickHouse::start_current() else { return };
    server.query("CREATE TABLE t (n UInt32, text String) ENGINE = MergeTree ORDER BY n").unwrap();
    let text = "x".repeat(500);
    let rows: Vec<_> = (0..10_000).map(|n| format!("{{\"n\":{n},\"text\":\"{text}\"}}\n")).collect();
    server.insert("INSERT INTO t FORMAT JSONEachRow", &[], rows.concat().as_bytes()).unwrap();
    assert_eq!(server.query("SELECT count(), sum(length(text)) FROM t").unwrap(), "10000\t5000000\n");
}
