//! Erase: a person is forgotten, with a receipt.
//!
//! What vendors hold cannot be removed from here, so the receipt says who holds a record under which id. What a destination
//! remembers of the person goes first: if the process ends in the middle, the call can be made again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domain::connector::{Batch, Item};
use domain::identity::Profile;
use domain::{AppspaceId, DeliveryId, DestinationId, EventId, Name, Reading, SubjectId, Timestamp};
use serde_json::json;
use storage::{Erased, Erasure, FACTS_PER_CALL_MAX, MEMOS_PER_CALL_MAX, Memo, StoreError};
use tokio::time::Instant;

use super::Identity;
use super::identify::CALL_MAX;
use crate::registry::LiveDestination;
use crate::{bindings, ledger, operational};

/// Events by the destinations that they were owed to.
type Owed = BTreeMap<DestinationId, BTreeSet<EventId>>;

/// What was removed, and what is held elsewhere.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub subject: SubjectId,
    pub erased: Erased,
    /// What vendors hold.
    pub remote: Vec<Remote>,
    /// Things that destinations remembered: ids of vendors, and what was sent.
    pub memos: usize,
}

/// A record at a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub destination: Name,
    pub connector: String,
    /// What the vendor calls it. `None` if it may have one and its id was never learnt.
    pub id: Option<String>,
    /// Under which key it was made: the subject, or one that turned out to be the same.
    pub key: String,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("there is no such subject; it may have been erased already")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// Forgets a person: records, bodies of events, replies, and what destinations remember.
    pub async fn erase(&self, appspace: AppspaceId, subject: SubjectId) -> Result<Receipt, EraseError> {
        let deadline = Instant::now() + CALL_MAX;
        let _held = self.hold(deadline).await?;
        // What has not been folded yet would bring the person back.
        self.catch_up(deadline).await?;
        let profile = self.subject(appspace, subject).await?.ok_or(EraseError::NotFound)?;
        let owed = self.owed(appspace, &profile).await?;
        let (mut remote, mut memos) = (Vec::new(), 0);
        for live in self.registry.destinations(appspace) {
            memos += self.forget(&live, &profile, &owed, &mut remote).await?;
        }
        let now = self.clock.now();
        let erasure = Erasure {
            appspace,
            subjects: profile.absorbed.iter().copied().chain([profile.subject]).collect(),
            identifiers: profile.identifiers.iter().cloned().collect(),
            tombstone: tombstone(now),
            now,
        };
        let erased = self.patiently(deadline, || self.store.erase(erasure.clone())).await?;
        // An attempt that was under way may have remembered something meanwhile.
        for live in self.registry.destinations(appspace) {
            memos += self.forget(&live, &profile, &owed, &mut Vec::new()).await?;
        }
        Ok(Receipt { subject: profile.subject, erased, remote, memos })
    }

    /// Which destinations were owed events of a person.
    async fn owed(&self, appspace: AppspaceId, profile: &Profile) -> Result<Owed, StoreError> {
        let identifiers: Vec<_> = profile.identifiers.iter().cloned().collect();
        let (mut owed, mut after) = (Owed::new(), None);
        loop {
            // However many there are, only so many bodies are held at a time.
            let events = self.store.events_of(appspace, &identifiers, after, FACTS_PER_CALL_MAX).await?;
            let Some(last) = events.last() else { break };
            after = Some(last.id);
            for event in &events {
                for summary in self.deliveries_of(appspace, event.id, None).await? {
                    owed.entry(summary.delivery.destination).or_default().insert(event.id);
                }
            }
        }
        Ok(owed)
    }

    /// Forgets what one destination remembers of a person; returns how much that was.
    async fn forget(
        &self,
        live: &LiveDestination,
        profile: &Profile,
        owed: &Owed,
        remote: &mut Vec<Remote>,
    ) -> Result<usize, StoreError> {
        let mut keys = Vec::new();
        for (subject, id) in self.bound(live, profile).await? {
            keys.push(bindings::key(&subject));
            let destination = live.destination.name.clone();
            let connector = live.destination.connector.clone();
            if is_held(&id) {
                let id = known_id(&id).map(str::to_owned);
                remote.push(Remote { destination, connector, id, key: subject });
            }
        }
        for event in owed.get(&live.destination.id).into_iter().flatten() {
            let (of, prefix) = (live.destination.id, ledger::prefix(*event));
            let found = self.store.recall_all(of, &prefix, None, MEMOS_PER_CALL_MAX, self.clock.now()).await;
            keys.extend(gone(found)?.into_iter().map(|(key, _)| key));
        }
        for some in keys.chunks(MEMOS_PER_CALL_MAX) {
            let changes = some.iter().map(|key| Memo::Forget { key: key.clone() }).collect();
            gone(self.store.remember(live.destination.id, changes, self.clock.now()).await)?;
        }
        Ok(keys.len())
    }

    /// The ids that a vendor has given to a person, under each of the person's keys.
    async fn bound(&self, live: &LiveDestination, profile: &Profile) -> Result<BTreeMap<String, String>, StoreError> {
        let subjects = Vec::from_iter(self.keys(live, profile));
        let mut bound = BTreeMap::new();
        for some in subjects.chunks(MEMOS_PER_CALL_MAX) {
            let keys = some.iter().map(|subject| bindings::key(subject)).collect();
            let found = gone(self.store.recall(live.destination.id, keys, self.clock.now()).await)?;
            let texts = found.into_iter().map(|id| id.map(|id| String::from_utf8_lossy(&id).into_owned()));
            bound.extend(some.iter().cloned().zip(texts).filter_map(|(subject, id)| Some((subject, id?))));
        }
        Ok(bound)
    }

    /// What a destination may keep ids under: the person's subjects, and whatever else its connector asks for when it is told
    /// of the person.
    fn keys(&self, live: &LiveDestination, profile: &Profile) -> BTreeSet<String> {
        let appspace = live.destination.appspace;
        let told = operational::subject_updated(&self.registry, appspace, profile.subject, None, &[]);
        let reading = Reading::new(operational::SOURCE_NAME.to_owned()).about(Some(profile.clone()));
        let delivery = DeliveryId { event: told.event.id, ordinal: 0 };
        let item = Item { event: &told.event, delivery, attempt: 1, reading: &reading };
        let batch = Batch { items: &[item], now: self.clock.now(), token: None, digest: None };
        let own: Vec<_> = profile.absorbed.iter().chain([&profile.subject]).map(ToString::to_string).collect();
        // What names no subject is about the vendor's account and not about the person.
        let is_of_the_person = |key: &String| own.iter().any(|subject| key.contains(subject.as_str()));
        let asked: Vec<_> = live.outlet.subjects(&batch).into_iter().filter(is_of_the_person).collect();
        own.into_iter().chain(asked).collect()
    }
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

fn tombstone(now: Timestamp) -> Bytes {
    json!({ "erased_at": now.to_string(), "data": {} }).to_string().into()
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
