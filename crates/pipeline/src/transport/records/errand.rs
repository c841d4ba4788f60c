//! One exchange: what is to be handed over, by when, and what is known of each record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::DestinationId;
use domain::connector::{Record, RecordRefusal, Server, ServerTls};
use tokio::time::Instant;

/// An exchange under way.
pub(in crate::transport) struct Errand<'e> {
    pub(in crate::transport) lane: DestinationId,
    pub(in crate::transport) records: &'e [Record],
    pub(in crate::transport) until: Instant,
    /// What is known of each record: not yet, taken, or refused. Several dialogues may settle records at once.
    outcomes: Mutex<Vec<Option<Outcome>>>,
}

/// What became of a record.
pub(in crate::transport) type Outcome = Result<(), RecordRefusal>;

/// Where records go and who brings them, with a login of the protocol's kind.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::transport) struct Place<L> {
    /// Of which any will do.
    pub(in crate::transport) servers: Vec<Server>,
    pub(in crate::transport) tls: ServerTls,
    pub(in crate::transport) login: L,
}

impl<'e> Errand<'e> {
    pub(in crate::transport) fn new(lane: DestinationId, records: &'e [Record], until: Instant) -> Self {
        Self { lane, records, until, outcomes: Mutex::new(vec![None; records.len()]) }
    }

    /// Settles a record, unless it is settled: the first word counts.
    pub(in crate::transport) fn settle(&self, record: usize, outcome: Outcome) {
        if let Some(unsettled @ None) = self.lock().get_mut(record) {
            *unsettled = Some(outcome);
        }
    }

    /// The records that are not settled.
    pub(in crate::transport) fn unsettled(&self) -> Vec<usize> {
        let outcomes = self.lock();
        (0..outcomes.len()).filter(|record| outcomes[*record].is_none()).collect()
    }

    pub(in crate::transport) fn is_settled(&self) -> bool {
        self.lock().iter().all(Option::is_some)
    }

    /// Whether any record is settled.
    pub(super) fn has_outcomes(&self) -> bool {
        self.lock().iter().any(Option::is_some)
    }

    /// What became of each record, with a reason for those about which nothing was heard.
    pub(super) fn outcomes(&self, otherwise: &str) -> Vec<Option<RecordRefusal>> {
        let no_answer = || Err(RecordRefusal::new(RecordRefusal::NO_ANSWER, otherwise));
        self.lock().iter().map(|outcome| outcome.clone().unwrap_or_else(no_answer).err()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Outcome>>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
