use super::*;
use crate::faults::Faults;
use crate::jwt::tests::signed;
use crate::probe;

const ROWS: &str = "/v2/streaming/data/databases/LINKS/schemas/PUBLIC/tables/EVENTS/rows";

fn snowflake() -> Snowflake {
    Snowflake::new().with_table("LINKS.PUBLIC.EVENTS", &["EVENT_ID", "RAW"])
}

/// The token that the key pair signs.
fn key_token() -> String {
    let (sub, fingerprint) = ("ACME.AFTERCLICK", jwt::fingerprint().unwrap());
    let claims =
        json!({ "iss": format!("{sub}.{fingerprint}"), "sub": sub, "iat": 1_772_634_728, "exp": 1_772_638_328 });
    format!("Bearer {}", signed(&json!({ "alg": "RS256", "typ": "JWT" }), &claims))
}

fn ask_for_token() -> Request {
    let form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&scope=ingest.example";
    Request::new("POST", "/oauth/token", form).with("authorization", &key_token()).with("host", "ingest.example")
}

fn append(snowflake: &mut Snowflake, query: &str, lines: &str, book: &mut Book) -> Answer {
    let token = snowflake.answer(&ask_for_token(), book).said_json();
    let request = Request::new("POST", &format!("{ROWS}{query}"), lines.to_owned())
        .with("content-type", "application/x-ndjson")
        .with("authorization", &format!("Bearer {}", text(&token["token"])));
    snowflake.answer(&request, book)
}

#[test]
fn a_key_pair_finds_the_host_over_http() {
    let simulator = snowflake().start(Faults::none());
    let ask = |token: &str| Request::new("GET", "/v2/streaming/hostname", "").with("authorization", token);
    let reply = probe::send(simulator.address(), &ask(&key_token())).unwrap();
    assert_eq!((reply.status, reply.body), (200, simulator.address().to_string()));
    let stranger = signed(&json!({ "alg": "RS256" }), &json!({ "iss": "X", "sub": "X", "iat": 1, "exp": 2 }));
    assert_eq!(probe::send(simulator.address(), &ask(&format!("Bearer {stranger}"))).unwrap().status, 401);
}

#[test]
fn rows_are_kept_and_bad_ones_end_in_the_error_table_behind_a_200() {
    let (mut snowflake, mut book) = (snowflake(), Book::default());
    let lines = "{\"event_id\":\"a\"}\n{\"event_id\":\"b\",\"nope\":1}\nnot json\n";
    let answer = append(&mut snowflake, "?requestId=r1&retryCount=0", lines, &mut book);
    assert_eq!((answer.status, answer.said()), (200, r#"{"message":"OK"}"#));
    assert_eq!((book.stored_keys(), book.lost.len(), book.flagged.len()), (vec!["a"], 2, 0));
    append(&mut snowflake, "?requestId=r1&retryCount=1", lines, &mut book);
    assert_eq!((book.times_stored("a"), book.flagged.len()), (2, 0));
    append(&mut snowflake, "?requestId=r1&retryCount=1", lines, &mut book);
    assert_eq!(book.flagged[0].reason, "`retryCount` was not raised for the repetition");
}

#[test]
fn malformed_requests_and_old_tokens_are_refused() {
    let status = |query: &str, lines: &str| append(&mut snowflake(), query, lines, &mut Book::default()).status;
    assert_eq!(status("", "{}\n"), 400);
    assert_eq!(status("?requestId=r1", "{}"), 400);
    assert_eq!(status("?requestId=r1", &" ".repeat((4 << 20) + 1)), 413);
    let mut empty = Snowflake::new();
    assert_eq!(append(&mut empty, "?requestId=r1", "{}\n", &mut Book::default()).status, 404);
    let mut revoked = snowflake();
    let token = text(&revoked.answer(&ask_for_token(), &mut Book::default()).said_json()["token"]).to_owned();
    let request = Request::new("POST", ROWS, "").with("authorization", &format!("Bearer {token}"));
    assert_eq!(revoked.words(Fault::TokenExpired, &request).unwrap().status, 401);
    assert_eq!(revoked.answer(&request, &mut Book::default()).status, 401);
    revoked.bare_tokens = true;
    assert_eq!(revoked.answer(&ask_for_token(), &mut Book::default()).said(), "ver:1-simulated-1");
}

#[test]
fn a_statement_may_run_for_a_while_and_runs_once_per_request_id() {
    let mut snowflake = Snowflake { running_polls: 1, ..Snowflake::new() };
    let mut call = |method: &str, target: &str, sql: &str| {
        let request = Request::new(method, target, json!({ "statement": sql }).to_string())
            .with("authorization", &key_token())
            .with("x-snowflake-authorization-token-type", "KEYPAIR_JWT");
        let answer = snowflake.answer(&request, &mut Book::default());
        (answer.status, answer.said_json())
    };
    let create = "CREATE TABLE IF NOT EXISTS links.public.events (event_id VARCHAR)";
    let (status, said) = call("POST", "/api/v2/statements?requestId=q1", create);
    assert_eq!((status, text(&said["statementHandle"])), (202, "h-0"));
    assert_eq!(call("GET", "/api/v2/statements/h-0", "").0, 200);
    assert_eq!(call("POST", "/api/v2/statements?requestId=q1&retry=true", create).0, 200);
    assert_eq!(call("POST", "/api/v2/statements", "CRAETE TABLE x").0, 422);
    assert_eq!(snowflake.executed(), [create]);
    assert!(snowflake.tables.contains_key("LINKS.PUBLIC.EVENTS"));
}

#[test]
fn a_number_of_too_many_digits_is_lost_behind_a_200() {
    let (mut snowflake, mut book) = (snowflake(), Book::default());
    let create =
        "CREATE TABLE IF NOT EXISTS \"LINKS\".\"PUBLIC\".\"EVENTS\" (\"EVENT_ID\" VARCHAR, \"RAW\" NUMBER(18, 4))";
    let request = Request::post("/api/v2/statements", &json!({ "statement": create }))
        .with("authorization", &key_token())
        .with("x-snowflake-authorization-token-type", "KEYPAIR_JWT");
    assert_eq!(snowflake.answer(&request, &mut book).status, 200);
    let rows = "{\"event_id\":\"a\",\"raw\":12}\n{\"event_id\":\"b\",\"raw\":1e14}\n";
    assert_eq!(append(&mut snowflake, "?requestId=r1", rows, &mut book).status, 200);
    assert_eq!((book.stored_keys(), book.lost.len()), (vec!["a"], 1));
}
