//! Sending once: the calls of an exchange that must not be repeated, under the eyes of the ledger.

use bytes::Bytes;
use domain::Attempt;
use domain::connector::{Reply, Step};
use domain::verdict::Verdict;
use storage::{Memo, Owned, StoreError};

use crate::exchange::{End, Exchange};
use crate::ledger::{self, Decision, Entry, Fate};
use crate::memory::Patience;
use crate::transport::TransportError;

/// Whether a message may go out.
pub(crate) enum Permit {
    /// It may: these are its entries, one for each item.
    Go(Vec<(String, Entry)>),
    /// It went out before, and this was the reply.
    Answered(Box<Reply>),
    Refused(End),
}

impl Exchange<'_> {
    /// Enters a message into the ledger, unless what lies there forbids it. It is on disk when this returns.
    pub(crate) async fn permit(&self, message: &str) -> Permit {
        let now = self.engine.clock.now();
        let entry = |owned: &&Owned| (ledger::key(owned.event.id, message), Entry::sending(owned, now));
        let entries: Vec<(String, Entry)> = self.batch.iter().map(entry).collect();
        let claims = entries.iter().map(|(key, entry)| entry.claim(key)).collect();
        let Ok(found) = self.remember(claims, Patience::Until(self.deadline)).await else {
            return Permit::Refused(End::Untried);
        };
        if found.iter().all(Option::is_none) {
            return Permit::Go(entries);
        }
        let end = match self.decisions(&found).await {
            Err(_) => End::Untried,
            Ok(decisions) if decisions.iter().all(|decision| matches!(decision, Decision::Send)) => {
                let puts = entries.iter().map(|(key, entry)| entry.put(key)).collect();
                if self.remember(puts, Patience::Until(self.deadline)).await.is_ok() {
                    return Permit::Go(entries);
                }
                End::Untried
            }
            Ok(decisions) => match (only_reply(&decisions), decisions.as_slice()) {
                (Some(reply), _) => return Permit::Answered(Box::new(reply.clone())),
                (None, [Decision::Over(verdict)]) => End::Each(vec![verdict.clone()]),
                // Some may be sent and others not, or they were answered differently: each half is asked about for itself.
                (None, _) => End::Split,
            },
        };
        let new = entries.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(entry, _)| entry);
        self.withdraw(new.collect()).await;
        Permit::Refused(end)
    }

    /// What is decided about each item, of which these entries were found.
    async fn decisions(&self, found: &[Option<Bytes>]) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::with_capacity(found.len());
        for (owned, value) in self.batch.iter().zip(found) {
            let Some(value) = value else {
                decisions.push(Decision::Send);
                continue;
            };
            let Some(entry) = Entry::read(value) else {
                decisions.push(Decision::Over(ledger::unknown_outcome(owned.id, "its entry cannot be read")));
                continue;
            };
            let attempts = if entry.is_unclear_to(owned) { self.attempts(owned).await? } else { Vec::new() };
            decisions.push(ledger::decide(&entry, owned, &attempts));
        }
        Ok(decisions)
    }

    /// The attempts of a delivery so far.
    async fn attempts(&self, owned: &Owned) -> Result<Vec<Attempt>, StoreError> {
        let (store, appspace) = (&self.engine.store, owned.event.appspace);
        let look = || store.delivery(appspace, owned.id);
        let (_, attempts) = self.engine.patiently(Patience::Until(self.deadline), look).await?;
        Ok(attempts)
    }

    /// Says in the ledger what a reply has meant, before anything else happens. The error is how the exchange ends if that
    /// cannot be kept and it would have gone on.
    pub(crate) async fn enter(
        &self,
        entries: Vec<(String, Entry)>,
        reply: &Reply,
        step: Option<&Step>,
    ) -> Result<(), End> {
        let fate = |index: usize| match step {
            Some(Step::Settle(verdicts)) => match verdicts.get(index) {
                Some(Verdict::Delivered | Verdict::Skip { .. }) | None => Fate::Sent,
                Some(_) => Fate::Refused,
            },
            Some(Step::Split { .. } | Step::Reauthorize { .. }) => Fate::Refused,
            // It goes on from what was answered; and if the connector could not bear the reply, there is one.
            Some(Step::Send(_) | Step::SendOnce { .. }) | None => Fate::Sent,
        };
        let change = |(index, (key, entry)): (usize, (String, Entry))| match fate(index) {
            Fate::Sent => entry.answered(reply).put(&key),
            Fate::Refused => Memo::Forget { key },
        };
        let changes = entries.into_iter().enumerate().map(change).collect();
        let entered = self.remember(changes, Patience::Endless).await;
        match step {
            // What was sent and would be gone on from must be known next time, so it ends here.
            Some(Step::Send(_) | Step::SendOnce { .. }) | None if entered.is_err() => {
                Err(self.unknown("its answer could not be kept"))
            }
            // The verdicts are kept with the deliveries. If they cannot be kept either, the entry says that nobody knows.
            _ => Ok(()),
        }
    }

    /// No reply came to a message that must not be repeated.
    pub(crate) async fn without_reply_once(&mut self, entries: Vec<(String, Entry)>, error: TransportError) -> End {
        self.reply = None;
        if error.may_have_arrived {
            return self.unknown(&error.message);
        }
        self.withdraw(entries).await;
        if error.is_ours { End::Untried } else { End::without_reply(error.reason, error.message.into_owned()) }
    }

    /// Nobody knows of any item whether it was sent.
    fn unknown(&self, why: &str) -> End {
        End::Each(self.batch.iter().map(|owned| ledger::unknown_outcome(owned.id, why)).collect())
    }

    /// Takes entries of messages back that have not gone out.
    async fn withdraw(&self, entries: Vec<(String, Entry)>) {
        let changes = entries.into_iter().map(|(key, _)| Memo::Forget { key }).collect();
        let _ = self.remember(changes, Patience::Endless).await;
    }
}

/// The reply to all of them, if there was only one. Two calls may have been answered differently.
fn only_reply(decisions: &[Decision]) -> Option<&Reply> {
    let mut replies = decisions.iter().map(Decision::reply);
    let first = replies.next()??;
    replies.all(|other| other == Some(first)).then_some(first)
}
