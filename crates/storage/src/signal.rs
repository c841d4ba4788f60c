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
