//! Bindings: the ids that a vendor has given to our subjects, kept for good.
//!
//! They are looked up before an exchange begins and are on disk before its next step is taken. Two exchanges about the same
//! subject do not create it both: while it has no id yet, one goes first and the other one waits to see its id.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domain::DestinationId;
use storage::{Memo, StoreError};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::engine::Engine;
use crate::memory::Patience;

/// Subjects share so many locks.
const STRIPES: usize = 16;

/// The locks of the subjects of one destination.
#[derive(Debug, Default)]
pub(crate) struct Subjects([Mutex<()>; STRIPES]);

/// What is known of the subjects of an exchange.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    pub(crate) bound: BTreeMap<String, String>,
    /// Held until the exchange is over, for those that have no id yet.
    pub(crate) creating: Vec<MutexGuard<'a, ()>>,
}

/// Looks subjects up, waiting for those that somebody else is creating until `deadline`. `None` if it took too long or the
/// store would not say.
pub(crate) async fn look_up<'a>(
    engine: &Engine,
    of: DestinationId,
    locks: &'a Subjects,
    subjects: &[String],
    deadline: Instant,
) -> Option<Known<'a>> {
    if subjects.is_empty() {
        return Some(Known::default());
    }
    let bound = recall(engine, of, subjects, deadline).await.ok()?;
    let unbound: BTreeSet<usize> =
        subjects.iter().filter(|subject| !bound.contains_key(*subject)).map(|subject| stripe(subject)).collect();
    if unbound.is_empty() {
        return Some(Known { bound, creating: Vec::new() });
    }
    // Everybody takes the locks in the same order, so nobody waits in a circle.
    let mut creating = Vec::new();
    for stripe in unbound {
        creating.push(timeout_at(deadline, locks.0[stripe].lock()).await.ok()?);
    }
    let bound = recall(engine, of, subjects, deadline).await.ok()?;
    Some(Known { bound, creating })
}

/// Where the id of a subject lies.
pub(crate) fn key(subject: &str) -> String {
    storage::binding_key(subject)
}

/// Makes new ids durable.
pub(crate) async fn keep(engine: &Engine, of: DestinationId, new: BTreeMap<String, String>) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let change =
        |(subject, id): (String, String)| Memo::Put { key: key(&subject), value: Bytes::from(id), expires_at: None };
    engine.remember(of, new.into_iter().map(change).collect(), Patience::Endless).await.map(|_| ())
}

async fn recall(
    engine: &Engine,
    of: DestinationId,
    subjects: &[String],
    deadline: Instant,
) -> Result<BTreeMap<String, String>, StoreError> {
    let keys: Vec<String> = subjects.iter().map(|subject| key(subject)).collect();
    let found = engine.recall(of, &keys, Patience::Until(deadline)).await?;
    let known = subjects
        .iter()
        .zip(found)
        .filter_map(|(subject, id)| Some((subject.clone(), String::from_utf8(id?.to_vec()).ok()?)));
    Ok(known.collect())
}

fn stripe(subject: &str) -> usize {
    let hash = ring::digest::digest(&ring::digest::SHA256, subject.as_bytes());
    usize::from(hash.as_ref()[0]) % STRIPES
}
