//! One person of an exchange: what is known, what has been found out, and so what comes next.

use std::time::Duration;

use domain::connector::Progress;
use domain::verdict::FailureReason;
use domain::{Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Record;
use super::bound::{Bound, GONE, Seen, deal_of};
use super::calls::Entity;
use super::lookup::Schema;
use super::settings::Account;
use crate::crm::Person;

/// One person of an exchange.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Case {
    /// The person's subject, which is in the key field.
    pub(super) key: String,
    /// Subjects that turned out to be this one.
    pub(super) absorbed: Vec<String>,
    /// Somebody has asked for it again, or an earlier try failed: what was written last is looked at.
    pub(super) is_asked_again: bool,
    /// A call was made about it.
    pub(super) is_begun: bool,
    pub(super) person: Party,
    pub(super) deal: Party,
    /// Records that may be the person, and why.
    pub(super) candidates: Vec<u64>,
    pub(super) sought: Sought,
    pub(super) is_email_sought: bool,
    pub(super) outcome: Option<Outcome>,
}

/// How far it has come with the person, or with the deal.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Party {
    pub(super) own: Bound,
    /// What there is, or may be, of subjects that turned out to be this one.
    pub(super) olds: Vec<(String, Bound)>,
    /// It was looked for under its key.
    pub(super) is_sought: bool,
    /// Others of the same, to become part of it.
    pub(super) to_merge: Vec<u64>,
    /// One that did not become part of it, since one of the two is gone. Which of them, a look at this one shows.
    pub(super) unmerged: Option<u64>,
    /// As it was read last.
    pub(super) record: Option<Record>,
    /// It was made in this exchange.
    pub(super) is_new: bool,
    pub(super) is_done: bool,
    pub(super) losses: u32,
}

/// What candidates were found by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Sought {
    #[default]
    Nothing,
    Key(String),
    Email,
}

/// What became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Outcome {
    Written,
    Refused(FailureReason, String),
    /// Again, not before so many milliseconds have passed.
    Later(Option<u64>, String),
}

impl Outcome {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Written => Verdict::Delivered,
            Self::Refused(reason, message) => Verdict::reject(*reason, message.clone()),
            Self::Later(after, message) => Verdict::Retry {
                after: after.map(Duration::from_millis),
                reason: FailureReason::Broken,
                message: Some(message.clone()),
            },
        }
    }

    /// It is a record that the user of the token may not see or write.
    pub(super) fn shut_out(text: &str) -> Self {
        let message = format!(
            "the user of the API token may not see or write this record ({text}); have its owner or an admin share it with the user, \
             then redrive"
        );
        Self::Refused(FailureReason::Refused, message)
    }

    /// What a verdict about one person's content comes to.
    pub(super) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Reject { reason, message } => Self::Refused(reason, message.unwrap_or_default()),
            _ => Self::Refused(FailureReason::Unprocessable, "the record cannot be written".to_owned()),
        }
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Need {
    FindByKey(String),
    FindByEmail(String),
    /// Candidates, or the record itself.
    Read(Entity, Vec<u64>),
    ListDeals(u64),
    Create(Entity, Value),
    Update(Entity, u64, Value),
    Merge(Entity, u64, u64),
}

/// What a case is decided with.
pub(super) struct Around<'a> {
    pub(super) account: &'a Account,
    pub(super) schema: &'a Schema,
    pub(super) person: &'a Person<'a>,
    pub(super) now: Timestamp,
}

impl Case {
    pub(super) fn begin(account: &Account, person: &Person<'_>, is_asked_again: bool, progress: &Progress) -> Self {
        let key = person.key();
        let absorbed: Vec<_> = person.profile.absorbed.iter().map(ToString::to_string).collect();
        let party = |name: fn(&str) -> String| {
            let olds = absorbed.iter().map(|old| name(old)).map(|old| (Bound::of(account, progress, &old), old));
            let olds = olds.filter(|(bound, _)| *bound != Bound::No).map(|(bound, old)| (old, bound));
            Party { own: Bound::of(account, progress, &name(&key)), olds: olds.collect(), ..Party::default() }
        };
        Self { person: party(str::to_owned), deal: party(deal_of), key, absorbed, is_asked_again, ..Self::default() }
    }

    /// What comes next; `None` if it is over, and `outcome` says how it ended.
    pub(super) fn next(&mut self, around: &Around<'_>, progress: &mut Progress) -> Option<Need> {
        if self.outcome.is_some() {
            return None;
        }
        match self.next_of_person(around, progress).and_then(|need| match need {
            Some(need) => Ok(Some(need)),
            None if self.outcome.is_some() || !self.person.is_done => Ok(None),
            None => self.next_of_deal(around, progress),
        }) {
            Ok(Some(need)) => {
                self.is_begun = true;
                Some(need)
            }
            Ok(None) => {
                self.outcome.get_or_insert(Outcome::Written);
                None
            }
            Err(verdict) => {
                self.outcome = Some(Outcome::of(verdict));
                None
            }
        }
    }

    /// Whether a record with this in its key field is this person's.
    pub(super) fn is_key(&self, text: &str) -> bool {
        text == self.key || self.absorbed.iter().any(|absorbed| absorbed == text)
    }

    pub(super) fn party(&mut self, entity: Entity) -> &mut Party {
        match entity {
            Entity::Person => &mut self.person,
            Entity::Deal => &mut self.deal,
        }
    }

    /// Under what the record is kept.
    pub(super) fn kept_under(&self, entity: Entity) -> String {
        match entity {
            Entity::Person => self.key.clone(),
            Entity::Deal => deal_of(&self.key),
        }
    }

    /// Keeps what is known of the record for the next exchange.
    pub(super) fn keep(&mut self, entity: Entity, bound: Bound, account: &Account, progress: &mut Progress) {
        let (under, kept) = (self.kept_under(entity), bound.kept(account));
        if progress.bound(&under).unwrap_or(GONE) != kept {
            progress.bind(under, kept);
        }
        self.party(entity).own = bound;
    }

    /// It turned out that there is no such record any more. Another one that was to become part of it takes its place; without
    /// one it is looked for, and made if nobody finds it.
    pub(super) fn lose(&mut self, entity: Entity, account: &Account, progress: &mut Progress) {
        let party = self.party(entity);
        let heir = (!party.to_merge.is_empty()).then(|| party.to_merge.remove(0));
        (party.is_sought, party.record, party.unmerged) = (heir.is_some(), None, None);
        party.losses += 1;
        party.own = heir.map_or(Bound::No, |id| Bound::Id { id, seen: Seen::default() });
        // While there are more of them nothing is kept, so that the next exchange looks for all of them.
        if party.to_merge.is_empty() {
            let own = party.own.clone();
            self.keep(entity, own, account, progress);
        }
        let party = self.party(entity);
        if party.losses > 1 {
            let message = "the record is gone again and again; somebody else is deleting or merging it";
            self.outcome = Some(Outcome::Later(None, message.to_owned()));
        }
    }

    /// It was written, or says already what it should.
    pub(super) fn done(&mut self, entity: Entity, id: u64, seen: Seen, account: &Account, progress: &mut Progress) {
        self.keep(entity, Bound::Id { id, seen }, account, progress);
        self.party(entity).is_done = true;
    }

    /// The answer to a create was lost, and search may not know of it yet. Returns whether it is too early to make another one.
    pub(super) fn is_too_early(&mut self, since: Timestamp, around: &Around<'_>) -> bool {
        // A clock that was set back must not make anybody wait for years.
        let age = around.now.since(since);
        let is_early = age < around.account.search_lag && since.since(around.now) <= around.account.search_lag;
        if is_early {
            let left = around.account.search_lag.saturating_sub(age);
            let message = "the answer to the call that made the record was lost, and Pipedrive's search may not know of it yet; it is looked for \
                           once more before another one is made";
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.outcome = Some(Outcome::Later(Some(left_ms.max(1_000)), message.to_owned()));
        }
        is_early
    }
}

impl Party {
    /// Whether there is nothing but the one record.
    pub(super) fn is_alone(&self) -> bool {
        self.olds.is_empty() && self.to_merge.is_empty()
    }

    /// The first of the others that is known to be there.
    pub(super) fn other(&self) -> Option<u64> {
        self.olds.iter().find_map(|(_, bound)| bound.id()).or_else(|| self.to_merge.first().copied())
    }

    /// One of the others is part of it now, or gone.
    pub(super) fn merged(&mut self, other: u64, progress: &mut Progress) {
        self.to_merge.retain(|id| *id != other);
        self.olds.retain(|(under, bound)| {
            let is_it = bound.id() == Some(other);
            if is_it {
                progress.bind(under.clone(), GONE);
            }
            !is_it
        });
    }
}
