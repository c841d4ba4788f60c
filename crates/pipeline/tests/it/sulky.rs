//! A store that can be told to be busy whenever an outcome is to be stored, and to fail or to refuse when something is to be
//! remembered; and that knows how much is in the hands of others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::attempt::Attempt;
use domain::delivery::Delivery;
use domain::identity::Identifier;
use domain::key::Key;
use domain::replay::Replay;
use domain::{
    Appspace, AppspaceId, DeliveryId, Destination, DestinationId, EventId, KeyId, ReplayId, Source, SourceId,
    SubjectId, Timestamp,
};
use storage::memory::MemoryStore;
use storage::*;

/// The memory store in a mood.
pub(crate) struct Sulky {
    store: MemoryStore,
    sulks: AtomicBool,
    /// How often something can be remembered until it fails.
    remembers: AtomicUsize,
    /// It has failed.
    is_gone: AtomicBool,
    /// How often something can be remembered until that is refused once.
    until_refusal: AtomicUsize,
    /// How many pieces of erasures it takes before it is busy.
    pieces: AtomicUsize,
    in_hand: Mutex<InHand>,
    /// How many outcomes were stored together, each time.
    settled: Mutex<Vec<usize>>,
    /// How many events of people have been read.
    events_read: AtomicUsize,
    /// The record of this identifier cannot be read, or reading it ends in a panic.
    spoilt: Mutex<Option<(Identifier, bool)>>,
}

/// What is claimed and neither settled nor given back.
#[derive(Default)]
struct InHand {
    body_bytes: HashMap<DeliveryId, usize>,
    bytes: usize,
    bytes_most: usize,
}

impl InHand {
    fn take(&mut self, work: &[Owned]) {
        for owned in work {
            let bytes = owned.event.body.len();
            self.bytes += bytes - self.body_bytes.insert(owned.id, bytes).unwrap_or_default();
        }
        self.bytes_most = self.bytes_most.max(self.bytes);
    }

    fn leave(&mut self, ids: &[DeliveryId]) {
        self.bytes -= ids.iter().filter_map(|id| self.body_bytes.remove(id)).sum::<usize>();
    }
}

impl Sulky {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            sulks: AtomicBool::new(false),
            remembers: AtomicUsize::new(usize::MAX),
            is_gone: AtomicBool::new(false),
            until_refusal: AtomicUsize::new(usize::MAX),
            pieces: AtomicUsize::new(usize::MAX),
            in_hand: Mutex::default(),
            settled: Mutex::default(),
            events_read: AtomicUsize::new(0),
            spoilt: Mutex::default(),
        }
    }

    /// From now on the record of this identifier cannot be read; or that of none.
    pub(crate) fn spoil(&self, identifier: Option<&str>) {
        *self.spoilt.lock().unwrap() = identifier.map(|text| (text.parse().unwrap(), false));
    }

    /// How many events of people have been read since the last time.
    pub(crate) fn take_events_read(&self) -> usize {
        self.events_read.swap(0, Ordering::SeqCst)
    }

    /// From now on whoever reads the record of this identifier panics.
    pub(crate) fn trap(&self, identifier: &str) {
        *self.spoilt.lock().unwrap() = Some((identifier.parse().unwrap(), true));
    }

    /// Fails for good after it has remembered something so many times.
    pub(crate) fn remember_only(&self, times: usize) {
        self.remembers.store(times, Ordering::SeqCst);
        self.is_gone.store(false, Ordering::SeqCst);
    }

    /// Refuses once to remember something, after so many times, and goes on.
    pub(crate) fn refuse_after(&self, times: usize) {
        self.until_refusal.store(times, Ordering::SeqCst);
    }

    /// Is busy after so many pieces of erasures.
    pub(crate) fn erase_only(&self, pieces: usize) {
        self.pieces.store(pieces, Ordering::SeqCst);
    }

    /// The most bytes of bodies that were in the hands of others at once.
    pub(crate) fn bytes_most(&self) -> usize {
        self.in_hand.lock().unwrap().bytes_most
    }

    /// How many outcomes were stored together, each time so far.
    pub(crate) fn settled(&self) -> Vec<usize> {
        self.settled.lock().unwrap().clone()
    }

    pub(crate) fn sulk(&self, sulks: bool) {
        self.sulks.store(sulks, Ordering::SeqCst);
    }
}

#[async_trait]
impl Work for Sulky {
    async fn claim(&self, of: DestinationId, now: Timestamp, limit: usize, until: Timestamp) -> Result<Claimed> {
        let claimed = self.store.claim(of, now, limit, until).await?;
        self.in_hand.lock().unwrap().take(&claimed.work);
        Ok(claimed)
    }
    async fn settle(&self, settlements: Arc<[Settlement]>) -> Result<Vec<Settled>> {
        if self.sulks.load(Ordering::SeqCst) {
            return Err(StoreError::Busy { reason: BusyReason::QueueFull, retry_after: Duration::from_secs(1) });
        }
        if self.is_gone.load(Ordering::SeqCst) {
            return Err(StoreError::Failed("the disk is gone".into()));
        }
        let ids: Vec<DeliveryId> = settlements.iter().map(|settlement| settlement.id).collect();
        let settled = self.store.settle(settlements).await?;
        self.in_hand.lock().unwrap().leave(&ids);
        self.settled.lock().unwrap().push(ids.len());
        Ok(settled)
    }
    async fn release(&self, leases: Vec<(DeliveryId, Fence)>) -> Result<()> {
        let ids: Vec<DeliveryId> = leases.iter().map(|(id, _)| *id).collect();
        self.store.release(leases).await?;
        self.in_hand.lock().unwrap().leave(&ids);
        Ok(())
    }
    async fn rescue(&self, now: Timestamp) -> Result<usize> {
        self.store.rescue(now).await
    }
    fn signal(&self) -> Arc<WorkSignal> {
        self.store.signal()
    }
    async fn lanes(&self) -> Result<Vec<Lane>> {
        self.store.lanes().await
    }
}

#[async_trait]
impl EventLog for Sulky {
    async fn append(&self, append: Append) -> Result<Vec<Appended>> {
        self.store.append(append).await
    }
    async fn event(&self, appspace: AppspaceId, id: EventId) -> Result<EventRecord> {
        self.store.event(appspace, id).await
    }
    async fn events(&self, query: EventQuery, page: PageRequest) -> Result<Page<EventRecord>> {
        self.store.events(query, page).await
    }
    async fn quarantine(&self, entry: Quarantined) -> Result<bool> {
        self.store.quarantine(entry).await
    }
    async fn quarantined(&self, appspace: AppspaceId, of: SourceId, page: PageRequest) -> Result<Page<Quarantined>> {
        self.store.quarantined(appspace, of, page).await
    }
}

#[async_trait]
impl DeliveryLog for Sulky {
    async fn delivery(&self, appspace: AppspaceId, id: DeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
        self.store.delivery(appspace, id).await
    }
    async fn deliveries(&self, query: DeliveryQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        self.store.deliveries(query, page).await
    }
    async fn dead_letters(&self, query: DeadLetterQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        self.store.dead_letters(query, page).await
    }
    async fn dead_letter_count(&self, query: DeadLetterQuery) -> Result<u64> {
        self.store.dead_letter_count(query).await
    }
    async fn retry(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        self.store.retry(appspace, id, now).await
    }
    async fn cancel(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        self.store.cancel(appspace, id, now).await
    }
    async fn resend(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        self.store.resend(appspace, id, now).await
    }
    async fn redrive(&self, query: DeadLetterQuery, now: Timestamp, limit: usize) -> Result<usize> {
        self.store.redrive(query, now, limit).await
    }
}

#[async_trait]
impl Catalog for Sulky {
    async fn load_catalog(&self) -> Result<CatalogSnapshot> {
        self.store.load_catalog().await
    }
    async fn put_appspace(&self, appspace: Appspace) -> Result<()> {
        self.store.put_appspace(appspace).await
    }
    async fn put_source(&self, source: Source) -> Result<()> {
        self.store.put_source(source).await
    }
    async fn delete_source(&self, id: SourceId) -> Result<()> {
        self.store.delete_source(id).await
    }
    async fn put_destination(&self, destination: Destination, events: Vec<NewEvent>) -> Result<()> {
        self.store.put_destination(destination, events).await
    }
    async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()> {
        self.store.delete_destination(id, now).await
    }
    async fn put_key(&self, key: Key) -> Result<()> {
        self.store.put_key(key).await
    }
    async fn delete_key(&self, id: KeyId) -> Result<()> {
        self.store.delete_key(id).await
    }
}

#[async_trait]
impl Replays for Sulky {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        self.store.create_replay(replay).await
    }
    async fn replay(&self, appspace: AppspaceId, id: ReplayId) -> Result<Replay> {
        self.store.replay(appspace, id).await
    }
    async fn replays(&self, appspace: AppspaceId, page: PageRequest) -> Result<Page<Replay>> {
        self.store.replays(appspace, page).await
    }
    async fn running_replays(&self) -> Result<Vec<(Replay, Option<EventId>)>> {
        self.store.running_replays().await
    }
    async fn replay_scan(
        &self,
        scan: ReplayScan,
    ) -> Result<Vec<(Arc<domain::Event>, Option<domain::delivery::State>)>> {
        self.store.replay_scan(scan).await
    }
    async fn advance_replay(&self, step: ReplayStep) -> Result<Replay> {
        self.store.advance_replay(step).await
    }
    async fn cancel_replay(&self, appspace: AppspaceId, id: ReplayId, now: Timestamp) -> Result<Replay> {
        self.store.cancel_replay(appspace, id, now).await
    }
}

#[async_trait]
impl Memos for Sulky {
    async fn remember(&self, of: DestinationId, changes: Vec<Memo>, now: Timestamp) -> Result<Vec<Option<Bytes>>> {
        if self.remembers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            self.is_gone.store(true, Ordering::SeqCst);
            return Err(StoreError::Failed("the disk is gone".into()));
        }
        // Below zero it wraps around, which is never again.
        if self.until_refusal.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(StoreError::Limit("no room for this".to_owned()));
        }
        self.store.remember(of, changes, now).await
    }
    async fn recall(&self, of: DestinationId, keys: Vec<String>, now: Timestamp) -> Result<Vec<Option<Bytes>>> {
        self.store.recall(of, keys, now).await
    }
    async fn recall_all(
        &self,
        of: DestinationId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Bytes)>> {
        self.store.recall_all(of, prefix, after, limit, now).await
    }
}

#[async_trait]
impl Subjects for Sulky {
    async fn unfolded(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Arc<domain::Event>>> {
        self.store.unfolded(after, limit).await
    }
    async fn are_folded(&self, events: &[EventId]) -> Result<bool> {
        self.store.are_folded(events).await
    }
    async fn identifiers(&self, of: AppspaceId, all: &[Identifier]) -> Result<Vec<Option<IdentifierRecord>>> {
        let spoilt = self.spoilt.lock().unwrap().clone();
        if let Some((_, panics)) = spoilt.filter(|(identifier, _)| all.contains(identifier)) {
            assert!(!panics, "as the test wants it");
            return Err(StoreError::Unreadable("the record of a subject"));
        }
        self.store.identifiers(of, all).await
    }
    async fn subjects(&self, of: AppspaceId, ids: &[SubjectId]) -> Result<Vec<Option<SubjectRecord>>> {
        self.store.subjects(of, ids).await
    }
    async fn fold(&self, fold: Fold) -> Result<()> {
        self.store.fold(fold).await
    }
    async fn events_of(
        &self,
        appspace: AppspaceId,
        identifiers: &[Identifier],
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Arc<domain::Event>>> {
        let events = self.store.events_of(appspace, identifiers, after, limit).await?;
        self.events_read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }
    async fn erase(&self, erasure: Erasure) -> Result<Erased> {
        if self.pieces.load(Ordering::SeqCst) == 0 {
            return Err(StoreError::Busy { reason: BusyReason::QueueFull, retry_after: Duration::from_secs(1) });
        }
        self.pieces.fetch_sub(1, Ordering::SeqCst);
        self.store.erase(erasure).await
    }
    async fn wipe(&self) -> Result<bool> {
        self.store.wipe().await
    }
}

#[async_trait]
impl Upkeep for Sulky {
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        self.store.prune(before, limit).await
    }
    async fn tidy(&self, now: Timestamp) -> Result<bool> {
        self.store.tidy(now).await
    }
    async fn check(&self) -> Result<()> {
        self.store.check().await
    }
    fn figures(&self) -> Figures {
        self.store.figures()
    }
    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}
