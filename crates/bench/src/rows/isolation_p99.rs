//! What a receiver that never answers does to its nine healthy neighbours: their p99 with it, divided by without it.
//!
//! Every event goes to all destinations.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::load::{self, Load, Pace};
use bench::requests::Requests;
use bench::server::Server;
use bench::sink::{Answer, Sink};

use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::alternate;
use crate::stats::{median, percentile};

/// A p99 of a few seconds hangs on one slow sync, so it takes more rounds for the median to stand still.
const ROUNDS: usize = 11;
const HEALTHY: usize = 9;
const CONCURRENCY: usize = 8;
const EVENTS_PER_SECOND: usize = 1_000;
const CONNECTIONS: usize = 64;
const STRAGGLERS_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let (sink, mute) = (Sink::start(Answer::Fine)?, Sink::start(Answer::Never)?);
    let healthy: String =
        (0..HEALTHY).map(|lane| rig::destination(&format!("healthy-{lane}"), &sink.url(lane), CONCURRENCY)).collect();
    let alone = rig::source() + &healthy;
    let with_mute = alone.clone() + &rig::destination("mute", &mute.url(0), CONCURRENCY);
    let disturbed = Server::start(&rig.plan(&scratch, "disturbed", &with_mute))?;
    let undisturbed = Server::start(&rig.plan(&scratch, "undisturbed", &alone))?;

    let (with, without) =
        alternate(ROUNDS, || (), |()| p99_ms(rig, &disturbed, &sink), |()| p99_ms(rig, &undisturbed, &sink))?;
    eprintln!("    p99 of each round in ms: with {with:.2?}, without {without:.2?}");
    let (with, without) = (median(&with).context("no round")?, median(&without).context("no round")?);
    Ok(Finding::Values(vec![with / without]))
}

/// p99 over all healthy destinations, from the appointed send to the arrival.
fn p99_ms(rig: &Rig, server: &Server, sink: &Sink) -> Result<f64> {
    let count = rig.count(EVENTS_PER_SECOND);
    let requests = Arc::new(Requests::to_path("/webhooks/tolinku", count));
    let watch = sink.watch(requests.first_sequence(), count, HEALTHY);
    let pace = Pace::Open { per_second: EVENTS_PER_SECOND as f64 };
    let load = Load { connections: CONNECTIONS, window: rig.window(), pace, keep_answers: false };
    let report = load::run(server.address(), requests, &load)?;
    report.ensure_all_accepted()?;
    sink.wait_for((report.accepted * HEALTHY) as u64, STRAGGLERS_WITHIN)?;
    let started = report.started.context("nothing was sent")?;
    let each = (0..HEALTHY).flat_map(|lane| (0..report.accepted).map(move |index| (lane, index)));
    let mut latencies = each
        .map(|(lane, index)| {
            let appointed = started + Duration::from_secs_f64(index as f64 / EVENTS_PER_SECOND as f64);
            Some(watch.first_arrival(lane, index)?.saturating_duration_since(appointed))
        })
        .collect::<Option<Vec<_>>>()
        .context("some event did not arrive everywhere")?;
    Ok(percentile(&mut latencies, 99).context("nothing arrived")?.as_secs_f64() * 1e3)
}
