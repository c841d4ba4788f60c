//! Intake and delivery at once, divided by what the two bare halves could do on the same machine in turn.
//!
//! The generator keeps no more than a fraction of a second of load ahead of the receiver, so the backlog stays small by
//! construction; that it did is checked at the end of every round.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use bench::load::{self, Load, Pace};
use bench::requests::{Requests, reserve};
use bench::server::Server;
use bench::sink::{Answer, Sink};

use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::rows::delivery::{IN_FLIGHT, bare_client};
use crate::rows::ingest::CONNECTIONS;
use crate::side::{ROUNDS, Side, alternate, describe, saturate};

/// How many events the generator may be ahead of the receiver.
const AHEAD_MAX: u64 = 2_000;
/// Deliveries of the bare client for each measured second.
const BARE_PER_SECOND: usize = 30_000;

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let sink = Sink::start(Answer::Fine)?;
    let config = rig::source() + &rig::destination("sink", &sink.url(0), IN_FLIGHT);
    let server = Server::start(&rig.plan(&scratch, "store", &config))?;
    let bare = rig.bare_server()?;
    let (halves, whole) = alternate(
        ROUNDS,
        || rig.requests(),
        |requests| {
            let count = rig.count(BARE_PER_SECOND);
            let posted = saturate(&bare, requests, CONNECTIONS, rig.window())?;
            Ok((posted, bare_client(rig, &sink, reserve(count), count)?))
        },
        |requests| both(rig, &server, &sink, requests),
    )?;
    let (posted, sent): (Vec<_>, Vec<_>) = halves.into_iter().unzip();
    let (posted, sent) = (describe(("bare POST", &posted))?, describe(("bare client", &sent))?);
    let ceiling = 1.0 / (1.0 / posted + 1.0 / sent);
    eprintln!("    {:<24} {ceiling:>8.0}/s", "both halves in turn");
    Ok(Finding::Values(vec![describe(("ingested and delivered", &whole))? / ceiling]))
}

/// Events per second that came in and arrived at the receiver in the same window.
fn both(rig: &Rig, server: &Server, sink: &Sink, requests: &Arc<Requests>) -> Result<Side> {
    let watch = sink.watch(requests.first_sequence(), requests.len(), 1);
    let pace = Pace::Following { arrived: sink.arrived(), ahead_max: AHEAD_MAX };
    let load = Load { connections: CONNECTIONS, window: rig.window(), pace, keep_answers: false };
    let cpu_before = server.cpu_time();
    let report = load::run(server.address(), requests.clone(), &load)?;
    let arrived = sink.arrived().load(Ordering::Relaxed);
    report.ensure_all_accepted()?;

    let rate = arrived as f64 / report.elapsed.as_secs_f64();
    let backlog = (report.accepted as u64).saturating_sub(arrived);
    ensure!((backlog as f64) <= rate, "{backlog} events were still owed at the end, more than a second of load");
    sink.wait_for(report.accepted as u64, rig.window() * 10).context("the backlog was not delivered")?;
    ensure!((0..report.accepted).all(|index| watch.arrivals(0, index) == 1), "some event did not arrive exactly once");
    rig::ensure_nothing_pending(server)?;
    Ok(Side { rate, ..Side::new(&report, server.cpu_time().saturating_sub(cpu_before)) })
}
