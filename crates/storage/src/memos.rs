//! Memos: what the delivery engine must remember of a destination beyond its deliveries.
//!
//! Small values by key: the ids that a vendor has given to our subjects, what was already sent or claimed, what a sealed
//! batch holds, what is left of a budget. The store knows nothing of their meaning, but for one kind: [`binding_key`]. It promises that a claim made with
//! [`Memo::PutIfAbsent`] is won once, and that what it has answered survives any stop.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{DestinationId, Timestamp};

use crate::{Result, StoreError};

/// Longest key of a memo, in bytes. An empty key is refused too.
pub const MEMO_KEY_BYTES_MAX: usize = 200;
/// Longest value of a memo, in bytes.
pub const MEMO_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most changes of one [`Memos::remember`], most keys of one [`Memos::recall`], and most memos that one
/// [`Memos::recall_all`] answers with.
pub const MEMOS_PER_CALL_MAX: usize = 1_000;

/// With what the keys of bindings begin.
const BINDING_PREFIX: &str = "bind:";

/// The key under which a destination remembers its record of a subject, without saying whom it is of. A memo that is there
/// keeps retention from forgetting the subject: else nobody would know whose the record is.
pub fn binding_key(subject: &str) -> String {
    format!("{BINDING_PREFIX}{}", hex::encode(ring::digest::digest(&ring::digest::SHA256, subject.as_bytes())))
}

/// What is remembered of each destination.
///
/// A memo belongs to one destination. For one that is not in the catalog every call is [`StoreError::NotFound`]; what
/// was remembered of one that was deleted is removed by and by through [`crate::Upkeep::tidy`]. A memo that has an end
/// is there before that moment and absent from then on, and [`crate::Upkeep::tidy`] removes it. A call beyond the limits
/// above is [`StoreError::Limit`] and does nothing.
#[async_trait]
pub trait Memos {
    /// Makes the changes one after the other, all in one durable step. Returns, per change, the value that it found
    /// under its key: of two claims to one key in the same call, the second one finds the first.
    async fn remember(
        &self,
        destination: DestinationId,
        changes: Vec<Memo>,
        now: Timestamp,
    ) -> Result<Vec<Option<Bytes>>>;

    /// The values under these keys, in order.
    async fn recall(&self, destination: DestinationId, keys: Vec<String>, now: Timestamp)
    -> Result<Vec<Option<Bytes>>>;

    /// Up to `limit` memos whose key begins with `prefix` and comes after `after`, by the bytes of their keys. Go on
    /// after the last key until the answer is empty.
    async fn recall_all(
        &self,
        destination: DestinationId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Bytes)>>;
}

/// One change to what is remembered. `expires_at` is when the memo ends by itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Memo {
    /// Keeps a value, in place of one that may be there.
    Put { key: String, value: Bytes, expires_at: Option<Timestamp> },
    /// Keeps a value if there is none. One that is there stays as it is, its end too.
    PutIfAbsent { key: String, value: Bytes, expires_at: Option<Timestamp> },
    /// Removes what is there, if anything is.
    Forget { key: String },
}

impl Memo {
    /// What it changes.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::PutIfAbsent { key, .. } | Self::Forget { key } => key,
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            Self::Put { value, .. } | Self::PutIfAbsent { value, .. } => value,
            Self::Forget { .. } => &[],
        }
    }
}

/// Without the value, which may be about a person and must not come into a log.
impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Put { .. } => "Put",
            Self::PutIfAbsent { .. } => "PutIfAbsent",
            Self::Forget { .. } => "Forget",
        };
        write!(f, "{what}({}, {} bytes)", self.key(), self.value().len())
    }
}

/// Refuses changes that are beyond the limits. Every store asks this before it does anything.
pub(crate) fn check_changes(changes: &[Memo]) -> Result<()> {
    check_count(changes.len())?;
    changes.iter().try_for_each(|change| {
        check_key(change.key())?;
        let bytes = change.value().len();
        if bytes > MEMO_VALUE_BYTES_MAX {
            return refuse(format!("a memo has {bytes} bytes; at most {MEMO_VALUE_BYTES_MAX} are kept"));
        }
        Ok(())
    })
}

/// Refuses keys that are beyond the limits.
pub(crate) fn check_keys(keys: &[String]) -> Result<()> {
    check_count(keys.len())?;
    keys.iter().try_for_each(|key| check_key(key))
}

/// Refuses to forget more than one call can.
pub(crate) fn check_forgotten(memos: &[(DestinationId, String)]) -> Result<()> {
    check_count(memos.len())?;
    memos.iter().try_for_each(|(_, key)| check_key(key))
}

fn check_count(count: usize) -> Result<()> {
    if count > MEMOS_PER_CALL_MAX {
        return refuse(format!("a call names {count} memos; at most {MEMOS_PER_CALL_MAX} are taken"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MEMO_KEY_BYTES_MAX {
        return refuse(format!("the key of a memo has {} bytes; it must have 1 to {MEMO_KEY_BYTES_MAX}", key.len()));
    }
    Ok(())
}

fn refuse(message: String) -> Result<()> {
    Err(StoreError::Limit(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_does_not_show_its_value() {
        let memo = Memo::Put { key: "k".to_owned(), value: "ada@example.com".into(), expires_at: None };
        assert_eq!(format!("{memo:?}"), "Put(k, 15 bytes)");
    }
}
