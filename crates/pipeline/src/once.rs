//! Sending once: the calls of an exchange that must not be repeated, under the eyes of the ledger.

use std::time::Duration;

use bytes::Bytes;
use domain::connector::{Reply, Step};
use domain::verdict::Verdict;
use domain::{Attempt, Timestamp};
use storage::{Memo, Owned, StoreError};

use crate::exchange::{End, Exchange};
use crate::ledger::{self, Decision, Entry, Fate};
use crate::memory::Patience;
use crate::transport::TransportError;

/// A message that must not be repeated.
pub(crate) struct Message {
    /// Its name among those of an event.
    pub(crate) key: String,
    /// For how long the vendor recognises a repetition by the same delivery, if it does.
    pub(crate) known_for: Option<Duration>,
}

/// A message that goes out, and its entries, one for each item.
pub(crate) struct Sending {
    entries: Vec<(String, Entry)>,
    /// Whether the vendor would recognise it.
    is_known: bool,
    /// Whether an earlier try has left its entry, which says nothing of what became of it. A refusal of this one does not
    /// either.
    is_repeat: bool,
}

/// Whether a message may go out.
pub(crate) enum Permit {
    Go(Sending),
    /// It went out before, and this was the reply.
    Answered(Box<Reply>),
    Refused(End),
}

impl Exchange<'_> {
    /// Enters a message into the ledger, unless what lies there forbids it. It is on disk when this returns.
    pub(crate) async fn permit(&self, message: &Message) -> Permit {
        let now = self.engine.clock.now();
        let entry = |owned: &&Owned| (ledger::key(owned.event.id, &message.key), Entry::sending(owned, now));
        // A vendor that recognises a message would not recognise one about other events.
        let known_for = message.known_for.filter(|_| self.batch.len() == 1);
        let go = |entries, is_repeat| Permit::Go(Sending { entries, is_known: known_for.is_some(), is_repeat });
        let entries: Vec<(String, Entry)> = self.batch.iter().map(entry).collect();
        let claims = entries.iter().map(|(key, entry)| entry.claim(key)).collect();
        let Ok(found) = self.remember(claims, Patience::Until(self.deadline)).await else {
            return Permit::Refused(End::Untried);
        };
        if found.iter().all(Option::is_none) {
            return go(entries, false);
        }
        let end = match self.decisions(&found, known_for, now).await {
            Err(_) => End::Untried,
            Ok(mut decisions) if matches!(decisions.as_slice(), [Decision::Repeat(_)]) => {
                let Some(Decision::Repeat(entry)) = decisions.pop() else { return Permit::Refused(End::Untried) };
                return go(entries.into_iter().map(|(key, _)| (key, entry.clone())).collect(), true);
            }
            Ok(decisions) if decisions.iter().all(|decision| matches!(decision, Decision::Send)) => {
                let puts = entries.iter().map(|(key, entry)| entry.put(key)).collect();
                if self.remember(puts, Patience::Until(self.deadline)).await.is_ok() {
                    return go(entries, false);
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
    async fn decisions(
        &self,
        found: &[Option<Bytes>],
        known_for: Option<Duration>,
        now: Timestamp,
    ) -> Result<Vec<Decision>, StoreError> {
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
            decisions.push(match ledger::decide(&entry, owned, &attempts) {
                Decision::Over(_) if entry.is_known(owned, known_for, now) => Decision::Repeat(entry),
                decision => decision,
            });
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
    pub(crate) async fn enter(&self, sending: Sending, reply: &Reply, step: Option<&Step>) -> Result<(), End> {
        let refused = if sending.is_repeat { Fate::Unknown } else { Fate::Refused };
        let fate = |index: usize| match step {
            Some(Step::Settle(verdicts)) => match verdicts.get(index) {
                Some(Verdict::Delivered | Verdict::Skip { .. }) | None => Fate::Sent,
                // What is tried again because it would be recognised may have been carried out.
                Some(Verdict::Retry { .. }) if sending.is_known => Fate::Unknown,
                Some(_) => refused,
            },
            Some(Step::Split { .. } | Step::Reauthorize { .. }) => refused,
            // It goes on from what was answered; and if the connector could not bear the reply, there is one.
            Some(Step::Send(_) | Step::SendOnce { .. }) | None => Fate::Sent,
        };
        let change = |(index, (key, entry)): (usize, (String, Entry))| match fate(index) {
            Fate::Sent => Some(entry.answered(reply).put(&key)),
            Fate::Refused => Some(Memo::Forget { key }),
            Fate::Unknown => None,
        };
        let changes = sending.entries.into_iter().enumerate().filter_map(change).collect();
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
    pub(crate) async fn without_reply_once(&mut self, sending: Sending, error: TransportError) -> End {
        self.reply = None;
        if error.may_have_arrived && !sending.is_known {
            return self.unknown(&error.message);
        }
        if !error.may_have_arrived && !sending.is_repeat {
            self.withdraw(sending.entries).await;
        }
        if error.is_ours { End::Untried } else { End::without_reply(error) }
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
