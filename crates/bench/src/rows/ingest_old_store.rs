//! Durable intake after a restart on five million stored events, divided by the same on an empty store.
//!
//! The old events are spread over the dedupe window, and each has a delivery that its paused destination still owes.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use bench::server::Server;

use crate::prepare;
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::rows::ingest::CONNECTIONS;
use crate::side::{ROUNDS, alternate, ratio, saturate};

const STORED: usize = 5_000_000;
/// Just inside the dedupe window of seven days, so that every old event still counts.
const SPREAD: Duration = Duration::from_hours(7 * 24 - 2);

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let config = rig::paused_config();
    let old = rig.plan(&scratch, "old", &config);
    rig::paused_server(&old)?.stop()?;
    prepare::fill(&old.data_dir, STORED, SPREAD)?;
    let stores = Cell::new(0);
    let (aged, fresh) = alternate(
        ROUNDS,
        || rig.requests(),
        |requests| {
            let server = Server::start(&old)?;
            let side = saturate(&server, requests, CONNECTIONS, rig.window())?;
            server.stop()?;
            Ok(side)
        },
        |requests| {
            stores.set(stores.get() + 1);
            let plan = rig.plan(&scratch, &format!("empty-{}", stores.get()), &config);
            rig::paused_server(&plan)?.stop()?;
            let server = Server::start(&plan)?;
            let side = saturate(&server, requests, CONNECTIONS, rig.window())?;
            server.stop()?;
            std::fs::remove_dir_all(&plan.data_dir)?;
            Ok(side)
        },
    )?;
    Ok(Finding::Values(vec![ratio(("five million stored", &aged), ("empty store", &fresh))?]))
}
