//! The right server and the wrong door: ports, encryption and addresses at which nobody who is meant can ever be spoken to.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use peers::{Aws, ClickHouse, Kafka, Postgres};
use serde_json::json;
use vendors::segment::Segment;
use vendors::smtp::Smtp;
use vendors::{Faults, Vendor as _};

use super::{Tally, Trouble, check, count_marks, email, look_at, provision, set, tally};

/// Says this to whoever says something first; the port where it does.
fn stranger(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 16 * 1024]).and_then(|_| stream.write_all(answer));
        }
    });
    port
}

#[test]
fn a_database_that_offers_no_encryption_holds_everything() {
    let Some(peer) = Postgres::start() else { return };
    let trouble = Trouble {
        connector: "postgres",
        settings: json!({
            "host": "127.0.0.1", "port": stranger(b"N"), "database": Postgres::DATABASE, "user": Postgres::USER,
            "password": Postgres::PASSWORD,
        }),
        reason: "misconfigured",
        says: vec!["the database offers no encryption", "set `tls` to `false`", "resume"],
    };
    let mend = |server: &crate::support::Server| {
        set(json!({ "port": peer.port(), "tls": false }))(server);
        provision(server);
    };
    check(&trouble, mend, || {
        let there = peer.query("SELECT to_regclass('deep_link_events')").unwrap();
        let rows =
            if there.trim().is_empty() { there } else { peer.query("SELECT data FROM deep_link_events").unwrap() };
        Tally { times: count_marks(rows.trim().lines()), ..Tally::default() }
    });
}

#[test]
fn a_broker_that_offers_no_encryption_holds_everything() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("events", 3).unwrap();
    let trouble = Trouble {
        connector: "kafka",
        settings: json!({ "brokers": [kafka.address()], "topic": "events" }),
        reason: "misconfigured",
        says: vec!["the broker offers no encryption at this port", "set `tls` to `false`", "resume"],
    };
    check(&trouble, set(json!({ "tls": false })), || look_at(&kafka));
}

#[test]
fn encryption_at_a_port_of_clickhouse_without_it_holds_everything() {
    let Some(peer) = ClickHouse::start() else { return };
    let trouble = Trouble {
        connector: "clickhouse",
        settings: json!({
            "url": peer.url().replace("http:", "https:"), "database": ClickHouse::DATABASE, "user": ClickHouse::USER,
            "password": ClickHouse::PASSWORD,
        }),
        reason: "misconfigured",
        says: vec!["does not speak TLS", "begin it with `http://`", "resume"],
    };
    let mend = |server: &crate::support::Server| {
        set(json!({ "url": peer.url() }))(server);
        provision(server);
    };
    check(&trouble, mend, || {
        let there = peer.query("EXISTS TABLE deep_link_events").unwrap().starts_with('1');
        let select = "SELECT raw FROM deep_link_events FORMAT TSVRaw";
        let rows = if there { peer.query(select).unwrap() } else { String::new() };
        Tally { times: count_marks(rows.lines()), ..Tally::default() }
    });
}

#[test]
fn a_mail_server_that_is_encrypted_in_another_way_holds_everything() {
    let smtp = Smtp::new().start(Faults::none());
    let trouble = Trouble {
        connector: "email",
        settings: email("smtp", &json!({ "host": "127.0.0.1", "port": smtp.address().port(), "tls": "implicit" })),
        reason: "misconfigured",
        says: vec!["does not speak TLS", "set `tls` to `starttls`", "resume"],
    };
    check(&trouble, set(json!({ "tls": "none" })), tally(&smtp));
}

#[test]
fn a_host_of_segments_that_sends_us_elsewhere_holds_everything() {
    let segment = Segment::rudder_stack().start(Faults::none());
    let moved = stranger(b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n");
    let trouble = Trouble {
        connector: "segment",
        settings: json!({ "write_key": "write-key", "host": format!("http://127.0.0.1:{moved}") }),
        reason: "misconfigured",
        says: vec!["a redirect to `https://elsewhere.example/`", "set `host`", "resume"],
    };
    check(&trouble, set(json!({ "host": segment.url() })), tally(&segment));
}

#[test]
fn an_endpoint_that_is_no_store_holds_everything() {
    let Some(aws) = Aws::start() else { return };
    let page = stranger(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>");
    let trouble = Trouble {
        connector: "s3",
        settings: json!({
            "endpoint": format!("http://127.0.0.1:{page}"), "region": Aws::REGION, "bucket": Aws::BUCKET,
            "compression": "none", "access_key_id": aws.access_key(), "secret_access_key": aws.secret_key(),
        }),
        reason: "misconfigured",
        says: vec!["under `endpoint` does not seem to be a store", "set it to the URL of one", "resume"],
    };
    check(&trouble, set(json!({ "endpoint": aws.url() })), || {
        let objects = aws.objects().unwrap();
        let files: Vec<_> = objects.iter().map(|object| String::from_utf8_lossy(&object.body)).collect();
        Tally { times: count_marks(files.iter().flat_map(|file| file.lines())), ..Tally::default() }
    });
}
