//! Two sides measured in turn, and what is said about them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::load::{Load, Pace, Report, run};
use bench::requests::Requests;
use bench::server::Server;
use bench::sink::{Sink, Watch};

use crate::stats::median;

/// Rounds of a comparison unless it needs more. An odd number, so that the median is a round that happened.
pub(crate) const ROUNDS: usize = 5;
/// The generator is the limit when its thread does nothing else than generate.
const GENERATOR_BUSY_MAX: f64 = 0.95;
/// Longest wait for a server to finish what it has put off.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(20);

/// What was measured of one side in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    /// Events per second.
    pub(crate) rate: f64,
    /// Processor time of everything on this side for one event, in microseconds.
    pub(crate) cpu_us: f64,
    /// How busy the thread was that made the load, 0 to 1.
    pub(crate) generator_busy: f64,
}

/// Puts the highest load that so many connections can make on a server.
pub(crate) fn saturate(
    server: &Server,
    requests: &Arc<Requests>,
    connections: usize,
    window: Duration,
) -> Result<Side> {
    server.wait_until_idle(IDLE_WAIT_MAX);
    let before = server.cpu_time();
    let report = closed(server.address(), requests, connections, window)?;
    // Work that the server has put off belongs to these events.
    server.wait_until_idle(IDLE_WAIT_MAX);
    Ok(Side::new(&report, server.cpu_time().saturating_sub(before)))
}

/// A closed load on any server; an error unless every request is accepted.
pub(crate) fn closed(
    address: SocketAddr,
    requests: &Arc<Requests>,
    connections: usize,
    window: Duration,
) -> Result<Report> {
    let load = Load { connections, window, pace: Pace::Closed, keep_answers: false };
    let report = run(address, requests.clone(), &load)?;
    report.ensure_all_accepted()?;
    Ok(report)
}

impl Side {
    pub(crate) fn new(report: &Report, cpu: Duration) -> Self {
        Self {
            rate: report.rate(),
            cpu_us: cpu.as_secs_f64() * 1e6 / report.accepted as f64,
            generator_busy: report.busy(),
        }
    }
}

/// Deliveries of numbered bodies to lane 0 of a sink, from the first to the last.
#[derive(Debug)]
pub(crate) struct Arrivals {
    watch: Arc<Watch>,
    count: usize,
    sink_cpu_before: Duration,
}

impl Arrivals {
    pub(crate) fn expect(sink: &Sink, first: u64, count: usize) -> Self {
        Self { watch: sink.watch(first, count, 1), count, sink_cpu_before: sink.cpu_time() }
    }

    /// The side that made these deliveries with so much processor time; an error unless each body has arrived.
    pub(crate) fn side(&self, sink: &Sink, cpu: Duration) -> Result<Side> {
        let missing = (0..self.count).filter(|index| self.watch.arrivals(0, *index) == 0).count();
        ensure!(missing == 0, "{missing} of {} bodies never arrived", self.count);
        let (first, last) = self.watch.span().context("nothing arrived")?;
        let seconds = last.duration_since(first).as_secs_f64();
        Ok(Side {
            rate: self.count as f64 / seconds,
            cpu_us: cpu.as_secs_f64() * 1e6 / self.count as f64,
            generator_busy: sink.cpu_time().saturating_sub(self.sink_cpu_before).as_secs_f64() / seconds,
        })
    }
}

/// Measures two sides in turn with the same input: one unmeasured round, then `rounds` of which every second begins
/// with the other side.
pub(crate) fn alternate<I, A, B>(
    rounds: usize,
    input: impl Fn() -> I,
    mut first: impl FnMut(&I) -> Result<A>,
    mut second: impl FnMut(&I) -> Result<B>,
) -> Result<(Vec<A>, Vec<B>)> {
    let warm_up = input();
    first(&warm_up)?;
    second(&warm_up)?;
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let input = input();
        if round % 2 == 0 {
            firsts.push(first(&input)?);
            seconds.push(second(&input)?);
        } else {
            seconds.push(second(&input)?);
            firsts.push(first(&input)?);
        }
    }
    Ok((firsts, seconds))
}

/// The median rate of the first divided by that of the second; says what the two were.
pub(crate) fn ratio(ours: (&str, &[Side]), other: (&str, &[Side])) -> Result<f64> {
    Ok(describe(ours)? / describe(other)?)
}

/// Prints one side and returns its median rate.
pub(crate) fn describe((name, sides): (&str, &[Side])) -> Result<f64> {
    let of = |figure: fn(&Side) -> f64| median(&sides.iter().map(figure).collect::<Vec<_>>());
    let rates = sides.iter().map(|side| side.rate);
    let (low, high) = (rates.clone().fold(f64::INFINITY, f64::min), rates.fold(0.0, f64::max));
    let rate = of(|side| side.rate).context("no round was measured")?;
    let cpu_us = of(|side| side.cpu_us).unwrap_or_default();
    let busy = of(|side| side.generator_busy).unwrap_or_default();
    let limit = if busy > GENERATOR_BUSY_MAX { " (THE GENERATOR IS THE LIMIT)" } else { "" };
    eprintln!(
        "    {name:<24} {rate:>8.0}/s [{low:.0}-{high:.0}]  {cpu_us:>6.1} us CPU per event, generator {:.0} % busy{limit}",
        busy * 100.0
    );
    Ok(rate)
}
