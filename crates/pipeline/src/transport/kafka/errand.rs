//! One exchange: what is to be produced, where each record belongs, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use domain::DestinationId;
use domain::connector::{Record, RecordRefusal, Server};
use domain::verdict::FailureReason;
use tokio::time::Instant;

use super::messages::{Cluster, Topic, error_name};
use super::{End, Place, batch};
use crate::transport::TransportError;

/// An exchange under way.
pub(super) struct Errand<'e> {
    pub(super) lane: DestinationId,
    pub(super) place: &'e Place,
    pub(super) records: &'e [Record],
    pub(super) until: Instant,
    /// What is known of each record: not yet, taken, or refused.
    outcomes: Mutex<Vec<Option<Result<(), RecordRefusal>>>>,
}

/// A record and the partition it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) record: usize,
    pub(super) partition: i32,
}

impl<'e> Errand<'e> {
    pub(super) fn new(lane: DestinationId, place: &'e Place, records: &'e [Record], until: Instant) -> Self {
        Self { lane, place, records, until, outcomes: Mutex::new(vec![None; records.len()]) }
    }

    pub(super) fn topics(&self) -> Vec<&'e str> {
        let topics: BTreeSet<_> = self.records.iter().map(|record| record.topic.as_str()).collect();
        topics.into_iter().collect()
    }

    /// The records of each leader. Those that have no partition to go to are settled.
    pub(super) fn by_leader(&self, topics: &[Topic]) -> BTreeMap<i32, Vec<Placed>> {
        let mut leaders: BTreeMap<i32, Vec<Placed>> = BTreeMap::new();
        for (record, it) in self.records.iter().enumerate() {
            match leader(it, record, topics) {
                Ok((leader, partition)) => leaders.entry(leader).or_default().push(Placed { record, partition }),
                Err(code) => self.settle(record, Err(refusal(code, &it.topic))),
            }
        }
        leaders
    }

    /// Settles a record, unless it is settled.
    pub(super) fn settle(&self, record: usize, outcome: Result<(), RecordRefusal>) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unsettled @ None) = outcomes.get_mut(record) {
            *unsettled = Some(outcome);
        }
    }

    /// What became of each record.
    pub(super) fn outcomes(self) -> Vec<Option<RecordRefusal>> {
        let outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let no_answer = || RecordRefusal::new(RecordRefusal::NO_ANSWER, "the broker did not acknowledge in time");
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(no_answer())).err()).collect()
    }
}

/// Who leads the partition that a record belongs to, and its number; or the code of why nobody does.
fn leader(record: &Record, number: usize, topics: &[Topic]) -> Result<(i32, i32), i16> {
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
    let wanted = record.key.as_ref().map_or(number % count, |key| batch::partition(key.as_bytes(), count));
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
