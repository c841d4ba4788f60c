//! What is remembered of each destination.

use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{DestinationId, Timestamp};

use super::{MemoryStore, State, not_found};
use crate::memos::{check_changes, check_keys};
use crate::{MEMOS_PER_CALL_MAX, Memo, Memos, Result};

/// A value and when it ends.
#[derive(Debug)]
pub(super) struct Kept {
    value: Bytes,
    expires_at: Option<Timestamp>,
}

impl Kept {
    fn is_there(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

#[async_trait]
impl Memos for MemoryStore {
    async fn remember(
        &self,
        destination: DestinationId,
        changes: Vec<Memo>,
        now: Timestamp,
    ) -> Result<Vec<Option<Bytes>>> {
        check_changes(&changes)?;
        let mut state = self.commit()?;
        state.check_destination(destination)?;
        Ok(changes.into_iter().map(|change| state.remember(destination, change, now)).collect())
    }

    async fn recall(
        &self,
        destination: DestinationId,
        keys: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Option<Bytes>>> {
        check_keys(&keys)?;
        let state = self.open()?;
        state.check_destination(destination)?;
        Ok(keys.into_iter().map(|key| state.recall(destination, key, now)).collect())
    }

    async fn recall_all(
        &self,
        destination: DestinationId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Bytes)>> {
        let state = self.open()?;
        state.check_destination(destination)?;
        let first = match after {
            Some(after) if after >= prefix => Bound::Excluded((destination, after.to_owned())),
            _ => Bound::Included((destination, prefix.to_owned())),
        };
        let of_prefix = state
            .memos
            .range((first, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == destination && key.starts_with(prefix))
            .filter(|(_, kept)| kept.is_there(now));
        let found = of_prefix.map(|((_, key), kept)| (key.clone(), kept.value.clone()));
        Ok(found.take(limit.min(MEMOS_PER_CALL_MAX)).collect())
    }
}

impl State {
    fn check_destination(&self, id: DestinationId) -> Result<()> {
        if self.destinations.contains_key(&id) { Ok(()) } else { Err(not_found("destination")) }
    }

    fn remember(&mut self, destination: DestinationId, change: Memo, now: Timestamp) -> Option<Bytes> {
        let found = self.recall(destination, change.key().to_owned(), now);
        match change {
            Memo::PutIfAbsent { .. } if found.is_some() => {}
            Memo::Put { key, value, expires_at } | Memo::PutIfAbsent { key, value, expires_at } => {
                self.memos.insert((destination, key), Kept { value, expires_at });
            }
            Memo::Forget { key } => {
                self.memos.remove(&(destination, key));
            }
        }
        found
    }

    fn recall(&self, destination: DestinationId, key: String, now: Timestamp) -> Option<Bytes> {
        let kept = self.memos.get(&(destination, key)).filter(|kept| kept.is_there(now));
        kept.map(|kept| kept.value.clone())
    }

    pub(super) fn forget_all_of(&mut self, destination: DestinationId) {
        self.memos.retain(|(of, _), _| *of != destination);
    }

    pub(super) fn forget_expired(&mut self, now: Timestamp) {
        self.memos.retain(|_, kept| kept.is_there(now));
    }
}
