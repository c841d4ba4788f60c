//! Where each record belongs: its partition, and the broker that leads it.

use std::collections::{BTreeMap, BTreeSet};

use domain::connector::{Record, RecordRefusal, Server};
use domain::verdict::FailureReason;

use super::messages::{Cluster, Topic, error_name};
use super::{End, Errand, batch};
use crate::transport::TransportError;

/// A record and the partition it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) record: usize,
    pub(super) partition: i32,
}

/// The topics of records, each once.
pub(super) fn topics(records: &[Record]) -> Vec<&str> {
    let topics: BTreeSet<_> = records.iter().map(|record| record.topic.as_str()).collect();
    topics.into_iter().collect()
}

/// The records of each leader. Those that have no partition to go to are settled. Records without a key take turns with
/// the partitions, the first of which is `keyless_from`: were it always the same, small batches would all go there.
pub(super) fn by_leader(errand: &Errand<'_>, topics: &[Topic], keyless_from: usize) -> BTreeMap<i32, Vec<Placed>> {
    let mut leaders: BTreeMap<i32, Vec<Placed>> = BTreeMap::new();
    for (record, it) in errand.records.iter().enumerate() {
        match leader(it, keyless_from.wrapping_add(record), topics) {
            Ok((leader, partition)) => leaders.entry(leader).or_default().push(Placed { record, partition }),
            Err(code) => errand.settle(record, Err(refusal(code, &it.topic))),
        }
    }
    leaders
}

/// Who leads the partition that a record belongs to, and its number; or the code of why nobody does.
fn leader(record: &Record, turn: usize, topics: &[Topic]) -> Result<(i32, i32), i16> {
    const NO_TOPIC: i16 = 3;
    const NO_LEADER: i16 = 5;
    // Searched and not walked through, because a broker may name a hundred thousand for each of our records.
    let topic = topics.binary_search_by(|topic| topic.name.cmp(&record.topic)).map_err(|_| NO_TOPIC)?;
    let topic = &topics[topic];
    if topic.error != 0 {
        return Err(topic.error);
    }
    let count = topic.partitions.len();
    if count == 0 {
        return Err(NO_TOPIC);
    }
    let wanted = record.key.as_ref().map_or(turn % count, |key| batch::partition(key.as_bytes(), count));
    let wanted = i32::try_from(wanted).map_err(|_| NO_LEADER)?;
    let found = topic.partitions.binary_search_by_key(&wanted, |it| it.number).map_err(|_| NO_LEADER)?;
    let found = &topic.partitions[found];
    // A replica that is away is no concern of ours as long as somebody leads.
    match (found.leader, found.error) {
        (0.., _) => Ok((found.leader, found.number)),
        (_, 0) => Err(NO_LEADER),
        (_, error) => Err(error),
    }
}

/// Where the cluster says that a broker is.
pub(super) fn announced(cluster: &Cluster, id: i32) -> Result<Server, End> {
    let unknown = || TransportError::new(FailureReason::Broken, "the cluster names no address of a leader");
    let node = cluster.brokers.iter().find(|node| node.id == id).ok_or_else(unknown)?;
    let port = u16::try_from(node.port).map_err(|_| unknown())?;
    Ok(Server { host: node.host.clone(), port })
}

pub(super) fn refusal(code: i16, topic: &str) -> RecordRefusal {
    RecordRefusal::new(error_name(code), format!("topic `{topic}`"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::connector::Record;
    use domain::{DestinationId, Timestamp};
    use tokio::time::Instant;

    use super::super::messages::Partition;
    use super::*;

    /// The partition of each record with such a key, in a topic of three.
    fn partitions(keys: &[Option<&str>], keyless_from: usize) -> Vec<i32> {
        let record = |key: Option<&str>| Record {
            topic: "events".to_owned(),
            key: key.map(str::to_owned),
            headers: Vec::new(),
            value: bytes::Bytes::new(),
        };
        let records: Vec<_> = keys.iter().copied().map(record).collect();
        let lane = DestinationId::mint(Timestamp::from_secs(1), 1);
        let errand = Errand::new(lane, &records, Instant::now());
        let partitions = (0..3).map(|number| Partition { error: 0, number, leader: 7 }).collect();
        let topics = [Topic { error: 0, name: "events".to_owned(), partitions }];
        let by_leader = by_leader(&errand, &topics, keyless_from);
        by_leader[&7].iter().map(|placed| placed.partition).collect()
    }

    #[test]
    fn records_without_a_key_take_turns_wherever_the_first_begins() {
        assert_eq!(partitions(&[None; 4], 4), [1, 2, 0, 1]);
        let first: BTreeSet<_> = (0..3).map(|from| partitions(&[None], from)[0]).collect();
        assert_eq!(first.len(), 3, "a batch of one has every partition to go to");
        let keyed = |from| partitions(&[Some("a"), Some("b"), Some("a")], from);
        assert_eq!((keyed(0), keyed(0)[0]), (keyed(1), keyed(1)[2]), "a key has its partition");
    }
}
