//! Retention, figures and the end.

use async_trait::async_trait;
use domain::Timestamp;

use super::{EventNo, MemoryStore, State};
use crate::{Figures, Pruned, Result, Upkeep};

#[async_trait]
impl Upkeep for MemoryStore {
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        let mut state = self.commit()?;
        let removable = state.events.iter().filter(|(_, row)| row.event.received_at < before);
        let removable = removable.map(|(&no, _)| no).filter(|&no| !state.is_kept(no));
        let removable: Vec<EventNo> = removable.take(limit).collect();
        for &no in &removable {
            state.remove_event(no);
        }
        let quarantined = state.forget_quarantined(before, limit);
        let done = removable.len() < limit && quarantined < limit;
        Ok(Pruned { events: removable.len(), quarantined, done })
    }

    async fn tidy(&self, now: Timestamp) -> Result<bool> {
        self.open()?.forget_expired(now);
        // Nothing is ever put off here.
        Ok(false)
    }

    async fn check(&self) -> Result<()> {
        self.open().map(drop)
    }

    fn figures(&self) -> Figures {
        let commits = self.open().map_or(0, |state| state.commits);
        let mut figures = Figures { commits, commit_size_sum: commits, ..Figures::default() };
        figures.commit_sizes[0] = commits;
        figures.sync_seconds[0] = commits;
        figures
    }

    async fn close(&self) -> Result<()> {
        self.open()?.closed = true;
        Ok(())
    }
}

impl State {
    /// Whether retention must keep an event: somebody still waits for one of its deliveries, or for what it says.
    fn is_kept(&self, no: EventNo) -> bool {
        self.unfolded.contains(&no)
            || self.deliveries.range((no, 0)..=(no, u16::MAX)).any(|(_, row)| row.standing.state.keeps_event())
    }

    fn forget_quarantined(&mut self, before: Timestamp, limit: usize) -> usize {
        let old = self.quarantine.iter().filter(|(_, entry)| entry.received_at < before).map(|(&no, _)| no);
        let old: Vec<u64> = old.take(limit).collect();
        for no in &old {
            self.quarantine.remove(no);
        }
        old.len()
    }

    fn remove_event(&mut self, no: EventNo) {
        let Some(row) = self.events.remove(&no) else { return };
        self.forget_fact(no, row.event.appspace);
        self.event_nos.remove(&row.event.id);
        let key = (row.event.appspace, row.event.dedupe_key.0);
        if self.seen.get(&key) == Some(&no) {
            self.seen.remove(&key);
        }
        let rows = self.deliveries.range((no, 0)..=(no, u16::MAX)).map(|(&no, _)| no);
        for no in rows.collect::<Vec<_>>() {
            self.deliveries.remove(&no);
        }
    }
}
