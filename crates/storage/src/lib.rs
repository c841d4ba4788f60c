//! What a store must do, and the stores that do it.
//!
//! The traits are narrow and shaped for many machines: work is owned through leases with a fencing number, ids are
//! made by the caller, no call assumes that this process is the only one. The suite in `conformance` is the definition of
//! their behaviour; a change starts there. [`memory`] is the model, [`sqlite`] the default.
//!
//! Promises that every store keeps:
//!
//! - When [`EventLog::append`] returns `Ok`, the events and every delivery they cause are durable, in one step.
//! - A future that is dropped before it is done either did nothing or everything; never half.
//! - A state of a delivery changes only through the functions of [`domain::delivery`].
//! - [`StoreError::Failed`] is final: the store has stopped, nothing was or will be acknowledged after it.

mod catalog;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod delivery_log;
mod event_log;
pub mod memory;
mod memos;
pub mod page;
mod replays;
mod shares;
pub mod signal;
pub mod sqlite;
mod subjects;
mod upkeep;
mod work;

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::IllegalTransition;

pub use catalog::{Catalog, CatalogSnapshot};
pub use delivery_log::{DeadLetterQuery, DeliveryLog, DeliveryQuery, DeliverySummary};
pub use event_log::{
    Append, Appended, DEDUPE_WINDOW_DEFAULT, DELIVERIES_PER_EVENT_MAX, EventLog, EventQuery, EventRecord, NewDelivery,
    NewEvent, OnKnown, QUARANTINE_MAX, Quarantined,
};
pub use memos::{MEMO_KEY_BYTES_MAX, MEMO_VALUE_BYTES_MAX, MEMOS_PER_CALL_MAX, Memo, Memos, binding_key};
pub use page::{Page, PageRequest};
pub use replays::{ReplayScan, ReplayStep, Replays};
pub use signal::WorkSignal;
pub use subjects::{
    ERASED_DELIVERIES_PER_CALL_MAX, ERASED_PER_CALL_MAX, Erased, Erasure, FACT_BYTES_PER_CALL_MAX, FACTS_PER_CALL_MAX,
    Fold, IdentifierRecord, SUBJECTS_PER_CALL_MAX, SubjectRecord, Subjects,
};
pub use upkeep::{COMMIT_SIZE_BOUNDS, Figures, Pruned, SYNC_SECONDS_BOUNDS, Upkeep};
pub use work::{Claimed, Fence, Lane, Owned, Settled, Settlement, Work};

/// Everything a store does.
pub trait Store: EventLog + Work + DeliveryLog + Catalog + Replays + Memos + Subjects + Upkeep + Send + Sync {}

impl<T: EventLog + Work + DeliveryLog + Catalog + Replays + Memos + Subjects + Upkeep + Send + Sync> Store for T {}

/// Why a store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The commit queue is full, or the disk is: nothing was done, the same call may succeed later.
    #[error("the store is busy: {reason}; try again in {} s", retry_after.as_secs())]
    Busy { reason: BusyReason, retry_after: Duration },
    /// What the call names is not there, or not in this appspace.
    #[error("{noun} not found")]
    NotFound { noun: &'static str },
    /// A name that must be unique is taken.
    #[error("the {noun} name `{name}` is taken")]
    NameTaken { noun: &'static str, name: String },
    /// The state machine has no such transition.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// An `Idempotency-Key` was used before with another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyMismatch,
    /// A limit of the store: what it is, for a person.
    #[error("{0}")]
    Limit(String),
    /// One record is there and cannot be read. It stays as it is, and everything else can be read.
    #[error("{0} cannot be read; a copy of the store in which it can be read is in a backup, if there is one")]
    Unreadable(&'static str),
    /// A read or write failed. After a failed write the store has stopped for good and the process must end.
    #[error("the store failed: {0}")]
    Failed(Arc<str>),
}

/// Why a store is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusyReason {
    /// Too many commits are waiting.
    QueueFull,
    /// The disk is full; deliveries go on, intake resumes by itself.
    DiskFull,
}

impl std::fmt::Display for BusyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too many commits are waiting",
            Self::DiskFull => "the disk is full",
        })
    }
}

/// The result of every call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
