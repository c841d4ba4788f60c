//! Folding: events in, records of people out.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::identity::Fact;
use domain::{AppspaceId, Event, EventId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use storage::{Fold, NewEvent, SUBJECTS_PER_CALL_MAX, StoreError};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Identity;
use super::draft::{Draft, Folded, Wanted};
use super::news::News;
use crate::chores::Pauses;

/// Most events folded in one durable step.
pub(crate) const BATCH_EVENTS_MAX: usize = 256;
/// A step that has looked at so many identifiers ends, so that what it writes fits into one call.
const LOOKED_UP_MAX: usize = 1_500;
/// How long events gather after the first one, so that a step has many of them.
const GATHER: Duration = Duration::from_millis(50);
/// Pause between two steps, to let others in.
const STEP_PAUSE: Duration = Duration::from_millis(5);
/// The code of what is logged when an event is set aside.
const EVENT_SET_ASIDE: &str = "identity_event_set_aside";
/// How often the list is looked at although nobody said that anything was stored.
const POLL_EVERY: Duration = Duration::from_secs(5);

impl Identity {
    /// Folds what comes in, until the task is dropped.
    pub async fn run(&self) {
        let mut pauses = Pauses::default();
        loop {
            let folding = async {
                let _held = self.folding.lock().await;
                self.fold_next().await
            };
            let Ok(folded) = AssertUnwindSafe(folding).catch_unwind().await else {
                tracing::error!("looking for what is to be folded panicked; this is a bug, and it is tried again");
                pauses.next().await;
                continue;
            };
            match folded {
                Ok(0) => {
                    pauses = Pauses::default();
                    let _ = timeout(POLL_EVERY, self.woken.notified()).await;
                    sleep(GATHER).await;
                }
                Ok(_) => sleep(STEP_PAUSE).await,
                Err(error) => {
                    tracing::warn!(%error, "events could not be read for who they are about; it is tried again");
                    pauses.next().await;
                }
            }
        }
    }

    /// Comes back when these events, which are of one appspace, have been folded or set aside; folds them itself if need be. The
    /// error is [`StoreError::Busy`] if that took longer than `deadline`.
    pub async fn settle_up(&self, events: &[Arc<Event>], deadline: Instant) -> Result<(), StoreError> {
        for some in events.chunks(BATCH_EVENTS_MAX) {
            self.settle_up_some(some, deadline).await?;
        }
        Ok(())
    }

    async fn settle_up_some(&self, events: &[Arc<Event>], deadline: Instant) -> Result<(), StoreError> {
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        if self.patiently(deadline, || self.store.are_folded(&ids)).await? {
            return Ok(());
        }
        let _held = self.hold(deadline).await?;
        let mut open = Vec::new();
        for event in events {
            // One that was folded already may have been erased since, and must not come back.
            let id = [event.id];
            if !self.patiently(deadline, || self.store.are_folded(&id)).await? {
                open.push(Arc::clone(event));
            }
        }
        let open = self.asides.without(open, Instant::now());
        self.patiently(deadline, || self.fold(&open)).await
    }

    /// Folds everything that came in before this moment; what comes in meanwhile can wait.
    pub(super) async fn catch_up(&self, deadline: Instant) -> Result<(), StoreError> {
        let (began, mut after) = (self.clock.now(), None);
        loop {
            let events = self.patiently(deadline, || self.store.unfolded(after, BATCH_EVENTS_MAX)).await?;
            if events.first().is_none_or(|event| event.received_at > began) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(too_slow());
            }
            after = events.last().map(|event| event.id);
            let events = self.asides.without(events, Instant::now());
            self.patiently(deadline, || self.fold(&events)).await?;
        }
    }

    /// Waits for its turn to fold.
    pub(super) async fn hold(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, StoreError> {
        timeout_at(deadline, self.folding.lock()).await.map_err(|_| too_slow())
    }

    /// Asks the store, and again while it is busy.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        deadline: Instant,
        ask: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut pauses = Pauses::default();
        loop {
            match ask().await {
                Err(StoreError::Busy { .. }) if Instant::now() < deadline => pauses.next().await,
                answer => return answer,
            }
        }
    }

    /// Folds the events that have waited longest; returns how many.
    async fn fold_next(&self) -> Result<usize, StoreError> {
        let events = self.next_unfolded().await?;
        let lag = events.first().map(|event| self.clock.now().since(event.received_at));
        self.metrics.identity_lag_seconds.set(lag.unwrap_or_default().as_secs_f64());
        self.fold(&events).await?;
        Ok(events.len())
    }

    /// The events that have waited longest, but for those that are set aside.
    async fn next_unfolded(&self) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut after = None;
        loop {
            let found = self.store.unfolded(after, BATCH_EVENTS_MAX).await?;
            let Some(last) = found.last() else { return Ok(found) };
            after = Some(last.id);
            let events = self.asides.without(found, Instant::now());
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Folds these events. What cannot be folded, whatever is tried beside it, is set aside. The lock must be held.
    pub(super) fn fold<'a>(&'a self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if events.is_empty() {
                return Ok(());
            }
            let trouble = match AssertUnwindSafe(self.fold_together(events)).catch_unwind().await {
                Ok(Ok(())) => {
                    self.asides.take_back(events);
                    self.show_asides();
                    return Ok(());
                }
                // These are of the store and not of the events.
                Ok(Err(error @ (StoreError::Busy { .. } | StoreError::Failed(_)))) => return Err(error),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "folding it panicked, which is a bug".to_owned(),
            };
            if let [event] = events {
                self.set_aside(event, &trouble);
                return Ok(());
            }
            let (first, second) = events.split_at(events.len() / 2);
            self.fold(first).await?;
            self.fold(second).await
        })
    }

    fn set_aside(&self, event: &Event, trouble: &str) {
        if self.asides.put(event.id, Instant::now()) {
            tracing::error!(
                code = EVENT_SET_ASIDE,
                event = %event.id,
                appspace = %event.appspace,
                "an event could not be read for who it is about and is set aside: {trouble}; it is tried again, all others are read"
            );
        }
        self.show_asides();
    }

    fn show_asides(&self) {
        self.metrics.identity_events_aside.set(self.asides.len().try_into().unwrap_or(i64::MAX));
    }

    async fn fold_together(&self, events: &[Arc<Event>]) -> Result<(), StoreError> {
        let mut by_appspace: BTreeMap<AppspaceId, Vec<(EventId, Option<Fact>)>> = BTreeMap::new();
        for event in events {
            by_appspace.entry(event.appspace).or_default().push((event.id, self.fact(event)));
        }
        for (appspace, facts) in by_appspace {
            self.fold_facts(appspace, &facts).await?;
        }
        Ok(())
    }

    async fn fold_facts(&self, appspace: AppspaceId, facts: &[(EventId, Option<Fact>)]) -> Result<(), StoreError> {
        let mut left = facts;
        while !left.is_empty() {
            let mut draft = Draft::new(appspace, self.is_followed(appspace));
            let named = left.iter().flat_map(|(_, fact)| fact).flat_map(|fact| &fact.identifiers);
            // The rest is looked up when its turn comes: else one fact would be a step where facts name many.
            let wanted = draft.unknown(named.take(LOOKED_UP_MAX / 2));
            self.look_up(&mut draft, wanted).await?;
            while let Some(((event, fact), rest)) = left.split_first() {
                match fact {
                    Some(fact) => self.tell(&mut draft, *event, fact).await?,
                    None => draft.pass(*event),
                }
                left = rest;
                if draft.looked_up() > LOOKED_UP_MAX {
                    break;
                }
            }
            self.write(draft, None).await?;
        }
        Ok(())
    }

    /// Tells a draft a fact, and looks up what it asks for.
    pub(super) async fn tell(&self, draft: &mut Draft, event: EventId, fact: &Fact) -> Result<(), StoreError> {
        let now = self.clock.now();
        while let Err(wanted) = draft.tell(event, fact, now) {
            self.look_up(draft, wanted).await?;
        }
        Ok(())
    }

    /// Looks up what a draft asks for, and the subjects of it.
    pub(super) async fn look_up(&self, draft: &mut Draft, wanted: Wanted) -> Result<(), StoreError> {
        let appspace = draft.appspace();
        let identifiers = Vec::from_iter(wanted.identifiers);
        let mut subjects = wanted.subjects;
        for some in identifiers.chunks(SUBJECTS_PER_CALL_MAX) {
            let found = self.store.identifiers(appspace, some).await?;
            for (identifier, record) in some.iter().zip(found) {
                subjects.insert(draft.subject_with(identifier, record.as_ref()));
                draft.learn(identifier.clone(), record);
            }
        }
        let subjects = Vec::from_iter(draft.unknown_subjects(&subjects));
        for some in subjects.chunks(SUBJECTS_PER_CALL_MAX) {
            let found = self.store.subjects(appspace, some).await?;
            some.iter().zip(found).for_each(|(id, record)| draft.learn_subject(*id, record));
        }
        Ok(())
    }

    /// Writes what a draft came to, with the event that says it if that is not stored yet, and with the events that tell of it.
    pub(super) async fn write(&self, draft: Draft, own: Option<&NewEvent>) -> Result<(), StoreError> {
        let appspace = draft.appspace();
        let folded = draft.finish();
        let news = self.news(appspace, &folded.changes, own).await?;
        let (facts, refused) = (folded.events.len() as u64, folded.refused);
        let mut fold = fold_of(appspace, folded, news);
        fold.news.splice(0..0, own.cloned());
        self.store.fold(fold).await?;
        self.metrics.facts_folded.inc_by(facts);
        self.metrics.links_refused.inc_by(refused);
        if refused > 0 && !self.has_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%appspace, "an identifier names more people or devices than are kept apart; further links of it are left out");
        }
        Ok(())
    }
}

/// What to write. The news are of those whom they are about, so that they go when the person is erased.
pub(super) fn fold_of(appspace: AppspaceId, folded: Folded, news: Vec<News>) -> Fold {
    let Folded { mut events, identifiers, subjects, .. } = folded;
    events.extend(news.iter().map(|news| (news.event.event.id, news.of.clone())));
    let news = news.into_iter().map(|news| news.event).collect();
    Fold { appspace, events, identifiers, subjects, news }
}

fn too_slow() -> StoreError {
    StoreError::Busy { reason: storage::BusyReason::QueueFull, retry_after: Duration::from_secs(1) }
}
