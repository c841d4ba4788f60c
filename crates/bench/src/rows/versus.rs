//! Our durable intake, divided by the receivers that a reader would write: with Express, and with Express and `BullMQ`.

use std::time::Duration;

use anyhow::Result;
use bench::server::Server;

use crate::baseline::{self, Redis, is_present};
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::rows::ingest::CONNECTIONS;
use crate::side::{ROUNDS, Side, alternate, closed, ratio, saturate};

/// Against a receiver that verifies and answers, and keeps nothing.
pub(crate) fn express(rig: &Rig) -> Result<Finding> {
    if let Some(missing) = ["node", "npm"].into_iter().find(|program| !is_present(program)) {
        return Ok(Finding::Skipped(format!("there is no `{missing}` here")));
    }
    let theirs = baseline::express(&baseline::install(rig)?, None)?;
    against(rig, "Express", &theirs, || theirs.cpu_time())
}

/// Against a receiver that also puts the event on a queue whose every write is synced.
pub(crate) fn express_bullmq(rig: &Rig) -> Result<Finding> {
    if let Some(missing) = ["node", "npm", "redis-server"].into_iter().find(|program| !is_present(program)) {
        return Ok(Finding::Skipped(format!("there is no `{missing}` here")));
    }
    let scratch = rig.scratch()?;
    let redis = Redis::start(&scratch)?;
    let theirs = baseline::express(&baseline::install(rig)?, Some(&redis))?;
    against(rig, "Express, BullMQ, Redis", &theirs, || theirs.cpu_time() + redis.cpu_time())
}

fn against(rig: &Rig, name: &str, theirs: &Server, their_cpu: impl Fn() -> Duration) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let ours = rig::paused_server(&rig.plan(&scratch, "store", &rig::paused_config()))?;
    let (durable, written) = alternate(
        ROUNDS,
        || rig.requests(),
        |requests| saturate(&ours, requests, CONNECTIONS, rig.window()),
        |requests| {
            let before = their_cpu();
            let report = closed(theirs.address(), requests, CONNECTIONS, rig.window())?;
            Ok(Side::new(&report, their_cpu().saturating_sub(before)))
        },
    )?;
    Ok(Finding::Values(vec![ratio(("durable", &durable), (name, &written))?]))
}
