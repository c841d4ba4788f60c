//! An exchange: the people of a batch one after the other, call by call.
//!
//! What was found out is in the notes of the progress. An exchange that is cut off begins anew from what is kept, and comes to the
//! same records.

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Call, Progress, Reply, Step};
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, Record};
use super::bound::{Bound, FIELDS, GONE};
use super::calls::Entity;
use super::case::{Around, Case, Need, Outcome, Sought};
use super::lookup::{Lookup, Schema};
use super::person::{new_person, to_be_given};
use super::refusal::{self, Refusal};
use super::settings::Account;
use crate::common::{is_page, page};
use crate::crm::{People, Person};

/// Most calls of one exchange. What is left over goes on with the next one.
const CALLS_MAX: u32 = 8;
/// Somebody else's turn begins only if this many calls are left, so that searches are not made for nothing.
const CALLS_OF_ONE: u32 = 4;
/// How soon the next exchange begins where this one left off: at once, since the rate paces calls.
const NEXT_WAIT: Duration = Duration::from_millis(20);
/// Where the state is among the notes.
const NOTE: &str = "talk";

/// Where an exchange stands.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Talk {
    cases: Vec<Case>,
    lookup: Lookup,
    /// The fields were looked up in this exchange, so what is refused is refused for something else.
    is_schema_new: bool,
    /// Whose record the user of the token may not see or write.
    shut_out: Option<usize>,
    asked: Asked,
}

/// The call that was made last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
enum Asked {
    #[default]
    Nothing,
    Lookup,
    Case(usize, What),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum What {
    Find(Sought),
    Read(Entity),
    List,
    /// Under this name, if it was given one.
    Create(Entity, Option<String>),
    Update(Entity, u64, Option<String>),
    Merge(Entity, u64),
}

impl Asked {
    /// About which of the cases it was.
    const fn place(&self) -> Option<usize> {
        match self {
            Self::Nothing | Self::Lookup => None,
            Self::Case(place, _) => Some(*place),
        }
    }
}

/// The exchange is over for everybody of whom nothing is decided yet.
struct Over(Verdict);

/// The first call about a batch.
pub(super) fn begin(account: &Account, batch: &Batch<'_>, progress: &mut Progress) -> Step {
    let people = People::of(batch, account.matching, |profile| {
        let mut subjects = std::iter::once(&profile.subject).chain(&profile.absorbed);
        subjects.any(|subject| Bound::of(account, progress, &subject.to_string()) != Bound::No)
    });
    let is_asked_again = |person: &Person<'_>| {
        let mut items = person.places.iter().filter_map(|place| batch.items.get(*place));
        items.any(|item| item.delivery.ordinal > 0 || item.attempt > 1)
    };
    let cases = people.people.iter().map(|person| Case::begin(account, person, is_asked_again(person), progress));
    let talk = Talk { cases: cases.collect(), ..Talk::default() };
    talk.next(account, batch, &people, progress)
}

/// The person who would be made if nobody were there, with the names of the fields in place of their codes.
pub(super) fn preview(account: &Account, batch: &Batch<'_>) -> Step {
    let people = People::of(batch, account.matching, |_| false);
    let Some(person) = people.people.first() else { return people.settle(|_| Verdict::Delivered) };
    let around = Around { account, schema: &Schema::by_names(account), person, now: batch.now };
    match new_person(&around) {
        Ok(body) => Step::Send(account.create(Entity::Person, &body)),
        Err(verdict) => people.settle(|_| verdict.clone()),
    }
}

/// The next call, or the end.
pub(super) fn go_on(account: &Account, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
    let (mut talk, people) = Talk::kept(account, batch, progress);
    let about = talk.asked.place();
    match talk.hear(account, batch, &people, progress, reply) {
        Ok(()) => talk.next(account, batch, &people, progress),
        Err(Over(verdict)) => talk.cut_off(&people, about.filter(|_| progress.replies > 1), &verdict),
    }
}

/// The end where a call got no answer, though others before it did.
pub(super) fn cut_off(
    account: &Account,
    batch: &Batch<'_>,
    progress: &Progress,
    otherwise: &Verdict,
) -> Option<Vec<Verdict>> {
    let (talk, people) = Talk::kept(account, batch, progress);
    match talk.cut_off(&people, talk.asked.place(), otherwise) {
        Step::Settle(verdicts) => Some(verdicts),
        _ => None,
    }
}

impl Talk {
    /// Where the exchange stands, and with whom.
    fn kept<'a>(account: &Account, batch: &'a Batch<'_>, progress: &Progress) -> (Self, People<'a>) {
        let note = progress.notes.get(NOTE).map(String::as_str).unwrap_or_default();
        let talk: Self = serde_json::from_str(note).unwrap_or_default();
        let people = People::of(batch, account.matching, |profile| {
            talk.cases.iter().any(|case| case.key == profile.subject.to_string())
        });
        (talk, people)
    }

    fn next(mut self, account: &Account, batch: &Batch<'_>, people: &People<'_>, progress: &mut Progress) -> Step {
        let left = CALLS_MAX.saturating_sub(progress.replies);
        let is_open = |case: &Case| case.outcome.is_none();
        let Some(schema) = Schema::kept(account, progress) else {
            if !self.cases.iter().any(is_open) || left == 0 {
                return self.end(people);
            }
            let call = self.lookup.call(account);
            return self.send(progress, Asked::Lookup, call);
        };
        for place in 0..self.cases.len() {
            let (Some(person), Some(case)) = (people.people.get(place), self.cases.get_mut(place)) else { break };
            let is_begun = case.is_begun;
            let around = Around { account, schema: &schema, person, now: batch.now };
            let Some(need) = case.next(&around, progress) else { continue };
            let is_first = progress.replies == 0;
            if left == 0 || (!is_begun && !is_first && left < CALLS_OF_ONE) {
                break;
            }
            let (what, call) = self.ask(place, need, &around, progress);
            return self.send(progress, Asked::Case(place, what), call);
        }
        self.end(people)
    }

    /// The call for a need. Before one that makes something it is noted that it may be there.
    fn ask(&mut self, place: usize, need: Need, around: &Around<'_>, progress: &mut Progress) -> (What, Call) {
        let account = around.account;
        match need {
            Need::FindByKey(key) => {
                let call = account.find_by_key(around.schema.key(account, Entity::Person), &key);
                (What::Find(Sought::Key(key)), call)
            }
            Need::FindByEmail(email) => (What::Find(Sought::Email), account.find_by_email(&email)),
            Need::Read(entity, ids) => (What::Read(entity), account.read_record(entity, &ids)),
            Need::ListDeals(person) => (What::List, account.list_deals(person)),
            Need::Create(entity, body) => {
                if let Some(case) = self.cases.get_mut(place) {
                    let given = to_be_given(entity, around);
                    case.keep(entity, Bound::Maybe { since: around.now, given }, account, progress);
                }
                (What::Create(entity, name(&body)), account.create(entity, &body))
            }
            Need::Update(entity, id, body) => {
                (What::Update(entity, id, name(&body)), account.update(entity, id, &body))
            }
            Need::Merge(entity, id, into) => (What::Merge(entity, id), account.merge(entity, id, into)),
        }
    }

    fn send(mut self, progress: &mut Progress, asked: Asked, call: Call) -> Step {
        self.asked = asked;
        progress.notes.insert(NOTE.to_owned(), serde_json::to_string(&self).unwrap_or_default());
        Step::Send(call)
    }

    /// Each person's verdict; of those of whom nothing is decided, that there is more to come.
    fn end(&self, people: &People<'_>) -> Step {
        self.cut_off(people, None, &go_on_later())
    }

    /// The same where a call failed that says nothing of anybody. If it was about one person, the vendor has answered before, and so
    /// the others have had no try.
    fn cut_off(&self, people: &People<'_>, about: Option<usize>, verdict: &Verdict) -> Step {
        let is_spared = |case: &Case| {
            let about = about.and_then(|place| self.cases.get(place));
            matches!(verdict, Verdict::Retry { .. }) && about.is_some_and(|about| about.key != case.key)
        };
        people.settle(|person| {
            let case = self.cases.iter().find(|case| case.key == person.key());
            let decided = case.and_then(|case| case.outcome.as_ref()).map(Outcome::verdict);
            decided.unwrap_or_else(|| if case.is_some_and(is_spared) { go_on_later() } else { verdict.clone() })
        })
    }

    /// Takes in a reply.
    fn hear(
        &mut self,
        account: &Account,
        batch: &Batch<'_>,
        people: &People<'_>,
        progress: &mut Progress,
        reply: &Reply,
    ) -> Result<(), Over> {
        let asked = std::mem::take(&mut self.asked);
        let answer = understood(account, reply);
        let (place, what) = match asked {
            Asked::Nothing => return Err(Over(refusal::strange())),
            Asked::Lookup => return self.looked_up(account, progress, reply, answer),
            Asked::Case(place, what) => (place, what),
        };
        let schema = Schema::kept(account, progress);
        let (Some(schema), Some(person), true) = (&schema, people.people.get(place), place < self.cases.len()) else {
            return Err(Over(go_on_later()));
        };
        let around = Around { account, schema, person, now: batch.now };
        match answer {
            Ok(data) => self.answered(place, what, &data, &around, progress),
            Err(refusal) => self.refused(place, what, refusal, &around, progress),
        }
    }

    fn looked_up(
        &mut self,
        account: &Account,
        progress: &mut Progress,
        reply: &Reply,
        answer: Result<Value, Refusal>,
    ) -> Result<(), Over> {
        let data = answer.map_err(|refusal| Over(for_everybody(refusal)))?;
        if let Some(schema) = self.lookup.hear(account, &data, reply).map_err(Over)? {
            schema.keep(progress);
            self.is_schema_new = true;
            self.lookup = Lookup::default();
        }
        Ok(())
    }

    fn answered(
        &mut self,
        place: usize,
        what: What,
        data: &Value,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<(), Over> {
        let strange = || Over(refusal::strange());
        let case = &mut self.cases[place];
        let done = match what {
            What::Find(sought) => {
                let own = case.person.own.id();
                let hits = answer::hits(data).ok_or_else(strange)?;
                match &sought {
                    Sought::Key(of) if hits.is_empty() => case.found_by_key(of, Vec::new(), around, progress),
                    Sought::Email => case.is_email_sought = true,
                    Sought::Key(_) | Sought::Nothing => {}
                }
                case.candidates = hits.into_iter().filter(|id| Some(*id) != own).collect();
                case.sought = sought;
                Ok(())
            }
            What::Read(entity) => {
                let codes = around.schema.codes(entity);
                let records = answer::records(data, &codes).ok_or_else(strange)?;
                case.read(entity, records, around, progress);
                Ok(())
            }
            What::List => {
                let codes = around.schema.codes(Entity::Deal);
                let records = answer::records(data, &codes).ok_or_else(strange)?;
                case.deals_listed(records, around);
                Ok(())
            }
            What::Create(entity, name) => {
                let id = data["id"].as_u64().ok_or_else(strange)?;
                case.party(entity).is_new = true;
                case.written(entity, id, name.as_deref(), around, progress)
            }
            What::Update(entity, id, name) => case.written(entity, id, name.as_deref(), around, progress),
            What::Merge(entity, id) => {
                case.merged(entity, id, around, progress);
                Ok(())
            }
        };
        if let Err(verdict) = done {
            case.outcome = Some(Outcome::of(verdict));
        }
        Ok(())
    }

    fn refused(
        &mut self,
        place: usize,
        what: What,
        refusal: Refusal,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<(), Over> {
        let account = around.account;
        let case = &mut self.cases[place];
        if let What::Create(entity, _) = what
            && !matches!(refusal, Refusal::Unclear(_))
        {
            case.keep(entity, Bound::No, account, progress);
        }
        if let (What::Create(entity, _) | What::Update(entity, ..), Refusal::Content(_, text)) = (&what, &refusal)
            && let Some(verdict) = refusal::of_settings(account, *entity, text)
        {
            return Err(Over(verdict));
        }
        match (what, refusal) {
            // A record may be somebody's alone. Two of them are no coincidence.
            (What::Read(_) | What::Update(..), Refusal::NoAccess(text, _)) if self.shut_out.is_none() => {
                self.shut_out = Some(place);
                case.outcome = Some(Outcome::shut_out(&text));
            }
            (_, Refusal::Everybody(verdict) | Refusal::Unclear(verdict) | Refusal::NoAccess(_, verdict)) => {
                return Err(Over(verdict));
            }
            (What::Read(Entity::Person), Refusal::NotFound(_)) if !case.candidates.is_empty() => {
                case.candidates_read(Vec::new(), around, progress);
            }
            (What::Read(entity) | What::Update(entity, ..), Refusal::NotFound(_)) => {
                case.lose(entity, account, progress);
            }
            (What::Merge(entity, id), Refusal::NotFound(_)) => {
                let party = case.party(entity);
                (party.unmerged, party.record) = (Some(id), None);
            }
            (What::Merge(entity, id), Refusal::Content(reason, text)) => {
                let own = case.party(entity).own.id().unwrap_or_default();
                let message = format!(
                    "there are two {} of the same person and Pipedrive does not merge {id} into {own} ({text}); merge them there, then \
                     redrive",
                    entity.plural()
                );
                case.outcome = Some(Outcome::Refused(reason, message));
            }
            (What::Create(..) | What::Update(..), Refusal::Content(_, text))
                if !self.is_schema_new && is_about_fields(&text, around.schema) =>
            {
                // Somebody has deleted a field, or changed its kind or its choices: the fields are looked up once more.
                progress.bind(FIELDS, GONE);
            }
            (What::Create(Entity::Deal, _) | What::Update(Entity::Deal, ..), Refusal::Content(reason, text)) => {
                let message = format!("the person is written, and the deal is refused: {text}");
                case.outcome = Some(Outcome::Refused(reason, message));
            }
            (_, Refusal::Content(reason, text)) => case.outcome = Some(Outcome::Refused(reason, text)),
            (_, refusal @ Refusal::NotFound(_)) => return Err(Over(for_everybody(refusal))),
        }
        Ok(())
    }
}

impl Case {
    /// Records that were read: candidates, or the record itself.
    fn read(&mut self, entity: Entity, records: Vec<Record>, around: &Around<'_>, progress: &mut Progress) {
        if entity == Entity::Person && !self.candidates.is_empty() {
            return self.candidates_read(records, around, progress);
        }
        let code = around.schema.key(around.account, entity);
        let id = self.party(entity).own.id();
        let is_ours = |record: &Record| {
            let holder = record.custom_text(code);
            Some(record.id) == id && !record.is("is_deleted") && (holder.is_empty() || self.is_key(holder))
        };
        match records.into_iter().find(is_ours) {
            Some(record) => {
                // It is the other one that is gone.
                if let Some(other) = self.party(entity).unmerged.take() {
                    self.merged(entity, other, around, progress);
                }
                self.party(entity).record = Some(record);
            }
            None => self.lose(entity, around.account, progress),
        }
    }

    fn written(
        &mut self,
        entity: Entity,
        id: u64,
        name: Option<&str>,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<(), Verdict> {
        match entity {
            Entity::Person => self.person_written(id, name, around, progress),
            Entity::Deal => self.deal_written(id, around, progress),
        }
    }

    /// Another record became part of this one, or is gone; what this one says now is to be seen.
    fn merged(&mut self, entity: Entity, other: u64, around: &Around<'_>, progress: &mut Progress) {
        let party = self.party(entity);
        party.merged(other, progress);
        party.record = None;
        if entity == Entity::Person {
            self.keep_if_alone(around, progress);
        }
    }
}

/// The `data` of an answer, or what its refusal means.
fn understood(account: &Account, reply: &Reply) -> Result<Value, Refusal> {
    if !reply.is_success() {
        return Err(refusal::sort(reply, account.token_share));
    }
    if is_page(reply) {
        return Err(Refusal::Unclear(page(reply, "Pipedrive")));
    }
    let Some(body) = reply.json() else {
        let message = Some("Pipedrive's answer cannot be read".to_owned());
        return Err(Refusal::Unclear(Verdict::Retry { after: None, reason: FailureReason::Broken, message }));
    };
    match answer::data(reply) {
        Some(data) => Ok(data),
        None if body["success"] == false => Err(refusal::sort(reply, account.token_share)),
        None => Err(Refusal::Unclear(refusal::strange())),
    }
}

/// What a refusal means that is not about one person.
fn for_everybody(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::Everybody(verdict) | Refusal::Unclear(verdict) | Refusal::NoAccess(_, verdict) => verdict,
        Refusal::NotFound(text) | Refusal::Content(_, text) => Verdict::misconfigured(format!(
            "Pipedrive does not know what it was asked ({text}); see whether `domain` is the company's and leave `host` out, then resume the \
             destination"
        )),
    }
}

/// Whether a refusal says something of custom fields.
fn is_about_fields(text: &str, schema: &Schema) -> bool {
    let codes = [schema.codes(Entity::Person), schema.codes(Entity::Deal)].concat();
    text.contains("custom_field") || text.contains("custom field") || codes.iter().any(|code| text.contains(code))
}

fn name(body: &Value) -> Option<String> {
    body["name"].as_str().map(str::to_owned)
}

fn go_on_later() -> Verdict {
    let message = "there is more to be written to Pipedrive than fits into one exchange; the next one goes on";
    Verdict::Wait { after: NEXT_WAIT, message: Some(message.to_owned()) }
}
