//! What is kept of a record: Pipedrive's id, and after a blank what we want to know of it the next time.
//!
//! `42 5f3a… 9c1d… 07be… 3b52… chi` is a record: from which host the id is, what was written last, which name and which address we
//! gave, and which other parts of it are ours. `? 5f3a… 1772634728441 chi` says that one may be there: it was to be made at that moment
//! with these parts, and nobody has heard whether it was.

use domain::Timestamp;
use domain::connector::{Batch, Item, Progress};
use serde::{Deserialize, Serialize};

use super::settings::Account;
use crate::crm::{self, Given};

/// Under which pseudo-subject the codes of the fields are kept.
pub(super) const FIELDS: &str = "fields";
/// There is no record any more.
pub(super) const GONE: &str = "";
const MAYBE: &str = "?";

/// What is known of a record before anybody is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Bound {
    /// There was none, or it is gone.
    #[default]
    No,
    /// One was to be made then.
    Maybe {
        since: Timestamp,
        #[serde(default)]
        given: Given,
    },
    Id {
        id: u64,
        seen: Seen,
    },
}

/// What a record was like when we saw it last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The fingerprint of what was written; empty if nothing was.
    pub(super) written: String,
    /// That of the name that we gave; empty if we gave none.
    pub(super) name: String,
    /// That of the address that we gave; empty if we gave none.
    #[serde(default)]
    pub(super) email: String,
    /// The other parts that have a value of ours, or may have one: what may have been written counts as written.
    #[serde(default)]
    pub(super) given: Given,
}

impl Bound {
    /// An id that was kept for another host says nothing about this one.
    pub(super) fn of(account: &Account, progress: &Progress, subject: &str) -> Self {
        let Some(text) = progress.bound(subject) else { return Self::No };
        let mut words = text.split(' ');
        let (id, place) = (words.next().unwrap_or_default(), words.next());
        if place.is_some_and(|place| place != account.place) {
            return Self::No;
        }
        let mut word = || words.next().unwrap_or_default().to_owned();
        match id {
            GONE => Self::No,
            MAYBE => {
                let since = Timestamp::from_millis(word().parse().unwrap_or(0));
                Self::Maybe { since, given: Given::read(&word()) }
            }
            id => match id.parse() {
                Ok(id) => {
                    let (written, name, email) = (word(), word(), word());
                    Self::Id { id, seen: Seen { written, name, email, given: Given::read(&word()) } }
                }
                Err(_) => Self::No,
            },
        }
    }

    pub(super) fn kept(&self, account: &Account) -> String {
        let place = &account.place;
        match self {
            Self::No => GONE.to_owned(),
            Self::Maybe { since, given } => format!("{MAYBE} {place} {} {given}", since.as_millis()),
            Self::Id { id, seen } => {
                format!("{id} {place} {} {} {} {}", seen.written, seen.name, seen.email, seen.given)
            }
        }
    }

    pub(super) const fn id(&self) -> Option<u64> {
        match self {
            Self::Id { id, .. } => Some(*id),
            Self::No | Self::Maybe { .. } => None,
        }
    }

    /// The parts that have a value of ours.
    pub(super) fn given(&self) -> Given {
        match self {
            Self::No => Given::default(),
            Self::Maybe { given, .. } | Self::Id { seen: Seen { given, .. }, .. } => given.clone(),
        }
    }

    pub(super) const fn is_maybe(&self) -> bool {
        matches!(self, Self::Maybe { .. })
    }
}

/// Under what the deal of a person is kept.
pub(super) fn deal_of(key: &str) -> String {
    format!("{key} deal")
}

/// What an exchange asks for: the people, their deals, and the fields.
pub(super) fn subjects(account: &Account, batch: &Batch<'_>) -> Vec<String> {
    if batch.items.iter().all(|item| Item::profile(item).is_none()) {
        return Vec::new();
    }
    let people = crm::subjects(batch);
    let deals: Vec<_> = if account.has_deals() { people.iter().map(|key| deal_of(key)).collect() } else { Vec::new() };
    people.into_iter().chain(deals).chain([FIELDS.to_owned()]).collect()
}
