//! The signal from a store to the dispatcher: which lanes may have new work.

use std::collections::HashSet;
use std::sync::Mutex;

use domain::DestinationId;
use tokio::sync::Notify;

/// A set of destinations that may have work, and someone to wake.
///
/// Marked by the store itself after the commit, not by whoever asked for it: a caller may be gone by then (a web
/// framework drops the handler of a client that hung up), and the work must be found all the same.
#[derive(Debug, Default)]
pub struct WorkSignal {
    marked: Mutex<HashSet<DestinationId>>,
    wake: Notify,
}

impl WorkSignal {
    /// Marks destinations and wakes the waiter.
    pub fn mark(&self, destinations: impl IntoIterator<Item = DestinationId>) {
        let mut marked = self.lock();
        let before = marked.len();
        marked.extend(destinations);
        let grown = marked.len() > before;
        drop(marked);
        if grown {
            self.wake.notify_one();
        }
    }

    /// Waits until something is marked and takes all marks.
    pub async fn take(&self) -> HashSet<DestinationId> {
        loop {
            let marked = std::mem::take(&mut *self.lock());
            if !marked.is_empty() {
                return marked;
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<DestinationId>> {
        self.marked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::Timestamp;

    use super::*;

    fn destination(n: u128) -> DestinationId {
        DestinationId::mint(Timestamp::from_millis(0), n)
    }

    #[tokio::test]
    async fn marks_add_up_until_they_are_taken() {
        let signal = WorkSignal::default();
        signal.mark([destination(1), destination(2)]);
        signal.mark([destination(2)]);
        assert_eq!(signal.take().await, HashSet::from([destination(1), destination(2)]));
        signal.mark([destination(3)]);
        assert_eq!(signal.take().await, HashSet::from([destination(3)]));
    }

    #[tokio::test]
    async fn a_mark_wakes_who_waits() {
        let signal = WorkSignal::default();
        let (taken, ()) = tokio::join!(signal.take(), async { signal.mark([destination(1)]) });
        assert_eq!(taken, HashSet::from([destination(1)]));
    }

    #[tokio::test]
    async fn nothing_marked_is_nothing_to_wake_for() {
        let signal = WorkSignal::default();
        signal.mark([]);
        assert!(tokio::time::timeout(Duration::ZERO, signal.take()).await.is_err());
    }
}
