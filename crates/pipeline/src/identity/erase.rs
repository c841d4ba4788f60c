//! Erase: a person is forgotten, with a receipt.
//!
//! In pieces, some events at a time: in between others write, fold and ask. Until the last piece the person is found by every
//! name, so whoever was interrupted calls again and it goes on; the last one takes the records, and the ids that vendors gave, in one step. What
//! vendors hold cannot be removed from here, so the receipt says who holds a record under which id.
//!
//! Of the lock of those who fold, one piece at a time is done. A fact that comes between two of them is folded as ever: it is the person's
//! and goes with a later piece. One that comes after the last begins somebody new.

mod remembered;

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::identity::{Identifier, Profile};
use domain::{AppspaceId, Event, Name, SubjectId, Timestamp};
use serde_json::json;
use storage::{ERASED_PER_CALL_MAX, Erased, Erasure, StoreError};
use tokio::time::{Instant, sleep};

use super::Identity;

/// Longest time that a call goes on erasing; an answer is awaited for a little longer, so that the caller hears how far it came.
pub const ERASE_MAX: Duration = Duration::from_secs(45);
/// Pause between two pieces, to let others in.
const PIECE_PAUSE: Duration = Duration::from_millis(5);
/// Most receipts that are kept of erasures that have not come to their end.
const UNFINISHED_MAX: usize = 256;

/// Receipts of erasures that have not come to their end.
pub(super) type Unfinished = BTreeMap<(AppspaceId, SubjectId), Receipt>;

/// What was removed, and what is held elsewhere.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub subject: SubjectId,
    pub erased: Erased,
    /// What vendors hold.
    pub remote: Vec<Remote>,
}

/// A record at a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub destination: Name,
    pub connector: String,
    /// What the vendor calls it. `None` if it may have one and its id was never learnt.
    pub id: Option<String>,
    /// Under which key it was made: the subject, or one that turned out to be the same.
    pub key: String,
}

/// Why somebody was not erased, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("there is no such subject; it may have been erased already")]
    NotFound,
    /// Whoever wants a device forgotten has not said that a customer is to be.
    #[error("while it was erased, this subject turned out to be `{0}`; look at that one, and erase it if it is meant")]
    IsAnother(SubjectId),
    /// The caller has waited long enough.
    #[error("there is more to erase than one call does; {0} events are done, call again and it goes on from there")]
    Unfinished(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// Forgets a person: records, bodies of events, replies, and what destinations remember. After
    /// [`EraseError::Unfinished`], and after a stop, another call goes on from there. Its receipt counts also what calls before it have
    /// removed since this process began.
    pub async fn erase(&self, appspace: AppspaceId, subject: SubjectId) -> Result<Receipt, EraseError> {
        let deadline = Instant::now() + ERASE_MAX;
        let profile = self.caught_up_with(appspace, subject, deadline).await?.ok_or(EraseError::NotFound)?;
        let of = (appspace, profile.subject);
        let begun = self.unfinished().remove(&of);
        let mut receipt = begun.unwrap_or_else(|| Receipt::of(profile.subject));
        if let Err(error) = self.erase_to_the_end(appspace, &mut receipt, deadline).await {
            let mut unfinished = self.unfinished();
            if unfinished.len() < UNFINISHED_MAX {
                unfinished.insert(of, receipt);
            }
            return Err(error);
        }
        // Nobody can find anything any more; what lies in unused places of the disk would go by and by.
        while Instant::now() < deadline && matches!(self.patiently(deadline, || self.store.wipe()).await, Ok(true)) {
            sleep(PIECE_PAUSE).await;
        }
        Ok(receipt)
    }

    /// All that is known of somebody, once what came in before has been folded: it would bring the person back.
    async fn caught_up_with(
        &self,
        appspace: AppspaceId,
        subject: SubjectId,
        deadline: Instant,
    ) -> Result<Option<Profile>, StoreError> {
        let _held = self.hold(deadline).await?;
        self.catch_up(deadline).await?;
        self.subject(appspace, subject).await
    }

    async fn erase_to_the_end(
        &self,
        appspace: AppspaceId,
        receipt: &mut Receipt,
        deadline: Instant,
    ) -> Result<(), EraseError> {
        loop {
            match self.erase_next(appspace, receipt, deadline).await {
                Ok(true) if Instant::now() < deadline => sleep(PIECE_PAUSE).await,
                Ok(false) => return Ok(()),
                Ok(true) | Err(EraseError::Store(StoreError::Busy { .. })) => {
                    return Err(EraseError::Unfinished(receipt.erased.events));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Erases a piece of whoever the subject is at this moment; returns whether there may be more.
    async fn erase_next(
        &self,
        appspace: AppspaceId,
        receipt: &mut Receipt,
        deadline: Instant,
    ) -> Result<bool, EraseError> {
        let _held = self.hold(deadline).await?;
        // Another call may have come to the end of it.
        let Some(profile) = self.subject(appspace, receipt.subject).await? else { return Ok(false) };
        if profile.subject != receipt.subject {
            return Err(EraseError::IsAnother(profile.subject));
        }
        let identifiers: Vec<Identifier> = profile.identifiers.iter().cloned().collect();
        let events = self.store.events_of(appspace, &identifiers, None, ERASED_PER_CALL_MAX).await?;
        if events.is_empty() {
            self.erase_records(appspace, &profile, receipt, deadline).await?;
        } else {
            self.erase_events(appspace, &profile, events, receipt, deadline).await?;
        }
        Ok(receipt.erased.more)
    }

    /// Empties the first of these events, which are all of the person.
    async fn erase_events(
        &self,
        appspace: AppspaceId,
        profile: &Profile,
        events: Vec<Arc<Event>>,
        receipt: &mut Receipt,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let (remembered, limit) = self.remembered_of_events(profile, &events).await?;
        drop(events);
        receipt.erased.memos += self.forget(&remembered).await?;
        let piece = Erasure { limit, ..erasure(appspace, profile, self.clock.now()) };
        receipt.erased.add(self.patiently(deadline, || self.store.erase(piece.clone())).await?);
        // An attempt that was under way may have remembered something meanwhile.
        receipt.erased.memos += self.forget(&remembered).await?;
        Ok(())
    }

    /// Removes who is known, when no event is left that speaks of the person.
    async fn erase_records(
        &self,
        appspace: AppspaceId,
        profile: &Profile,
        receipt: &mut Receipt,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let (mut remembered, remote) = self.remembered_of_person(appspace, profile).await?;
        receipt.add(remote);
        // More than one step has room for goes before; the receipt that will be given knows of it.
        let memos = remembered.take_for_step();
        receipt.erased.memos += self.forget(&remembered).await?;
        let last = Erasure { memos, ..erasure(appspace, profile, self.clock.now()) };
        receipt.erased.add(self.patiently(deadline, || self.store.erase(last.clone())).await?);
        // The same as above; but whoever is gone cannot be asked for again, and must have a receipt.
        if let Ok((late, remote)) = self.remembered_of_person(appspace, profile).await {
            receipt.add(remote);
            receipt.erased.memos += self.forget(&late).await.unwrap_or_default();
        }
        Ok(())
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receipt {
    fn of(subject: SubjectId) -> Self {
        Self { subject, erased: Erased::default(), remote: Vec::new() }
    }

    /// Notes who holds records, each of them once.
    fn add(&mut self, remote: Vec<Remote>) {
        for one in remote {
            if !self.remote.contains(&one) {
                self.remote.push(one);
            }
        }
    }
}

fn erasure(appspace: AppspaceId, profile: &Profile, now: Timestamp) -> Erasure {
    Erasure {
        appspace,
        subjects: profile.absorbed.iter().copied().chain([profile.subject]).collect(),
        identifiers: profile.identifiers.iter().cloned().collect(),
        limit: 1,
        memos: Vec::new(),
        tombstone: tombstone(now),
        now,
    }
}

fn tombstone(now: Timestamp) -> Bytes {
    json!({ "erased_at": now.to_string(), "data": {} }).to_string().into()
}
