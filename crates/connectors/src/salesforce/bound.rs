//! What is kept of a record: Salesforce's id, of which organisation that is, and what the record has from us.
//!
//! `00Q… 5f3a… 9c1d… chi` is a record with an address and other parts of ours, and `00Q…>003… 5f3a… 9c1d… chi` a lead and the contact
//! that it was converted to. `?1772634728441 5f3a… 9c1d… chi` says that one may be there: it was to be made at that moment, and nobody
//! has heard whether it was.

use domain::Timestamp;
use domain::connector::{Progress, Token};
use serde::{Deserialize, Serialize};

use super::reply::is_id;
use super::settings::Org;
use crate::crm::{Given, fingerprint};

/// What is bound to a subject of which there is no record any more.
const GONE: &str = "";
/// What comes before the time at which something was to be made.
const MAYBE: &str = "?";
/// Between the id of a lead and that of the contact that it was converted to.
const CONVERTED: char = '>';
/// In place of a mark where there is none.
const NONE: &str = "-";
/// So much of an id says which it is; what may follow is a check.
const ID_CHARS: usize = 15;

/// What is known of the record of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// Nothing was ever made for it, or it is gone, or it is in another organisation.
    No,
    /// Something was to be made then, and nobody has heard whether it was.
    Maybe {
        since: Timestamp,
    },
    Record(String),
    Converted {
        lead: String,
        contact: String,
    },
}

/// What a record has from us.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ours {
    /// The mark of the address.
    pub(super) email: Option<String>,
    pub(super) given: Given,
}

/// What is bound in one organisation.
pub(super) struct Ledger<'p> {
    pub(super) progress: &'p mut Progress,
    place: String,
}

impl Org {
    /// What the ids of an organisation are kept under. It says with each token which it is; where it does not, its host must do.
    fn place(&self, token: Option<&Token>) -> String {
        let extra = token.and_then(|token| token.extra.as_deref()).unwrap_or_default();
        let org = extra.split(' ').nth(2).filter(|org| is_id(org)).and_then(|org| org.get(..ID_CHARS));
        fingerprint(org.unwrap_or_else(|| self.host.as_str()))
    }
}

impl Bound {
    fn read(what: &str) -> Self {
        if let Some(since) = what.strip_prefix(MAYBE) {
            return Self::Maybe { since: Timestamp::from_millis(since.parse().unwrap_or(0)) };
        }
        match what.split_once(CONVERTED) {
            Some((lead, contact)) => Self::Converted { lead: lead.to_owned(), contact: contact.to_owned() },
            None if what == GONE => Self::No,
            None => Self::Record(what.to_owned()),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::No => GONE.to_owned(),
            Self::Maybe { since } => format!("{MAYBE}{}", since.as_millis()),
            Self::Record(id) => id.clone(),
            Self::Converted { lead, contact } => format!("{lead}{CONVERTED}{contact}"),
        }
    }

    /// The id of the record that can be written.
    pub(super) fn record(&self) -> Option<&str> {
        match self {
            Self::No | Self::Maybe { .. } => None,
            Self::Record(id) | Self::Converted { contact: id, .. } => Some(id),
        }
    }
}

impl<'p> Ledger<'p> {
    pub(super) fn open(org: &Org, token: Option<&Token>, progress: &'p mut Progress) -> Self {
        Self { place: org.place(token), progress }
    }

    pub(super) fn of(&self, subject: &str) -> Bound {
        self.words(subject).map_or(Bound::No, |(what, _)| Bound::read(what))
    }

    /// Whether there is a record of it that can be written.
    pub(super) fn has(&self, subject: &str) -> bool {
        self.of(subject).record().is_some()
    }

    /// What the record of a subject has from us.
    pub(super) fn ours(&self, subject: &str) -> Ours {
        let Some((_, mut words)) = self.words(subject) else { return Ours::default() };
        let email = words.next().filter(|email| *email != NONE).map(str::to_owned);
        Ours { email, given: Given::read(words.next().unwrap_or_default()) }
    }

    /// Notes what there is of a subject; the record has from us what it had.
    pub(super) fn note(&mut self, subject: &str, bound: &Bound) {
        self.note_with(subject, bound, &self.ours(subject));
    }

    /// The same, and what the record has from us.
    pub(super) fn note_with(&mut self, subject: &str, bound: &Bound, ours: &Ours) {
        let text = match bound {
            Bound::No => GONE.to_owned(),
            bound => {
                let email = ours.email.as_deref().unwrap_or(NONE);
                format!("{} {} {email} {}", bound.written(), self.place, ours.given)
            }
        };
        if self.progress.bound(subject).unwrap_or(GONE) != text {
            self.progress.bind(subject, text);
        }
    }

    /// Notes what the record has from us.
    pub(super) fn note_ours(&mut self, subject: &str, ours: &Ours) {
        self.note_with(subject, &self.of(subject), ours);
    }

    pub(super) fn forget(&mut self, subject: &str) {
        self.note(subject, &Bound::No);
    }

    /// What there is of one subject becomes another one's.
    pub(super) fn hand_over(&mut self, from: &str, to: &str) {
        if from != to {
            self.note_with(to, &self.of(from), &self.ours(from));
            self.forget(from);
        }
    }

    /// What is bound, and what follows. What was kept in another organisation says nothing about this one.
    fn words(&self, subject: &str) -> Option<(&str, impl Iterator<Item = &str>)> {
        let mut words = self.progress.bound(subject)?.split(' ');
        let (what, place) = (words.next()?, words.next()?);
        (place == self.place).then_some((what, words))
    }
}
