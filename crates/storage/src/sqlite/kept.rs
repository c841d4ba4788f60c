//! Events kept in memory for deliveries that wait, within budgets for the whole store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Event;

/// What an event costs beside its body, in bytes.
const OVERHEAD_BYTES: usize = 256;

/// How many bytes of events may be kept.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// An event that counts against the budget for as long as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    event: Arc<Event>,
    used: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { used: Arc::default(), bytes_max }
    }

    /// An empty one of the same size.
    pub(super) fn another(&self) -> Self {
        Self::new(self.bytes_max)
    }

    /// Whether it is worth reading an event ahead.
    pub(super) fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.bytes_max
    }

    /// Keeps an event if there is room. Each delivery of an event counts it anew: they leave at different times.
    pub(super) fn keep(&self, event: &Arc<Event>) -> Option<Kept> {
        let bytes = cost(event);
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let kept = Kept { event: event.clone(), used: self.used.clone() };
        // Beyond the budget it is dropped again, and takes its bytes along.
        (before + bytes <= self.bytes_max).then_some(kept)
    }
}

impl Kept {
    pub(super) fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.used.fetch_sub(cost(&self.event), Ordering::Relaxed);
    }
}

fn cost(event: &Event) -> usize {
    event.body.len() + OVERHEAD_BYTES
}
