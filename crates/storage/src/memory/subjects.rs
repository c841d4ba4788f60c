//! Who somebody is: records of identifiers and subjects, and which events speak of whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::identity::Identifier;
use domain::{AppspaceId, Event, EventId, SubjectId};

use super::events::EventRow;
use super::{EventNo, MemoryStore, State};
use crate::subjects::{Piece, Room, check_count, check_erasure, check_fold, is_forgettable};
use crate::{Erased, Erasure, Fold, IdentifierRecord, OnKnown, Result, SubjectRecord, Subjects, binding_key};

#[async_trait]
impl Subjects for MemoryStore {
    async fn unfolded(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Arc<Event>>> {
        let state = self.open()?;
        let first = after.map_or(0, |after| state.first_no_after(after));
        Ok(state.answer(state.unfolded.range(first..).copied(), limit))
    }

    async fn are_folded(&self, events: &[EventId]) -> Result<bool> {
        check_count(events.len())?;
        let state = self.open()?;
        let mut nos = events.iter().filter_map(|id| state.event_nos.get(id));
        Ok(!nos.any(|no| state.unfolded.contains(no)))
    }

    async fn identifiers(&self, appspace: AppspaceId, of: &[Identifier]) -> Result<Vec<Option<IdentifierRecord>>> {
        check_count(of.len())?;
        let state = self.open()?;
        let find = |identifier: &Identifier| state.identifiers.get(&(appspace, identifier.clone())).cloned();
        Ok(of.iter().map(find).collect())
    }

    async fn subjects(&self, appspace: AppspaceId, ids: &[SubjectId]) -> Result<Vec<Option<SubjectRecord>>> {
        check_count(ids.len())?;
        let state = self.open()?;
        Ok(ids.iter().map(|&id| state.subjects.get(&(appspace, id)).cloned()).collect())
    }

    async fn fold(&self, fold: Fold) -> Result<()> {
        check_fold(&fold)?;
        self.commit()?.fold_subjects(fold)
    }

    async fn events_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>> {
        check_count(identifiers.len())?;
        let state = self.open()?;
        let first = after.map_or(0, |after| state.first_no_after(after));
        Ok(state.answer(state.facts_of(appspace, identifiers, first), limit))
    }

    async fn erase(&self, erasure: Erasure) -> Result<Erased> {
        check_erasure(&erasure)?;
        Ok(self.commit()?.erase(&erasure))
    }

    async fn wipe(&self) -> Result<bool> {
        self.open().map(|_| false)
    }
}

impl State {
    fn fold_subjects(&mut self, fold: Fold) -> Result<()> {
        // Before everything else: only this can be refused, and what the news say belongs to somebody too.
        self.append(fold.news, OnKnown::Count)?;
        let appspace = fold.appspace;
        for (id, identifier) in fold.events {
            let Some(&no) = self.event_nos.get(&id) else { continue };
            if self.events[&no].event.appspace == appspace {
                self.unfolded.remove(&no);
                self.facts.remove(&no);
                self.facts.extend(identifier.map(|identifier| (no, identifier)));
            }
        }
        for record in fold.identifiers {
            self.identifiers.insert((appspace, record.identifier.clone()), record);
        }
        for record in fold.subjects {
            self.subjects.insert((appspace, record.id), record);
        }
        Ok(())
    }

    /// As many of these events as an answer has room for.
    fn answer(&self, nos: impl Iterator<Item = EventNo>, limit: usize) -> Vec<Arc<Event>> {
        let mut room = Room::new(limit);
        nos.map(|no| self.events[&no].event.clone()).take_while(|event| room.takes(event)).collect()
    }

    /// The events from `first` on whose facts belong to any of these identifiers.
    fn facts_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        first: EventNo,
    ) -> impl Iterator<Item = EventNo> {
        let facts = self.facts.range(first..).filter(move |(_, of)| identifiers.contains(of));
        facts.map(|(&no, _)| no).filter(move |no| self.events[no].event.appspace == appspace)
    }

    fn erase(&mut self, erasure: &Erasure) -> Erased {
        let mut piece = Piece::of(erasure);
        let events = self.facts_of(erasure.appspace, &erasure.identifiers, 0).take(piece.events());
        let events: Vec<EventNo> = events.collect();
        if events.is_empty() {
            return self.erase_records(erasure);
        }
        let mut erased = Erased { more: true, ..Erased::default() };
        for no in events {
            self.facts.remove(&no);
            erased.events += 1;
            let deliveries = self.erase_event(no, erasure, &mut erased);
            if piece.is_full_after(deliveries) {
                break;
            }
        }
        erased
    }

    /// The last piece: who was known, and as whom.
    fn erase_records(&mut self, erasure: &Erasure) -> Erased {
        let mut erased = Erased::default();
        for memo in &erasure.memos {
            erased.memos += usize::from(self.memos.remove(memo).is_some());
        }
        for identifier in &erasure.identifiers {
            let key = (erasure.appspace, identifier.clone());
            if let Some(record) = self.identifiers.remove(&key) {
                erased.identifiers += 1;
                self.unlink(erasure.appspace, &record);
            }
        }
        for &id in &erasure.subjects {
            erased.subjects += usize::from(self.subjects.remove(&(erasure.appspace, id)).is_some());
        }
        erased
    }

    /// Each link is kept at both ends; the other one still names who is erased.
    fn unlink(&mut self, appspace: AppspaceId, erased: &IdentifierRecord) {
        for other in erased.links.keys() {
            if let Some(other) = self.identifiers.get_mut(&(appspace, other.clone())) {
                other.links.remove(&erased.identifier);
            }
        }
    }

    /// Puts the tombstone in the place of a body, and removes what was said about its deliveries; returns how many these are.
    fn erase_event(&mut self, no: EventNo, erasure: &Erasure, erased: &mut Erased) -> usize {
        if let Some(EventRow { event, .. }) = self.events.get_mut(&no) {
            *event = Arc::new(Event { body: erasure.tombstone.clone(), ..(**event).clone() });
        }
        let deliveries = self.deliveries.range((no, 0)..=(no, u16::MAX)).map(|(&no, _)| no);
        let deliveries: Vec<_> = deliveries.collect();
        for &no in &deliveries {
            if self.cancel(no, erasure.now).is_ok() {
                *erased.cancelled.entry(self.deliveries[&no].destination).or_default() += 1;
            }
            let Some(row) = self.deliveries.get_mut(&no) else { continue };
            row.note = None;
            for attempt in &mut row.attempts {
                let (error, reply) = (attempt.error.take(), attempt.reply.take());
                erased.attempts += usize::from(error.is_some() || reply.is_some());
            }
        }
        deliveries.len()
    }

    /// Forgets whose fact an event held that retention removes. Devices go with the last of their events: else they would
    /// be kept for ever, and nobody would ever ask for them. One of which a destination has a record stays.
    pub(super) fn forget_fact(&mut self, no: EventNo, appspace: AppspaceId) {
        let Some(identifier) = self.facts.remove(&no) else { return };
        let Some(record) = self.identifiers.get(&(appspace, identifier)) else { return };
        let Some(subject) = self.subjects.get(&(appspace, record.subject)) else { return };
        if !is_forgettable(subject, [record]) {
            return;
        }
        let of_subject: Vec<Identifier> = subject.identifiers.iter().cloned().collect();
        let records = of_subject.iter().filter_map(|identifier| self.identifiers.get(&(appspace, identifier.clone())));
        let is_spoken_of = self.facts_of(appspace, &of_subject, 0).next().is_some();
        if is_spoken_of || !is_forgettable(subject, records) {
            return;
        }
        let gone: BTreeSet<SubjectId> = subject.absorbed.iter().copied().chain([subject.id]).collect();
        let keys: BTreeSet<String> = gone.iter().map(|id| binding_key(&id.to_string())).collect();
        if self.memos.keys().any(|(_, key)| keys.contains(key)) {
            return;
        }
        for id in gone {
            self.subjects.remove(&(appspace, id));
        }
        for identifier in of_subject {
            self.identifiers.remove(&(appspace, identifier));
        }
    }
}
