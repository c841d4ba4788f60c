//! What the cases are written with: a store, and short words for making and moving things in it.
//!
//! Times are seconds after [`T0`]. Ids and bodies are counted, so two kits that do the same make the same things.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use domain::delivery::{Delivery, Standing, State};
use domain::destination::{BatchWish, CONCURRENCY_DEFAULT};
use domain::event::{DedupeKey, TimeMark};
use domain::replay::{Replay, ReplayState, Select};
use domain::retry::RetryPolicy;
use domain::source::Managed;
use domain::subscription::Subscriptions;
use domain::verdict::FailureReason;
use domain::{
    Appspace, AppspaceId, Attempt, DeliveryId, Destination, DestinationId, Event, EventId, Privacy, ReplayId, Settings,
    SourceId, Timestamp, Verdict, Volume,
};

use super::Backend;
use crate::{
    Append, Appended, DeadLetterQuery, DeliveryQuery, Erased, Erasure, EventQuery, NewDelivery, NewEvent, OnKnown,
    Owned, Page, PageRequest, ReplayStep, Result, Settled, Settlement, Store, StoreError,
};

/// When every case begins, in seconds since the epoch.
pub const T0: i64 = 1_772_634_728;
/// How long the leases of a kit last, in seconds.
pub const LEASE_SECS: i64 = 30;
/// Steps after which a loop that should have ended counts as endless.
pub const STEPS_MAX: usize = 10_000;

/// A time, in seconds after the beginning of the case.
pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(T0 + secs)
}

/// A store with two appspaces in it.
pub struct Kit {
    backend: Box<dyn Backend>,
    /// Empty only while the store is being opened again.
    pub(super) store: Option<Arc<dyn Store>>,
    /// The appspace that everything is made in.
    pub app: AppspaceId,
    /// A stranger.
    pub other: AppspaceId,
    made: u64,
}

impl Kit {
    /// Opens a new store.
    pub async fn open(mut backend: Box<dyn Backend>) -> Self {
        let store = backend.open().await;
        let app = AppspaceId::mint(at(0), 1);
        let other = AppspaceId::mint(at(0), 2);
        for (id, name) in [(app, "ours"), (other, "theirs")] {
            let appspace = Appspace { id, name: name.parse().expect("a name"), created_at: at(0) };
            store.put_appspace(appspace).await.expect("put an appspace");
        }
        Self { backend, store: Some(store), app, other, made: 100 }
    }

    /// Closes the store and opens the same data again.
    pub async fn reopen(&mut self) {
        self.store().close().await.expect("close the store");
        self.store = None;
        self.store = Some(self.backend.open().await);
    }

    pub fn store(&self) -> &dyn Store {
        &**self.store.as_ref().expect("the store is open")
    }

    /// A number that this kit has not given out before.
    pub fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    // -- events -------------------------------------------------------------------------------------------------------

    /// An event with a body of its own, owed to `destinations`.
    pub fn event(&mut self, secs: i64, destinations: &[DestinationId]) -> NewEvent {
        let n = self.number();
        let body = Bytes::from(format!(r#"{{"event":"link.clicked","data":{{"n":{n}}}}}"#));
        let event = Event {
            id: EventId::mint(at(secs), u128::from(n)),
            appspace: self.app,
            source: SourceId::API,
            event_type: "link.clicked".parse().expect("a type"),
            occurred_at: at(secs),
            received_at: at(secs),
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_body(SourceId::API, self.app, &body),
            body,
        };
        let deliveries = destinations.iter().map(|&destination| NewDelivery::to(destination)).collect();
        NewEvent::new(event, deliveries)
    }

    /// The same sender's event once more: another id and time, the same key and body.
    pub fn again(&mut self, new: &NewEvent, secs: i64) -> NewEvent {
        let id = EventId::mint(at(secs), u128::from(self.number()));
        change(new, |event| Event { id, received_at: at(secs), ..event })
    }

    pub async fn try_append(&self, events: Vec<NewEvent>, on_known: OnKnown) -> Result<Vec<Appended>> {
        self.store().append(Append { events, on_known }).await
    }

    pub async fn append(&self, events: Vec<NewEvent>) -> Vec<Appended> {
        self.try_append(events, OnKnown::Count).await.expect("append")
    }

    /// Stores `count` events, one second apart, each owed to `destination`; returns what is owed.
    pub async fn owe(&mut self, secs: i64, count: usize, destination: DestinationId) -> Vec<DeliveryId> {
        let times = (secs..).take(count);
        let events: Vec<NewEvent> = times.map(|secs| self.event(secs, &[destination])).collect();
        let ids = events.iter().map(|new| DeliveryId { event: new.event.id, ordinal: 0 }).collect();
        for chunk in events.chunks(500) {
            self.append(chunk.to_vec()).await;
        }
        ids
    }

    /// Whether the log has the event.
    pub async fn has(&self, new: &NewEvent) -> bool {
        match self.store().event(new.event.appspace, new.event.id).await {
            Ok(record) => {
                assert_eq!(record.event, new.event);
                true
            }
            Err(StoreError::NotFound { noun: "event" }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    // -- work ---------------------------------------------------------------------------------------------------------

    pub async fn claim(&self, destination: DestinationId, secs: i64, limit: usize) -> Vec<Owned> {
        let claimed = self.store().claim(destination, at(secs), limit, at(secs + LEASE_SECS)).await;
        claimed.expect("claim").work
    }

    /// Claims everything that is due, and says which deliveries those were.
    pub async fn due(&self, destination: DestinationId, secs: i64) -> Vec<DeliveryId> {
        ids(&self.claim(destination, secs, STEPS_MAX).await)
    }

    pub async fn settle(&self, owned: &Owned, secs: i64, verdict: &Verdict) -> Settled {
        let settled = self.store().settle([settlement(owned, secs, verdict)].into()).await.expect("settle");
        let [settled] = settled[..] else { panic!("one settlement has {} results", settled.len()) };
        settled
    }

    /// Owes events, claims them all and settles them with `verdict`.
    pub async fn settled(
        &mut self,
        secs: i64,
        count: usize,
        destination: DestinationId,
        verdict: &Verdict,
    ) -> Vec<DeliveryId> {
        let ids = self.owe(secs, count, destination).await;
        let last = secs + i64::try_from(count).expect("a small count");
        let work = self.claim(destination, last, count).await;
        assert_eq!(self::ids(&work), ids);
        let settlements: Vec<_> = work.iter().map(|owned| settlement(owned, last, verdict)).collect();
        let settled = self.store().settle(settlements.into()).await.expect("settle");
        assert!(settled.iter().all(|settled| *settled == Settled::Done));
        ids
    }

    pub async fn delivery(&self, id: DeliveryId) -> (Delivery, Vec<Attempt>) {
        self.store().delivery(self.app, id).await.expect("a delivery")
    }

    pub async fn state(&self, id: DeliveryId) -> State {
        self.delivery(id).await.0.standing.state
    }

    /// Drives what was put off until nothing is left.
    pub async fn tidy(&self, secs: i64) {
        for _ in 0..STEPS_MAX {
            if !self.store().tidy(at(secs)).await.expect("tidy") {
                return;
            }
        }
        panic!("tidy never comes to an end");
    }

    /// One whole pass of retention, in steps; returns how many events it removed.
    pub async fn prune(&self, before_secs: i64, step: usize) -> usize {
        let mut removed = 0;
        for _ in 0..STEPS_MAX {
            let pruned = self.store().prune(at(before_secs), step).await.expect("prune");
            assert!(pruned.events <= step, "a step of {step} removed {}", pruned.events);
            removed += pruned.events;
            if pruned.done {
                return removed;
            }
        }
        panic!("a pass of retention never comes to an end");
    }

    /// Erases somebody to the end, piece by piece.
    pub async fn erase(&self, erasure: &Erasure) -> Erased {
        let mut erased = Erased::default();
        for _ in 0..STEPS_MAX {
            erased.add(self.store().erase(erasure.clone()).await.expect("erase"));
            if !erased.more {
                while self.store().wipe().await.expect("wipe") {}
                return erased;
            }
        }
        panic!("an erasure never comes to an end");
    }

    // -- catalog ------------------------------------------------------------------------------------------------------

    /// A destination with nothing special about it, not stored yet.
    pub fn new_destination(&mut self, name: &str) -> Destination {
        Destination {
            id: DestinationId::mint(at(0), u128::from(self.number())),
            appspace: self.app,
            name: name.parse().expect("a name"),
            connector: "webhook".to_owned(),
            events: Subscriptions::every(),
            when: None,
            retry: RetryPolicy::Tolinku,
            concurrency: CONCURRENCY_DEFAULT,
            rate: None,
            batch: BatchWish::default(),
            volume: Volume::default(),
            privacy: Privacy::default(),
            breaker: true,
            settings: Settings::default(),
            paused: None,
            managed: Managed::Api,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    pub async fn destination(&mut self, name: &str) -> DestinationId {
        let destination = self.new_destination(name);
        let id = destination.id;
        self.store().put_destination(destination, Vec::new()).await.expect("put a destination");
        id
    }

    // -- replays ------------------------------------------------------------------------------------------------------

    /// A running replay of everything, stored.
    pub async fn replay(&mut self, destination: DestinationId) -> ReplayId {
        let replay = self.new_replay(destination);
        let id = replay.id;
        self.store().create_replay(replay).await.expect("create a replay");
        id
    }

    pub fn new_replay(&mut self, destination: DestinationId) -> Replay {
        Replay {
            id: ReplayId::mint(at(0), u128::from(self.number())),
            appspace: self.app,
            destination,
            from: at(0),
            to: at(1_000_000),
            events: None,
            select: Select::All,
            per_second: None,
            state: ReplayState::Running,
            scanned: 0,
            created: 0,
            created_at: at(0),
            ended_at: None,
        }
    }

    /// The first step of a replay: owes `events` and stays running.
    pub async fn replay_first(&self, id: ReplayId, secs: i64, events: &[EventId]) -> Replay {
        let step = first_step(id, secs, events);
        self.store().advance_replay(step).await.expect("advance the replay")
    }

    // -- queries ------------------------------------------------------------------------------------------------------

    /// Every event of the appspace.
    pub fn all_events(&self) -> EventQuery {
        EventQuery { appspace: self.app, source: None, event_type: None, from: None, to: None }
    }

    /// Every delivery of the appspace.
    pub fn all_deliveries(&self) -> DeliveryQuery {
        let appspace = self.app;
        DeliveryQuery { appspace, destination: None, event: None, state: None, event_type: None, replay: None }
    }

    /// Every dead letter of the appspace.
    pub fn all_dead(&self) -> DeadLetterQuery {
        DeadLetterQuery { appspace: self.app, destination: None, reason: None, from: None, to: None }
    }

    pub async fn list_events(&self, query: &EventQuery) -> Vec<EventId> {
        let records = whole(7, |page| self.store().events(query.clone(), page)).await;
        records.into_iter().map(|record| record.event.id).collect()
    }

    pub async fn list_deliveries(&self, query: &DeliveryQuery) -> Vec<DeliveryId> {
        let summaries = whole(7, |page| self.store().deliveries(query.clone(), page)).await;
        summaries.into_iter().map(|summary| summary.delivery.id).collect()
    }

    pub async fn list_dead(&self, query: &DeadLetterQuery) -> Vec<DeliveryId> {
        let summaries = whole(7, |page| self.store().dead_letters(query.clone(), page)).await;
        summaries.into_iter().map(|summary| summary.delivery.id).collect()
    }
}

/// A whole list, page by page.
pub async fn whole<T, F: Future<Output = Result<Page<T>>>>(limit: usize, fetch: impl Fn(PageRequest) -> F) -> Vec<T> {
    let mut all = Vec::new();
    let mut request = PageRequest::first(limit);
    for _ in 0..STEPS_MAX {
        let page = fetch(request.clone()).await.expect("a page");
        assert!(page.items.len() <= limit, "a page of {limit} has {} items", page.items.len());
        let next = request.after(&page);
        all.extend(page.items);
        match next {
            Some(next) => request = next,
            None => return all,
        }
    }
    panic!("the list never comes to an end");
}

/// The same new event with something else about the event.
pub fn change(new: &NewEvent, change: impl FnOnce(Event) -> Event) -> NewEvent {
    NewEvent::new(change((*new.event).clone()), new.deliveries.clone())
}

pub fn ids(work: &[Owned]) -> Vec<DeliveryId> {
    work.iter().map(|owned| owned.id).collect()
}

/// The settlement of a delivery in hand, under the `tolinku` schedule: 60, 300, 1800 s, four tries.
pub fn settlement(owned: &Owned, secs: i64, verdict: &Verdict) -> Settlement {
    Settlement {
        id: owned.id,
        fence: owned.fence,
        attempt: attempt(owned.standing.attempts + 1, secs, verdict),
        standing: owned.standing.after(verdict, &RetryPolicy::Tolinku, at(secs), 0.0),
        now: at(secs),
        news: None,
    }
}

fn attempt(number: u32, secs: i64, verdict: &Verdict) -> Attempt {
    let reason = match verdict {
        Verdict::Retry { reason, .. } | Verdict::Reject { reason, .. } => Some(*reason),
        Verdict::Skip { .. } => Some(FailureReason::NotApplicable),
        Verdict::Delivered | Verdict::Wait { .. } | Verdict::Pause { .. } => None,
    };
    Attempt {
        number,
        started_at: at(secs),
        duration_ms: 7,
        status: Some(if reason.is_some() { 503 } else { 200 }),
        reason,
        error: reason.map(|reason| format!("it was {}", reason.code())),
        reply: Some("•\0".to_owned()),
    }
}

/// A verdict that waits for the next try.
pub fn fail() -> Verdict {
    Verdict::retry(FailureReason::ServerError)
}

/// A verdict that makes a dead letter.
pub fn reject(reason: FailureReason) -> Verdict {
    Verdict::Reject { reason, message: None }
}

/// A verdict that finds nothing in the event for the destination.
pub fn skip() -> Verdict {
    Verdict::skip("no address")
}

pub fn first_step(id: ReplayId, secs: i64, events: &[EventId]) -> ReplayStep {
    ReplayStep {
        id,
        from_cursor: None,
        to_cursor: events.last().copied(),
        scanned: events.len() as u64,
        unread: Vec::new(),
        owed: events.to_vec(),
        state: ReplayState::Running,
        now: at(secs),
    }
}

/// Checks that what was asked for is said not to be there.
#[track_caller]
pub fn expect_missing<T>(result: Result<T>, expected: &str) {
    match result {
        Err(StoreError::NotFound { noun }) => assert_eq!(noun, expected),
        Err(error) => panic!("expected `{expected} not found`, got `{error}`"),
        Ok(_) => panic!("expected `{expected} not found`"),
    }
}

/// Checks that the state machine refuses.
#[track_caller]
pub fn expect_illegal<T>(result: Result<T>, from: State) {
    match result {
        Err(StoreError::Illegal(illegal)) => assert_eq!(illegal.from, from),
        Err(error) => panic!("expected an illegal transition, got `{error}`"),
        Ok(_) => panic!("expected an illegal transition"),
    }
}

/// A pending standing as a fresh delivery has it.
pub fn fresh(secs: i64) -> Standing {
    Standing::new(domain::delivery::Class::Fresh, at(secs))
}
