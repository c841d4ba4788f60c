//! Durable intake spread over 10,000 destinations in 1,000 appspaces, divided by one destination in one appspace.
//!
//! Each appspace has a source of its own and ten destinations, each for another event type: one matches.

use std::sync::Arc;

use anyhow::Result;
use bench::requests::{Requests, reserve};
use bench::server::Server;

use crate::prepare;
use crate::rig::{self, REQUESTS_PER_SECOND_MAX, Rig};
use crate::rows::Finding;
use crate::rows::ingest::CONNECTIONS;
use crate::side::{ROUNDS, alternate, ratio, saturate};

const APPSPACES: usize = 1_000;
const TYPES: [&str; 10] = [
    "tenant.zero",
    "tenant.one",
    "tenant.two",
    "tenant.three",
    "tenant.four",
    "tenant.five",
    "tenant.six",
    "tenant.seven",
    "tenant.eight",
    "tenant.nine",
];

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let plan = rig.plan(&scratch, "many", &rig::paused_config());
    rig::paused_server(&plan)?.stop()?;
    let sources = prepare::tenants(&plan.data_dir, APPSPACES, &TYPES)?;
    let paths: Vec<_> = sources.iter().map(|source| format!("/webhooks/{source}")).collect();
    let many = Server::start(&plan)?;
    let one = rig::paused_server(&rig.plan(&scratch, "one", &rig::paused_config()))?;

    // The same bodies on both sides; only the paths differ.
    let requests = || {
        let count = rig.count(REQUESTS_PER_SECOND_MAX);
        let first = reserve(count);
        let kind = |index: usize| TYPES[index / APPSPACES % TYPES.len()];
        let spread = Requests::numbered(first, count, |index| (&paths[index % APPSPACES], kind(index)));
        let single = Requests::numbered(first, count, |index| ("/webhooks/tolinku", kind(index)));
        (Arc::new(spread), Arc::new(single))
    };
    let (spread, single) = alternate(
        ROUNDS,
        requests,
        |(spread, _)| saturate(&many, spread, CONNECTIONS, rig.window()),
        |(_, single)| saturate(&one, single, CONNECTIONS, rig.window()),
    )?;
    Ok(Finding::Values(vec![ratio(("10,000 destinations", &spread), ("one destination", &single))?]))
}
