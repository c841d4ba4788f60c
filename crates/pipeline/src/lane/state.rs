//! What outlives the task of a lane.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::admission::Gates;
use crate::bindings::Subjects;
use crate::firsts::Places;
use crate::seals::Seals;
use crate::tokens::TokenShelf;

/// What is remembered of a lane in this process, and what its runners share.
#[derive(Debug)]
pub(crate) struct LaneState {
    gates: Mutex<Gates>,
    pub(crate) tokens: TokenShelf,
    pub(crate) subjects: Subjects,
    pub(crate) firsts: Places,
    seals: Mutex<Seals>,
    /// Most items of a batch while one that was refused whole is being narrowed down; 0 for as many as fit.
    narrowed_to: AtomicUsize,
    /// When the next digest is due.
    digest_at: Mutex<Option<Timestamp>>,
    /// What was remembered of the destination when this process began has been read.
    pub(super) is_recollected: AtomicBool,
    /// Set when there may be new work, or a new reason not to do it.
    marked: AtomicBool,
    pub(super) wake: Notify,
}

impl LaneState {
    /// A lane with open gates.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            gates: Mutex::new(Gates::new(now)),
            tokens: TokenShelf::default(),
            subjects: Subjects::default(),
            firsts: Places::default(),
            seals: Mutex::default(),
            narrowed_to: AtomicUsize::new(0),
            digest_at: Mutex::default(),
            is_recollected: AtomicBool::new(false),
            marked: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Tells the lane that there may be due work.
    pub(crate) fn mark(&self) {
        self.marked.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether it was told of due work since it last looked.
    pub(crate) fn take_mark(&self) -> bool {
        self.marked.swap(false, Ordering::AcqRel)
    }

    /// Wakes the lane's task, if there is one.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The sealed batches, for a moment.
    pub(crate) fn seals(&self) -> MutexGuard<'_, Seals> {
        self.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most items of a batch while one that was refused whole is being narrowed down.
    pub(crate) fn narrowed_to(&self) -> Option<usize> {
        Some(self.narrowed_to.load(Ordering::Relaxed)).filter(|&max| max > 0)
    }

    /// Remembers how far a batch that was refused whole has been narrowed down.
    pub(crate) fn narrow_to(&self, max: Option<usize>) {
        self.narrowed_to.store(max.unwrap_or(0), Ordering::Relaxed);
    }

    /// When the next digest is due.
    pub(crate) fn digest_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.digest_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gates, for a moment.
    pub(crate) fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
