//! The tail of the log: the newest events and deliveries, in memory, until a fold sorts them into runs.
//!
//! A commit therefore writes at the right edge of a few tables and nowhere else, however many appspaces and destinations
//! there are. Lists look through the tail first, then through the runs, newest first.

use std::collections::{BTreeMap, VecDeque};

use domain::Timestamp;

use super::blocks::EventRef;
use super::numbers::{AppspaceNo, DeliveryNo, DestinationNo, EventNo, FoldNo, SourceNo, TypeNo};

/// What lists and folds need to know of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct TailEvent {
    pub(super) no: EventNo,
    pub(super) appspace: AppspaceNo,
    pub(super) event_type: TypeNo,
    pub(super) source: SourceNo,
    pub(super) received_at: Timestamp,
    pub(super) fingerprint: u64,
}

impl TailEvent {
    /// The same as a run knows it.
    pub(super) fn entry(&self) -> EventRef {
        EventRef { no: self.no, event_type: self.event_type, source: self.source }
    }
}

/// A stretch of the log that has been sorted into runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    pub(super) no: FoldNo,
    pub(super) last: EventNo,
    pub(super) min_received_at: Timestamp,
    pub(super) max_received_at: Timestamp,
}

/// What is not folded yet, and what is.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) events: VecDeque<TailEvent>,
    pub(super) deliveries: BTreeMap<DeliveryNo, DestinationNo>,
    /// Oldest first.
    pub(super) folds: Vec<Fold>,
}

impl Tail {
    /// The last event that has been folded.
    pub(super) fn folded_to(&self) -> EventNo {
        self.folds.last().map_or(EventNo(0), |fold| fold.last)
    }

    pub(super) fn rows(&self) -> usize {
        self.events.len() + self.deliveries.len()
    }

    /// The fold that holds an event, if one does.
    pub(super) fn fold_of(&self, no: EventNo) -> Option<FoldNo> {
        let index = self.folds.partition_point(|fold| fold.last < no);
        self.folds.get(index).map(|fold| fold.no)
    }

    /// Forgets what a fold has written.
    pub(super) fn folded(&mut self, fold: Fold) {
        let events = self.events.partition_point(|event| event.no <= fold.last);
        self.events.drain(..events);
        self.deliveries = self.deliveries.split_off(&fold.last.next().first_delivery());
        self.folds.push(fold);
    }
}
