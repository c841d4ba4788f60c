//! What a connection is waiting for, and until when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::ListenerLimits;

/// The watch over one connection. Only the task of the connection uses it, so nothing here needs ordering; atomics
/// because its parts travel through types that must be `Sync`.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Arc<ListenerLimits>,
    accepted_at: Instant,
    phase: AtomicU8,
    /// Milliseconds after `accepted_at`; [`NEVER`] while nothing is expected of the client.
    deadline_ms: AtomicU64,
    /// Whether some of what the client sends will not be read.
    leaves_unread: AtomicBool,
}

const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle = 0,
    Head = 1,
    Body = 2,
    Handling = 3,
    Answering = 4,
    Lingering = 5,
}

impl Watch {
    /// A connection just accepted: its first head is expected at once.
    pub(super) fn new(limits: Arc<ListenerLimits>) -> Self {
        let deadline_ms = millis(limits.head_timeout);
        let phase = AtomicU8::new(Phase::Head as u8);
        let deadline_ms = AtomicU64::new(deadline_ms);
        Self { limits, accepted_at: Instant::now(), phase, deadline_ms, leaves_unread: AtomicBool::new(false) }
    }

    /// Bytes came in.
    pub(super) fn read(&self) {
        if self.is(Phase::Idle) {
            self.enter(Phase::Head, Some(self.limits.head_timeout));
        }
    }

    /// A head is complete. After the request that `is_last` nothing more is read.
    pub(super) fn head_done(&self, has_body: bool, is_last: bool) {
        self.leaves_unread.store(is_last, Ordering::Relaxed);
        if has_body {
            self.enter(Phase::Body, Some(self.limits.body_timeout));
        } else {
            self.enter(Phase::Handling, None);
        }
    }

    /// The body is complete.
    pub(super) fn body_done(&self) {
        if self.is(Phase::Body) {
            self.enter(Phase::Handling, None);
        }
    }

    /// Nobody wants the rest of what comes in.
    pub(super) fn leave_unread(&self) {
        self.leaves_unread.store(true, Ordering::Relaxed);
        self.body_done();
    }

    /// There is an answer.
    pub(super) fn answered(&self) {
        self.enter(Phase::Answering, Some(self.limits.write_timeout));
    }

    /// Everything written so far is with the operating system.
    pub(super) fn flushed(&self) {
        if self.is(Phase::Answering) {
            self.enter(Phase::Idle, Some(self.limits.idle_timeout));
        }
    }

    /// We have said our last word. Returns whether the client may still be sending: a body that was not wanted, or a
    /// head that could not be read.
    pub(super) fn linger(&self) -> bool {
        let is_sending = self.leaves_unread.load(Ordering::Relaxed) || self.is(Phase::Head);
        self.enter(Phase::Lingering, Some(self.limits.linger_timeout));
        is_sending
    }

    /// When the client must have done what is expected of it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.deadline_ms.load(Ordering::Relaxed) {
            NEVER => None,
            ms => Some(self.accepted_at + Duration::from_millis(ms)),
        }
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn enter(&self, phase: Phase, limit: Option<Duration>) {
        let deadline_ms = limit.map_or(NEVER, |limit| millis(self.accepted_at.elapsed() + limit));
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}
