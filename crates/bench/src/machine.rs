//! What the figures were measured on: without it nobody can read them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bench::process;

use crate::stats::percentile;

const SYNCS: usize = 200;
const SYNC_BYTES: usize = 4096;

/// One line about processors, disk and who else is at work here.
pub(crate) fn describe(dir: &Path) -> Result<String> {
    let mut syncs = sync_times(dir)?;
    let micros = |duration: Option<Duration>| duration.unwrap_or_default().as_micros();
    let (p50, p99) = (micros(percentile(&mut syncs, 50)), micros(percentile(&mut syncs, 99)));
    let processors = process::processors();
    let mut line =
        format!("{processors} processors, shared with the generator; a sync of 4 KiB takes {p50} us (p99 {p99} us)");
    if let Some(load) = load_average().filter(|load| *load > processors as f64 / 2.0) {
        let _ = write!(line, "; OTHERS ARE AT WORK HERE (load {load:.1}): the figures are worse than they should be");
    }
    Ok(line)
}

/// How long appending and syncing takes on the disk that the stores are on.
fn sync_times(dir: &Path) -> Result<Vec<Duration>> {
    let path = dir.join("sync-probe");
    let mut file = File::create(&path)?;
    let times = (0..SYNCS).map(|_| {
        let started = Instant::now();
        file.write_all(&[0; SYNC_BYTES])?;
        file.sync_data()?;
        Ok(started.elapsed())
    });
    let times = times.collect::<std::io::Result<_>>().context("cannot sync a file in target/bench");
    std::fs::remove_file(&path)?;
    times
}

/// How many processes wanted a processor during the last minute. Linux only.
fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
