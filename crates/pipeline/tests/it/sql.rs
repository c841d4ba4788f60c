//! The SQL transport against a real server and against what is none.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use domain::connector::{Reply, ServerTls, SqlCall, SqlServer};
use domain::verdict::FailureReason;
use domain::{DestinationId, Secret, Timestamp};
use peers::Postgres;
use pipeline::Clock;
use pipeline::transport::{Guard, SqlTransport, TransportError};

use crate::databases::postgres;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);

struct Line {
    transport: Arc<SqlTransport>,
    server: SqlServer,
}

impl Line {
    fn to(port: u16, tls: ServerTls) -> Self {
        let guard = Guard::new(true, Vec::new());
        Self {
            transport: SqlTransport::start(guard, Arc::new(Clock::system()), &[]).unwrap(),
            server: SqlServer {
                host: "127.0.0.1".to_owned(),
                port,
                database: Postgres::DATABASE.to_owned(),
                user: Postgres::USER.to_owned(),
                password: Secret::from(Postgres::PASSWORD),
                tls,
            },
        }
    }

    async fn ask(&self, lane: u128, statement: &str) -> Result<Reply, TransportError> {
        self.run(lane, statement, &[], LONG).await
    }

    async fn run(
        &self,
        lane: u128,
        statement: &str,
        arrays: &[&[Option<&str>]],
        within: Duration,
    ) -> Result<Reply, TransportError> {
        let arrays = arrays.iter().map(|array| array.iter().map(|text| text.map(str::to_owned)).collect()).collect();
        let call = SqlCall { server: self.server.clone(), statement: statement.to_owned(), arrays };
        self.transport.exchange(DestinationId::mint(Timestamp::from_secs(1), lane), call, within).await
    }

    async fn text(&self, lane: u128, statement: &str) -> String {
        self.ask(lane, statement).await.unwrap().text().into_owned()
    }
}

#[tokio::test]
async fn rows_come_back_as_texts_with_parameters_and_without() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    assert_eq!(line.text(1, "SELECT 1, NULL, 'a\"b', true").await, r#"[["1",null,"a\"b","t"]]"#);
    let statement = "SELECT n, length(n)::text FROM unnest($1::text[]) AS n";
    let reply = line.run(1, statement, &[&[Some("it's"), None, Some("ü\\")]], LONG).await.unwrap();
    assert_eq!((reply.is_success(), reply.text().as_ref()), (true, r#"[["it's","4"],[null,null],["ü\\","2"]]"#));
}

#[tokio::test]
async fn a_refusal_is_a_reply_with_its_state_and_the_connection_goes_on() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    let process = line.text(1, "SELECT pg_backend_pid()").await;
    let reply = line.ask(1, "SELECT * FROM nope").await.unwrap();
    assert_eq!((reply.code.as_deref(), reply.is_success()), (Some("42P01"), false));
    assert_eq!(reply.json().unwrap()["message"], "relation \"nope\" does not exist");
    assert_eq!(line.text(1, "SELECT pg_backend_pid()").await, process, "one connection per lane");
    assert_ne!(line.text(2, "SELECT pg_backend_pid()").await, process, "and another for another");
}

#[tokio::test]
async fn nothing_is_prepared_under_a_name() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    for _ in 0..2 {
        line.run(1, "SELECT n FROM unnest($1::text[]) AS n", &[&[Some("a")]], LONG).await.unwrap();
    }
    assert_eq!(line.text(1, "SELECT count(*) FROM pg_prepared_statements").await, r#"[["0"]]"#);
}

#[tokio::test]
async fn a_server_that_ends_a_connection_is_asked_over_another() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    let process = line.text(1, "SELECT pg_backend_pid()").await;
    let ended = format!("SELECT pg_terminate_backend({}, 10000)", process.trim_matches(['[', ']', '"']));
    assert_eq!(line.text(2, &ended).await, r#"[["t"]]"#);
    // The news may be still on its way; then this one statement breaks.
    let again = match line.ask(1, "SELECT pg_backend_pid()").await {
        Ok(reply) if reply.is_success() => reply.text().into_owned(),
        _ => line.text(1, "SELECT pg_backend_pid()").await,
    };
    assert_ne!(again, process);
}

#[tokio::test]
async fn a_connection_is_encrypted_if_the_certificate_is_good_and_only_then() {
    let Some(peer) = postgres().await else { return };
    let is_encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let trusting = Line::to(peer.port(), ServerTls::Authority(peer.authority_pem().to_owned()));
    assert_eq!(trusting.text(1, is_encrypted).await, r#"[["t"]]"#);
    assert_eq!(Line::to(peer.port(), ServerTls::None).text(1, is_encrypted).await, r#"[["f"]]"#);
    let error = Line::to(peer.port(), ServerTls::Public).ask(1, is_encrypted).await.unwrap_err();
    assert_eq!((error.reason, &*error.message), (FailureReason::Tls, "the certificate is not from a known authority"));
    let error =
        Line::to(peer.port(), ServerTls::Authority("nonsense".to_owned())).ask(1, "SELECT 1").await.unwrap_err();
    assert_eq!(
        (error.reason, &*error.message),
        (FailureReason::Tls, "the certificate of the authority cannot be read")
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends_at_the_deadline() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    let error = line.run(1, "SELECT pg_sleep(60)", &[], SHORT).await.unwrap_err();
    assert_eq!((error.reason, error.may_have_arrived), (FailureReason::Timeout, true));
    assert_eq!(line.text(1, "SELECT 1").await, r#"[["1"]]"#);
}

#[tokio::test]
async fn an_endless_answer_costs_no_memory() {
    let Some(peer) = postgres().await else { return };
    let line = Line::to(peer.port(), ServerTls::None);
    for statement in ["SELECT repeat('x', 20000000)", "SELECT n FROM generate_series(1, 2000000) AS n"] {
        let error = line.ask(1, statement).await.unwrap_err();
        assert_eq!(error.reason, FailureReason::Broken, "{statement}");
    }
}

/// Answers every connection with these bytes and closes it.
fn stranger(answer: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(answer);
        }
    });
    port
}

#[tokio::test]
async fn what_is_no_database_is_a_failure_like_any_other() {
    for (answer, tls, expect, is_misconfigured) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], ServerTls::None, FailureReason::Broken, false),
        (b"", ServerTls::None, FailureReason::Broken, false),
        (b"N", ServerTls::Public, FailureReason::Tls, true),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ServerTls::Public, FailureReason::Tls, true),
        (b"S\x15\x03", ServerTls::Public, FailureReason::Tls, false),
        (b"S", ServerTls::Public, FailureReason::Tls, false),
    ] {
        let error = Line::to(stranger(answer), tls).run(1, "SELECT 1", &[], LONG).await.unwrap_err();
        let found = (error.reason, error.is_misconfigured);
        assert_eq!(found, (expect, is_misconfigured), "{:?}: {error}", String::from_utf8_lossy(answer));
        assert_eq!(error.message.ends_with(", then resume the destination"), is_misconfigured, "{error}");
        assert!(!error.message.contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn a_database_without_encryption_says_which_setting_that_is() {
    let error = Line::to(stranger(b"N"), ServerTls::Public).run(1, "SELECT 1", &[], LONG).await.unwrap_err();
    let expect = "the database offers no encryption; set `host` and `port` right, give the database a certificate, or set `tls` \
                  to `false` for one on your own network, then resume the destination";
    assert_eq!(error.message, expect);
}

#[tokio::test]
async fn a_tenant_reaches_no_private_database() {
    let guard = Guard::new(false, Vec::new());
    let mut line = Line::to(5_432, ServerTls::Public);
    line.transport = SqlTransport::start(guard, Arc::new(Clock::system()), &[]).unwrap();
    for host in ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "db", "::1"] {
        line.server.host = host.to_owned();
        let error = line.ask(1, "SELECT 1").await.unwrap_err();
        assert_eq!(error.reason, FailureReason::AddressRefused, "{host}");
    }
}
