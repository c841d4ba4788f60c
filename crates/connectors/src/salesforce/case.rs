//! Where an exchange stands: what each person of the batch still needs.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Progress, Step};
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};

use super::settings::Org;
use crate::crm::{People, Person};

/// The note that holds an exchange.
const NOTE: &str = "exchange";
/// How long to wait before what one exchange had too few calls for is gone on with.
const PUT_OFF: Duration = Duration::from_secs(1);
/// What is bound before something is created: it may be there.
pub(super) const MAYBE: &str = "?";
/// What is bound to a subject whose record is merged into another one.
pub(super) const GONE: &str = "";
/// Between the id of a lead and that of the contact that it was converted to.
const CONVERTED: char = '>';

/// Everybody of a batch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) cases: Vec<Case>,
    pub(super) asked: Option<Asked>,
}

/// One person.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Case {
    /// The subject.
    pub(super) key: String,
    pub(super) need: Need,
    /// Salesforce has said once that the key was just taken.
    pub(super) has_raced: bool,
}

/// What a person needs next. The order is that in which needs are met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Need {
    /// To be written by the key: what is there or, if `creates`, whatever is there.
    Write { creates: bool },
    /// The lead with this key was converted: which contact that is, unless it is known, and which fields it has.
    Follow { lead: String, contact: Option<String> },
    /// A duplicate rule has found these: is one of them the person?
    Compare { ids: Vec<String> },
    /// A record that is known by its id is to be written, with these fields only if they are named. It may be `of` another
    /// subject so far.
    Update { id: String, object: String, only: Option<Vec<String>>, of: Option<String> },
    /// Records of subjects that turned out to be this person are to become one with this person's.
    Join,
    /// To be converted.
    Convert,
    /// Nothing.
    Over { verdict: Verdict },
}

/// What the call under way is about.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) what: What,
    pub(super) whom: Vec<Whom>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum What {
    Write,
    Update,
    Follow,
    Find,
    Compare,
    Merge,
    Convert,
}

/// One entry of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Whom {
    /// The place of the case.
    pub(super) case: usize,
    /// What the entry is about if it is not the person's own record: absorbed subjects, or the id of a record.
    pub(super) about: Vec<String>,
}

impl Whom {
    pub(super) const fn itself(case: usize) -> Self {
        Self { case, about: Vec::new() }
    }
}

impl Exchange {
    /// As it begins.
    pub(super) fn begin(org: &Org, people: &People<'_>, progress: &mut Progress) -> Self {
        let mut case = |person: &Person<'_>| {
            let key = person.key();
            let need = match Bound::of(progress, &key) {
                Bound::Converted { contact, .. } => org.follows(&key, Some(contact.to_owned())),
                Bound::No => org.inherits(person, progress).unwrap_or(Need::Write { creates: false }),
                Bound::Maybe | Bound::Record(_) => Need::Write { creates: false },
            };
            Case { key, need, has_raced: false }
        };
        Self { cases: people.people.iter().map(&mut case).collect(), asked: None }
    }

    pub(super) fn recall(progress: &Progress) -> Self {
        progress.notes.get(NOTE).and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default()
    }

    pub(super) fn keep(&self, progress: &mut Progress) {
        // What consists of texts and numbers can be written.
        let note = serde_json::to_string(self).unwrap_or_default();
        progress.notes.insert(NOTE.to_owned(), note);
    }

    /// What is to be done next, if anything.
    pub(super) fn first_need(&self) -> Option<Need> {
        let open = self.cases.iter().map(|case| &case.need).filter(|need| !matches!(need, Need::Over { .. }));
        open.min_by_key(|need| need.rank()).cloned()
    }

    /// Everybody who needs this, with their places.
    pub(super) fn who(&self, needs: impl Fn(&Need) -> bool) -> Vec<usize> {
        let cases = self.cases.iter().enumerate();
        cases.filter(|(_, case)| needs(&case.need)).map(|(place, _)| place).collect()
    }

    pub(super) fn over(&mut self, place: usize, verdict: Verdict) {
        self.needs(place, Need::Over { verdict });
    }

    pub(super) fn needs(&mut self, place: usize, need: Need) {
        if let Some(case) = self.cases.get_mut(place) {
            case.need = need;
        }
    }

    /// The same verdict for everybody who needs something still.
    pub(super) fn give_up(&mut self, verdict: &Verdict) {
        for case in &mut self.cases {
            if !matches!(case.need, Need::Over { .. }) {
                case.need = Need::Over { verdict: verdict.clone() };
            }
        }
    }

    /// There are too many needs for one exchange; what is done is done, and the next one goes on from there.
    pub(super) fn put_off(&mut self) {
        let message = "Salesforce is not done with this person; what is left is done in a moment";
        self.give_up(&Verdict::Wait { after: PUT_OFF, message: Some(message.to_owned()) });
    }

    pub(super) fn settle(&self, people: &People<'_>) -> Step {
        people.settle(|person| {
            let key = person.key();
            let case = self.cases.iter().find(|case| case.key == key);
            match case.map(|case| &case.need) {
                Some(Need::Over { verdict }) => verdict.clone(),
                _ => Verdict::retry(FailureReason::Unprocessable),
            }
        })
    }
}

impl Need {
    /// Reading comes before writing once more, and records are brought together when all are written.
    const fn rank(&self) -> u8 {
        match self {
            Self::Write { .. } => 0,
            Self::Follow { .. } => 1,
            Self::Compare { .. } => 2,
            Self::Update { .. } => 3,
            Self::Join => 4,
            Self::Convert => 5,
            Self::Over { .. } => 6,
        }
    }
}

/// What is known of the record of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound<'p> {
    /// Nothing was ever made for it, or it is gone.
    No,
    /// Something was to be made, and nobody has heard whether it was.
    Maybe,
    Record(&'p str),
    Converted {
        lead: &'p str,
        contact: &'p str,
    },
}

impl<'p> Bound<'p> {
    pub(super) fn of(progress: &'p Progress, subject: &str) -> Self {
        match progress.bound(subject) {
            None | Some(GONE) => Self::No,
            Some(MAYBE) => Self::Maybe,
            Some(id) => match id.split_once(CONVERTED) {
                Some((lead, contact)) => Self::Converted { lead, contact },
                None => Self::Record(id),
            },
        }
    }

    /// The id of the record that can be written.
    pub(super) const fn record(self) -> Option<&'p str> {
        match self {
            Self::No | Self::Maybe => None,
            Self::Record(id) | Self::Converted { contact: id, .. } => Some(id),
        }
    }

    /// How a converted lead is bound.
    pub(super) fn converted(lead: &str, contact: &str) -> String {
        format!("{lead}{CONVERTED}{contact}")
    }
}
