//! A backlog into a real ClickHouse server, divided by a plain loop that inserts the same batches into the same server.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench::requests::reserve;
use bench::server::{Plan, Server};
use peers::ClickHouse;
use serde_json::json;

use crate::bare::Batches;
use crate::prepare;
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::{ROUNDS, Side, alternate, ratio};

const BATCH_ITEMS: usize = 1_000;
/// Backlog for each measured second: more than the server takes in one.
const BACKLOG_PER_SECOND: usize = 40_000;
const STORED_WITHIN: Duration = Duration::from_mins(2);
const ASKED_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let Some(clickhouse) = ClickHouse::start() else {
        return Ok(Finding::Skipped("no ClickHouse server; `cargo xtask peers` installs it".to_owned()));
    };
    let scratch = rig.scratch()?;
    let settings = format!(
        "url = \"{}\"\ndatabase = \"{}\"\ntable = \"deep_link_events\"\nuser = \"{}\"\npassword = \"{}\"\ndialect = \"legacy\"\n",
        clickhouse.url(),
        ClickHouse::DATABASE,
        ClickHouse::USER,
        ClickHouse::PASSWORD
    );
    let config = rig::source()
        + &format!(
            "[[destination]]\nname = \"clickhouse\"\nconnector = \"clickhouse\"\nevents = [\"*\"]\nconcurrency = 2\n\
             batch = {{ items = {BATCH_ITEMS}, wait = \"1s\" }}\n[destination.settings]\n{settings}"
        );
    let count = rig.count(BACKLOG_PER_SECOND);
    let stores = Cell::new(0);
    let (stored, inserted) = alternate(
        ROUNDS,
        || reserve(count),
        |first| {
            stores.set(stores.get() + 1);
            let plan = rig.plan(&scratch, &format!("clickhouse-{}", stores.get()), &config);
            provision(&plan)?;
            clickhouse.query("TRUNCATE TABLE deep_link_events")?;
            prepare::fill_numbered(&plan.data_dir, *first, count, Duration::from_mins(1))?;
            let server = Server::start(&plan)?;
            let started = Instant::now();
            while rows(&clickhouse)? < count {
                ensure!(started.elapsed() < STORED_WITHIN, "only {} of {count} rows came", rows(&clickhouse)?);
                std::thread::sleep(ASKED_EVERY);
            }
            let side = side(count, started.elapsed(), server.cpu_time());
            rig::ensure_nothing_pending(&server)?;
            server.stop()?;
            ensure!(rows(&clickhouse)? == count, "rows were stored twice");
            std::fs::remove_dir_all(&plan.data_dir)?;
            Ok(side)
        },
        |first| {
            clickhouse.query("TRUNCATE TABLE deep_link_events")?;
            let sent = rig.bare_batches(&Batches {
                connector: "clickhouse".to_owned(),
                settings: settings.clone(),
                first: *first,
                count,
                items: BATCH_ITEMS,
                in_flight: 1,
            })?;
            ensure!(rows(&clickhouse)? == count, "the plain loop stored {} rows", rows(&clickhouse)?);
            Ok(side(count, sent.took, sent.cpu))
        },
    )?;
    Ok(Finding::Values(vec![ratio(("into ClickHouse", &stored), ("plain loop", &inserted))?]))
}

/// Makes the store and the table.
fn provision(plan: &Plan) -> Result<()> {
    let server = Server::start(plan)?;
    server.client()?.post("/v1/destinations/clickhouse/provision", &json!({"dry_run": false}))?;
    server.stop()
}

fn rows(clickhouse: &ClickHouse) -> Result<usize> {
    Ok(clickhouse.query("SELECT count() FROM deep_link_events")?.trim().parse()?)
}

fn side(count: usize, took: Duration, cpu: Duration) -> Side {
    Side {
        rate: count as f64 / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        // The server that stores is the limit of both sides, and it is meant to be.
        generator_busy: 0.0,
    }
}
