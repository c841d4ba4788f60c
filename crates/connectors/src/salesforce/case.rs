//! Where an exchange stands: what each person of the batch still needs.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Progress, Step};
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bound::{Bound, Ledger, Ours};
use super::settings::Org;
use crate::crm::{People, Person};

/// The note that holds an exchange.
const NOTE: &str = "exchange";
/// How long to wait before what one exchange had too few calls for is gone on with.
const PUT_OFF: Duration = Duration::from_secs(1);

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
    pub(super) ledger: Ledger<'a>,
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
    /// The address that this record has from us turned out to be somebody else's: is it there still?
    Look { id: String, object: String },
    /// It is, and is to be taken out.
    Clear { id: String, object: String },
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
    Look,
    Clear,
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
    /// What the record has from us once it is written.
    pub(super) ours: Ours,
}

impl Whom {
    pub(super) fn itself(case: usize) -> Self {
        Self::about(case, Vec::new())
    }

    pub(super) fn about(case: usize, about: Vec<String>) -> Self {
        Self { case, about, ours: Ours::default() }
    }
}

impl Exchange {
    /// As it begins.
    pub(super) fn begin(org: &Org, people: &People<'_>, ledger: &mut Ledger<'_>) -> Self {
        let mut case = |person: &Person<'_>| {
            let key = person.key();
            let need = match ledger.of(&key) {
                Bound::Converted { contact, .. } => org.follows(&key, Some(contact)),
                Bound::No => org.inherits(person, ledger).unwrap_or(Need::Write { creates: false }),
                Bound::Record(id) if org.is_own(&id) => org.change(&id, None),
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
    pub(super) fn not_made(&mut self, ledger: &mut Ledger<'_>) {
        if std::mem::take(&mut self.is_first) && matches!(ledger.of(&self.key), Bound::Maybe { .. }) {
            ledger.forget(&self.key);
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
    /// before writing once more, what turned out to be somebody else's is taken out of what is written, and records are brought
    /// together when all are.
    const fn rank(&self) -> u8 {
        match self {
            Self::Update { only: None, .. } => 0,
            Self::Write { .. } => 1,
            Self::Follow { .. } => 2,
            Self::Compare { .. } => 3,
            Self::Update { only: Some(_), .. } => 4,
            Self::Look { .. } => 5,
            Self::Clear { .. } => 6,
            Self::Join => 7,
            Self::Convert => 8,
            Self::Over { .. } => 9,
        }
    }
}
