//! Where the contact of one person stands, and what else must be done before it can be written.

use domain::Verdict;
use domain::connector::Progress;
use domain::verdict::FailureReason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Portal;
use super::answer::Contact;
use super::properties::STAGE;
use super::stage::{self, is_forward};
use super::talk::trace;
use crate::common::on_one_line;
use crate::crm::Person;

/// Most characters of what a person is told about a contact.
const TEXT_CHARS_MAX: usize = 600;
/// A remote id that says that there may be a contact: a call that makes one was under way.
pub(super) const MAYBE: &str = "?";
/// A remote id that says that there is no contact any more.
pub(super) const GONE: &str = "";

/// Where the contact of one person stands.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) key: String,
    /// Other keys that turned out to be this person's, and whether there may be no contact under them.
    pub(super) absorbed: Vec<(String, bool)>,
    /// There has never been a contact.
    pub(super) is_new: bool,
    pub(super) wants: Wants,
    /// The contact under the key, once it was looked for.
    pub(super) own: Option<Contact>,
    /// The contact to be written, if not the one under the key.
    pub(super) id: Option<String>,
    /// Contacts to be merged into that one, with the keys that they are known by.
    pub(super) to_merge: Vec<(String, Option<String>)>,
    /// The key that the contact to be written has had so far.
    pub(super) renamed: Option<String>,
    /// What stages the person's contacts are in.
    pub(super) stages: Vec<String>,
    pub(super) has_searched: bool,
    /// The address is another contact's: what to tell a person about it, after everything else is written.
    pub(super) complaint: Option<String>,
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

/// What became of a person's contact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Outcome {
    Written,
    Refused(FailureReason, String),
    Again(String),
}

impl Standing {
    /// The keys to look for.
    pub(super) fn look_up(&mut self, wants: Wants) -> Vec<String> {
        self.wants = wants;
        std::iter::once(self.key.clone()).chain(self.absorbed.iter().map(|(old, _)| old.clone())).collect()
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

    /// All of the person's keys were looked for.
    pub(super) fn take_stock(&mut self, found: &[Contact], progress: &mut Progress) {
        self.wants = if self.wants == Wants::KeysThenEmail { Wants::Email } else { Wants::Nothing };
        let of = |key: &str| found.iter().find(|it| it.key.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(key)));
        self.own = of(&self.key).cloned();
        self.is_new = self.own.is_none();
        self.stages.extend(self.own.as_ref().and_then(|own| own.stage.clone()));
        for (old_key, is_maybe) in std::mem::take(&mut self.absorbed) {
            match of(&old_key) {
                Some(old) => {
                    self.stages.extend(old.stage.clone());
                    self.to_merge.push((old.id.clone(), Some(old_key)));
                }
                // One that may yet come to be is looked for again next time.
                None if is_maybe => {}
                None => progress.bind(old_key, GONE),
            }
        }
        if self.to_merge.is_empty() {
            return;
        }
        if let Some(own) = &self.own {
            self.id = Some(own.id.clone());
            return;
        }
        // Nothing is under the key yet: one of the others becomes the person's contact.
        let (id, old_key) = self.to_merge.remove(0);
        (self.id, self.renamed) = (Some(id), old_key);
    }

    /// The contact that has the person's address, if there is one.
    pub(super) fn meet(&mut self, rival: Option<&Contact>, email: &str, person: &Person<'_>) {
        let Some(rival) = rival else {
            // Gone meanwhile, or another one's of several who were refused together: it is tried again.
            return;
        };
        let own_id = self.id.as_ref().or(self.own.as_ref().map(|own| &own.id)).cloned();
        if own_id.as_ref() == Some(&rival.id) {
            return;
        }
        let absorbed = person.profile.absorbed.iter().map(ToString::to_string);
        let keys: Vec<String> = absorbed.chain([self.key.clone()]).collect();
        if let Some(key) = rival.key.as_ref().filter(|key| !keys.iter().any(|it| it.eq_ignore_ascii_case(key))) {
            self.outcome = Some(refused(&format!(
                "contact {} has the address `{email}` already and is another person's, who is `{key}` here; find out whose address \
                 it is, mend the other one, then redrive",
                rival.id
            )));
            return;
        }
        self.stages.extend(rival.stage.clone());
        let own_email = self.own.as_ref().and_then(|own| own.emails.first());
        match (own_id, own_email) {
            (None, _) => self.id = Some(rival.id.clone()),
            (Some(own_id), None) => {
                // What we have made of somebody unknown goes into the contact that was there.
                self.to_merge.push((own_id, None));
                self.id = Some(rival.id.clone());
            }
            (Some(own_id), Some(own_email)) => {
                self.complaint = Some(format!(
                    "contact {} has the address `{email}`, and the person's own contact {own_id} has `{own_email}`; everything but the \
                     address is written; if they are the same person, merge the two contacts in HubSpot, then redrive",
                    rival.id
                ));
            }
        }
    }

    pub(super) fn not_merged(&self, text: &str) -> Outcome {
        let id = self.id.as_deref().unwrap_or_default();
        refused(&format!(
            "there are two contacts of this person and HubSpot does not merge them into contact {id} ({text}); merge them there, then \
             redrive"
        ))
    }

    pub(super) fn properties(
        &self,
        portal: &Portal,
        person: &Person<'_>,
        without_stage: bool,
    ) -> Result<Map<String, Value>, Verdict> {
        let mut properties = portal.properties.of(person)?;
        if self.complaint.is_some() {
            properties.shift_remove("email");
        }
        let is_nameless = ["email", "firstname", "lastname"].iter().all(|name| !properties.contains_key(*name));
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
        if without_stage {
            properties.shift_remove(STAGE);
        }
        properties.insert(portal.properties.key.clone(), self.key.as_str().into());
        Ok(properties)
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

pub(super) fn refused(text: &str) -> Outcome {
    Outcome::Refused(FailureReason::Refused, on_one_line(text, TEXT_CHARS_MAX))
}
