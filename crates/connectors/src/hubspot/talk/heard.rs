//! Replies: what is known after them about each person's contact.

use domain::Verdict;
use domain::connector::{Progress, Reply, Step};
use domain::verdict::FailureReason;

use super::{Asked, Talk, email, person, trace};
use crate::common::{is_page, page};
use crate::crm::People;
use crate::hubspot::Portal;
use crate::hubspot::answer::{self, Contact, Failure};
use crate::hubspot::bound::GONE;
use crate::hubspot::refusal::{self, Problem, Refusal};
use crate::hubspot::standing::{Outcome, Standing, Wants, again, refused};

impl Talk {
    /// Takes in a reply. A step ends the exchange.
    pub(super) fn hear(
        &mut self,
        portal: &Portal,
        people: &People<'_>,
        progress: &mut Progress,
        reply: &Reply,
    ) -> Option<Step> {
        if !reply.is_success() {
            return match refusal::sort(reply, &portal.properties) {
                Refusal::Everybody(verdict) => Some(self.end(people, &verdict)),
                Refusal::TooLarge => {
                    let message = "the contact is larger than HubSpot takes";
                    Some(Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) })
                }
                Refusal::Content(problem) => self.refused(portal, people, progress, problem),
            };
        }
        if is_page(reply) {
            return Some(self.end(people, &page(reply, "HubSpot")));
        }
        let Some(body) = reply.json() else {
            // It is longer than can be read, or was cut off: about fewer contacts it is shorter.
            let message = Some("HubSpot's answer cannot be read".to_owned());
            return Some(Step::Split { alone: Verdict::Retry { after: None, reason: FailureReason::Broken, message } });
        };
        if let Asked::Merge { key, old_key } = self.asked.clone() {
            let Some(contact) = answer::contact(&body, &portal.properties) else { return Some(self.strange(people)) };
            self.merged(portal, &key, old_key, contact, progress);
            return None;
        }
        let Some(contacts) = answer::contacts(&body, &portal.properties) else { return Some(self.strange(people)) };
        let failures = answer::failures(&body, &portal.properties);
        match self.asked.clone() {
            Asked::Nothing | Asked::Merge { .. } => {}
            Asked::Write(keys) => return self.written(portal, people, progress, &keys, &contacts, failures),
            asked => {
                // What could not be looked up just now must not be taken for what is not there.
                let is_other = |failure: &Failure| !matches!(failure.problem, Problem::NotFound(_));
                if let Some(failure) = failures.into_iter().find(is_other) {
                    return Some(self.not_found_out(people, failure.problem));
                }
                match asked {
                    Asked::Names => self.found_by_name(contacts, progress),
                    _ => self.found_by_email(portal, people, &contacts),
                }
            }
        }
        None
    }

    fn strange(&self, people: &People<'_>) -> Step {
        let message =
            "what answers under `host` is not HubSpot; set it right or leave it out, then resume the destination";
        self.end(people, &Verdict::misconfigured(message))
    }

    /// What was found by keys and ids. Once all of them were looked for, it is known which contacts are one person's.
    fn found_by_name(&mut self, contacts: Vec<Contact>, progress: &mut Progress) {
        self.found.extend(contacts);
        if self.unread.is_empty() {
            for standing in self.people.iter_mut().filter(|standing| standing.is_reading()) {
                standing.take_stock(&self.found, progress);
            }
        }
    }

    fn found_by_email(&mut self, portal: &Portal, people: &People<'_>, contacts: &[Contact]) {
        for standing in self.people.iter_mut().filter(|standing| standing.wants_search()) {
            let Some(person) = person(people, &standing.key) else { continue };
            let email = email(portal, people, &standing.key).unwrap_or_default().to_lowercase();
            let rival = contacts.iter().find(|contact| contact.emails.contains(&email));
            standing.wants = Wants::Nothing;
            standing.meet(rival, &email, person);
        }
    }

    fn merged(
        &mut self,
        portal: &Portal,
        key: &str,
        old_key: Option<String>,
        contact: Contact,
        progress: &mut Progress,
    ) {
        if let Some(old_key) = old_key {
            progress.bind(old_key, GONE);
        }
        if let Some(standing) = self.people.iter_mut().find(|standing| standing.key == key) {
            standing.bind(portal, &contact.id, progress);
            if let Some(own) = &mut standing.own {
                own.id.clone_from(&contact.id);
            }
            standing.id = Some(contact.id);
            standing.stages.extend(contact.stage);
        }
    }

    /// Everything about a call was refused.
    fn refused(
        &mut self,
        portal: &Portal,
        people: &People<'_>,
        progress: &mut Progress,
        problem: Problem,
    ) -> Option<Step> {
        match (self.asked.clone(), problem) {
            (_, Problem::Everybody(verdict)) => Some(self.end(people, &verdict)),
            (Asked::Names, Problem::NotFound(_)) => {
                self.found_by_name(Vec::new(), progress);
                None
            }
            (Asked::Emails, Problem::NotFound(_)) => {
                self.found_by_email(portal, people, &[]);
                None
            }
            (Asked::Merge { key, .. }, problem) => {
                let standing = self.people.iter_mut().find(|standing| standing.key == key)?;
                standing.outcome = Some(match problem {
                    Problem::NotFound(text) | Problem::Again(text) => {
                        again(format!("a contact that was to be merged is not there any more: {text}"))
                    }
                    Problem::Conflict(text) | Problem::Email(text) | Problem::Refused(text) => {
                        standing.not_merged(&text)
                    }
                    Problem::Stage | Problem::Everybody(_) => standing.not_merged("it does not say why"),
                });
                None
            }
            (Asked::Write(keys), problem) => {
                let is_one = keys.len() == 1;
                match problem {
                    // Nobody says whose address it is. Who has it can be asked about all of them in one call.
                    Problem::Conflict(text) => {
                        let mut is_any = false;
                        for key in &keys {
                            is_any |= self.conflict(portal, people, key, is_one.then_some(text.as_str()));
                        }
                        (!is_any && !is_one).then(|| split(&text))
                    }
                    Problem::Refused(text) | Problem::Email(text) | Problem::NotFound(text) if !is_one => {
                        Some(split(&text))
                    }
                    // One who may not go to a stage takes it from nobody else.
                    Problem::Stage if !is_one => Some(split("HubSpot refuses the stage of the contact")),
                    problem => {
                        for key in &keys {
                            self.fail(portal, people, key, problem.clone());
                        }
                        None
                    }
                }
            }
            (_, problem) => Some(self.not_found_out(people, problem)),
        }
    }

    /// A look-up failed.
    fn not_found_out(&self, people: &People<'_>, problem: Problem) -> Step {
        match problem {
            Problem::Everybody(verdict) => self.end(people, &verdict),
            Problem::Again(text) | Problem::NotFound(text) => {
                let message = Some(text);
                self.end(people, &Verdict::Retry { after: None, reason: FailureReason::ServerError, message })
            }
            Problem::Conflict(text) | Problem::Email(text) | Problem::Refused(text) => split(&text),
            Problem::Stage => split("HubSpot refuses to look contacts up"),
        }
    }

    /// A call was carried out: what became of each contact.
    fn written(
        &mut self,
        portal: &Portal,
        people: &People<'_>,
        progress: &mut Progress,
        keys: &[String],
        contacts: &[Contact],
        failures: Vec<Failure>,
    ) -> Option<Step> {
        let mut open: Vec<&String> = keys.iter().collect();
        for contact in contacts {
            let is_it = |key: &&String| self.names(people, key, contact);
            if let Some(at) = open.iter().position(is_it) {
                self.done(portal, open.remove(at), &contact.id, progress);
            }
        }
        let mut unnamed = Vec::new();
        for failure in failures {
            if let Problem::Everybody(verdict) = failure.problem {
                return Some(self.end(people, &verdict));
            }
            // What is not there may be one error of several contacts.
            let (named, others): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|key| failure.names.iter().any(|name| self.is_called(people, key, name)));
            open = others;
            if named.is_empty() {
                unnamed.push(failure.problem);
                continue;
            }
            for key in named {
                self.fail(portal, people, key, failure.problem.clone());
            }
        }
        if open.is_empty() {
            return None;
        }
        let without_name = contacts.len() + unnamed.len() >= keys.len() && unnamed.is_empty();
        if without_name {
            // All of them were written and the answer does not say which is which.
            for key in open {
                self.outcome(key, Outcome::Written);
            }
            return None;
        }
        // The last resort is the order. Where it could be wrong it is found out one by one.
        let are_alike = unnamed.windows(2).all(|pair| pair[0] == pair[1]);
        if unnamed.len() == open.len() && are_alike {
            for (key, problem) in open.into_iter().zip(unnamed) {
                self.fail(portal, people, key, problem);
            }
            return None;
        }
        Some(split("HubSpot does not say what became of the contact"))
    }

    /// Whether a contact that was written is that of the person with this key.
    fn names(&self, people: &People<'_>, key: &str, contact: &Contact) -> bool {
        let names = [contact.trace.as_deref(), contact.key.as_deref(), Some(contact.id.as_str())];
        names.into_iter().flatten().any(|name| self.is_called(people, key, name))
    }

    fn is_called(&self, people: &People<'_>, key: &str, name: &str) -> bool {
        name.eq_ignore_ascii_case(key)
            || person(people, key).is_some_and(|person| name == trace(person))
            || self.people.iter().any(|standing| standing.key == key && standing.id.as_deref() == Some(name))
    }

    fn done(&mut self, portal: &Portal, key: &str, id: &str, progress: &mut Progress) {
        let Some(standing) = self.people.iter_mut().find(|standing| standing.key == key) else { return };
        standing.settle(portal, id, progress);
        if let Some(old_key) = standing.renamed.take() {
            progress.bind(old_key, GONE);
        }
        standing.outcome = Some(match standing.complaint.take() {
            // HubSpot is well, it has refused the address.
            Some(complaint) if standing.may_be_free_soon => Outcome::Again(FailureReason::ClientError, complaint),
            Some(complaint) => refused(&complaint),
            None => Outcome::Written,
        });
    }

    fn fail(&mut self, portal: &Portal, people: &People<'_>, key: &str, problem: Problem) {
        match problem {
            Problem::Conflict(text) => {
                self.conflict(portal, people, key, Some(&text));
            }
            Problem::Stage => match self.people.iter_mut().find(|standing| standing.key == key) {
                Some(standing) if !standing.without_stage => standing.without_stage = true,
                _ => self.outcome(key, refused("HubSpot refuses the contact for its stage, which was not even sent")),
            },
            Problem::NotFound(text) => {
                let standing = self.people.iter_mut().find(|standing| standing.key == key);
                // It was merged or deleted a moment ago: the key finds or makes another one.
                if !standing.is_some_and(Standing::lose) {
                    self.outcome(key, again(text));
                }
            }
            Problem::Email(text) => match self.people.iter_mut().find(|standing| standing.key == key) {
                Some(standing) if standing.complaint.is_none() => standing.leave_out_email(&text),
                _ => self.outcome(key, refused(&text)),
            },
            Problem::Again(text) => self.outcome(key, again(text)),
            Problem::Refused(text) => self.outcome(key, refused(&text)),
            Problem::Everybody(_) => {}
        }
    }

    /// Somebody else has the address of the person with this key: whoever it is, is looked for. Without `text` the person may
    /// as well have nothing to do with it. Returns whether there is somebody to look for.
    fn conflict(&mut self, portal: &Portal, people: &People<'_>, key: &str, text: Option<&str>) -> bool {
        let has_email = email(portal, people, key).is_some();
        let Some(standing) = self.people.iter_mut().find(|standing| standing.key == key) else { return false };
        if has_email && !standing.has_searched {
            standing.has_searched = true;
            standing.wants = Wants::Email;
            if standing.own.is_none() {
                self.unread.extend(standing.look_up(Wants::KeysThenEmail));
            }
            return true;
        }
        if let Some(text) = text {
            standing.outcome = Some(refused(&format!("another contact has a value that must be unique: {text}")));
        }
        false
    }

    fn outcome(&mut self, key: &str, outcome: Outcome) {
        if let Some(standing) = self.people.iter_mut().find(|standing| standing.key == key) {
            standing.outcome = Some(outcome);
        }
    }
}

/// It is found out one by one who is to blame.
fn split(text: &str) -> Step {
    Step::Split { alone: Verdict::reject(FailureReason::Refused, text) }
}
