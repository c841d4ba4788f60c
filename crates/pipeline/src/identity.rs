//! Identity: who the events are about, kept up while they come in.
//!
//! What is known of people is a view of the log. An event that may name somebody is on a list of the store from the moment it is
//! stored; [`Identity::run`] takes it from there, off the way of events, and [`draft`] decides what it means. Whoever needs to
//! know at once, because a record of a person is about to be sent, folds the events in hand itself. In whatever order that
//! happens, the same people come out.
//!
//! One at a time folds, under a lock of the process; what is read for a delivery is read without it.

mod aside;
mod draft;
mod erase;
mod fold;
mod identify;
mod look;
mod news;
mod subjects;
#[cfg(test)]
mod tests;
mod unlink;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use domain::identity::{Fact, Profile};
use domain::{Event, Reading};
use storage::Store;
use tokio::sync::{Mutex, Notify};

use self::aside::Asides;
use self::erase::Unfinished;
pub use self::erase::{ERASE_MAX, EraseError, Receipt, Remote};
pub use self::identify::{Identified, IdentifyError, IdentifyRequest};
pub use self::look::FindError;
pub(crate) use self::look::Unreadable;
pub use self::unlink::{UnlinkError, Unlinked};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::registry::Registry;

/// Who the events are about.
pub struct Identity {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    /// Held by whoever folds.
    folding: Mutex<()>,
    woken: Notify,
    /// What could not be folded.
    asides: Asides,
    /// What erasures have come to that go on with the next call.
    unfinished: std::sync::Mutex<Unfinished>,
    /// Whether somebody was told that limits keep facts apart.
    has_told: AtomicBool,
}

impl Identity {
    /// Identity over a store and the catalog.
    pub fn new(store: Arc<dyn Store>, registry: Arc<Registry>, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            registry,
            clock,
            metrics,
            folding: Mutex::new(()),
            woken: Notify::new(),
            asides: Asides::default(),
            unfinished: std::sync::Mutex::default(),
            has_told: AtomicBool::new(false),
        }
    }

    /// Events that may name somebody have been stored.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// What one event by itself says of the person it is about: for samples, which are in no log.
    pub fn alone(&self, event: &Event) -> Option<Profile> {
        Profile::of(event.appspace, self.fact(event)?)
    }

    /// What an event says about somebody, if it names anybody.
    fn fact(&self, event: &Event) -> Option<Fact> {
        let reading = Reading::new(String::new());
        Fact::of(event, reading.data(event), self.registry.referral_created(event.source))
    }
}
