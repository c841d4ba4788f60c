//! A million deliveries owed to a receiver that fails: how much memory that takes, and how soon a server is ready again.
//!
//! The receiver answers 500 and the breaker is off, so the lane never rests: every failure is recorded and scheduled
//! again while the rest of the backlog waits.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::server::Server;
use bench::sink::{Answer, Sink};

use crate::prepare;
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::ROUNDS;
use crate::stats::median;

const PENDING: usize = 1_000_000;
const SPREAD: Duration = Duration::from_hours(24);
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let sink = Sink::start(Answer::Failing)?;
    let config = rig::source() + &rig::destination("failing", &sink.url(0), 8) + "breaker = false\n";
    let plan = rig.plan(&scratch, "store", &config);
    Server::start(&plan)?.stop()?;
    prepare::fill(&plan.data_dir, PENDING, SPREAD)?;

    let (mut peaks, mut ready) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let server = Server::start(&plan)?;
        ready.push(server.ready_after().as_secs_f64());
        let arrived_before = sink.arrived().load(std::sync::atomic::Ordering::Relaxed);
        std::thread::sleep(rig.window());
        let tries = sink.arrived().load(std::sync::atomic::Ordering::Relaxed) - arrived_before;
        ensure!(tries > 0, "nothing was tried, so the lane did not fail");
        let pending = server.client()?.metric("afterclick_backlog")?;
        ensure!(pending >= PENDING as f64, "only {pending} deliveries are pending");
        let peak = server.peak_resident_bytes()? as f64 / MIB;
        eprintln!(
            "    life {round}: ready after {:.3} s, peak {peak:.0} MiB, {tries} failed tries",
            server.ready_after().as_secs_f64()
        );
        peaks.push(peak);
        // Every life ends in a crash, so that each start has to recover.
        server.kill()?;
    }
    let peak = peaks.into_iter().reduce(f64::max).context("no life was measured")?;
    Ok(Finding::Values(vec![peak, median(&ready).context("no start was measured")?]))
}
