//! Writing: by the id where that is known, by the key where it is not. An id stays right when a key does not: somebody may
//! empty the field, or have it held by another one.
//!
//! Placeholders are for new records only, and nobody is asked which are new. What has no id of Salesforce's yet is first
//! written without its last name: that changes a record that is there, and is refused with `REQUIRED_FIELD_MISSING` where there
//! is none. Those are then made, with all that a new record needs. So a batch of people takes one call, and two where there
//! are new ones among them; to read before writing would take one call for every 25.

use domain::Verdict;
use domain::connector::{HttpCall, Reply};
use domain::verdict::FailureReason;
use serde_json::{Value, json};

use super::blame::{Blame, Deed};
use super::bound::{Bound, Ledger, Ours};
use super::calls::record;
use super::case::{Asked, Need, Turn, What, Whom};
use super::fields::{self, Way};
use super::reply::{self, Failure, Outcome, Refusal};
use super::settings::{Duplicates, Org};
use crate::crm::{Given, Person};

/// Most records of one call.
const RECORDS_MAX: usize = 200;

/// A call, what it asks, and about whom.
pub(super) type Asking = (What, Vec<Whom>, HttpCall);

impl Org {
    /// Everybody who is to be written by the key.
    pub(super) fn write(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, people, ledger, exchange } = turn;
        let (mut records, mut whom) = (Vec::new(), Vec::new());
        for place in exchange.who(|need| matches!(need, Need::Write { .. })).into_iter().take(RECORDS_MAX) {
            let creates = matches!(exchange.cases[place].need, Need::Write { creates: true });
            let Some(person) = people.people.get(place) else { continue };
            let (key, way) = (person.key(), way(ledger, person, creates));
            let before = ledger.ours(&key);
            match self.fields(person, way, &before.given) {
                Ok(mut fields) => {
                    exchange.cases[place].relieve(&mut fields);
                    let ours = fields::ours(&before, &fields);
                    if creates && !ledger.has(&key) {
                        // If the answer is lost and the subject becomes part of another one, it must be known that there
                        // may be a record of it, and which address that has.
                        exchange.cases[place].is_first = ledger.of(&key) == Bound::No;
                        ledger.note_with(&key, &Bound::Maybe { since: batch.now }, &ours);
                    }
                    records.push(record(self.object.name(), &self.key_field, &key, fields));
                    whom.push(Whom { ours, ..Whom::itself(place) });
                }
                Err(verdict) => exchange.over(place, verdict),
            }
        }
        let path = ["composite", "sobjects", self.object.name(), &self.key_field];
        (!records.is_empty()).then(|| (What::Write, whom, self.records(batch.token, &path, &records)))
    }

    /// What became of them.
    pub(super) fn written(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { people, ledger, exchange, .. } = turn;
        if reply::is_refused_whole(reply) {
            for whom in &asked.whom {
                exchange.cases.get_mut(whom.case).into_iter().for_each(|case| case.not_made(ledger));
            }
        }
        let outcomes = reply::outcomes(self, reply, asked.whom.len())?;
        let [known, new] = [Deed::Known, Deed::New].map(|deed| Blame::of(deed, &outcomes));
        for (whom, outcome) in asked.whom.iter().zip(outcomes) {
            let place = whom.case;
            let (Some(person), Some(case)) = (people.people.get(place), exchange.cases.get_mut(place)) else {
                continue;
            };
            let creates = matches!(case.need, Need::Write { creates: true });
            let sent = way(ledger, person, creates);
            if outcome.is_refused() {
                case.not_made(ledger);
            }
            let blame = if sent == Way::Known { known } else { new };
            case.need = match Failure::of(self, &outcome, blame) {
                None => {
                    bind(ledger, whom, &case.key, &outcome);
                    // Not all was said, because it was to be seen first whether there is a record, or the organisation makes
                    // leads without a name, of whom the rest is to be told.
                    let is_new = outcome.created == Some(true) && !creates;
                    let is_name_left = sent == Way::IfThere && self.is_named(person);
                    if is_new || is_name_left {
                        Need::Write { creates: is_new }
                    } else {
                        self.after_writing(whom, &case.key, person, ledger, None)
                    }
                }
                Some(Failure::Missing(_)) if !creates => Need::Write { creates: true },
                Some(Failure::Missing(verdict) | Failure::Deleted(verdict) | Failure::Verdict(verdict)) => {
                    Need::Over { verdict }
                }
                Some(Failure::IsConverted) => self.follows(&case.key, None),
                Some(Failure::Duplicates(ids, verdict)) => match self.duplicates {
                    Duplicates::Adopt if !ids.is_empty() && person.profile.email().is_some() => Need::Compare { ids },
                    _ => Need::Over { verdict },
                },
                Some(Failure::Taken(_)) if !case.has_raced => {
                    case.has_raced = true;
                    Need::Write { creates: false }
                }
                Some(Failure::NoAddress(fields, verdict)) => case.without(fields, verdict),
                Some(Failure::Taken(verdict)) => Need::Over { verdict },
            };
        }
        Ok(())
    }

    /// The record of a subject that turned out to be this person, who has none: it becomes the person's. Nothing is made,
    /// nothing is merged, and what the sales team has written there stays.
    pub(super) fn inherits(&self, person: &Person<'_>, ledger: &mut Ledger<'_>) -> Option<Need> {
        let mut absorbed = person.profile.absorbed.iter().map(ToString::to_string);
        let of = absorbed.find(|subject| ledger.has(subject))?;
        match ledger.of(&of) {
            Bound::Converted { contact, .. } => {
                ledger.hand_over(&of, &person.key());
                Some(self.follows(&person.key(), Some(contact)))
            }
            bound => Some(self.change(bound.record()?, Some(of))),
        }
    }

    /// The need of somebody whose record is known, though it may be `of` another subject so far.
    pub(super) fn change(&self, id: &str, of: Option<String>) -> Need {
        Need::Update { id: id.to_owned(), object: self.object.name().to_owned(), only: None, of }
    }

    /// Whether an id is of the object that people are kept as, and not of the one that the settings named before.
    pub(super) fn is_own(&self, id: &str) -> bool {
        id.starts_with(self.object.prefix())
    }

    /// What is needed of a lead that was converted.
    pub(super) fn follows(&self, lead: &str, contact: Option<String>) -> Need {
        if self.follows_contacts {
            return Need::Follow { lead: lead.to_owned(), contact };
        }
        let message = format!(
            "the lead of `{lead}` was converted, and a converted lead cannot be written; `converted = \"contact\"` writes the \
             contact instead"
        );
        Need::Over { verdict: Verdict::reject(FailureReason::Refused, message) }
    }

    /// Everybody who is to be written by the id of a record.
    pub(super) fn update(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, people, ledger, exchange } = turn;
        let (mut records, mut whom) = (Vec::new(), Vec::new());
        for place in exchange.who(|need| matches!(need, Need::Update { .. })).into_iter().take(RECORDS_MAX) {
            let Need::Update { id, object, only, of } = exchange.cases[place].need.clone() else { continue };
            let Some(person) = people.people.get(place) else { continue };
            let holder = of.unwrap_or_else(|| person.key());
            let before = ledger.ours(&holder);
            match self.fields(person, Way::Known, &before.given) {
                Ok(mut fields) => {
                    exchange.cases[place].relieve(&mut fields);
                    fields.insert(self.key_field.clone(), person.key().into());
                    if let Some(only) = only {
                        fields.retain(|name, _| only.iter().any(|known| known.eq_ignore_ascii_case(name)));
                    }
                    let ours = fields::ours(&before, &fields);
                    if ledger.has(&holder) {
                        // Also if nobody hears of it.
                        let given = before.given.or(&ours.given);
                        ledger.note_ours(&holder, &Ours { given, ..before });
                    }
                    whom.push(Whom { ours, ..Whom::itself(place) });
                    records.push(record(&object, "id", &id, fields));
                }
                Err(verdict) => exchange.over(place, verdict),
            }
        }
        (!records.is_empty())
            .then(|| (What::Update, whom, self.records(batch.token, &["composite", "sobjects"], &records)))
    }

    pub(super) fn updated(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { people, ledger, exchange, .. } = turn;
        let outcomes = reply::outcomes(self, reply, asked.whom.len())?;
        let blame = Blame::of(Deed::Known, &outcomes);
        for (whom, outcome) in asked.whom.iter().zip(outcomes) {
            let (Some(person), Some(case)) = (people.people.get(whom.case), exchange.cases.get_mut(whom.case)) else {
                continue;
            };
            let Need::Update { id, of, only, .. } = case.need.clone() else { continue };
            let holder = of.clone().unwrap_or_else(|| case.key.clone());
            let is_bound = ledger.of(&holder) == Bound::Record(id.clone());
            case.need = match (Failure::of(self, &outcome, blame), of) {
                (None, of) => {
                    if let Some(of) = of {
                        ledger.hand_over(&of, &case.key);
                    }
                    if ledger.of(&case.key).record() != Some(&id) {
                        ledger.note(&case.key, &Bound::Record(id));
                    }
                    self.after_writing(whom, &case.key, person, ledger, only.as_deref())
                }
                (Some(Failure::IsConverted), _) if is_bound => self.follows(&holder, None),
                // Somebody has deleted it, and the person gets another one.
                (Some(Failure::Deleted(_)), of) if is_bound => {
                    // Where a value of the settings may be what there is none of, that is not known for sure.
                    if let Some(of) = of.filter(|_| !self.refers()) {
                        ledger.forget(&of);
                    }
                    Need::Write { creates: false }
                }
                // There is a record with the person's own key after all; that is the person's, and if the other one is
                // another subject's the two are made one.
                (Some(Failure::Taken(_)), _) if is_bound && !case.has_raced => {
                    case.has_raced = true;
                    Need::Write { creates: false }
                }
                (Some(Failure::NoAddress(fields, verdict)), _) => case.without(fields, verdict),
                (Some(failure), _) => Need::Over { verdict: failure.verdict() },
            };
        }
        Ok(())
    }

    /// Looks at the records that a duplicate rule has found.
    pub(super) fn compare(&self, turn: &mut Turn<'_>) -> Option<Asking> {
        let Turn { batch, exchange, .. } = turn;
        let mut whom = Vec::new();
        for place in exchange.who(|need| matches!(need, Need::Compare { .. })) {
            let Need::Compare { ids } = &exchange.cases[place].need else { continue };
            let about: Vec<String> = ids.iter().take(reply::DUPLICATES_MAX).cloned().collect();
            whom.push(Whom::about(place, about));
        }
        let ids: Vec<&String> = whom.iter().flat_map(|whom| &whom.about).collect();
        let body = json!({"ids": ids, "fields": ["Id", "Email", self.key_field]});
        let path = ["composite", "sobjects", self.object.name()];
        (!ids.is_empty()).then(|| (What::Compare, whom.clone(), self.post(batch.token, &path, &body)))
    }

    /// The one that has the person's address is the person, unless there are several or it is somebody else's already.
    pub(super) fn compared(&self, turn: &mut Turn<'_>, asked: &Asked, reply: &Reply) -> Result<(), Refusal> {
        let Turn { people, exchange, .. } = turn;
        let count = asked.whom.iter().map(|whom| whom.about.len()).sum();
        let mut found = reply::list(self, reply, count)?.into_iter();
        for whom in &asked.whom {
            let found: Vec<Value> = found.by_ref().take(whom.about.len()).collect();
            let Some(person) = people.people.get(whom.case) else { continue };
            let key = person.key();
            let is_the_person = |record: &&Value| {
                let address = record["Email"].as_str().map(str::to_lowercase);
                let holder = record[&self.key_field].as_str().unwrap_or_default();
                address.as_deref() == person.profile.email() && (holder.is_empty() || holder == key)
            };
            let same: Vec<&str> = found
                .iter()
                .filter(is_the_person)
                .filter_map(|it| it["Id"].as_str().filter(|id| reply::is_id(id)))
                .collect();
            let need = match same[..] {
                [id] => self.change(id, None),
                _ => Need::Over { verdict: reply::duplicates(whom.about.iter()) },
            };
            exchange.needs(whom.case, need);
        }
        Ok(())
    }

    fn is_named(&self, person: &Person<'_>) -> bool {
        self.fields(person, Way::Known, &Given::default()).is_ok_and(|fields| fields.contains_key("LastName"))
    }
}

fn way(ledger: &Ledger<'_>, person: &Person<'_>, creates: bool) -> Way {
    match ledger.of(&person.key()) {
        _ if creates => Way::New,
        Bound::Record(_) => Way::Known,
        Bound::No | Bound::Maybe { .. } | Bound::Converted { .. } => Way::IfThere,
    }
}

fn bind(ledger: &mut Ledger<'_>, whom: &Whom, key: &str, outcome: &Outcome) {
    if let Some(id) = outcome.id.as_deref().filter(|id| reply::is_id(id)) {
        ledger.note_with(key, &Bound::Record(id.to_owned()), &whom.ours);
    }
}
