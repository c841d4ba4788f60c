//! Firsts: for a destination that wants only the first event of a type about a subject on each day.
//!
//! The first one takes the place of the day, on disk, before it is sent; whatever comes later finds it taken. The day is
//! that of the event's arrival, so a retry after midnight is still the first one of its own day. One that turns out to be
//! nothing for the destination gives its place up, so that the first event counts that can be sent. It does so only if
//! this process has seen it take the place and nothing may have gone out since.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::verdict::FailureReason;
use domain::{DeliveryId, DestinationId, Event, EventId, Privacy, Verdict};
use storage::{Memo, Owned, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::budget::day;
use crate::engine::Engine;
use crate::memory::{Patience, hashed};
use crate::view::View;

/// How long a place is kept: its day, and until the longest schedule is over.
const KEPT_FOR: Duration = Duration::from_hours(3 * 24);
/// Longest time that an attempt waits for another one about the same place. Its lease must outlive both.
const HELD_WITHIN: Duration = Duration::from_secs(5);
/// Most places of which is remembered that nothing has gone out. What is forgotten of them only keeps its place.
const UNSENT_MAX: usize = 10_000;

/// The places of a lane that its attempts are about.
#[derive(Debug, Default)]
pub(crate) struct Places {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Held by an attempt.
    held: HashSet<String>,
    /// Taken by these events, of which nothing has gone out so far.
    unsent: HashMap<String, EventId>,
}

/// The places of a batch. Nobody else asks for them before this is dropped: what becomes of the first one must be known.
pub(crate) struct Held<'a> {
    places: &'a Places,
    batch: &'a [Owned],
    /// Of each event its place. One that is about nobody has none and is always the first.
    keys: Vec<Option<String>>,
}

impl Places {
    /// Waits until nobody else holds a place of these events. `None` if it took too long.
    pub(crate) async fn hold<'a>(&'a self, batch: &'a [Owned]) -> Option<Held<'a>> {
        let keys: Vec<_> = batch.iter().map(|owned| key(&owned.event)).collect();
        let until = Instant::now() + HELD_WITHIN;
        loop {
            // Whoever lets go after the look is heard of.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.state().try_hold(&keys) {
                return Some(Held { places: self, batch, keys });
            }
            timeout_at(until, freed).await.ok()?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn try_hold(&mut self, keys: &[Option<String>]) -> bool {
        let is_free = keys.iter().flatten().all(|key| !self.held.contains(key));
        if is_free {
            self.held.extend(keys.iter().flatten().cloned());
        }
        is_free
    }

    fn is_taken(&mut self, key: &str, by: EventId) {
        if self.unsent.len() >= UNSENT_MAX {
            self.unsent.clear();
        }
        self.unsent.insert(key.to_owned(), by);
    }
}

impl Held<'_> {
    /// Which events are not the first of their day, and the verdict over each of those.
    pub(crate) async fn judge(
        &self,
        engine: &Engine,
        of: DestinationId,
        deadline: Instant,
    ) -> Result<Vec<Option<Verdict>>, StoreError> {
        let expires_at = Some(engine.clock.now() + KEPT_FOR);
        let claim = |(key, owned): (&Option<String>, &Owned)| {
            let value = Bytes::from(owned.event.id.to_string());
            Some(Memo::PutIfAbsent { key: key.clone()?, value, expires_at })
        };
        let claims = self.keys.iter().zip(self.batch).filter_map(claim).collect();
        let mut found = engine.remember(of, claims, Patience::Until(deadline)).await?.into_iter();
        let mut state = self.places.state();
        let mut verdict = |(key, owned): (&Option<String>, &Owned)| {
            let (key, event) = (key.as_deref()?, &owned.event);
            let Some(first) = found.next()? else {
                state.is_taken(key, event.id);
                return None;
            };
            let first = String::from_utf8_lossy(&first).into_owned();
            (first != event.id.to_string()).then(|| not_first(&first, event))
        };
        Ok(self.keys.iter().zip(self.batch).map(&mut verdict).collect())
    }

    /// Gives up the places of events that turned out to be nothing for the destination. Those of the batch that were skipped
    /// because of them are judged anew. `verdicts` are over those that were not skipped.
    pub(crate) async fn give_up(
        &self,
        engine: &Engine,
        of: DestinationId,
        skipped: &mut [Option<Verdict>],
        verdicts: &[Verdict],
    ) {
        let free = self.given_up(skipped, verdicts);
        if free.is_empty() {
            return;
        }
        let forget = |key: &&str| Memo::Forget { key: (*key).to_owned() };
        // What went wrong has been noted; then the places stay taken.
        let _ = engine.remember(of, free.iter().map(forget).collect(), Patience::Endless).await;
        for (key, verdict) in self.keys.iter().zip(skipped) {
            let is_free = key.as_deref().is_some_and(|key| free.contains(key));
            if let (true, Some(Verdict::Skip { .. })) = (is_free, &verdict) {
                let message = "the first event of the day is nothing for the destination; this one may be the first";
                *verdict = Some(Verdict::Wait { after: Duration::ZERO, message: Some(message.to_owned()) });
            }
        }
    }

    /// Which places are given up after these verdicts.
    fn given_up(&self, skipped: &[Option<Verdict>], verdicts: &[Verdict]) -> BTreeSet<&str> {
        let mut state = self.places.state();
        let mut verdicts = verdicts.iter();
        let mut refused = Vec::new();
        for ((key, owned), _) in self.keys.iter().zip(self.batch).zip(skipped).filter(|(_, skipped)| skipped.is_none())
        {
            let verdict = verdicts.next();
            let Some(key) = key.as_deref() else { continue };
            match verdict.map(Fate::of) {
                Some(Fate::Refused) => refused.push((key, owned.event.id)),
                Some(Fate::Pending) => {}
                Some(Fate::MayBeSent) | None => drop(state.unsent.remove(key)),
            }
        }
        // Only now: one event may be in a batch twice, because somebody had it sent once more.
        refused
            .into_iter()
            .filter(|(key, event)| state.unsent.remove(*key) == Some(*event))
            .map(|(key, _)| key)
            .collect()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        for key in self.keys.iter().flatten() {
            state.held.remove(key);
        }
        drop(state);
        self.places.freed.notify_waiters();
    }
}

/// What a verdict says of an event that holds a place.
enum Fate {
    /// It will never go out.
    Refused,
    /// It has not gone out so far.
    Pending,
    MayBeSent,
}

impl Fate {
    const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Reject { reason: FailureReason::UnknownOutcome, .. }
            | Verdict::Delivered
            | Verdict::Retry { .. } => Self::MayBeSent,
            Verdict::Reject { .. } | Verdict::Skip { .. } => Self::Refused,
            Verdict::Wait { .. } | Verdict::Pause { .. } => Self::Pending,
        }
    }
}

fn not_first(first: &str, event: &Event) -> Verdict {
    Verdict::skip(format!(
        "the event `{first}` of the same type and about the same subject came first on {}",
        day(event.received_at)
    ))
}

/// Where the place lies that an event may have taken. What a destination may not see of its subject counts all the same.
pub(crate) fn key(event: &Event) -> Option<String> {
    let view = View::of(&Privacy::default(), event, String::new(), None);
    let item = view.item(DeliveryId { event: event.id, ordinal: 0 }, 1);
    let subject = item.fields().subject()?;
    Some(hashed(&format!("first:{}:", day(event.received_at)), &format!("{} {subject}", event.event_type)))
}
