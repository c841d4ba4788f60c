//! A backlog through the connector `segment` in batches of 50, divided by a bare client that makes and sends the same
//! batches and records nothing.

use std::cell::Cell;

use anyhow::Result;
use bench::requests::reserve;
use bench::sink::{Answer, Sink};

use crate::bare::Batches;
use crate::rig::{self, Rig};
use crate::rows::Finding;
use crate::rows::delivery::deliver_backlog;
use crate::side::{Arrivals, alternate, ratio};

/// More than elsewhere: all of it is work for the processors, and what else the machine does is felt at once.
const ROUNDS: usize = 11;
const IN_FLIGHT: usize = 8;
const BATCH_ITEMS: usize = 50;
/// Backlog for each measured second: more than can be delivered in one.
const BACKLOG_PER_SECOND: usize = 60_000;

pub(crate) fn run(rig: &Rig) -> Result<Finding> {
    let scratch = rig.scratch()?;
    let sink = Sink::start(Answer::Fine)?;
    let host = sink.url(0);
    let settings = format!("write_key = \"bench-write-key\"\nhost = \"{host}\"\n");
    let config = rig::source()
        + &format!(
            "[[destination]]\nname = \"segment\"\nconnector = \"segment\"\nevents = [\"*\"]\nrate = 100000\n\
             concurrency = {IN_FLIGHT}\nbatch = {{ items = {BATCH_ITEMS}, wait = \"1s\" }}\n[destination.settings]\n{settings}"
        );
    let count = rig.count(BACKLOG_PER_SECOND);
    let stores = Cell::new(0);
    let (delivered, sent) = alternate(
        ROUNDS,
        || reserve(count),
        |first| {
            stores.set(stores.get() + 1);
            let plan = rig.plan(&scratch, &format!("segment-{}", stores.get()), &config);
            deliver_backlog(&plan, &sink, *first, count)
        },
        |first| {
            let arrivals = Arrivals::expect(&sink, *first, count);
            let sent = rig.bare_batches(&Batches {
                connector: "segment".to_owned(),
                settings: settings.clone(),
                first: *first,
                count,
                items: BATCH_ITEMS,
                in_flight: IN_FLIGHT,
            })?;
            arrivals.side(&sink, sent.cpu)
        },
    )?;
    Ok(Finding::Values(vec![ratio(("through segment", &delivered), ("bare client", &sent))?]))
}
