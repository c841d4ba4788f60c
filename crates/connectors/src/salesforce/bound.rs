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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crm::Part;
    use crate::kit::{NOW, fixture};

    fn token(extra: &str) -> Token {
        Token { secret: "t".into(), valid_for: None, extra: Some(extra.to_owned()) }
    }

    #[test]
    fn what_was_kept_is_read_again_in_the_organisation_that_it_is_of() {
        let org = Org::read(&fixture("salesforce").default).unwrap();
        let here = token("https://acme.my.salesforce.com/ 0055g00000AaBbCAAV 00D5g00000AaBbCEAV");
        let mut progress = Progress::default();
        let mut given = Given::default();
        given.set(Part::Campaign, true);
        let ours = Ours { email: Some("9c1d".to_owned()), given };
        let (lead, contact) = ("00Q5g00000AbCdEEAV".to_owned(), "0035g00000AbCdEEAV".to_owned());
        for (bound, text) in [
            (Bound::Maybe { since: NOW }, "?1772634728441 60cc94e427e3d898 9c1d c"),
            (Bound::Record(lead.clone()), "00Q5g00000AbCdEEAV 60cc94e427e3d898 9c1d c"),
            (Bound::Converted { lead, contact }, "00Q5g00000AbCdEEAV>0035g00000AbCdEEAV 60cc94e427e3d898 9c1d c"),
            (Bound::No, ""),
        ] {
            let mut ledger = Ledger::open(&org, Some(&here), &mut progress);
            ledger.note_with("sub_1", &bound, &ours);
            assert_eq!(ledger.of("sub_1"), bound);
            assert_eq!(ledger.ours("sub_1"), if bound == Bound::No { Ours::default() } else { ours.clone() });
            assert_eq!(progress.bound("sub_1"), Some(text), "it is kept for years");
            for elsewhere in
                [None, Some(token("https://acme.my.salesforce.com/ 0055g00000AaBbCAAV 00D9z00000ZzZzZEAV"))]
            {
                let other = Ledger::open(&org, elsewhere.as_ref(), &mut progress);
                assert_eq!((other.of("sub_1"), other.ours("sub_1")), (Bound::No, Ours::default()));
            }
        }
    }

    #[test]
    fn an_organisation_is_told_by_its_id_and_else_by_its_host() {
        let org = |host: &str| Org::read(&fixture("salesforce").with(serde_json::json!({ "host": host }))).unwrap();
        let [one, other] = ["https://acme.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com"].map(org);
        assert_ne!(one.place(None), other.place(None));
        // The longer form of an id says no more.
        let [long, short] =
            ["00D5g00000AaBbCEAV", "00D5g00000AaBbC"].map(|id| token(&format!("h 0055g00000AaBbCAAV {id}")));
        assert_eq!(one.place(Some(&long)), other.place(Some(&short)));
        assert_eq!(one.place(None), one.place(Some(&token("https://acme.my.salesforce.com/"))));
    }
}
