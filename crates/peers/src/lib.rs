//! Real servers that tests start and end themselves: one file per peer, each with what it needs, `start` and a way to look inside.
//!
//! A peer listens on a free port of 127.0.0.1, keeps its data in a directory of its own, and ends when its value is dropped or when
//! the test process is gone, whichever comes first; so it may also live in a `static`. Everything here blocks: a test whose own
//! runtime must answer meanwhile (a recorder that the Segment SDK talks to) calls it through `spawn_blocking`.
//!
//! `start` gives `None` where the machine lacks something, and says on stderr what and how to get it (`cargo xtask peers`). With
//! `AFTERCLICK_PEERS=required`, as in CI, that is a failure instead.

mod aws;
mod certificate;
mod chdb;
mod clickhouse;
pub mod http;
mod kafka;
mod nats;
mod needs;
mod postgres;
mod process;
mod redis;
mod segment_sdk;
mod smtp;

pub use crate::aws::{Aws, Object, Statement};
pub use crate::clickhouse::ClickHouse;
pub use crate::kafka::{Kafka, KafkaRecord};
pub use crate::nats::{Nats, NatsMessage};
pub use crate::needs::{Needs, Package, home};
pub use crate::postgres::Postgres;
pub use crate::redis::Redis;
pub use crate::segment_sdk::SegmentSdk;
pub use crate::smtp::{Mail, Smtp, SmtpOptions, SmtpTls};

/// What every peer needs: the table that `cargo xtask peers` installs from.
pub static ALL: &[&Needs] = &[
    &aws::NEEDS,
    &chdb::NEEDS,
    &clickhouse::NEEDS,
    &kafka::NEEDS,
    &nats::NEEDS,
    &postgres::NEEDS,
    &redis::NEEDS,
    &segment_sdk::NEEDS,
    &smtp::NEEDS,
];

/// Starts a peer, or says why it is skipped. A peer that is there and does not start is a failure.
fn start<P>(needs: &Needs, start: impl Fn() -> anyhow::Result<P>) -> Option<P> {
    let missing = needs.missing();
    if !missing.is_empty() {
        let what = format!("peer `{}` lacks {}; `cargo xtask peers` installs it", needs.name, missing.join(", "));
        assert!(std::env::var("AFTERCLICK_PEERS").as_deref() != Ok("required"), "{what}");
        eprintln!("skipped: {what}");
        return None;
    }
    let mut tries = process::STARTS_MAX;
    loop {
        match start() {
            Ok(peer) => return Some(peer),
            // A free port may be taken between finding and binding it.
            Err(error) if tries > 1 => eprintln!("peer `{}`: {error:#}; trying again", needs.name),
            Err(error) => panic!("peer `{}` does not start: {error:#}", needs.name),
        }
        tries -= 1;
    }
}
