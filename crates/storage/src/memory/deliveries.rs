//! The record of deliveries, dead letters, and what a person may do to them.

use async_trait::async_trait;
use domain::delivery::{Class, Delivery, Standing, State as DeliveryState};
use domain::{AppspaceId, Attempt, DeliveryId, DestinationId, ReplayId, Timestamp};

use super::events::too_many_deliveries;
use super::{DeliveryNo, EventNo, MemoryStore, State, not_found};
use crate::{
    DELIVERIES_PER_EVENT_MAX, DeadLetterQuery, DeliveryLog, DeliveryQuery, DeliverySummary, Page, PageRequest, Result,
};

#[derive(Debug)]
pub(super) struct DeliveryRow {
    pub(super) destination: DestinationId,
    pub(super) standing: Standing,
    pub(super) created_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) replay: Option<ReplayId>,
    pub(super) note: Option<String>,
    pub(super) attempts: Vec<Attempt>,
    /// Its place among the dead letters, while it is one.
    pub(super) dead_no: Option<u64>,
}

impl DeliveryRow {
    pub(super) fn new(destination: DestinationId, standing: Standing, created_at: Timestamp) -> Self {
        Self {
            destination,
            standing,
            created_at,
            ended_at: None,
            replay: None,
            note: None,
            attempts: Vec::new(),
            dead_no: None,
        }
    }
}

#[async_trait]
impl DeliveryLog for MemoryStore {
    async fn delivery(&self, appspace: AppspaceId, id: DeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
        let state = self.open()?;
        let no = state.find_delivery(appspace, id)?;
        Ok((state.view(no), state.deliveries[&no].attempts.clone()))
    }

    async fn deliveries(&self, query: DeliveryQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        let state = self.open()?;
        let below = ..page.cursor.map_or((EventNo::MAX, u16::MAX), delivery_no_of);
        let fitting = state.deliveries.range(below).rev().filter(|&(&no, row)| state.matches(&query, no, row));
        Ok(page.cut(fitting.map(|(&no, _)| (cursor_of(no), state.summary(no)))))
    }

    async fn dead_letters(&self, query: DeadLetterQuery, page: PageRequest) -> Result<Page<DeliverySummary>> {
        let state = self.open()?;
        let below = ..page.cursor.unwrap_or(u64::MAX);
        let fitting = state.dead.range(below).rev().filter(|&(_, &no)| state.is_meant(&query, no));
        Ok(page.cut(fitting.map(|(&dead_no, &no)| (dead_no, state.summary(no)))))
    }

    async fn dead_letter_count(&self, query: DeadLetterQuery) -> Result<u64> {
        let state = self.open()?;
        Ok(state.dead.values().filter(|&&no| state.is_meant(&query, no)).count() as u64)
    }

    async fn retry(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let mut state = self.commit()?;
        let no = state.find_delivery(appspace, id)?;
        state.retry(no, now)?;
        Ok(state.view(no))
    }

    async fn cancel(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let mut state = self.commit()?;
        let no = state.find_delivery(appspace, id)?;
        state.cancel(no, now)?;
        Ok(state.view(no))
    }

    async fn resend(&self, appspace: AppspaceId, id: DeliveryId, now: Timestamp) -> Result<Delivery> {
        let mut state = self.commit()?;
        let no = state.find_delivery(appspace, id)?;
        let destination = state.deliveries[&no].destination;
        if !state.destinations.contains_key(&destination) {
            return Err(not_found("destination"));
        }
        let new = state.next_ordinal(no.0).map(|ordinal| (no.0, ordinal)).ok_or_else(too_many_deliveries)?;
        state.insert_delivery(new, DeliveryRow::new(destination, Standing::new(Class::Fresh, now), now));
        Ok(state.view(new))
    }

    async fn redrive(&self, query: DeadLetterQuery, now: Timestamp, limit: usize) -> Result<usize> {
        let mut state = self.commit()?;
        let meant = state.dead.values().copied().filter(|&no| state.is_meant(&query, no));
        let meant: Vec<DeliveryNo> = meant.take(limit).collect();
        for &no in &meant {
            state.retry(no, now)?;
        }
        Ok(meant.len())
    }
}

/// The cursor of a page that ends with this delivery.
fn cursor_of((event_no, ordinal): DeliveryNo) -> u64 {
    event_no << 16 | u64::from(ordinal)
}

fn delivery_no_of(cursor: u64) -> DeliveryNo {
    let [.., high, low] = cursor.to_be_bytes();
    (cursor >> 16, u16::from_be_bytes([high, low]))
}

impl State {
    pub(super) fn insert_delivery(&mut self, no: DeliveryNo, row: DeliveryRow) {
        self.deliveries.insert(no, row);
        self.enter(no);
    }

    /// The ordinal of the next delivery of an event, if it may have one more.
    pub(super) fn next_ordinal(&self, event_no: EventNo) -> Option<u16> {
        let last = self.deliveries.range((event_no, 0)..=(event_no, u16::MAX)).next_back();
        let next = last.map_or(0, |(&(_, ordinal), _)| usize::from(ordinal) + 1);
        u16::try_from(next).ok().filter(|_| next < DELIVERIES_PER_EVENT_MAX)
    }

    fn find_delivery(&self, appspace: AppspaceId, id: DeliveryId) -> Result<DeliveryNo> {
        let no = self.event_nos.get(&id.event).map(|&event_no| (event_no, id.ordinal));
        no.filter(|no| self.deliveries.contains_key(no) && self.events[&no.0].event.appspace == appspace)
            .ok_or(not_found("delivery"))
    }

    fn retry(&mut self, no: DeliveryNo, now: Timestamp) -> Result<()> {
        let standing = self.deliveries[&no].standing.retry_now(now)?;
        self.change(no, standing, now);
        Ok(())
    }

    /// Cancels a delivery; a lease on it is void.
    pub(super) fn cancel(&mut self, no: DeliveryNo, now: Timestamp) -> Result<()> {
        let standing = self.deliveries[&no].standing.cancel()?;
        self.change(no, standing, now);
        Ok(())
    }

    /// Cancels every pending or dead delivery that `is_meant`.
    pub(super) fn cancel_all(&mut self, now: Timestamp, is_meant: impl Fn(&DeliveryRow) -> bool) {
        let meant: Vec<DeliveryNo> =
            self.deliveries.iter().filter(|(_, row)| is_meant(row)).map(|(&no, _)| no).collect();
        for no in meant {
            // One that has ended already stays as it is.
            let _ = self.cancel(no, now);
        }
    }

    /// The one way in which a delivery changes: it leaves the queue or list it was in and enters the one it belongs to.
    /// A lease stays as long as the delivery is pending.
    pub(super) fn change(&mut self, no: DeliveryNo, standing: Standing, now: Timestamp) {
        self.leave(no);
        if let Some(row) = self.deliveries.get_mut(&no) {
            row.standing = standing;
            row.ended_at = (standing.state != DeliveryState::Pending).then_some(now);
        }
        self.enter(no);
    }

    fn leave(&mut self, no: DeliveryNo) {
        let Some(row) = self.deliveries.get_mut(&no) else { return };
        if let Some(dead_no) = row.dead_no.take() {
            self.dead.remove(&dead_no);
        }
        if let Some(lane) = self.lanes.get_mut(&row.destination) {
            lane.remove(no, &row.standing);
        }
    }

    fn enter(&mut self, no: DeliveryNo) {
        let dead_no = self.next_no();
        let Some(row) = self.deliveries.get_mut(&no) else { return };
        match row.standing.state {
            DeliveryState::Pending => return self.wait(no),
            DeliveryState::Dead => {
                row.dead_no = Some(dead_no);
                self.dead.insert(dead_no, no);
            }
            DeliveryState::Delivered | DeliveryState::Cancelled | DeliveryState::Skipped => {}
        }
        self.leases.remove(&no);
    }

    pub(super) fn view(&self, no: DeliveryNo) -> Delivery {
        let row = &self.deliveries[&no];
        Delivery {
            id: self.delivery_id(no),
            destination: row.destination,
            event_type: self.events[&no.0].event.event_type.clone(),
            standing: row.standing,
            created_at: row.created_at,
            ended_at: row.ended_at,
            replay: row.replay,
            note: row.note.clone(),
            leased: self.leases.contains_key(&no),
        }
    }

    fn summary(&self, no: DeliveryNo) -> DeliverySummary {
        DeliverySummary { delivery: self.view(no), last_attempt: self.deliveries[&no].attempts.last().cloned() }
    }

    fn matches(&self, query: &DeliveryQuery, no: DeliveryNo, row: &DeliveryRow) -> bool {
        let event = &self.events[&no.0].event;
        event.appspace == query.appspace
            && query.destination.is_none_or(|destination| row.destination == destination)
            && query.event.is_none_or(|id| event.id == id)
            && query.state.is_none_or(|state| row.standing.state == state)
            && query.event_type.as_ref().is_none_or(|event_type| event.event_type == *event_type)
            && query.replay.is_none_or(|replay| row.replay == Some(replay))
    }

    fn is_meant(&self, query: &DeadLetterQuery, no: DeliveryNo) -> bool {
        let row = &self.deliveries[&no];
        self.events[&no.0].event.appspace == query.appspace
            && query.destination.is_none_or(|destination| row.destination == destination)
            && query.reason.is_none_or(|reason| row.standing.reason == Some(reason))
            && row.ended_at.is_some_and(|died_at| Self::is_within(died_at, query.from, query.to))
    }
}
