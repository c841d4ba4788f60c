//! From the appointed time of a send to the arrival of the first attempt, at half the highest rate that stays quick.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::load::{self, Load, Pace};
use bench::requests::Requests;
use bench::server::Server;
use bench::sink::{Answer, Sink};

use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::rows::delivery::IN_FLIGHT;
use crate::side::ROUNDS;
use crate::stats::{highest_that_held, median, next_step, percentile};

const CONNECTIONS: usize = 256;
/// A rate holds while its p99 stays under this.
const P99_MAX: Duration = Duration::from_millis(250);
const FIRST_STEP_PER_SECOND: usize = 2_000;
const LAST_STEP_PER_SECOND: usize = 64_000;
/// How long a step waits for what is still on its way.
const STRAGGLERS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let sink = Sink::start(Answer::Fine)?;
    let config = rig::source() + &rig::destination("sink", &sink.url(0), IN_FLIGHT);
    let server = Server::start(&rig.plan(&scratch, "store", &config))?;

    let mut tried = Vec::new();
    while let Some(per_second) = next_step(&tried, FIRST_STEP_PER_SECOND, LAST_STEP_PER_SECOND) {
        let step = p99(rig, &server, &sink, per_second);
        let shown = step.as_ref().map_or_else(ToString::to_string, |p99| format!("p99 {:.1} ms", millis(*p99)));
        eprintln!("    {per_second:>8.0}/s  {shown}");
        tried.push((per_second, step.is_ok_and(|p99| p99 < P99_MAX)));
        server.wait_until_idle(STRAGGLERS_WITHIN);
    }
    let half = highest_that_held(&tried).context("no rate stays quick")? / 2;
    let rounds: Vec<f64> = (0..ROUNDS).map(|_| p99(rig, &server, &sink, half).map(millis)).collect::<Result<_>>()?;
    eprintln!("    {half:>8.0}/s  p99 of each round in ms: {rounds:.1?}");
    Ok(Finding::Values(vec![median(&rounds).context("no round was measured")?]))
}

/// p99 of one window at one rate; an error unless every event is accepted and arrives.
fn p99(rig: &Rig, server: &Server, sink: &Sink, per_second: usize) -> Result<Duration> {
    let requests = Arc::new(Requests::to_path("/webhooks/tolinku", rig.count(per_second)));
    let watch = sink.watch(requests.first_sequence(), requests.len(), 1);
    let pace = Pace::Open { per_second: per_second as f64 };
    let load = Load { connections: CONNECTIONS, window: rig.window(), pace, keep_answers: false };
    let report = load::run(server.address(), requests.clone(), &load)?;
    report.ensure_all_accepted()?;
    sink.wait_for(report.accepted as u64, STRAGGLERS_WITHIN)?;
    let started = report.started.context("nothing was sent")?;
    let mut latencies = (0..report.accepted)
        .map(|index| {
            let appointed = started + Duration::from_secs_f64(index as f64 / per_second as f64);
            Some(watch.first_arrival(0, index)?.saturating_duration_since(appointed))
        })
        .collect::<Option<Vec<_>>>()
        .context("some event did not arrive")?;
    percentile(&mut latencies, 99).context("nothing arrived")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
