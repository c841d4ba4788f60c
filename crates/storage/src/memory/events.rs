//! The log of events, deduplication and the quarantine.

use std::sync::Arc;

use async_trait::async_trait;
use domain::delivery::{Class, Standing};
use domain::event::DedupeKey;
use domain::{AppspaceId, Event, EventId, SourceId};

use super::deliveries::DeliveryRow;
use super::{EventNo, MemoryStore, State, not_found};
use crate::{
    Append, Appended, DELIVERIES_PER_EVENT_MAX, EventLog, EventQuery, EventRecord, NewDelivery, NewEvent, OnKnown,
    Page, PageRequest, QUARANTINE_MAX, Quarantined, Result, StoreError,
};

#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) event: Arc<Event>,
    duplicates: u64,
}

impl EventRow {
    fn record(&self) -> EventRecord {
        EventRecord { event: self.event.clone(), duplicates: self.duplicates }
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn append(&self, append: Append) -> Result<Vec<Appended>> {
        self.commit()?.append(append.events, append.on_known)
    }

    async fn event(&self, appspace: AppspaceId, id: EventId) -> Result<EventRecord> {
        let state = self.open()?;
        let row = state.event_nos.get(&id).map(|no| &state.events[no]);
        row.filter(|row| row.event.appspace == appspace).map(EventRow::record).ok_or(not_found("event"))
    }

    async fn events(&self, query: EventQuery, page: PageRequest) -> Result<Page<EventRecord>> {
        let state = self.open()?;
        let below = ..page.cursor.unwrap_or(u64::MAX);
        let fitting = state.events.range(below).rev().filter(|(_, row)| matches(&query, &row.event));
        Ok(page.cut(fitting.map(|(&no, row)| (no, row.record()))))
    }

    async fn quarantine(&self, entry: Quarantined) -> Result<bool> {
        Ok(self.commit()?.quarantine(entry))
    }

    async fn quarantined(
        &self,
        appspace: AppspaceId,
        source: SourceId,
        page: PageRequest,
    ) -> Result<Page<Quarantined>> {
        let state = self.open()?;
        let below = ..page.cursor.unwrap_or(u64::MAX);
        let fitting = state.quarantine.range(below).rev();
        let fitting = fitting.filter(|(_, entry)| entry.appspace == appspace && entry.source == source);
        Ok(page.cut(fitting.map(|(&no, entry)| (no, entry.clone()))))
    }
}

fn matches(query: &EventQuery, event: &Event) -> bool {
    event.appspace == query.appspace
        && query.source.is_none_or(|source| event.source == source)
        && query.event_type.as_ref().is_none_or(|event_type| event.event_type == *event_type)
        && State::is_within(event.received_at, query.from, query.to)
}

impl State {
    /// Stores events and their deliveries: all checks come first, so that nothing is half done.
    pub(super) fn append(&mut self, events: Vec<NewEvent>, on_known: OnKnown) -> Result<Vec<Appended>> {
        self.check_append(&events, on_known)?;
        Ok(events.into_iter().map(|new| self.append_one(new)).collect())
    }

    pub(super) fn check_append(&self, events: &[NewEvent], on_known: OnKnown) -> Result<()> {
        if events.iter().any(|new| new.deliveries.len() > DELIVERIES_PER_EVENT_MAX) {
            return Err(too_many_deliveries());
        }
        match (on_known, events.first()) {
            (OnKnown::MustBeIdentical { next }, Some(first)) if !self.is_same_call(events, &first.event, next) => {
                Err(StoreError::IdempotencyMismatch)
            }
            _ => Ok(()),
        }
    }

    /// Whether a call is either new or the one that was made before under the same idempotency key.
    fn is_same_call(&self, events: &[NewEvent], first: &Event, next: DedupeKey) -> bool {
        let known = |event: &Event| self.known(event, event.dedupe_key);
        let is_new = |new: &NewEvent| known(&new.event).is_none();
        let is_same =
            |new: &NewEvent| known(&new.event).is_some_and(|no| self.events[&no].event.body == new.event.body);
        self.known(first, next).is_none() && (events.iter().all(is_new) || events.iter().all(is_same))
    }

    /// The event that was stored with `key` within the window of `event`, in the same appspace.
    fn known(&self, event: &Event, key: DedupeKey) -> Option<EventNo> {
        let no = *self.seen.get(&(event.appspace, key.0))?;
        let first = &self.events[&no].event;
        (event.received_at.since(first.received_at) < self.dedupe_window).then_some(no)
    }

    fn append_one(&mut self, new: NewEvent) -> Appended {
        if let Some(no) = self.known(&new.event, new.event.dedupe_key)
            && let Some(row) = self.events.get_mut(&no)
        {
            row.duplicates += 1;
            return Appended::Duplicate { id: row.event.id, duplicates: row.duplicates };
        }
        let NewEvent { event, deliveries, has_facts } = new;
        let no = self.next_no();
        self.event_nos.insert(event.id, no);
        self.seen.insert((event.appspace, event.dedupe_key.0), no);
        self.events.insert(no, EventRow { event: event.clone(), duplicates: 0 });
        if has_facts {
            self.unfolded.insert(no);
        }
        let mut created = 0;
        for new in deliveries {
            if self.destinations.contains_key(&new.destination) {
                self.insert_delivery((no, created), first_row(new, &event));
                created += 1;
            }
        }
        Appended::Stored { id: event.id, deliveries: created }
    }

    fn quarantine(&mut self, entry: Quarantined) -> bool {
        let same_source = |other: &&Quarantined| other.source == entry.source && other.appspace == entry.appspace;
        if self.quarantine.values().filter(same_source).any(|other| other.body_hash == entry.body_hash) {
            return false;
        }
        if self.quarantine.values().filter(same_source).count() == QUARANTINE_MAX {
            let oldest = self.quarantine.iter().find(|(_, other)| same_source(other)).map(|(&no, _)| no);
            oldest.and_then(|no| self.quarantine.remove(&no));
        }
        let no = self.next_no();
        self.quarantine.insert(no, entry);
        true
    }
}

fn first_row(new: NewDelivery, event: &Event) -> DeliveryRow {
    let now = event.received_at;
    match new.stillborn {
        None => DeliveryRow::new(new.destination, Standing::new(Class::Fresh, now), now),
        Some((reason, note)) => {
            let row = DeliveryRow::new(new.destination, Standing::stillborn(reason, now), now);
            DeliveryRow { note: Some(note), ended_at: Some(now), ..row }
        }
    }
}

pub(super) fn too_many_deliveries() -> StoreError {
    StoreError::Limit(format!("an event has at most {DELIVERIES_PER_EVENT_MAX} deliveries"))
}
