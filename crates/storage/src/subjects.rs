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
use domain::identity::{Identifier, IdentifierKind, Moment, Trace};
use domain::{AppspaceId, DestinationId, EventId, SubjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{NewEvent, Result, StoreError, memos};

/// Most identifiers, subjects or events that one call names.
pub const SUBJECTS_PER_CALL_MAX: usize = 4_096;
/// Most events that [`Subjects::unfolded`] and [`Subjects::events_of`] answer with.
pub const FACTS_PER_CALL_MAX: usize = 1_000;
/// Most bytes of bodies that they answer with, unless one body alone is larger.
pub const FACT_BYTES_PER_CALL_MAX: usize = 16 * 1024 * 1024;

/// Most events that one [`Subjects::erase`] empties: each costs the rows around it, and whatever comes in waits meanwhile.
pub const ERASED_PER_CALL_MAX: usize = 100;
/// Deliveries of emptied events after which that call takes no further event.
pub const ERASED_DELIVERIES_PER_CALL_MAX: usize = 1_000;

/// Subjects of appspaces. A call beyond the limits above is [`crate::StoreError::Limit`] and does nothing.
#[async_trait]
pub trait Subjects {
    /// Up to `limit` events after `after` that were appended with facts in them and are not folded yet, of all appspaces, in the
    /// order of the log. There may be more until the answer is empty. Retention keeps them.
    async fn unfolded(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Arc<Event>>>;

    /// Whether none of these events is waiting to be folded.
    async fn are_folded(&self, events: &[EventId]) -> Result<bool>;

    /// What is kept of identifiers, in order. A record that is there and cannot be read is [`StoreError::Unreadable`], here and
    /// wherever it is asked for.
    async fn identifiers(&self, appspace: AppspaceId, of: &[Identifier]) -> Result<Vec<Option<IdentifierRecord>>>;

    /// What is kept of subjects, in order; of one that turned out to be another one, under its old id, a record that says so.
    async fn subjects(&self, appspace: AppspaceId, ids: &[SubjectId]) -> Result<Vec<Option<SubjectRecord>>>;

    /// Writes what folding came to, all in one durable step. An event that is no longer on the list of the unfolded changes
    /// nothing there; its other changes are made all the same.
    async fn fold(&self, fold: Fold) -> Result<()>;

    /// The events whose facts belong to any of these identifiers, oldest first in the order of the log, up to `limit` after
    /// `after`. Go on after the last one until the answer is empty.
    async fn events_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>>;

    /// Removes a piece of what is kept of a person, in one durable step. Call again while [`Erased::more`] says so, then
    /// [`Subjects::wipe`]. A stop between two calls leaves a person who can be found by all their identifiers.
    ///
    /// While there are events whose facts belong to the identifiers, a call takes the first up to [`Erasure::limit`] of them:
    /// [`Erasure::tombstone`] stands in the place of their bodies; what vendors answered to attempts at them is removed, and notes; their
    /// pending and dead deliveries are cancelled, also those that somebody has in hand. The call that finds none removes the
    /// rest: the records of the subjects and identifiers, links of others to these, and [`Erasure::memos`]. Fold first: of an
    /// event that waits nobody knows whose it is.
    async fn erase(&self, erasure: Erasure) -> Result<Erased>;

    /// Overwrites where it lay what erasures have removed, for some of it; returns whether there may be more. When it says no,
    /// no file of the store holds any of it. What nobody waits for [`crate::Upkeep::tidy`] does by and by.
    async fn wipe(&self) -> Result<bool>;
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
    /// Kinds of identifiers of which one turned out to be somebody else's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<IdentifierKind>,
    /// Which one it turned out to be.
    #[serde(default)]
    pub merged_into: Option<SubjectId>,
}

/// What folding facts came to, for one appspace.
#[derive(Debug, Clone)]
pub struct Fold {
    pub appspace: AppspaceId,
    /// Events that have been read, each with the identifier that its fact belongs to; `None` if it names nobody. News may be
    /// among them: what they say belongs to somebody too.
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
    /// Most events that this call empties, 1 to [`ERASED_PER_CALL_MAX`].
    pub limit: usize,
    /// What destinations remember of the person: it goes with the records. At most [`crate::MEMOS_PER_CALL_MAX`].
    pub memos: Vec<(DestinationId, String)>,
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
    /// Attempts whose reply or message it was.
    pub attempts: usize,
    pub memos: usize,
    /// Deliveries that were called off, by destination.
    pub cancelled: BTreeMap<DestinationId, usize>,
    /// Whether it was not the last piece.
    pub more: bool,
}

impl Erased {
    /// Counts what a later piece has removed too.
    pub fn add(&mut self, piece: Self) {
        self.subjects += piece.subjects;
        self.identifiers += piece.identifiers;
        self.events += piece.events;
        self.attempts += piece.attempts;
        self.memos += piece.memos;
        for (destination, count) in piece.cancelled {
            *self.cancelled.entry(destination).or_default() += count;
        }
        self.more = piece.more;
    }
}

/// Most identifiers of a subject, and most subjects that turned out to be it, that retention looks at; one that has more is kept.
const FORGETTABLE_IDENTIFIERS_MAX: usize = 64;

/// The room that is left in an answer.
pub(crate) struct Room {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Self {
        Self { events: Self::events_max(limit), bytes: FACT_BYTES_PER_CALL_MAX, is_empty: true }
    }

    /// Most events of an answer to a call with this limit.
    pub(crate) fn events_max(limit: usize) -> usize {
        limit.min(FACTS_PER_CALL_MAX)
    }

    /// Whether one more event fits.
    pub(crate) fn takes(&mut self, event: &Event) -> bool {
        let fits = self.events > 0 && (self.is_empty || event.body.len() <= self.bytes);
        if fits {
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(event.body.len());
            self.is_empty = false;
        }
        fits
    }
}

/// What one piece of an erasure may still take.
pub(crate) struct Piece {
    events: usize,
    deliveries: usize,
}

impl Piece {
    pub(crate) fn of(erasure: &Erasure) -> Self {
        Self { events: erasure.limit.clamp(1, ERASED_PER_CALL_MAX), deliveries: ERASED_DELIVERIES_PER_CALL_MAX }
    }

    /// How many events fit at most.
    pub(crate) const fn events(&self) -> usize {
        self.events
    }

    /// Whether it is full after an event with so many deliveries.
    pub(crate) fn is_full_after(&mut self, deliveries: usize) -> bool {
        self.events -= 1;
        self.deliveries = self.deliveries.saturating_sub(deliveries);
        self.events == 0 || self.deliveries == 0
    }
}

/// Whether nobody would miss a subject whose `records` these are, once the last event is gone that speaks of it: it is no
/// person, and nothing links it to anybody else.
pub(crate) fn is_forgettable<'a>(
    subject: &SubjectRecord,
    records: impl IntoIterator<Item = &'a IdentifierRecord>,
) -> bool {
    let own = &subject.identifiers;
    own.len().max(subject.absorbed.len()) <= FORGETTABLE_IDENTIFIERS_MAX
        && !own.iter().any(|identifier| identifier.kind().is_person())
        && records
            .into_iter()
            .all(|it| own.contains(&it.identifier) && it.links.keys().all(|other| own.contains(other)))
}

/// Refuses a fold that is beyond the limits. Every store asks this before it does anything.
pub(crate) fn check_fold(fold: &Fold) -> Result<()> {
    let counts = [fold.events.len(), fold.identifiers.len(), fold.subjects.len(), fold.news.len()];
    counts.into_iter().try_for_each(check_count)
}

/// Refuses an erasure that is beyond the limits.
pub(crate) fn check_erasure(erasure: &Erasure) -> Result<()> {
    [erasure.subjects.len(), erasure.identifiers.len()].into_iter().try_for_each(check_count)?;
    memos::check_forgotten(&erasure.memos)
}

/// Refuses a call that names too many of anything.
pub(crate) fn check_count(count: usize) -> Result<()> {
    if count > SUBJECTS_PER_CALL_MAX {
        let message =
            format!("a call names {count} identifiers, subjects or events; at most {SUBJECTS_PER_CALL_MAX} are taken");
        return Err(StoreError::Limit(message));
    }
    Ok(())
}
