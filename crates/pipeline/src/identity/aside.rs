//! What cannot be folded is set aside, so that everything else can be.
//!
//! An event that is set aside stays on the store's list of those that are still to be read: nothing of it is lost, and what keeps
//! it from being read, a record that cannot be opened or a bug of ours, can be mended. It is tried again at growing intervals,
//! and at the next start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Event, EventId};
use tokio::time::Instant;

/// When an event that was set aside is tried again for the first time, and the longest that it waits later on.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_hours(1);
/// Most events that are set aside. Of more, each is tried as often as everything else.
const ASIDE_MAX: usize = 100_000;

/// The events that are set aside.
#[derive(Default)]
pub(super) struct Asides(Mutex<HashMap<EventId, Wait>>);

#[derive(Debug, Clone, Copy)]
struct Wait {
    again_at: Instant,
    next: Duration,
}

impl Asides {
    /// Sets an event aside once more; returns whether that is the first time.
    pub(super) fn put(&self, event: EventId, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = all.get(&event).map_or(AGAIN_FIRST, |wait| wait.next);
        let is_new = all.len() < ASIDE_MAX && !all.contains_key(&event);
        if is_new || all.contains_key(&event) {
            all.insert(event, Wait { again_at: now + wait, next: (wait * 4).min(AGAIN_MAX) });
        }
        is_new
    }

    /// These have been folded.
    pub(super) fn take_back(&self, events: &[Arc<Event>]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.is_empty() {
            for event in events {
                all.remove(&event.id);
            }
        }
    }

    /// Those of these events that may be tried now.
    pub(super) fn without(&self, mut events: Vec<Arc<Event>>, now: Instant) -> Vec<Arc<Event>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.is_empty() {
            events.retain(|event| all.get(&event.id).is_none_or(|wait| wait.again_at <= now));
        }
        events
    }

    /// Whether an event is set aside.
    pub(super) fn holds(&self, event: EventId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&event)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen;

    #[tokio::test(start_paused = true)]
    async fn what_is_set_aside_is_tried_again_ever_more_seldom() {
        let (asides, event) = (Asides::default(), specimen::owned(1, 0).event);
        let mut now = Instant::now();
        let is_due = |now| !asides.without(vec![Arc::clone(&event)], now).is_empty();
        assert!(is_due(now));
        for (try_no, wait) in [5, 20, 80, 320, 1_280, 3_600, 3_600].into_iter().enumerate() {
            assert_eq!(asides.put(event.id, now), try_no == 0);
            let wait = Duration::from_secs(wait);
            assert!(!is_due(now + wait - Duration::from_millis(1)) && is_due(now + wait), "{try_no}");
            now += wait;
        }
        assert!(asides.holds(event.id) && asides.len() == 1);
        asides.take_back(&[Arc::clone(&event)]);
        assert!(is_due(now) && asides.len() == 0);
    }
}
