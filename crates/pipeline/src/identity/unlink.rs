//! Unlink: a person says that an identifier is not the subject's.

use domain::identity::Identifier;
use domain::{AppspaceId, SubjectId};
use storage::StoreError;
use tokio::time::Instant;

use super::Identity;
use super::draft::Draft;
use super::fold::fold_of;
use super::identify::CALL_MAX;
use super::news::News;
use crate::operational;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlinked {
    /// The subject that it was of.
    pub subject: SubjectId,
    /// The subject that it is of now; the same one if nothing else was of it.
    pub now: SubjectId,
    /// Whether it had been linked to anything.
    pub was_linked: bool,
}

/// Why nothing was cut.
#[derive(Debug, thiserror::Error)]
pub enum UnlinkError {
    #[error("nobody is known by this identifier; write its kind and its value, for example `install:i-42`")]
    NotFound,
    /// It is of another subject than the caller said.
    #[error("the identifier is not of this subject")]
    OfAnother,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// Cuts an identifier from all others: what events up to now say links it to nothing again, what later ones say does.
    /// `of` is the subject that it must be of, if the caller knows.
    pub async fn unlink(
        &self,
        appspace: AppspaceId,
        of: Option<SubjectId>,
        identifier: &Identifier,
    ) -> Result<Unlinked, UnlinkError> {
        let deadline = Instant::now() + CALL_MAX;
        let _held = self.hold(deadline).await?;
        self.catch_up(deadline).await?;
        let mut draft = Draft::new(appspace, true);
        let wanted = draft.unknown([identifier]);
        self.look_up(&mut draft, wanted).await?;
        let subject_of = |draft: &Draft| draft.records().identifiers.get(identifier).map(|record| record.subject);
        let subject = subject_of(&draft).ok_or(UnlinkError::NotFound)?;
        if of.is_some_and(|of| of != subject) {
            return Err(UnlinkError::OfAnother);
        }
        let was_linked = draft.records().identifiers.get(identifier).is_some_and(|record| !record.links.is_empty());
        if !was_linked {
            return Ok(Unlinked { subject, now: subject, was_linked });
        }
        // What was said last may be a moment ahead of the clock, and is cut all the same.
        let at = self.clock.now().max(draft.last_said().unwrap_or_default());
        while let Err(wanted) = draft.cut(identifier, at) {
            self.look_up(&mut draft, wanted).await?;
        }
        let now = subject_of(&draft).ok_or(UnlinkError::NotFound)?;
        // Whoever goes on under the id that is told of: the event goes when that one is erased.
        let of = draft.records().subjects.get(&subject).and_then(|record| record.identifiers.first().cloned());
        let folded = draft.finish();
        let mut news = self.news(appspace, &folded.changes, None).await?;
        let event = operational::subject_unlinked(&self.registry, appspace, subject, identifier.kind());
        news.push(News { event, of });
        let fold = fold_of(appspace, folded, news);
        self.patiently(deadline, || self.store.fold(fold.clone())).await?;
        Ok(Unlinked { subject, now, was_linked })
    }
}
