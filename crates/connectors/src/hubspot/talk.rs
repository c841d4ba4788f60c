//! An exchange: what is still to be done about each person of a batch, and the call that comes next.
//!
//! Most exchanges are one upsert. What was found out by earlier calls is kept in the notes of the progress; nothing depends on
//! it but the way: an exchange that is cut off begins anew and comes to the same contacts.

mod heard;

use std::time::Duration;

use domain::Verdict;
use domain::connector::{Batch, Progress, Reply, Step};
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Contact, MORE_EMAILS};
use super::properties::STAGE;
use super::refusal;
use super::standing::{GONE, MAYBE, Outcome, Standing, Wants};
use super::{CONTACTS_MAX, Portal};
use crate::crm::{People, Person};

/// Most calls of one exchange. What is left over then goes on with the next one.
const CALLS_MAX: u32 = 8;
/// How soon the next exchange begins where this one left off.
const NEXT_WAIT: Duration = Duration::from_secs(1);

/// Where an exchange stands.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Talk {
    people: Vec<Standing>,
    /// Keys under which contacts are still to be looked for.
    unread: Vec<String>,
    found: Vec<Contact>,
    asked: Asked,
    /// The account does not take the stage.
    without_stage: bool,
}

/// The call that was made last.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
enum Asked {
    #[default]
    Nothing,
    Keys,
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
        subjects.any(|subject| progress.bound(&subject.to_string()).is_some_and(|id| id != GONE))
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
        let bound = progress.bound(&key).filter(|id| *id != GONE).map(str::to_owned);
        let absorbed = person.profile.absorbed.iter().map(ToString::to_string);
        let absorbed: Vec<_> = absorbed
            .filter_map(|old| progress.bound(&old).filter(|id| *id != GONE).map(|id| (old.clone(), id == MAYBE)))
            .collect();
        if bound.is_none() {
            progress.bind(key.clone(), MAYBE);
        }
        // A placeholder must not be put over the name that somebody has given meanwhile.
        let may_need_name = portal.stub_name.is_some() && bound.as_deref() == Some(MAYBE);
        let mut standing = Standing { key, absorbed, is_new: bound.is_none(), ..Standing::default() };
        if portal.moves_stage || may_need_name || !standing.absorbed.is_empty() {
            self.unread.extend(standing.look_up(Wants::Keys));
        }
        self.people.push(standing);
    }

    /// The next call, in the order in which the most people are served should the calls run out.
    fn next(&mut self, portal: &Portal, people: &People<'_>, progress: &mut Progress) -> Step {
        let left = CALLS_MAX.saturating_sub(progress.replies);
        if left > 1 && !self.unread.is_empty() {
            let rest = self.unread.split_off(self.unread.len().min(CONTACTS_MAX));
            let keys = std::mem::replace(&mut self.unread, rest);
            return self.send(
                portal,
                progress,
                Asked::Keys,
                "batch/read",
                &read(portal, &portal.properties.key, &keys),
            );
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
            return self.send(portal, progress, Asked::Emails, "batch/read", &read(portal, "email", &emails));
        }
        if left > 1
            && let Some(standing) = self.people.iter_mut().find(|standing| standing.wants_merge())
            && let (Some(primary), (merged, old_key)) = (standing.id.clone(), standing.to_merge.remove(0))
        {
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
        let mut is_by_key = true;
        let without_stage = self.without_stage;
        for standing in self.people.iter_mut().filter(|standing| standing.is_ready() && belongs(standing)) {
            let Some(person) = person(people, &standing.key) else { continue };
            match standing.properties(portal, person, without_stage) {
                Ok(properties) => {
                    is_by_key = standing.id.is_none();
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
        let path = if is_by_key { "batch/upsert" } else { "batch/update" };
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
                Some(Outcome::Again(message)) => {
                    Verdict::Retry { after: None, reason: FailureReason::ServerError, message: Some(message.clone()) }
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
    let properties = portal.properties.of(person(people, key)?).ok()?;
    properties.get("email").and_then(Value::as_str).map(str::to_owned)
}

fn read(portal: &Portal, by: &str, ids: &[String]) -> Value {
    json!({
        "idProperty": by,
        "inputs": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
        "properties": [portal.properties.key, "email", MORE_EMAILS, STAGE],
        "propertiesWithHistory": [],
    })
}
