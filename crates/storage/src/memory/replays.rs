//! Replays: jobs with a cursor.

use std::sync::Arc;

use async_trait::async_trait;
use domain::delivery::{Class, Standing, State as DeliveryState};
use domain::replay::{Replay, ReplayState};
use domain::{AppspaceId, DestinationId, Event, EventId, ReplayId, Timestamp};

use super::deliveries::DeliveryRow;
use super::{EventNo, MemoryStore, State, not_found};
use crate::{Page, PageRequest, ReplayScan, ReplayStep, Replays, Result};

#[derive(Debug)]
pub(super) struct ReplayRow {
    replay: Replay,
    /// The last event it has looked at.
    cursor: Option<EventId>,
}

#[async_trait]
impl Replays for MemoryStore {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        let mut state = self.commit()?;
        if !state.destinations.contains_key(&replay.destination) {
            return Err(not_found("destination"));
        }
        let no = state.next_no();
        state.replays.insert(no, ReplayRow { replay, cursor: None });
        Ok(())
    }

    async fn replay(&self, appspace: AppspaceId, id: ReplayId) -> Result<Replay> {
        let state = self.open()?;
        let found = state.replays.values().find(|row| row.replay.id == id && row.replay.appspace == appspace);
        found.map(|row| row.replay.clone()).ok_or(not_found("replay"))
    }

    async fn replays(&self, appspace: AppspaceId, page: PageRequest) -> Result<Page<Replay>> {
        let state = self.open()?;
        let below = ..page.cursor.unwrap_or(u64::MAX);
        let fitting = state.replays.range(below).rev().filter(|(_, row)| row.replay.appspace == appspace);
        Ok(page.cut(fitting.map(|(&no, row)| (no, row.replay.clone()))))
    }

    async fn running_replays(&self) -> Result<Vec<(Replay, Option<EventId>)>> {
        let state = self.open()?;
        let running = state.replays.values().filter(|row| row.replay.state == ReplayState::Running);
        Ok(running.map(|row| (row.replay.clone(), row.cursor)).collect())
    }

    async fn replay_scan(&self, scan: ReplayScan) -> Result<Vec<(Arc<Event>, Option<DeliveryState>)>> {
        let state = self.open()?;
        let first = scan.after.map_or(0, |after| state.first_no_after(after));
        let in_range = state.events.range(first..).filter(|(_, row)| {
            row.event.appspace == scan.appspace
                && State::is_within(row.event.received_at, Some(scan.from), Some(scan.to))
        });
        let found =
            in_range.map(|(&no, row)| (row.event.clone(), state.newest_state(no, scan.destination))).take(scan.limit);
        Ok(found.collect())
    }

    async fn advance_replay(&self, step: ReplayStep) -> Result<Replay> {
        self.commit()?.advance_replay(&step)
    }

    async fn cancel_replay(&self, appspace: AppspaceId, id: ReplayId, now: Timestamp) -> Result<Replay> {
        let mut state = self.commit()?;
        let row = state.replay_row(id)?;
        if row.replay.appspace != appspace {
            return Err(not_found("replay"));
        }
        let ended = row.replay.state;
        let is_open = |row: &DeliveryRow| row.replay == Some(id) && row.standing.state == DeliveryState::Pending;
        let owes = state.deliveries.values().any(is_open);
        if ended == ReplayState::Running || (ended == ReplayState::Done && owes) {
            state.replay_row(id)?.end(ReplayState::Cancelled, now);
            state.cancel_all(now, is_open);
        }
        Ok(state.replay_row(id)?.replay.clone())
    }
}

impl ReplayRow {
    fn end(&mut self, state: ReplayState, now: Timestamp) {
        self.replay.state = state;
        self.replay.ended_at = Some(now);
    }
}

impl State {
    fn replay_row(&mut self, id: ReplayId) -> Result<&mut ReplayRow> {
        self.replays.values_mut().find(|row| row.replay.id == id).ok_or(not_found("replay"))
    }

    pub(super) fn fail_replays(&mut self, destination: DestinationId, now: Timestamp) {
        let is_meant =
            |row: &&mut ReplayRow| row.replay.destination == destination && row.replay.state == ReplayState::Running;
        self.replays.values_mut().filter(is_meant).for_each(|row| row.end(ReplayState::Failed, now));
    }

    fn advance_replay(&mut self, step: &ReplayStep) -> Result<Replay> {
        let row = self.replay_row(step.id)?;
        if row.replay.state != ReplayState::Running || row.cursor != step.from_cursor {
            return Ok(row.replay.clone());
        }
        let destination = row.replay.destination;
        row.cursor = step.to_cursor;
        row.replay.scanned += step.scanned;
        if step.state != ReplayState::Running {
            row.end(step.state, step.now);
        }
        let unread = step.unread.iter().filter_map(|event| self.event_nos.get(event));
        self.unfolded.extend(unread.filter(|no| !self.facts.contains_key(*no)));
        let created = step.owed.iter().filter(|&&event| self.owe_again(event, destination, step)).count();
        let row = self.replay_row(step.id)?;
        row.replay.created += created as u64;
        Ok(row.replay.clone())
    }

    /// Makes a delivery of a replay, unless the event is gone or can have no more.
    fn owe_again(&mut self, event: EventId, destination: DestinationId, step: &ReplayStep) -> bool {
        let Some(&event_no) = self.event_nos.get(&event) else { return false };
        let Some(ordinal) = self.next_ordinal(event_no) else { return false };
        let row = DeliveryRow::new(destination, Standing::new(Class::Replay, step.now), step.now);
        self.insert_delivery((event_no, ordinal), DeliveryRow { replay: Some(step.id), ..row });
        true
    }

    /// Where to go on after an event. If retention has removed it, ids tell: they rise as the log does.
    pub(super) fn first_no_after(&self, id: EventId) -> EventNo {
        let last = self.event_nos.range(..=id).next_back();
        last.map_or(0, |(_, &no)| no + 1)
    }

    /// The state of the newest delivery of an event to a destination.
    fn newest_state(&self, event_no: EventNo, destination: DestinationId) -> Option<DeliveryState> {
        let mut of_event = self.deliveries.range((event_no, 0)..=(event_no, u16::MAX)).rev();
        of_event.find(|(_, row)| row.destination == destination).map(|(_, row)| row.standing.state)
    }
}
