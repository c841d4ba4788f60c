//! Stores and brokers: real ones, or mimics that check signatures, at the end of a wire that breaks.

use peers::{Aws, Kafka, Nats};
use vendors::{Fault, Faults};

use super::super::tally::{Tally, count_marks};
use super::wire::Wire;
use super::{ALL_IN_BATCHES, Member, Promise, section};

/// The stream of NATS and the topic of Kafka.
const STREAM: &str = "EVENTS";

fn cuts(seed: u64) -> Faults {
    Faults::seeded(seed).with(Fault::DropBefore, 20).with(Fault::DropAfter, 20)
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
}

fn tally(wire: &Wire, items: impl IntoIterator<Item = impl AsRef<str>>) -> Tally {
    Tally { times: count_marks(items), requests: wire.pieces(), faults: wire.cuts(), ..Tally::default() }
}

/// A file that is put twice replaces itself, also when its batch is retried by another process.
pub(super) fn s3(peer: Aws, seed: u64) -> Member {
    let wire = Wire::start(port(&peer.url()), cuts(seed));
    let settings = [
        ("endpoint", &*format!("http://127.0.0.1:{}", wire.port())),
        ("region", Aws::REGION),
        ("bucket", Aws::BUCKET),
        ("access_key_id", peer.access_key()),
        ("secret_access_key", peer.secret_key()),
        ("compression", "none"),
    ];
    let config = section("s3", "s3", ALL_IN_BATCHES, &settings);
    let look = move || {
        let files: Vec<_> =
            peer.objects().unwrap().into_iter().map(|object| String::from_utf8(object.body).unwrap()).collect();
        tally(&wire, files.iter().flat_map(|file| file.lines()))
    };
    Member::new("s3", config, look)
}

/// A message that is published twice is kept once.
pub(super) fn nats(peer: Nats, seed: u64) -> Member {
    peer.create_stream(STREAM, &["events.>"]).unwrap();
    let wire = Wire::start(port(&peer.url()), cuts(seed));
    let settings = [
        ("servers", &*format!("[\"127.0.0.1:{}\"]", wire.port())),
        ("user", Nats::USER),
        ("password", Nats::PASSWORD),
        ("tls", "false"),
    ];
    // Each message is looked at by itself, so that some must do.
    let config = section("nats", "nats", &ALL_IN_BATCHES.replace("[\"*\"]", "[\"link.*\"]"), &settings);
    let look = move || {
        let messages = peer.messages(STREAM).unwrap();
        tally(&wire, messages.iter().map(|message| String::from_utf8_lossy(&message.data)))
    };
    Member::new("nats", config, look).gets(|event| event.kind.starts_with("link."))
}

/// Only what is asked of the first broker passes the wire: where it says that a partition's leader is, it is itself.
pub(super) fn kafka(peer: Kafka, seed: u64) -> Member {
    peer.create_topic(STREAM, 3).unwrap();
    let wire = Wire::start(port(&peer.address()), cuts(seed));
    let settings = [("brokers", &*format!("[\"127.0.0.1:{}\"]", wire.port())), ("topic", STREAM), ("tls", "false")];
    let config = section("kafka", "kafka", ALL_IN_BATCHES, &settings);
    let look = move || {
        let records = peer.records(STREAM).unwrap();
        tally(&wire, records.iter().map(|record| String::from_utf8_lossy(&record.value)))
    };
    Member::new("kafka", config, look).promises(Promise::AtLeastOnce)
}
