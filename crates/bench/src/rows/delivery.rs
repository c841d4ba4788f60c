//! Deliveries from a backlog to one healthy receiver, signed and with their outcomes recorded, divided by a bare client
//! that sends the same bodies with the same number in flight.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use bench::requests::reserve;
use bench::server::{Plan, Server};
use bench::sink::{Answer, Sink};

use crate::prepare;
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::side::{Arrivals, ROUNDS, Side, alternate, ratio};

pub(crate) const IN_FLIGHT: usize = 64;
/// Backlog for each measured second: more than can be delivered in one.
const BACKLOG_PER_SECOND: usize = 30_000;
const DELIVERED_WITHIN: Duration = Duration::from_mins(2);

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let sink = Sink::start(Answer::Fine)?;
    let config = rig::source() + &rig::destination("sink", &sink.url(0), IN_FLIGHT);
    let count = rig.count(BACKLOG_PER_SECOND);
    let stores = Cell::new(0);
    let (delivered, sent) = alternate(
        ROUNDS,
        || reserve(count),
        |first| {
            stores.set(stores.get() + 1);
            let plan = rig.plan(&scratch, &format!("backlog-{}", stores.get()), &config);
            deliver_backlog(&plan, &sink, *first, count)
        },
        |first| bare_client(rig, &sink, *first, count),
    )?;
    Ok(Finding::Values(vec![ratio(("delivered", &delivered), ("bare client", &sent))?]))
}

/// A new store with `count` bodies in it, and the server that delivers them to the sink as soon as it starts.
pub(crate) fn deliver_backlog(plan: &Plan, sink: &Sink, first: u64, count: usize) -> Result<Side> {
    Server::start(plan)?.stop()?;
    prepare::fill_numbered(&plan.data_dir, first, count, Duration::from_mins(1))?;
    let arrivals = Arrivals::expect(sink, first, count);
    let server = Server::start(plan)?;
    sink.wait_for(count as u64, DELIVERED_WITHIN)?;
    let side = arrivals.side(sink, server.cpu_time())?;
    rig::ensure_nothing_pending(&server)?;
    server.stop()?;
    std::fs::remove_dir_all(&plan.data_dir)?;
    Ok(side)
}

/// The bare client sending `count` bodies to the sink.
pub(crate) fn bare_client(rig: &Rig, sink: &Sink, first: u64, count: usize) -> Result<Side> {
    let arrivals = Arrivals::expect(sink, first, count);
    let cpu = rig.bare_client(&sink.url(0), first, count, IN_FLIGHT)?;
    arrivals.side(sink, cpu)
}
