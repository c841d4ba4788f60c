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
mod hubspot_sdk;
mod kafka;
mod nats;
mod needs;
mod pipedrive_sdk;
mod postgres;
mod process;
mod redis;
mod salesforce_sdk;
mod segment_sdk;
mod smtp;

use std::ffi::OsStr;

pub use crate::aws::{Aws, Object, Statement};
pub use crate::clickhouse::ClickHouse;
pub use crate::hubspot_sdk::HubSpotSdk;
pub use crate::kafka::{Kafka, KafkaRecord};
pub use crate::nats::{Nats, NatsMessage};
pub use crate::needs::{Needs, Package, home};
pub use crate::pipedrive_sdk::PipedriveSdk;
pub use crate::postgres::Postgres;
pub use crate::redis::Redis;
pub use crate::salesforce_sdk::SalesforceSdk;
pub use crate::segment_sdk::SegmentSdk;
pub use crate::smtp::{Mail, Smtp, SmtpOptions, SmtpTls};

/// What every peer needs: the table that `cargo xtask peers` installs from.
pub static ALL: &[&Needs] = &[
    &aws::NEEDS,
    &chdb::NEEDS,
    &clickhouse::NEEDS,
    &hubspot_sdk::NEEDS,
    &kafka::NEEDS,
    &nats::NEEDS,
    &pipedrive_sdk::NEEDS,
    &postgres::NEEDS,
    &redis::NEEDS,
    &salesforce_sdk::NEEDS,
    &segment_sdk::NEEDS,
    &smtp::NEEDS,
];

/// Starts a peer, or says why it is skipped. A peer that is there and does not start is a failure.
fn start<P>(needs: &Needs, start: impl Fn() -> anyhow::Result<P>) -> Option<P> {
    if let Some(what) = lacks(needs) {
        assert!(!required(std::env::var_os("AFTERCLICK_PEERS").as_deref()), "{what}");
        eprintln!("skipped: {what}");
        return None;
    }
    for again in (0..process::STARTS_MAX).rev() {
        match start() {
            Ok(peer) => return Some(peer),
            // A free port may be taken between finding and binding it.
            Err(error) if again > 0 => eprintln!("peer `{}`: {error:#}; trying again", needs.name),
            Err(error) => panic!("peer `{}` does not start: {error:#}", needs.name),
        }
    }
    None
}

/// What a test says when it cannot have a peer.
fn lacks(needs: &Needs) -> Option<String> {
    let missing = needs.missing();
    (!missing.is_empty())
        .then(|| format!("peer `{}` lacks {}; `cargo xtask peers` installs it", needs.name, missing.join(", ")))
}

/// Whether a missing peer is a failure, by the value of `AFTERCLICK_PEERS`.
fn required(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "required")
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOTHING: Needs = Needs { name: "nothing", packages: &[Package::Python("no-such==1")] };

    #[test]
    fn what_is_missing_is_skipped_with_a_word_on_how_to_get_it() {
        let said = "peer `nothing` lacks Python's `no-such==1`; `cargo xtask peers` installs it";
        assert_eq!(lacks(&NOTHING).as_deref(), Some(said));
        assert_eq!(lacks(&Needs { name: "empty", packages: &[] }), None);
    }

    #[test]
    fn only_where_peers_are_required_is_a_missing_one_a_failure() {
        assert!(required(Some(OsStr::new("required"))));
        assert!(!required(Some(OsStr::new(""))) && !required(None));
    }

    #[test]
    fn peers_are_known_by_different_names() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|needs| needs.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
