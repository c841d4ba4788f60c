//! Appspaces, sources, destinations and keys.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::key::Key;
use domain::{Appspace, Destination, DestinationId, KeyId, Name, Source, SourceId, Timestamp};

use super::{MemoryStore, State, not_found};
use crate::{Catalog, CatalogSnapshot, NewEvent, OnKnown, Result, StoreError};

#[async_trait]
impl Catalog for MemoryStore {
    async fn load_catalog(&self) -> Result<CatalogSnapshot> {
        let state = self.open()?;
        Ok(CatalogSnapshot {
            appspaces: state.appspaces.values().cloned().collect(),
            sources: state.sources.values().cloned().collect(),
            destinations: state.destinations.values().cloned().collect(),
            keys: state.keys.values().cloned().collect(),
        })
    }

    async fn put_appspace(&self, appspace: Appspace) -> Result<()> {
        let mut state = self.commit()?;
        let is_same = |other: &Appspace| other.name == appspace.name;
        check_name("appspace", &appspace.name, &appspace.id, &state.appspaces, is_same)?;
        state.appspaces.insert(appspace.id, appspace);
        Ok(())
    }

    async fn put_source(&self, source: Source) -> Result<()> {
        let mut state = self.commit()?;
        let is_same = |other: &Source| other.appspace == source.appspace && other.name == source.name;
        check_name("source", &source.name, &source.id, &state.sources, is_same)?;
        state.sources.insert(source.id, source);
        Ok(())
    }

    async fn delete_source(&self, id: SourceId) -> Result<()> {
        self.commit()?.sources.remove(&id).map(drop).ok_or(not_found("source"))
    }

    async fn put_destination(&self, destination: Destination, events: Vec<NewEvent>) -> Result<()> {
        let mut state = self.commit()?;
        if state.deleted.contains(&destination.id) {
            return Err(not_found("destination"));
        }
        let is_same = |other: &Destination| other.appspace == destination.appspace && other.name == destination.name;
        check_name("destination", &destination.name, &destination.id, &state.destinations, is_same)?;
        state.check_append(&events, OnKnown::Count)?;
        state.destinations.insert(destination.id, destination);
        state.append(events, OnKnown::Count).map(drop)
    }

    async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()> {
        self.commit()?.delete_destination(id, now)
    }

    async fn put_key(&self, key: Key) -> Result<()> {
        self.commit()?.keys.insert(key.id, key);
        Ok(())
    }

    async fn delete_key(&self, id: KeyId) -> Result<()> {
        self.commit()?.keys.remove(&id).map(drop).ok_or(not_found("key"))
    }
}

impl State {
    fn delete_destination(&mut self, id: DestinationId, now: Timestamp) -> Result<()> {
        self.destinations.remove(&id).ok_or(not_found("destination"))?;
        self.deleted.insert(id);
        self.fail_replays(id, now);
        self.cancel_all(now, |row| row.destination == id);
        self.lanes.remove(&id);
        self.forget_all_of(id);
        Ok(())
    }
}

/// Refuses a name that another object has.
fn check_name<K: Ord, V>(
    noun: &'static str,
    name: &Name,
    id: &K,
    all: &BTreeMap<K, V>,
    is_same: impl Fn(&V) -> bool,
) -> Result<()> {
    if all.iter().any(|(other_id, other)| other_id != id && is_same(other)) {
        return Err(StoreError::NameTaken { noun, name: name.to_string() });
    }
    Ok(())
}
