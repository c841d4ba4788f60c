//! Sending once: the calls of an exchange that must not be repeated, under the eyes of the ledger.

use domain::connector::{Reply, Step};
use domain::verdict::Verdict;
use storage::{Memo, Owned};

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
        let mut decisions: Vec<Decision> = Vec::with_capacity(found.len());
        for (owned, value) in self.batch.iter().zip(&found) {
            decisions.push(match value {
                None => Decision::Send,
                Some(value) => match Entry::read(value) {
                    Some(entry) => ledger::decide(&entry, owned),
                    None => Decision::Over(ledger::unknown_outcome(owned.id, "its entry cannot be read")),
                },
            });
        }
        if decisions.iter().all(|decision| matches!(decision, Decision::Send)) {
            let puts = entries.iter().map(|(key, entry)| entry.put(key)).collect();
            return match self.remember(puts, Patience::Until(self.deadline)).await {
                Ok(_) => Permit::Go(entries),
                Err(_) => Permit::Refused(End::Untried),
            };
        }
        if decisions.iter().all(|decision| matches!(decision, Decision::Answered(_))) || decisions.len() == 1 {
            return match decisions.swap_remove(0) {
                Decision::Answered(reply) => Permit::Answered(reply),
                Decision::Over(verdict) => Permit::Refused(End::Each(vec![verdict])),
                Decision::Send => Permit::Go(entries),
            };
        }
        // Some may be sent and others not, so each half is asked about for itself.
        let new = entries.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(entry, _)| entry);
        self.withdraw(new.collect()).await;
        Permit::Refused(End::Split)
    }

    /// Says in the ledger what a reply has meant, before anything else happens.
    pub(crate) async fn enter(&self, entries: Vec<(String, Entry)>, reply: &Reply, step: Option<&Step>) {
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
        // A store that fails has said so; the entry then says that nobody knows.
        let _ = self.remember(changes, Patience::Endless).await;
    }

    /// No reply came to a message that must not be repeated.
    pub(crate) async fn without_reply_once(&mut self, entries: Vec<(String, Entry)>, error: TransportError) -> End {
        self.reply = None;
        if error.may_have_arrived {
            let unknown = |owned: &&Owned| ledger::unknown_outcome(owned.id, &error.message);
            return End::Each(self.batch.iter().map(unknown).collect());
        }
        self.withdraw(entries).await;
        if error.is_ours { End::Untried } else { End::without_reply(error.reason, error.message.into_owned()) }
    }

    /// Takes entries of messages back that have not gone out.
    async fn withdraw(&self, entries: Vec<(String, Entry)>) {
        let changes = entries.into_iter().map(|(key, _)| Memo::Forget { key }).collect();
        let _ = self.remember(changes, Patience::Endless).await;
    }
}
