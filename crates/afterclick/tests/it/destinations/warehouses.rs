//! Every click in a warehouse: provisioned from the command line, filled across a crash, and read back as it was.

use bench::client::Client;
use peers::{ClickHouse, Postgres};
use serde_json::{Value, json};

use super::fleet::section;
use super::tally::count_marks;
use super::traffic;
use crate::support::{Server, Setup, until};

const KEY: &str = "an-admin-key-of-the-warehouse-tests";
const EVENTS: usize = 400;
/// The number of the event that has everything in it that is hard to store.
const HOSTILE: usize = 77;
/// The number of the event that the table cannot take.
const POISON: usize = 140;
const HOSTILE_TEXT: &str = "<!channel> '); DROP TABLE x; -- \" \\ \t \u{202e}🔗 'Grüße'";

/// A real server, asked in its own SQL.
struct Warehouse {
    connector: &'static str,
    settings: Vec<(&'static str, String)>,
    query: Box<dyn Fn(&str) -> String>,
    /// Makes the table unable to take the poison, if it would.
    narrow: &'static str,
    /// What the dead letter says.
    refusal: &'static str,
    /// All of the bodies, or what stands for them.
    bodies: &'static str,
    /// Time, text, number, flag and absence of the hostile row.
    hostile: &'static str,
    expected: String,
    lose_a_column: &'static str,
}

fn clickhouse(peer: ClickHouse, is_old: bool) -> Warehouse {
    let settings = vec![
        ("url", peer.url()),
        ("database", ClickHouse::DATABASE.to_owned()),
        ("user", ClickHouse::USER.to_owned()),
        ("password", ClickHouse::PASSWORD.to_owned()),
    ];
    // ClickHouse of 2018 knows no fractions of a second.
    let fraction = if is_old { "" } else { ".441" };
    Warehouse {
        connector: "clickhouse",
        settings,
        query: Box::new(move |sql| peer.query(sql).unwrap().trim_end().to_owned()),
        narrow: "SELECT 1",
        refusal: "refused",
        // Servers that know no insert token merge what came twice.
        bodies: if is_old {
            "SELECT raw FROM deep_link_events FINAL FORMAT TSVRaw"
        } else {
            "SELECT raw FROM deep_link_events FORMAT TSVRaw"
        },
        hostile: "SELECT toString(occurred_at), hex(campaign), toFloat64(revenue), is_deferred, match_confidence FROM \
                  deep_link_events FINAL WHERE link_id = 'hostile'",
        expected: format!("2026-03-04 14:32:08{fraction}\t{}\t129.5\t1\t\\N", hex(HOSTILE_TEXT)),
        lose_a_column: "ALTER TABLE deep_link_events DROP COLUMN campaign",
    }
}

fn postgres(peer: Postgres) -> Warehouse {
    let settings = vec![
        ("host", "127.0.0.1".to_owned()),
        ("port", peer.port().to_string()),
        ("database", Postgres::DATABASE.to_owned()),
        ("user", Postgres::USER.to_owned()),
        ("password", Postgres::PASSWORD.to_owned()),
        ("ca_certificate", peer.authority_pem().to_owned()),
    ];
    Warehouse {
        connector: "postgres",
        settings,
        query: Box::new(move |sql| peer.query(sql).unwrap().trim_end().to_owned()),
        narrow: "ALTER TABLE deep_link_events ADD CONSTRAINT sober CHECK (revenue < 1e20)",
        refusal: "sober",
        bodies: "SELECT data FROM deep_link_events",
        hostile: "SELECT to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), \
                  upper(encode(convert_to(campaign, 'UTF8'), 'hex')), revenue::float, is_deferred, match_confidence \
                  FROM deep_link_events WHERE link_id = 'hostile'",
        expected: format!("2026-03-04 14:32:08.441|{}|129.5|t|", hex(HOSTILE_TEXT)),
        lose_a_column: "ALTER TABLE deep_link_events DROP COLUMN campaign",
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"))
}

/// A server of Afterclick's on a data directory that outlives it.
fn start(setup: &Setup) -> Server {
    Server::start(setup.command().env("AFTERCLICK_ADMIN_KEY", KEY)).with_key(KEY)
}

fn check(warehouse: &Warehouse) {
    let settings: Vec<_> = warehouse.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let more = "events = [\"*\"]\nbatch = { items = 20, wait = \"50ms\" }";
    let setup = Setup::with(&section("warehouse", warehouse.connector, more, &settings));
    let mut server = start(&setup);
    provision(&server, "done");
    server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).says("nothing to do");
    (warehouse.query)(warehouse.narrow);

    let events = envelopes();
    server.publish(&events[..EVENTS / 2].into());
    until("a part of the rows", || (count(warehouse) > EVENTS / 8).then_some(()));
    server.signal("KILL");
    drop(server);
    server = start(&setup);
    server.publish(&events[EVENTS / 2..].into());
    wait_until_nothing_is_owed(&server);

    let times = count_marks((warehouse.query)(warehouse.bodies).lines());
    let expected =
        count_marks(events.iter().map(Value::to_string).enumerate().filter(|(n, _)| *n != POISON).map(|it| it.1));
    assert_eq!(times, expected, "every row but the poison, once");
    let dead = server.get("/v1/dead-letters?destination=warehouse");
    let dead = dead["data"].as_array().unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0].to_string().contains(warehouse.refusal), "{}", dead[0]);
    assert_eq!((warehouse.query)(warehouse.hostile), warehouse.expected);

    lose_a_column(warehouse, &server);
    server.stop();
}

/// Somebody alters the table: what follows is held until it is provisioned again.
fn lose_a_column(warehouse: &Warehouse, server: &Server) {
    (warehouse.query)(warehouse.lose_a_column);
    let before = count(warehouse);
    let late = traffic::mixed(EVENTS + 30).split_off(EVENTS);
    server.publish(&late.iter().map(|event| event.envelope.clone()).collect());
    let paused = until("the destination to be paused", || {
        let paused = server.get("/v1/destinations/warehouse")["paused"].take();
        (!paused.is_null()).then_some(paused)
    });
    for part in ["lacks a column", "campaign", "`afterclick destinations provision warehouse`", "resume"] {
        assert!(
            paused["message"].as_str().is_some_and(|message| message.contains(part)),
            "{paused} does not say {part}"
        );
    }
    assert_eq!(count(warehouse), before);
    provision(server, "campaign");
    server.run(&["destinations", "resume", "warehouse"]).ended(0);
    wait_until_nothing_is_owed(server);
    assert_eq!(count(warehouse), before + late.len());
}

fn provision(server: &Server, prints: &str) {
    server.run(&["destinations", "provision", "warehouse", "--yes"]).ended(0).prints(prints);
}

fn count(warehouse: &Warehouse) -> usize {
    count_marks((warehouse.query)(warehouse.bodies).lines()).len()
}

/// Mixed events, one of them hostile and one of them poison.
fn envelopes() -> Vec<Value> {
    let mut events: Vec<_> = traffic::mixed(EVENTS).into_iter().map(|event| event.envelope).collect();
    let hostile = &mut events[HOSTILE];
    hostile["timestamp"] = json!("2026-03-04T14:32:08.441Z");
    for (name, value) in [
        ("link_id", json!("hostile")),
        ("campaign", json!(HOSTILE_TEXT)),
        ("revenue", json!(129.5)),
        ("is_deferred", json!(true)),
        ("match_confidence", Value::Null),
    ] {
        hostile["data"][name] = value;
    }
    events[POISON]["data"]["revenue"] = json!(1e30);
    events
}

fn wait_until_nothing_is_owed(server: &Server) {
    let client = Client::new(server.address, KEY).unwrap();
    let is_over = |delivery: &Value| matches!(delivery["state"].as_str(), Some("delivered" | "dead"));
    until("nothing to be owed", || {
        let deliveries = client.list("/v1/destinations/warehouse/deliveries?limit=200").unwrap();
        deliveries.iter().all(is_over).then_some(())
    });
}

#[test]
fn every_event_is_a_row_of_clickhouse_of_2018() {
    if let Some(peer) = ClickHouse::start() {
        check(&clickhouse(peer, true));
    }
}

#[test]
fn every_event_is_a_row_of_clickhouse_of_today() {
    if let Some(peer) = ClickHouse::start_current() {
        check(&clickhouse(peer, false));
    }
}

#[test]
fn every_event_is_a_row_of_postgres() {
    if let Some(peer) = Postgres::start() {
        check(&postgres(peer));
    }
}
