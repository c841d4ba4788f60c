//! What a failed call means: for the call, for its group, or for the whole store.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;
use rusqlite::ffi;
use rusqlite::types::Type;
use tokio::sync::watch;

use crate::{BusyReason, StoreError};

const RETRY_WHEN_QUEUE_FULL: Duration = Duration::from_secs(1);
const RETRY_WHEN_DISK_FULL: Duration = Duration::from_secs(5);

/// Why a piece of work inside a transaction did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The call is refused. Decide this before writing: a refusal after a write costs the group a second run.
    Refused(StoreError),
    /// SQLite did not do it.
    Sql(rusqlite::Error),
}

pub(super) type TxResult<T> = Result<T, Trouble>;

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A record of a person that is there and cannot be read. That is no reason to keep anybody else waiting.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0} cannot be read")]
pub(super) struct UnreadableRecord(pub(super) &'static str);

impl From<UnreadableRecord> for rusqlite::Error {
    fn from(error: UnreadableRecord) -> Self {
        Self::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
    }
}

/// Which record could not be read, if that is what went wrong.
pub(super) fn unreadable_record(error: &rusqlite::Error) -> Option<UnreadableRecord> {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) => cause.downcast_ref().copied(),
        _ => None,
    }
}

/// How far an error reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The disk is full: the transaction is void, the store goes on.
    DiskFull,
    /// Another process holds a lock.
    Locked,
    /// One call is to blame.
    Call,
    /// A write or sync failed, so nobody knows what is on the disk: the store must stop.
    Store,
}

/// How far an error on the writing side reaches.
pub(super) fn reach(error: &rusqlite::Error) -> Reach {
    let Some(code) = error.sqlite_error() else { return Reach::Call };
    match code.code {
        ErrorCode::DiskFull => Reach::DiskFull,
        // The shared-memory file could not grow; it holds nothing that must last.
        ErrorCode::SystemIoFailure if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Reach::DiskFull,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Reach::Locked,
        ErrorCode::SystemIoFailure
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => Reach::Store,
        _ => Reach::Call,
    }
}

/// The answer to a call that met `error` on the writing side.
pub(super) fn answer(error: &rusqlite::Error) -> StoreError {
    if let Some(UnreadableRecord(what)) = unreadable_record(error) {
        return StoreError::Unreadable(what);
    }
    match reach(error) {
        Reach::DiskFull => disk_full(),
        Reach::Locked => queue_full(),
        Reach::Call => StoreError::Limit(format!("the store cannot take this: {error}")),
        Reach::Store => failed(&error.to_string()),
    }
}

pub(super) fn queue_full() -> StoreError {
    StoreError::Busy { reason: BusyReason::QueueFull, retry_after: RETRY_WHEN_QUEUE_FULL }
}

pub(super) fn disk_full() -> StoreError {
    StoreError::Busy { reason: BusyReason::DiskFull, retry_after: RETRY_WHEN_DISK_FULL }
}

pub(super) fn failed(message: &str) -> StoreError {
    StoreError::Failed(message.into())
}

pub(super) fn closed() -> StoreError {
    failed("the store is closed")
}

pub(super) const fn not_found(noun: &'static str) -> StoreError {
    StoreError::NotFound { noun }
}

/// A read that failed: nothing was changed, and the store goes on.
pub(super) fn unreadable(error: &rusqlite::Error) -> StoreError {
    match unreadable_record(error) {
        Some(UnreadableRecord(what)) => StoreError::Unreadable(what),
        None => failed(&format!("a read failed: {error}")),
    }
}

/// Tells when the store has failed for good. Whoever runs the process must end it then.
#[derive(Debug, Clone)]
pub struct FailureWatch(pub(super) watch::Receiver<Option<Arc<str>>>);

impl FailureWatch {
    /// Waits until the store has failed and says why; never returns if it is closed in good order.
    pub async fn failed(&mut self) -> Arc<str> {
        if let Ok(reason) = self.0.wait_for(Option::is_some).await
            && let Some(reason) = reason.clone()
        {
            return reason;
        }
        std::future::pending().await
    }

    /// Why the store has failed, if it has.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }
}
