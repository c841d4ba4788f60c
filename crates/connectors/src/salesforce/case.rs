//! Where an exchange stands: what each person of the batch still needs.

use std::time::Duration;

use domain::connector::{Batch, Progress, Step};
use domain::verdict::FailureReason;
use domain::{Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::settings::Org;
use crate::crm::{People, Person};

/// The note that holds an exchange.
const NOTE: &str = "exchange";
/// How long to wait before what one exchange had too few calls for is gone on with.
const PUT_OFF: Duration = Duration::from_secs(1);
/// What is bound before something is created, followed by the time: it may be there.
const MAYBE: &str = "?";
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

/// One step of an exchange: who of a batch gets a record, what is bound, and how far everybody is.
pub(super) struct Turn<'a> {
    pub(super) batch: &'a Batch<'a>,
    pub(super) people: People<'a>,
    pub(super) progress: &'a mut Progress,
    pub(super) exchange: Exchange,
}

/// One person.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Case {
    /// The subject.
    pub(super) key: String,
    pub(super) need: Need,
    /// Salesforce has said once that the key was just taken.
    pub(super) has_raced: bool,
    /// The record was to be made for the first time ever: if that is refused, there is none.
    pub(super) is_first: bool,
    pub(super) complaint: Option<Complaint>,
}

/// What a person's record had to be written without.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Complaint {
    /// The fields that are left out.
    pub(super) fields: Vec<String>,
    /// What is said of it when all else is done.
    pub(super) message: String,
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
                Bound::Record(id) if org.is_own(id) => org.change(id, None),
                Bound::Maybe { .. } | Bound::Record(_) => Need::Write { creates: false },
            };
            Case { key, need, has_raced: false, is_first: false, complaint: None }
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
            match case.map(|case| (&case.need, &case.complaint)) {
                Some((Need::Over { verdict: Verdict::Delivered }, Some(complaint))) => {
                    Verdict::reject(FailureReason::Refused, complaint.message.clone())
                }
                Some((Need::Over { verdict }, _)) => verdict.clone(),
                _ => Verdict::retry(FailureReason::Unprocessable),
            }
        })
    }
}

impl Case {
    /// The same once more without fields that Salesforce takes for no addresses, unless that was tried.
    pub(super) fn without(&mut self, fields: Vec<String>, verdict: Verdict) -> Need {
        if self.complaint.is_some() {
            return Need::Over { verdict };
        }
        let said = match &verdict {
            Verdict::Reject { message: Some(message), .. } => message.as_str(),
            _ => "it does not say why",
        };
        let named: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let message = format!("the record is written without {}, which Salesforce refuses: {said}", named.join(", "));
        self.complaint = Some(Complaint { fields, message });
        self.need.clone()
    }

    /// Salesforce has said that it made no record.
    pub(super) fn not_made(&mut self, progress: &mut Progress) {
        if std::mem::take(&mut self.is_first) && matches!(Bound::of(progress, &self.key), Bound::Maybe { .. }) {
            progress.bind(&self.key, GONE);
        }
    }

    /// Takes what Salesforce has refused out of the fields.
    pub(super) fn relieve(&self, fields: &mut Map<String, Value>) {
        if let Some(complaint) = &self.complaint {
            fields.retain(|name, _| !complaint.fields.iter().any(|refused| refused.eq_ignore_ascii_case(name)));
        }
    }
}

impl Need {
    /// What is known by its id comes first, for what turns out to be gone is then written with what is new. Reading comes
    /// before writing once more, and records are brought together when all are written.
    const fn rank(&self) -> u8 {
        match self {
            Self::Update { only: None, .. } => 0,
            Self::Write { .. } => 1,
            Self::Follow { .. } => 2,
            Self::Compare { .. } => 3,
            Self::Update { only: Some(_), .. } => 4,
            Self::Join => 5,
            Self::Convert => 6,
            Self::Over { .. } => 7,
        }
    }
}

/// What is known of the record of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound<'p> {
    /// Nothing was ever made for it, or it is gone.
    No,
    /// Something was to be made then, and nobody has heard whether it was.
    Maybe {
        since: Timestamp,
    },
    Record(&'p str),
    Converted {
        lead: &'p str,
        contact: &'p str,
    },
}

impl<'p> Bound<'p> {
    pub(super) fn of(progress: &'p Progress, subject: &str) -> Self {
        let bound = progress.bound(subject).unwrap_or(GONE);
        if let Some(since) = bound.strip_prefix(MAYBE) {
            return Self::Maybe { since: Timestamp::from_millis(since.trim().parse().unwrap_or(0)) };
        }
        match bound.split_once(CONVERTED) {
            Some((lead, contact)) => Self::Converted { lead, contact },
            None if bound == GONE => Self::No,
            None => Self::Record(bound),
        }
    }

    /// The id of the record that can be written.
    pub(super) const fn record(self) -> Option<&'p str> {
        match self {
            Self::No | Self::Maybe { .. } => None,
            Self::Record(id) | Self::Converted { contact: id, .. } => Some(id),
        }
    }

    /// How something is bound that is about to be made.
    pub(super) fn maybe(now: Timestamp) -> String {
        format!("{MAYBE} {}", now.as_millis())
    }

    /// How a converted lead is bound.
    pub(super) fn converted(lead: &str, contact: &str) -> String {
        format!("{lead}{CONVERTED}{contact}")
    }
}
