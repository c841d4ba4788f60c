//! Durable intake with a millisecond added to every sync, divided by the same without.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::{ROUNDS, alternate, ratio, saturate};

const CONNECTIONS: usize = 512;
const PRELOAD_C: &str = include_str!("../../preload/slow_sync.c");

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let mut plan = rig.plan(&scratch, "slow", &rig::paused_config());
    plan.preload = Some(compile(rig)?);
    let slow = rig::paused_server(&plan)?;
    let quick = rig::paused_server(&rig.plan(&scratch, "quick", &rig::paused_config()))?;
    let (slowed, undisturbed) = alternate(
        ROUNDS,
        || rig.requests(),
        |requests| saturate(&slow, requests, CONNECTIONS, rig.window()),
        |requests| saturate(&quick, requests, CONNECTIONS, rig.window()),
    )?;
    let client = slow.client()?;
    let syncs = client.metric("afterclick_sync_seconds_count")?;
    let mean_s = client.metric("afterclick_sync_seconds_sum")? / syncs;
    ensure!(mean_s >= 0.001, "the preload does not slow the server's syncs: they take {:.2} ms", mean_s * 1e3);
    eprintln!("    {syncs:.0} syncs of {:.2} ms on the slowed side", mean_s * 1e3);
    Ok(Finding::Values(vec![ratio(("1 ms per sync", &slowed), ("undisturbed", &undisturbed))?]))
}

/// Compiles the library that makes every sync slower.
fn compile(rig: &Rig) -> Result<PathBuf> {
    let (source, library) = (rig.dir().join("slow_sync.c"), rig.dir().join("slow_sync.so"));
    std::fs::write(&source, PRELOAD_C)?;
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .context("cannot start the C compiler")?;
    ensure!(status.success(), "the C compiler ended with {status}");
    Ok(library)
}
