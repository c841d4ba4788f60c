//! Subjects: which identifiers are one person, what is known of them, and which events said so.
//!
//! Identity is a view of the log. An event that may name somebody is appended with [`crate::NewEvent::has_facts`]; the store
//! keeps it on a list, in the same step, until [`Subjects::fold`] says that it has been read. So nothing is looked up while
//! events come in, no fact is forgotten by a crash, and each is folded once.
//!
//! The store knows the shape of the records and nothing of their rules, which are in [`domain::identity`]. Whoever folds reads
//! the records that a fact touches, decides, and writes them back; only one folds at a time, which is the caller's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Event;
use domain::identity::{Identifier, Moment, Trace};
use domain::{AppspaceId, DestinationId, EventId, SubjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{NewEvent, Result};

/// Most identifiers, subjects or events that one call names.
pub const SUBJECTS_PER_CALL_MAX: usize = 4_096;
/// Most events that [`Subjects::unfolded`] and [`Subjects::events_of`] answer with.
pub const FACTS_PER_CALL_MAX: usize = 1_000;

/// Subjects of appspaces. A call beyond the limits above is [`crate::StoreError::Limit`] and does nothing.
#[async_trait]
pub trait Subjects {
    /// Up to `limit` events that were appended with facts in them and are not folded yet, of all appspaces, in the order of the
    /// log.
    async fn unfolded(&self, limit: usize) -> Result<Vec<Arc<Event>>>;

    /// Whether none of these events is waiting to be folded.
    async fn are_folded(&self, events: &[EventId]) -> Result<bool>;

    /// What is kept of identifiers, in order.
    async fn identifiers(&self, appspace: AppspaceId, of: &[Identifier]) -> Result<Vec<Option<IdentifierRecord>>>;

    /// What is kept of subjects, in order; of one that turned out to be another one, under its old id, a record that says so.
    async fn subjects(&self, appspace: AppspaceId, ids: &[SubjectId]) -> Result<Vec<Option<SubjectRecord>>>;

    /// Writes what folding came to, all in one durable step. An event that is no longer on the list of the unfolded changes
    /// nothing there; its other changes are made all the same.
    async fn fold(&self, fold: Fold) -> Result<()>;

    /// The events whose facts belong to any of these identifiers, oldest first in the order of the log, up to `limit` after
    /// `after`.
    async fn events_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>>;

    /// Removes what is kept of a person, all in one durable step, so that no page of the file holds it any longer: the records
    /// of its subjects and identifiers; the bodies of its events, in whose place [`Erasure::tombstone`] stands; what vendors
    /// answered to attempts at them. Open deliveries of these events are cancelled, dead ones too.
    async fn erase(&self, erasure: Erasure) -> Result<Erased>;
}

/// What is kept of one identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentifierRecord {
    pub identifier: Identifier,
    /// The subject that it belongs to.
    pub subject: SubjectId,
    /// To which others it is linked, and since when; each link is kept at both ends.
    #[serde(default)]
    pub links: BTreeMap<Identifier, Moment>,
    /// Facts up to this moment link it to nothing: a person said so.
    #[serde(default)]
    pub cut_at: Option<Timestamp>,
    /// What the events left behind whose best identifier it is.
    #[serde(default)]
    pub trace: Trace,
}

/// What is kept of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRecord {
    pub id: SubjectId,
    pub appspace: AppspaceId,
    /// The identifier that it began with.
    pub born: Identifier,
    pub created_at: Timestamp,
    /// Its identifiers; none if it turned out to be another one.
    pub identifiers: BTreeSet<Identifier>,
    /// Subjects that turned out to be this one.
    #[serde(default)]
    pub absorbed: BTreeSet<SubjectId>,
    /// Which one it turned out to be.
    #[serde(default)]
    pub merged_into: Option<SubjectId>,
}

/// What folding facts came to, for one appspace.
#[derive(Debug, Clone)]
pub struct Fold {
    pub appspace: AppspaceId,
    /// Events that have been read, each with the identifier that its fact belongs to; `None` if it names nobody.
    pub events: Vec<(EventId, Option<Identifier>)>,
    /// Records in place of those that are there.
    pub identifiers: Vec<IdentifierRecord>,
    pub subjects: Vec<SubjectRecord>,
    /// Events that tell of it.
    pub news: Vec<NewEvent>,
}

/// A person to be forgotten.
#[derive(Debug, Clone)]
pub struct Erasure {
    pub appspace: AppspaceId,
    pub subjects: Vec<SubjectId>,
    pub identifiers: Vec<Identifier>,
    /// What a body becomes; a small JSON object.
    pub tombstone: bytes::Bytes,
    pub now: Timestamp,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    pub subjects: usize,
    pub identifiers: usize,
    pub events: usize,
    /// Replies and messages of attempts.
    pub attempts: usize,
    /// Deliveries that were called off, by destination.
    pub cancelled: BTreeMap<DestinationId, usize>,
}
