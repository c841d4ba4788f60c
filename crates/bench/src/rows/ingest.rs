//! Durable intake, divided by the same server stack answering a bare POST.

use anyhow::Result;

use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::{ROUNDS, alternate, ratio, saturate};

/// Connections of every intake row that does not say otherwise.
pub(crate) const CONNECTIONS: usize = 128;

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let server = rig::paused_server(&rig.plan(&scratch, "store", &rig::paused_config()))?;
    let bare = rig.bare_server()?;
    let (durable, answered) = alternate(
        ROUNDS,
        || rig.requests(),
        |requests| saturate(&server, requests, CONNECTIONS, rig.window()),
        |requests| saturate(&bare, requests, CONNECTIONS, rig.window()),
    )?;
    Ok(Finding::Values(vec![ratio(("durable", &durable), ("bare POST", &answered))?]))
}
