use std::process::Command;

use peers::Postgres;

#[test]
fn rows_go_in_and_come_out() {
    let Some(server) = Postgres::start() else { return };
    server.query("CREATE TABLE t (id text PRIMARY KEY, n int)").unwrap();
    server.query("INSERT INTO t VALUES ('a', 7), ('b', NULL)").unwrap();
    assert_eq!(server.query("SELECT * FROM t ORDER BY id").unwrap(), "a|7\nb|\n");
    let error = server.query("INSERT INTO t VALUES ('a', 8)").unwrap_err().to_string();
    assert!(error.contains("duplicate key"), "{error}");
}

#[test]
fn the_url_leads_to_the_database_and_the_password_counts() {
    let Some(server) = Postgres::start() else { return };
    let asked = |url: &str| Command::new("psql").args([url, "-Atc", "SELECT current_database()"]).output().unwrap();
    assert_eq!(asked(&server.url()).stdout, b"events\n");

    let refused = asked(&server.url().replace("word", "sword"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
}

#[test]
fn encryption_is_there_for_whoever_asks() {
    let Some(server) = Postgres::start() else { return };
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), server.authority_pem()).unwrap();
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), authority.path().display());
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let asked = Command::new("psql").args([&url, "-Atc", ask]).output().unwrap();
    assert_eq!(asked.stdout, b"t\n", "{}", String::from_utf8_lossy(&asked.stderr));
}
