//! Where the contact of one person stands, and what else must be done before it can be written.

use domain::Verdict;
use domain::connector::Progress;
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Portal;
use super::answer::Contact;
use super::bound::{Bound, GONE, Mark, Written};
use super::properties::{EMAIL, STAGE, parts};
use super::stage::{self, is_forward};
use super::talk::trace;
use crate::common::on_one_line;
use crate::crm::{Person, mark};

/// Most characters of what a person is told about a contact.
const TEXT_CHARS_MAX: usize = 600;

/// Where the contact of one person stands.
#[derive(Debug, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub(super) struct Standing {
    pub(super) key: String,
    /// Other keys that turned out to be this person's, and what is bound of them.
    pub(super) absorbed: Vec<(String, Bound)>,
    /// There has never been a contact.
    pub(super) is_new: bool,
    pub(super) wants: Wants,
    /// The person's contact, once it was looked for.
    pub(super) own: Option<Contact>,
    /// The contact to be written, if not the one under the key: a key can be lost, by whoever merges contacts by hand, clears
    /// it, or has it kept in another property.
    pub(super) id: Option<String>,
    /// What was bound, if its place is another account: the key tells whether there is a contact in this one.
    pub(super) elsewhere: Option<Bound>,
    /// What the contact has got from us already.
    pub(super) written: Written,
    /// What it will have once it is written.
    pub(super) to_write: Written,
    /// Contacts to be merged into that one, with the keys that they are known by.
    pub(super) to_merge: Vec<(String, Option<String>)>,
    /// The key that the contact to be written has had so far.
    pub(super) renamed: Option<String>,
    /// What stages the person's contacts are in.
    pub(super) stages: Vec<String>,
    /// HubSpot does not take the person's stage.
    pub(super) without_stage: bool,
    pub(super) has_searched: bool,
    /// The address is another contact's: what to tell a person about it, after everything else is written.
    pub(super) complaint: Option<String>,
    /// The contact is that of another person of ours, who may have lost the address and is not written yet: so the address is
    /// tried again.
    pub(super) may_be_free_soon: bool,
    pub(super) outcome: Option<Outcome>,
}

/// What must be looked up before the contact can be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wants {
    #[default]
    Nothing,
    /// What there is under the person's keys.
    Keys,
    /// The same, and then who has the address.
    KeysThenEmail,
    /// Who has the address.
    Email,
}

/// What a contact is looked for by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Name {
    Key(String),
    Id(String),
}

/// What became of a person's contact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Outcome {
    Written,
    Refused(FailureReason, String),
    Again(FailureReason, String),
}

impl Standing {
    /// What to look for: ids, and keys where there is none.
    pub(super) fn look_up(&mut self, wants: Wants) -> Vec<Name> {
        self.wants = wants;
        let own = std::iter::once((&self.key, self.id.as_ref()));
        let names = own.chain(self.absorbed.iter().map(|(key, bound)| (key, bound.id())));
        names.map(|(key, id)| id.cloned().map_or_else(|| Name::Key(key.clone()), Name::Id)).collect()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.outcome.is_none() && self.wants == Wants::Nothing && self.to_merge.is_empty()
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.wants, Wants::Keys | Wants::KeysThenEmail)
    }

    pub(super) fn wants_search(&self) -> bool {
        self.outcome.is_none() && self.wants == Wants::Email
    }

    pub(super) fn wants_merge(&self) -> bool {
        self.outcome.is_none() && self.wants == Wants::Nothing && !self.to_merge.is_empty()
    }

    /// All of the person's contacts were looked for.
    pub(super) fn take_stock(&mut self, found: &[Contact], progress: &mut Progress) {
        self.wants = if self.wants == Wants::KeysThenEmail { Wants::Email } else { Wants::Nothing };
        let of = |key: &str, id: Option<&String>| {
            let by_id = found.iter().find(|it| id.is_some_and(|id| it.is(id)));
            by_id.or_else(|| found.iter().find(|it| it.key.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(key))))
        };
        self.own = of(&self.key, self.id.as_ref()).cloned();
        self.is_new = self.own.is_none();
        self.stages.extend(self.own.as_ref().and_then(|own| own.stage.clone()));
        if let (Some(id), Some(own)) = (&mut self.id, &self.own) {
            // It was merged into another one by hand.
            id.clone_from(&own.id);
        }
        if let (Some(bound), Some(own)) = (self.elsewhere.take(), &self.own) {
            self.id = Some(own.id.clone());
            self.written = bound.written(own);
        }
        for (old_key, bound) in std::mem::take(&mut self.absorbed) {
            match of(&old_key, bound.id()) {
                // Somebody has merged them already.
                Some(old) if self.is_known(&old.id) => progress.bind(old_key, GONE),
                Some(old) => {
                    self.stages.extend(old.stage.clone());
                    let written = bound.written(old);
                    match &mut self.own {
                        Some(own) => {
                            // Of the two contacts' values those of the first one stay.
                            self.written.given = self.written.given.or(&written.given.without(&own.filled));
                            own.emails.extend(old.emails.iter().cloned());
                            self.id = Some(own.id.clone());
                            self.to_merge.push((old.id.clone(), Some(old_key)));
                        }
                        // Nothing is under the key yet: one of the others becomes the person's contact.
                        own => {
                            (self.id, self.written, self.renamed) = (Some(old.id.clone()), written, Some(old_key));
                            *own = Some(old.clone());
                        }
                    }
                }
                // One that may yet come to be is looked for again next time.
                None if matches!(bound, Bound::Maybe(_)) => {}
                None => progress.bind(old_key, GONE),
            }
        }
    }

    fn is_known(&self, id: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.id == id) || self.to_merge.iter().any(|(other, _)| other == id)
    }

    /// The contact that has the person's address, if there is one.
    pub(super) fn meet(&mut self, rival: Option<&Contact>, email: &str, person: &Person<'_>) {
        let Some(rival) = rival else {
            // Gone meanwhile, or another one's of several who were refused together: it is tried again.
            return;
        };
        if self.own.as_ref().is_some_and(|own| own.id == rival.id) {
            return;
        }
        let absorbed = person.profile.absorbed.iter().map(ToString::to_string);
        let keys: Vec<String> = absorbed.chain([self.key.clone()]).collect();
        if let Some(key) = rival.key.as_ref().filter(|key| !keys.iter().any(|it| it.eq_ignore_ascii_case(key))) {
            self.may_be_free_soon = true;
            self.complaint = Some(on_one_line(
                &format!(
                    "contact {} has the address `{email}` already and is another person's, who is `{key}` here; everything but the \
                     address is written, and the address is tried again; if that goes on, find out whose it is and take it out of \
                     the other one",
                    rival.id
                ),
                TEXT_CHARS_MAX,
            ));
            return;
        }
        self.stages.extend(rival.stage.clone());
        if let Some(own) = &self.own {
            if let Some(own_email) = own.emails.first() {
                self.complaint = Some(format!(
                    "contact {} has the address `{email}`, and the person's own contact {} has `{own_email}`; everything but the \
                     address is written; if they are the same person, merge the two contacts in HubSpot, then redrive",
                    rival.id, own.id
                ));
                return;
            }
            // What we have made of somebody unknown goes into the contact that was there.
            self.to_merge.push((own.id.clone(), None));
        }
        // Whatever it says already is not ours, and stays.
        self.written.given = self.written.given.without(&rival.filled);
        self.id = Some(rival.id.clone());
        self.own = Some(rival.clone());
    }

    /// Whether an address must be taken out again that we have written.
    pub(super) fn clears_email(&self, portal: &Portal, person: &Person<'_>) -> bool {
        let properties = || portal.properties.of(person, &self.written.given);
        self.written.email.is_some() && properties().is_ok_and(|properties| is_cleared(&properties))
    }

    /// It is about to be written. Should the answer be lost, whatever was sent may be there; which address is, nobody knows then,
    /// but that one is still to be taken out.
    pub(super) fn brace(&self, portal: &Portal, progress: &mut Progress) {
        let given = self.written.given.or(&self.to_write.given);
        let email =
            self.written.email.clone().filter(|email| self.to_write.email.as_ref().is_none_or(|it| it == email));
        portal.bind(&self.key, self.id.as_deref(), &Written { given, email }, progress);
    }

    /// It is known which contact is the person's.
    pub(super) fn bind(&self, portal: &Portal, id: &str, progress: &mut Progress) {
        portal.bind(&self.key, Some(id), &self.written, progress);
    }

    /// It was written.
    pub(super) fn settle(&mut self, portal: &Portal, id: &str, progress: &mut Progress) {
        self.written = std::mem::take(&mut self.to_write);
        self.bind(portal, id, progress);
    }

    /// The contact is not there any more: it is found or made by the key. Returns whether one was named by its id.
    pub(super) fn lose(&mut self) -> bool {
        (self.own, self.written) = (None, Written::default());
        self.id.take().is_some()
    }

    /// HubSpot does not take the address: all else is written without it.
    pub(super) fn leave_out_email(&mut self, text: &str) {
        self.complaint = Some(format!(
            "HubSpot does not take the person's address ({text}); everything else is written; set the address right by a call to \
             identify, or the rule in HubSpot, then redrive"
        ));
    }

    pub(super) fn not_merged(&self, text: &str) -> Outcome {
        let id = self.id.as_deref().unwrap_or_default();
        refused(&format!(
            "there are two contacts of this person and HubSpot does not merge them into contact {id} ({text}); merge them there, then \
             redrive"
        ))
    }

    pub(super) fn properties(&mut self, portal: &Portal, person: &Person<'_>) -> Result<Map<String, Value>, Verdict> {
        let mut properties = portal.properties.of(person, &self.written.given)?;
        let email = self.address(&mut properties);
        let is_nameless =
            [EMAIL, "firstname", "lastname"].iter().all(|name| properties.get(*name).is_none_or(|text| text == ""));
        if let Some(name) = &portal.stub_name
            && is_nameless
            && self.is_new
            && self.id.is_none()
            && !person.profile.is_known()
        {
            properties.insert("lastname".to_owned(), name.as_str().into());
        }
        if portal.moves_stage {
            let stage = properties.shift_remove(STAGE).and_then(|stage| stage.as_str().map(str::to_owned));
            let stage = stage.unwrap_or_else(|| stage::of(person.profile.stage()).to_owned());
            if is_forward(&stage, &self.stages) {
                properties.insert(STAGE.to_owned(), stage.into());
            }
        }
        if self.without_stage {
            properties.shift_remove(STAGE);
        }
        self.to_write = Written { given: self.written.given.clone(), email };
        for (name, part) in parts() {
            if let Some(value) = properties.get(name) {
                self.to_write.given.set(part, value != "");
            }
        }
        properties.insert(portal.properties.key.clone(), self.key.as_str().into());
        Ok(properties)
    }

    /// Leaves the address out that is not to be written. Returns which one the contact has from us afterwards.
    fn address(&self, properties: &mut Map<String, Value>) -> Option<Mark> {
        let own = self.own.as_ref();
        if is_cleared(properties) {
            // One that is the person's no more is taken out if it is the one that we wrote, and not if it is the sales team's.
            let first = own.and_then(|own| own.emails.first()).map(|email| mark(email));
            if first.is_none() || first != self.written.email {
                properties.shift_remove(EMAIL);
            }
            return None;
        }
        let email = properties.get(EMAIL).and_then(Value::as_str).map(str::to_lowercase);
        let new = email.as_deref().filter(|_| self.complaint.is_none()).map(mark);
        let is_there = |email: &String| own.is_some_and(|own| own.emails.contains(email));
        // One that the contact has is not written again: it would take the place of the one that the sales team put first.
        let has_email = email.as_ref().is_some_and(is_there) || (self.id.is_some() && new == self.written.email);
        if has_email || self.complaint.is_some() {
            properties.shift_remove(EMAIL);
        }
        new.or_else(|| self.written.email.clone())
    }

    pub(super) fn input(&self, portal: &Portal, person: &Person<'_>, properties: &Map<String, Value>) -> Value {
        match &self.id {
            Some(id) => json!({"id": id, "objectWriteTraceId": trace(person), "properties": properties}),
            None => json!({
                "id": self.key,
                "idProperty": portal.properties.key,
                "objectWriteTraceId": trace(person),
                "properties": properties,
            }),
        }
    }
}

fn is_cleared(properties: &Map<String, Value>) -> bool {
    properties.get(EMAIL).is_some_and(|email| email == "")
}

/// It is tried again, and nobody must act.
pub(super) const fn again(text: String) -> Outcome {
    Outcome::Again(FailureReason::ServerError, text)
}

pub(super) fn refused(text: &str) -> Outcome {
    Outcome::Refused(FailureReason::Refused, on_one_line(text, TEXT_CHARS_MAX))
}
