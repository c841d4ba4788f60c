//! Warehouses: a look-alike, and real servers behind bad luck.

use peers::{ClickHouse, Postgres};
use vendors::bigquery::BigQuery;
use vendors::{Fault, Faults, Vendor as _, clickhouse as look_alike};

use super::super::tally::{Tally, count_marks};
use super::relay::Relay;
use super::wire::Wire;
use super::{ALL_IN_BATCHES, Member, section, seldom, without_waits};

pub(super) fn clickhouse_look_alike(seed: u64) -> Member {
    let server = look_alike::ClickHouse::new(look_alike::Release::Current);
    let simulator = server.start(seldom(seed).with(Fault::PartialFailure, 20));
    let config = section("clickhouse", "clickhouse", ALL_IN_BATCHES, &[("url", &simulator.url())]);
    Member::simulated("clickhouse", config, simulator).provisioned()
}

/// Its tokens end early, and a table is not to be found at first after it was made.
pub(super) fn bigquery(seed: u64) -> Member {
    let faults = without_waits(seed).with(Fault::TokenExpired, 30).with(Fault::PartialFailure, 30);
    let simulator = BigQuery::new().start(faults);
    let settings = [
        ("url", &*simulator.url()),
        ("project", "acme"),
        ("dataset", "links"),
        ("service_account", &*format!("'''{}'''", simulator.service_account())),
    ];
    let config = section("bigquery", "bigquery", ALL_IN_BATCHES, &settings);
    Member::simulated("bigquery", config, simulator).provisioned()
}

/// A real server behind bad luck.
pub(super) fn clickhouse(name: &'static str, merged: &'static str, peer: ClickHouse, seed: u64) -> Member {
    let port = peer.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port");
    let simulator = Relay { port }.start(seldom(seed));
    let settings = [
        ("url", &*simulator.url()),
        ("database", ClickHouse::DATABASE),
        ("user", ClickHouse::USER),
        ("password", ClickHouse::PASSWORD),
    ];
    // Each insert leaves a directory of files behind, and all of them must go in the end.
    let config = section(name, "clickhouse", &ALL_IN_BATCHES.replace("items = 20", "items = 100"), &settings);
    let look = move || {
        let rows = peer.query(&format!("SELECT raw FROM deep_link_events{merged} FORMAT TSVRaw")).unwrap();
        Tally { times: count_marks(rows.lines()), ..Tally::of(&simulator) }
    };
    Member::new(name, config, look).provisioned()
}

pub(super) fn postgres(peer: Postgres, seed: u64) -> Member {
    let cuts = Faults::seeded(seed).with(Fault::DropBefore, 20).with(Fault::DropAfter, 20);
    let wire = Wire::start(peer.port(), cuts);
    let settings = [
        ("host", "127.0.0.1"),
        ("port", &*wire.port().to_string()),
        ("database", Postgres::DATABASE),
        ("user", Postgres::USER),
        ("password", Postgres::PASSWORD),
        ("tls", "false"),
    ];
    let config = section("postgres", "postgres", ALL_IN_BATCHES, &settings);
    let look = move || {
        let rows = peer.query("SELECT data FROM deep_link_events").unwrap();
        Tally { times: count_marks(rows.lines()), requests: wire.pieces(), faults: wire.cuts(), ..Tally::default() }
    };
    Member::new("postgres", config, look).provisioned()
}
