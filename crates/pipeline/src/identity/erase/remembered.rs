//! What destinations remember of a person: which messages were sent about each event, whose place of a day an event took, what a
//! connector has bound for it, and the ids that vendors have given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::connector::Batch;
use domain::identity::{Identifier, Profile, Trace};
use domain::{AppspaceId, DeliveryId, DestinationId, Event, EventId, SubjectId};
use storage::page::PAGE_LIMIT_MAX;
use storage::{DeliveryQuery, MEMOS_PER_CALL_MAX, Memo, PageRequest, StoreError};

use super::super::Identity;
use super::Remote;
use crate::registry::LiveDestination;
use crate::view::View;
use crate::{bindings, firsts, ledger, operational};

/// Places after which no further event of a piece is looked at. One event may have more.
const PLACES_MAX: usize = 20_000;

/// Where it lies.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    of: BTreeMap<DestinationId, Places>,
    places: usize,
}

#[derive(Debug, Default)]
struct Places {
    keys: BTreeSet<String>,
    /// Whatever was sent about these.
    events: Vec<EventId>,
}

impl Remembered {
    fn add(&mut self, of: DestinationId, keys: impl IntoIterator<Item = String>) -> &mut Places {
        let places = self.of.entry(of).or_default();
        let before = places.keys.len();
        places.keys.extend(keys);
        self.places += 1 + places.keys.len() - before;
        places
    }

    /// Takes out as many keys as go in one step with the records.
    pub(super) fn take_for_step(&mut self) -> Vec<(DestinationId, String)> {
        let mut taken = Vec::new();
        for (of, places) in &mut self.of {
            while taken.len() < MEMOS_PER_CALL_MAX
                && let Some(key) = places.keys.pop_first()
            {
                taken.push((*of, key));
            }
        }
        taken
    }
}

impl Identity {
    /// What is remembered because of the first of these events, and of how many.
    pub(super) async fn remembered_of_events(
        &self,
        profile: &Profile,
        events: &[Arc<Event>],
    ) -> Result<(Remembered, usize), StoreError> {
        let (mut remembered, mut count) = (Remembered::default(), 0);
        for event in events {
            if remembered.places > PLACES_MAX {
                break;
            }
            for destination in self.owed_to(event).await? {
                let Some(live) = self.registry.destination(destination) else { continue };
                // The ids of the person's records are needed to the end.
                let own = own(profile);
                let bound = self.asked(&live, profile, event).into_iter().filter(|key| !names(key, &own));
                let bound: Vec<String> = bound.map(|key| bindings::key(&key)).collect();
                remembered.add(destination, firsts::key(event).into_iter().chain(bound)).events.push(event.id);
            }
            count += 1;
        }
        Ok((remembered, count))
    }

    /// What is remembered of the person, whatever the event; and what vendors hold by it.
    pub(super) async fn remembered_of_person(
        &self,
        appspace: AppspaceId,
        profile: &Profile,
    ) -> Result<(Remembered, Vec<Remote>), StoreError> {
        let (mut remembered, mut remote) = (Remembered::default(), Vec::new());
        let told = operational::subject_updated(&self.registry, appspace, profile.subject, None, &[]).event;
        let own = own(profile);
        for live in self.registry.destinations(appspace) {
            let mut keys = self.asked(&live, profile, &told);
            keys.extend(own.iter().cloned());
            for (key, id) in self.bound(&live, Vec::from_iter(keys)).await? {
                remembered.add(live.destination.id, [bindings::key(&key)]);
                if names(&key, &own) && is_held(&id) {
                    let (destination, connector) = (live.destination.name.clone(), live.destination.connector.clone());
                    let id = known_id(&id).map(str::to_owned);
                    remote.push(Remote { destination, connector, id, key });
                }
            }
        }
        Ok((remembered, remote))
    }

    /// Removes it; returns how much was there.
    pub(super) async fn forget(&self, remembered: &Remembered) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        for (&of, places) in &remembered.of {
            let mut keys = Vec::new();
            for some in Vec::from_iter(&places.keys).chunks(MEMOS_PER_CALL_MAX) {
                let some: Vec<String> = some.iter().copied().cloned().collect();
                let found = gone(self.store.recall(of, some.clone(), self.clock.now()).await)?;
                keys.extend(some.into_iter().zip(found).filter_map(|(key, found)| found.map(|_| key)));
            }
            for event in &places.events {
                let prefix = ledger::prefix(*event);
                let found = self.store.recall_all(of, &prefix, None, MEMOS_PER_CALL_MAX, self.clock.now()).await;
                keys.extend(gone(found)?.into_iter().map(|(key, _)| key));
            }
            for some in keys.chunks(MEMOS_PER_CALL_MAX) {
                let changes = some.iter().map(|key| Memo::Forget { key: key.clone() }).collect();
                gone(self.store.remember(of, changes, self.clock.now()).await)?;
            }
            forgotten += keys.len();
        }
        Ok(forgotten)
    }

    /// Which destinations an event is or was owed to.
    async fn owed_to(&self, event: &Event) -> Result<BTreeSet<DestinationId>, StoreError> {
        let (appspace, event) = (event.appspace, Some(event.id));
        let query = DeliveryQuery { appspace, destination: None, event, state: None, event_type: None, replay: None };
        let (mut owed, mut next) = (BTreeSet::new(), Some(PageRequest::first(PAGE_LIMIT_MAX)));
        while let Some(request) = next {
            let page = self.store.deliveries(query.clone(), request.clone()).await?;
            next = request.after(&page);
            owed.extend(page.items.iter().map(|summary| summary.delivery.destination));
        }
        Ok(owed)
    }

    /// What a connector asks for when it is told of an event of the person, as it would be: but for what it asks for whoever an
    /// event is about, like the fields of the vendor's account.
    fn asked(&self, live: &LiveDestination, profile: &Profile, event: &Event) -> BTreeSet<String> {
        let asked = self.asked_of(live, profile.clone(), event);
        if asked.is_empty() {
            return asked;
        }
        let (stranger, blank) = self.nobody(event.appspace, profile);
        &asked - &self.asked_of(live, stranger, &blank)
    }

    fn asked_of(&self, live: &LiveDestination, profile: Profile, event: &Event) -> BTreeSet<String> {
        let source = self.registry.source_name(event.source);
        let profile = live.wants_people.then_some(profile);
        let view = View::of(&live.destination.privacy, event, source, profile);
        let item = view.item(DeliveryId { event: event.id, ordinal: 0 }, 1);
        let batch = Batch { items: &[item], now: self.clock.now(), token: None, digest: None };
        live.outlet.subjects(&batch).into_iter().collect()
    }

    /// Somebody who has what the person has, each of it made up, and an event that says nothing.
    fn nobody(&self, appspace: AppspaceId, profile: &Profile) -> (Profile, Arc<Event>) {
        let made_up =
            |identifier: &Identifier| Identifier::new(identifier.kind(), &format!("{:x}@x", self.clock.random()));
        let identifiers: BTreeSet<Identifier> = profile.identifiers.iter().filter_map(made_up).collect();
        let subject = identifiers.first().map_or(profile.subject, |first| SubjectId::born(appspace, first, 0));
        let blank = operational::subject_updated(&self.registry, appspace, subject, None, &[]).event;
        let (absorbed, lost, trace) = (BTreeSet::new(), BTreeSet::new(), Trace::default());
        (Profile { subject, absorbed, lost, identifiers, trace }, blank)
    }

    /// What was bound under these.
    async fn bound(&self, live: &LiveDestination, keys: Vec<String>) -> Result<Vec<(String, String)>, StoreError> {
        let mut bound = Vec::new();
        for some in keys.chunks(MEMOS_PER_CALL_MAX) {
            let places = some.iter().map(|key| bindings::key(key)).collect();
            let found = gone(self.store.recall(live.destination.id, places, self.clock.now()).await)?;
            let texts = found.into_iter().map(|id| id.map(|id| String::from_utf8_lossy(&id).into_owned()));
            bound.extend(some.iter().cloned().zip(texts).filter_map(|(key, id)| Some((key, id?))));
        }
        Ok(bound)
    }
}

/// The person's subjects.
fn own(profile: &Profile) -> Vec<String> {
    profile.absorbed.iter().chain([&profile.subject]).map(ToString::to_string).collect()
}

fn names(key: &str, subjects: &[String]) -> bool {
    subjects.iter().any(|subject| key.contains(subject.as_str()))
}

/// Whether there is a record, or may be one.
fn is_held(bound: &str) -> bool {
    !first_word(bound).is_empty()
}

/// The vendor's id of a record, if it is known; what stands beside it is a note of the connector's own.
fn known_id(bound: &str) -> Option<&str> {
    Some(first_word(bound)).filter(|id| !id.is_empty() && !id.starts_with('?'))
}

fn first_word(bound: &str) -> &str {
    bound.split(' ').next().unwrap_or_default()
}

/// Of a destination that was deleted meanwhile nothing is remembered.
fn gone<T: Default>(found: Result<T, StoreError>) -> Result<T, StoreError> {
    match found {
        Err(StoreError::NotFound { .. }) => Ok(T::default()),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_ids_and_not_what_connectors_note_beside_them() {
        assert_eq!(known_id("42"), Some("42"));
        assert_eq!(known_id("42 5f3a9c1d 07be"), Some("42"));
        assert_eq!([known_id("?"), known_id("? 5f3a9c1d 1772634728441")], [None; 2]);
        assert!(is_held("42 5f3a9c1d") && is_held("?") && !is_held(""));
    }
}
