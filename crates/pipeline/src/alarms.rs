//! Alarms: when resting lanes are to be woken.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::{DestinationId, Timestamp};

/// The longest look ahead on the wall clock, which may be set meanwhile.
const LOOK_AHEAD_MAX: Duration = Duration::from_secs(30);

/// At most one time for each lane.
#[derive(Default)]
pub(crate) struct Alarms {
    order: BTreeSet<(Timestamp, DestinationId)>,
    of: HashMap<DestinationId, Timestamp>,
}

impl Alarms {
    /// Wakes a lane at `at`, instead of any time set before.
    pub(crate) fn set(&mut self, id: DestinationId, at: Timestamp) {
        self.cancel(id);
        self.of.insert(id, at);
        self.order.insert((at, id));
    }

    /// Sets those that have none.
    pub(crate) fn extend(&mut self, alarms: Vec<(DestinationId, Timestamp)>) {
        for (id, at) in alarms {
            // What was learnt since is newer.
            if !self.of.contains_key(&id) {
                self.set(id, at);
            }
        }
    }

    /// Wakes it no more.
    pub(crate) fn cancel(&mut self, id: DestinationId) {
        if let Some(at) = self.of.remove(&id) {
            self.order.remove(&(at, id));
        }
    }

    /// How long until the first one, but no longer than the wall clock can be trusted to run on.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.order.first().map(|(at, _)| at.since(now).min(LOOK_AHEAD_MAX))
    }

    /// One whose time has come, and cancels it.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<DestinationId> {
        let (at, id) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.cancel(id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_rings_once_at_its_newest_time() {
        let at = Timestamp::from_secs;
        let [a, b] = [1, 2].map(|number| DestinationId::mint(at(0), number));
        let mut alarms = Alarms::default();
        alarms.set(a, at(5));
        alarms.set(a, at(9));
        alarms.extend(vec![(a, at(1)), (b, at(7))]);
        assert_eq!(alarms.wait(at(6)), Some(Duration::from_secs(1)));
        assert_eq!(alarms.next_due(at(6)), None);
        assert_eq!((alarms.next_due(at(9)), alarms.next_due(at(9)), alarms.next_due(at(9))), (Some(b), Some(a), None));
        assert_eq!(alarms.wait(at(9)), None);
    }

    #[test]
    fn a_far_alarm_is_looked_at_again_in_case_the_clock_was_set() {
        let mut alarms = Alarms::default();
        alarms.set(DestinationId::mint(Timestamp::default(), 1), Timestamp::MAX);
        assert_eq!(alarms.wait(Timestamp::default()), Some(LOOK_AHEAD_MAX));
    }
}
