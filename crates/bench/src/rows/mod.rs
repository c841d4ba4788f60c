//! The rows: what is measured, and what each should reach. One file a row, named after it.

mod backlog;
mod clickhouse;
mod delivery;
mod ingest;
mod ingest_many_tenants;
mod ingest_old_store;
mod ingest_slow_disk;
mod isolation_p99;
mod latency_p99;
mod segment;
mod versus;
mod whole;

use anyhow::Result;

use crate::report::Better::{Higher, Lower};
use crate::report::Spec;
use crate::rig::Rig;

/// A row, or two that come from one run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) specs: &'static [Spec],
    pub(crate) run: fn(&Rig) -> Result<Finding>,
}

/// What a run found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// One value for each spec of the row.
    Values(Vec<f64>),
    /// Something that the row needs is not on this machine.
    Skipped(String),
}

/// All rows, in the order of the table.
#[rustfmt::skip]
pub(crate) const ALL: &[Row] = &[
    Row { run: ingest::run, specs: &[
        Spec { name: "ingest", unit: "ratio", better: Higher, floor: 0.45, aim: 0.65 }] },
    Row { run: ingest_old_store::run, specs: &[
        Spec { name: "ingest_old_store", unit: "ratio", better: Higher, floor: 0.90, aim: 0.98 }] },
    Row { run: ingest_many_tenants::run, specs: &[
        Spec { name: "ingest_many_tenants", unit: "ratio", better: Higher, floor: 0.80, aim: 0.95 }] },
    Row { run: ingest_slow_disk::run, specs: &[
        Spec { name: "ingest_slow_disk", unit: "ratio", better: Higher, floor: 0.70, aim: 0.90 }] },
    Row { run: delivery::run, specs: &[
        Spec { name: "delivery", unit: "ratio", better: Higher, floor: 0.50, aim: 0.80 }] },
    Row { run: whole::run, specs: &[
        Spec { name: "whole", unit: "ratio", better: Higher, floor: 0.40, aim: 0.70 }] },
    Row { run: segment::run, specs: &[
        Spec { name: "segment_batches", unit: "ratio", better: Higher, floor: 0.50, aim: 0.80 }] },
    Row { run: clickhouse::run, specs: &[
        Spec { name: "clickhouse_batches", unit: "ratio", better: Higher, floor: 0.60, aim: 0.90 }] },
    Row { run: latency_p99::run, specs: &[
        Spec { name: "latency_p99_ms", unit: "ms", better: Lower, floor: 100.0, aim: 20.0 }] },
    Row { run: backlog::run, specs: &[
        Spec { name: "backlog_rss_mib", unit: "MiB", better: Lower, floor: 256.0, aim: 96.0 },
        Spec { name: "backlog_ready_s", unit: "s", better: Lower, floor: 5.0, aim: 1.0 }] },
    Row { run: isolation_p99::run, specs: &[
        Spec { name: "isolation_p99", unit: "ratio", better: Lower, floor: 1.5, aim: 1.1 }] },
    Row { run: versus::express, specs: &[
        Spec { name: "vs_express", unit: "ratio", better: Higher, floor: 8.0, aim: 12.0 }] },
    Row { run: versus::express_bullmq, specs: &[
        Spec { name: "vs_express_bullmq", unit: "ratio", better: Higher, floor: 12.0, aim: 20.0 }] },
];
