use peers::{ClickHouse, http};

#[test]
fn rows_go_in_and_come_out() {
    let Some(server) = ClickHouse::start() else { return };
    server.query("CREATE TABLE t (id String, n UInt8) ENGINE = MergeTree ORDER BY id").unwrap();
    server.query("INSERT INTO t FORMAT JSONEachRow {\"id\":\"a\",\"n\":7}").unwrap();
    assert_eq!(server.query("SELECT * FROM t FORMAT TSV").unwrap(), "a\t7\n");
}

#[test]
fn refusals_carry_their_code_and_the_password_counts() {
    let Some(server) = ClickHouse::start() else { return };
    let error = server.query("SELECT * FROM nowhere").unwrap_err().to_string();
    assert!(error.starts_with("Code: 60"), "{error}");

    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let login = [("X-ClickHouse-User", ClickHouse::USER), ("X-ClickHouse-Key", "wrong")];
    let answer = http::request("POST", port, "/", &login, b"SELECT 1").unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.text().starts_with("Code: 193"), "{}", answer.text());
}
