//! Progress: what one exchange remembers from step to step.

use std::collections::BTreeMap;
use std::time::Duration;

/// Where a multi-step exchange stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Replies so far.
    pub replies: u32,
    /// Which step the connector has come to; the number means what the connector makes of it.
    pub stage: u32,
    /// What the connector wants to have at hand in a later step of the same exchange.
    pub notes: BTreeMap<String, String>,
    bound: BTreeMap<String, String>,
    new: BTreeMap<String, String>,
    pause: Option<Duration>,
}

impl Progress {
    /// An exchange that begins, with the remote ids that are known of its subjects.
    pub fn with_bindings(bound: BTreeMap<String, String>) -> Self {
        Self { bound, ..Self::default() }
    }

    /// The remote id of a subject, if the vendor has given it one before.
    pub fn bound(&self, subject: &str) -> Option<&str> {
        self.new.get(subject).or_else(|| self.bound.get(subject)).map(String::as_str)
    }

    /// Remembers the remote id of a subject for good. What follows a blank is a note of the connector's own; an id that begins
    /// with a question mark says that there may be a record, and an empty one that there is none any more. It is on disk before
    /// the next step is taken, so that a create without an idempotency key happens once.
    pub fn bind(&mut self, subject: impl Into<String>, remote_id: impl Into<String>) {
        self.new.insert(subject.into(), remote_id.into());
    }

    /// What was bound since the last time, for the engine to make durable.
    pub fn take_new_bindings(&mut self) -> BTreeMap<String, String> {
        let new = std::mem::take(&mut self.new);
        self.bound.extend(new.iter().map(|(subject, id)| (subject.clone(), id.clone())));
        new
    }

    /// The vendor's headers say that the budget is used up for this long, although this call was answered: nothing is
    /// sent until then.
    pub fn pause_for(&mut self, wait: Duration) {
        self.pause = self.pause.max(Some(wait));
    }

    /// How long to send nothing.
    pub const fn pause(&self) -> Option<Duration> {
        self.pause
    }
}
