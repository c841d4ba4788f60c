//! An exchange: what is still to be done about each person of a batch, and the call that comes next.
//!
//! Most exchanges are one upsert. What was found out by earlier calls is kept in the notes of the progress; nothing depends on
//! it but the way: an exchange that is cut off begins anew and comes to the same contacts.

mod heard;

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Progress, Reply, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Contact, MERGED, MORE_EMAILS};
use super::bound::{Bound, Written};
use super::properties::{EMAIL, STAGE, parts};
use super::refusal;
use super::standing::{Name, Outcome, Standing, Wants};
use super::{CONTACTS_MAX, Portal};
use crate::crm::{Given, People, Person};

/// Most calls of one exchange. What is left over then goes on with the next one.
const CALLS_MAX: u32 = 8;
/// How soon the next exchange begins where this one left off.
const NEXT_WAIT: Duration = Duration::from_secs(1);

/// Where an exchange stands.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Talk {
    people: Vec<Standing>,
    /// What contacts are still to be looked for by.
    unread: Vec<Name>,
    found: Vec<Contact>,
    asked: Asked,
}

/// The call that was made last.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
enum Asked {
    #[default]
    Nothing,
    Names,
    Emails,
    /// Of the person with this key, into whose contact one was merged that may have had a key of its own.
    Merge {
        key: String,
        old_key: Option<String>,
    },
    /// Of the people with these keys.
    Write(Vec<String>),
}

/// The first call about a batch.
pub(super) fn begin(portal: &Portal, batch: &Batch<'_>, progress: &mut Progress) -> Step {
    let people = People::of(batch, portal.matching, |profile| {
        let mut subjects = std::iter::once(&profile.subject).chain(&profile.absorbed);
        subjects.any(|subject| Bound::of(portal, progress, &subject.to_string()).is_some())
    });
    let mut talk = Talk::default();
    for person in &people.people {
        talk.add(portal, person, progress);
    }
    talk.next(portal, &people, progress)
}

/// What would be written if none of the people had a contact.
pub(super) fn preview(portal: &Portal, batch: &Batch<'_>) -> Step {
    let people = People::of(batch, portal.matching, |_| false);
    let standing = |person: &Person<'_>| Standing { key: person.key(), is_new: true, ..Standing::default() };
    let mut talk = Talk { people: people.people.iter().map(standing).collect(), ..Talk::default() };
    talk.next(portal, &people, &mut Progress::default())
}

/// The next call, or the end.
pub(super) fn go_on(portal: &Portal, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
    let note = progress.notes.get(NOTE).map(String::as_str).unwrap_or_default();
    let mut talk: Talk = serde_json::from_str(note).unwrap_or_default();
    let people = People::of(batch, portal.matching, |profile| {
        talk.people.iter().any(|standing| standing.key == profile.subject.to_string())
    });
    refusal::heed(reply, progress);
    match talk.hear(portal, &people, progress, reply) {
        Some(step) => step,
        None => talk.next(portal, &people, progress),
    }
}

/// Where the state is among the notes.
const NOTE: &str = "talk";

impl Talk {
    fn add(&mut self, portal: &Portal, person: &Person<'_>, progress: &mut Progress) {
        let key = person.key();
        let bound = Bound::of(portal, progress, &key);
        let absorbed = person.profile.absorbed.iter().map(ToString::to_string);
        let absorbed = absorbed.filter_map(|old| Bound::of(portal, progress, &old).map(|bound| (old, bound)));
        let mut standing = Standing { absorbed: absorbed.collect(), is_new: bound.is_none(), ..Standing::default() };
        // A placeholder must not be put over the name that somebody has given meanwhile.
        let may_need_name = portal.stub_name.is_some() && matches!(bound, Some(Bound::Maybe(_)));
        match bound {
            None => portal.bind(&key, None, &Written::default(), progress),
            Some(Bound::Maybe(given)) => standing.written.given = given,
            Some(Bound::Contact(id, written)) => (standing.id, standing.written) = (Some(id), written),
            elsewhere => standing.elsewhere = elsewhere,
        }
        standing.key = key;
        let must_look = may_need_name || standing.elsewhere.is_some() || standing.clears_email(portal, person);
        if portal.moves_stage || must_look || !standing.absorbed.is_empty() {
            self.unread.extend(standing.look_up(Wants::Keys));
        }
        self.people.push(standing);
    }

    /// The next call, in the order in which the most people are served should the calls run out.
    fn next(&mut self, portal: &Portal, people: &People<'_>, progress: &mut Progress) -> Step {
        let left = CALLS_MAX.saturating_sub(progress.replies);
        if left > 1
            && let Some(body) = self.read_names(portal)
        {
            return self.send(portal, progress, Asked::Names, "batch/read", &body);
        }
        if left > 0
            && self.unread.is_empty()
            && let Some(step) = self.write(portal, people, progress, |standing| standing.id.is_none())
        {
            return step;
        }
        if left > 1 && self.people.iter().any(Standing::wants_search) {
            let searching = self.people.iter().filter(|standing| standing.wants_search());
            let emails: Vec<_> = searching.filter_map(|standing| email(portal, people, &standing.key)).collect();
            return self.send(portal, progress, Asked::Emails, "batch/read", &read(portal, Some("email"), &emails));
        }
        if left > 1
            && let Some(standing) = self.people.iter_mut().find(|standing| standing.wants_merge())
            && let (Some(primary), (merged, old_key)) = (standing.id.clone(), standing.to_merge.remove(0))
        {
            standing.brace(portal, progress);
            let body = json!({"objectIdToMerge": merged, "primaryObjectId": primary});
            let asked = Asked::Merge { key: standing.key.clone(), old_key };
            return self.send(portal, progress, asked, "merge", &body);
        }
        if left > 0
            && let Some(step) = self.write(portal, people, progress, |standing| standing.id.is_some())
        {
            return step;
        }
        let message = "there is more to be put right at HubSpot than fits into one exchange; the next one goes on";
        self.end(people, &Verdict::Wait { after: NEXT_WAIT, message: Some(message.to_owned()) })
    }

    /// The next look-up: keys and ids are asked for by calls of their own.
    fn read_names(&mut self, portal: &Portal) -> Option<Value> {
        let is_by_id = matches!(self.unread.first()?, Name::Id(_));
        let mut asked: Vec<String> = Vec::new();
        self.unread.retain(|name| {
            let (Name::Key(text) | Name::Id(text)) = name;
            let is_now = matches!(name, Name::Id(_)) == is_by_id && asked.len() < CONTACTS_MAX;
            if is_now && !asked.contains(text) {
                asked.push(text.clone());
            }
            !is_now
        });
        let by = (!is_by_id).then_some(portal.properties.key.as_str());
        Some(read(portal, by, &asked))
    }

    /// Writes those of whom nothing else must be done before: by their keys, or those whose contacts are named by their ids.
    fn write(
        &mut self,
        portal: &Portal,
        people: &People<'_>,
        progress: &mut Progress,
        belongs: fn(&Standing) -> bool,
    ) -> Option<Step> {
        let mut inputs = Vec::new();
        let mut keys = Vec::new();
        let mut ids: Vec<String> = Vec::new();
        for standing in self.people.iter_mut().filter(|standing| standing.is_ready() && belongs(standing)) {
            let Some(person) = person(people, &standing.key) else { continue };
            // Somebody has merged the contacts of two people by hand. No call may name a contact twice.
            if standing.id.as_ref().is_some_and(|id| ids.contains(id)) {
                continue;
            }
            match standing.properties(portal, person) {
                Ok(properties) => {
                    standing.brace(portal, progress);
                    ids.extend(standing.id.clone());
                    keys.push(standing.key.clone());
                    inputs.push(standing.input(portal, person, &properties));
                }
                Err(Verdict::Reject { reason, message }) => {
                    standing.outcome = Some(Outcome::Refused(reason, message.unwrap_or_default()));
                }
                Err(_) => {}
            }
        }
        if keys.is_empty() {
            return None;
        }
        let path = if ids.is_empty() { "batch/upsert" } else { "batch/update" };
        Some(self.send(portal, progress, Asked::Write(keys), path, &json!({ "inputs": inputs })))
    }

    fn send(&mut self, portal: &Portal, progress: &mut Progress, asked: Asked, path: &str, body: &Value) -> Step {
        self.asked = asked;
        progress.notes.insert(NOTE.to_owned(), serde_json::to_string(self).unwrap_or_default());
        Step::Send(portal.post(&format!("{}/{path}", portal.contacts), body))
    }

    /// Each person's verdict; of those of whom nothing is decided, this one.
    fn end(&self, people: &People<'_>, otherwise: &Verdict) -> Step {
        people.settle(|person| {
            let outcome = self.people.iter().find(|standing| standing.key == person.key());
            match outcome.and_then(|standing| standing.outcome.as_ref()) {
                Some(Outcome::Written) => Verdict::Delivered,
                Some(Outcome::Refused(reason, message)) => Verdict::reject(*reason, message.clone()),
                Some(Outcome::Again(reason, message)) => {
                    Verdict::Retry { after: None, reason: *reason, message: Some(message.clone()) }
                }
                None => otherwise.clone(),
            }
        })
    }
}

/// What the answer calls a contact by.
pub(super) fn trace(person: &Person<'_>) -> String {
    person.item.event.id.to_string()
}

fn person<'p, 'b>(people: &'p People<'b>, key: &str) -> Option<&'p Person<'b>> {
    people.people.iter().find(|person| person.key() == key)
}

/// The address that is written into a contact.
fn email(portal: &Portal, people: &People<'_>, key: &str) -> Option<String> {
    let properties = portal.properties.of(person(people, key)?, &Given::default()).ok()?;
    properties.get(EMAIL).and_then(Value::as_str).filter(|email| !email.is_empty()).map(str::to_owned)
}

/// Looks contacts up by a property with unique values, or by their ids.
fn read(portal: &Portal, by: Option<&str>, names: &[String]) -> Value {
    let known = [portal.properties.key.as_str(), EMAIL, MORE_EMAILS, MERGED, STAGE].into_iter();
    let filled = parts().map(|(name, _)| name).filter(|name| portal.properties.is_filled(name));
    let mut body = json!({
        "idProperty": by,
        "inputs": names.iter().map(|name| json!({ "id": name })).collect::<Vec<_>>(),
        "properties": known.chain(filled).collect::<Vec<_>>(),
        "propertiesWithHistory": [],
    });
    if let Some(body) = body.as_object_mut().filter(|_| by.is_none()) {
        body.shift_remove("idProperty");
    }
    body
}
