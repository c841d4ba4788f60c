//! Memory: what the engine asks the store to remember of a destination, beyond its deliveries.
//!
//! Every room that remembers something has a prefix of its own; what a person could be recognised by is hashed, so that
//! keys are bounded and say nothing. A store that is busy is asked again, for as long as the caller can wait.

use bytes::Bytes;
use domain::DestinationId;
use storage::{MEMOS_PER_CALL_MAX, Memo, StoreError};
use tokio::time::Instant;

use crate::chores::Pauses;
use crate::engine::Engine;

/// How long a caller waits for a busy store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// Nothing has been sent yet, so it can be given up.
    Until(Instant),
    /// What happened must be on disk before anything else can.
    Endless,
}

impl Engine {
    /// Changes what is remembered, in durable steps of as many changes as the store takes; returns what was found.
    pub(crate) async fn remember(
        &self,
        of: DestinationId,
        changes: Vec<Memo>,
        patience: Patience,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut found = Vec::with_capacity(changes.len());
        for step in changes.chunks(MEMOS_PER_CALL_MAX) {
            let remember = || self.store.remember(of, step.to_vec(), self.clock.now());
            found.extend(self.patiently(patience, remember).await?);
        }
        Ok(found)
    }

    /// What is remembered under these keys.
    pub(crate) async fn recall(
        &self,
        of: DestinationId,
        keys: &[String],
        patience: Patience,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for step in keys.chunks(MEMOS_PER_CALL_MAX) {
            let recall = || self.store.recall(of, step.to_vec(), self.clock.now());
            found.extend(self.patiently(patience, recall).await?);
        }
        Ok(found)
    }

    /// Asks the store, and again while it is busy. An error is noted.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        patience: Patience,
        ask: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut pauses = Pauses::default();
        loop {
            match ask().await {
                Err(StoreError::Busy { .. }) if patience.is_left() => pauses.next().await,
                Err(error) => {
                    self.note_failure(&error);
                    return Err(error);
                }
                Ok(found) => return Ok(found),
            }
        }
    }
}

impl Patience {
    fn is_left(self) -> bool {
        match self {
            Self::Until(deadline) => Instant::now() < deadline,
            Self::Endless => true,
        }
    }
}

/// A key under `prefix` that stands for `text` and does not say it.
pub(crate) fn hashed(prefix: &str, text: &str) -> String {
    format!("{prefix}{}", hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes())))
}
