//! What has arrived where.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::receiver::Arrival;

/// Keeps count of arrivals.
pub(super) struct Board {
    pub(super) inboxes: Vec<&'static str>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    events: HashMap<String, BTreeMap<&'static str, Mark>>,
    expected: HashSet<String>,
}

/// How an event stands with one inbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Tries so far.
    pub(super) tries: u32,
    /// How often it was accepted.
    pub(super) accepted: u32,
    /// Why a signature was refused.
    pub(super) refused: Option<String>,
}

/// Everything that arrived, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events: usize,
    pub(super) accepted: u32,
    pub(super) stumbles: u32,
    pub(super) refused: usize,
}

impl Board {
    pub(super) fn new(inboxes: Vec<&'static str>, arrivals: mpsc::UnboundedReceiver<Arrival>) -> Self {
        Self { inboxes, arrivals, events: HashMap::new(), expected: HashSet::new() }
    }

    /// From now on this event counts.
    pub(super) fn expect(&mut self, event_id: &str) {
        self.expected.insert(event_id.to_owned());
    }

    /// Waits until every inbox has accepted an event.
    pub(super) async fn complete(&mut self, event_id: &str) -> Result<()> {
        while !self.is_complete(event_id) {
            let arrival = self.arrivals.recv().await.context("the receiver has ended")?;
            self.note(arrival);
        }
        Ok(())
    }

    /// Waits until any event has been accepted everywhere for the first time; its id and type.
    pub(super) async fn next_complete(&mut self) -> Result<(String, String)> {
        loop {
            let arrival = self.arrivals.recv().await.context("the receiver has ended")?;
            let (event_id, event_type) = (arrival.event_id.clone(), arrival.event_type.clone());
            let was_complete = self.is_complete(&event_id);
            self.note(arrival);
            if !was_complete && self.is_complete(&event_id) {
                return Ok((event_id, event_type));
            }
        }
    }

    /// How an event stands with an inbox.
    pub(super) fn mark(&self, event_id: &str, inbox: &str) -> Mark {
        self.events.get(event_id).and_then(|marks| marks.get(inbox)).cloned().unwrap_or_default()
    }

    /// What is still missing: inboxes, each with the number of events it waits for.
    pub(super) fn missing(&self) -> Vec<(&'static str, usize)> {
        let missing = |inbox: &&'static str| {
            self.expected.iter().filter(|event_id| self.mark(event_id, inbox).accepted == 0).count()
        };
        self.inboxes.iter().map(|inbox| (*inbox, missing(inbox))).filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals { events: self.expected.len(), ..Totals::default() };
        for mark in self.expected.iter().filter_map(|event_id| self.events.get(event_id)).flat_map(BTreeMap::values) {
            totals.accepted += mark.accepted.min(1);
            totals.stumbles += mark.tries - mark.accepted;
            totals.refused += usize::from(mark.refused.is_some());
        }
        totals
    }

    fn is_complete(&self, event_id: &str) -> bool {
        self.inboxes.iter().all(|inbox| self.mark(event_id, inbox).accepted > 0)
    }

    fn note(&mut self, arrival: Arrival) {
        let mark = self.events.entry(arrival.event_id).or_default().entry(arrival.inbox).or_default();
        mark.tries = mark.tries.max(arrival.attempt);
        mark.accepted += u32::from(arrival.accepted);
        mark.refused = arrival.verified.err().or(mark.refused.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(inbox: &'static str, event_id: &str, attempt: u32, accepted: bool) -> Arrival {
        let (event_id, event_type) = (event_id.to_owned(), "link.clicked".to_owned());
        Arrival { inbox, event_id, event_type, attempt, verified: Ok(()), accepted }
    }

    #[tokio::test]
    async fn an_event_is_complete_when_every_inbox_has_accepted_it() {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut board = Board::new(vec!["a", "b"], arrivals);
        board.expect("evt_1");
        for (inbox, attempt, accepted) in [("a", 1, true), ("b", 1, false)] {
            sender.send(arrival(inbox, "evt_1", attempt, accepted)).unwrap();
        }
        assert!(is_pending(board.complete("evt_1")).await);
        assert_eq!(board.missing(), [("b", 1)]);

        sender.send(arrival("b", "evt_1", 2, true)).unwrap();
        board.complete("evt_1").await.unwrap();
        assert!(board.missing().is_empty());
        let expected = Totals { events: 1, accepted: 2, stumbles: 1, refused: 0 };
        assert_eq!(board.totals(), expected);
    }

    #[tokio::test]
    async fn a_refused_signature_is_remembered_also_when_a_later_one_is_genuine() {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut board = Board::new(vec!["a"], arrivals);
        board.expect("evt_1");
        let refused = Arrival { verified: Err("no".to_owned()), ..arrival("a", "evt_1", 1, false) };
        sender.send(refused).unwrap();
        sender.send(arrival("a", "evt_1", 2, true)).unwrap();
        board.complete("evt_1").await.unwrap();
        assert_eq!(board.totals().refused, 1);
    }

    /// Whether a future has not come to its end after all that can be done at once.
    async fn is_pending(future: impl Future) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, future).await.is_err()
    }
}
