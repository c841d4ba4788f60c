//! The person: found by the key, else by the address, else made. Whoever the sales team knows already becomes the person.

use domain::Verdict;
use domain::connector::Progress;
use serde_json::{Map, Value};

use super::answer::Record;
use super::bound::{Bound, GONE, Seen};
use super::calls::Entity;
use super::case::{Around, Case, Need, Sought};
use super::wanted::Wanted;
use crate::crm::{Given, fingerprint};

impl Case {
    /// What comes next about the person; `None` if there is nothing more to do, or nothing can be done now.
    pub(super) fn next_of_person(
        &mut self,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Need>, Verdict> {
        if self.person.is_done {
            return Ok(None);
        }
        if !self.candidates.is_empty() {
            return Ok(Some(Need::Read(Entity::Person, self.candidates.clone())));
        }
        if let Some((old, _)) = self.person.olds.iter().find(|(_, bound)| bound.is_maybe()) {
            return Ok(Some(Need::FindByKey(old.clone())));
        }
        let wanted = around.account.wanted_person(around.schema, around.person)?;
        if self.person.own == Bound::No {
            self.inherit(around, progress);
        }
        match self.person.own.clone() {
            Bound::Id { id, seen } => self.next_of_known(id, &seen, &wanted, around, progress),
            _ if !self.person.is_sought => Ok(Some(Need::FindByKey(self.key.clone()))),
            Bound::Maybe { since, .. } if self.is_too_early(since, around) => Ok(None),
            _ => {
                if self.inherit(around, progress) {
                    return self.next_of_person(around, progress);
                }
                match self.email_to_seek(&wanted) {
                    Some(email) => Ok(Some(Need::FindByEmail(email))),
                    None => Ok(Some(Need::Create(Entity::Person, new_person(around)?))),
                }
            }
        }
    }

    fn next_of_known(
        &mut self,
        id: u64,
        seen: &Seen,
        wanted: &Wanted,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Need>, Verdict> {
        let Some(record) = self.person.record.take() else {
            if self.person.is_alone() && !self.is_asked_again && seen.written == wanted.fingerprint() {
                self.person.is_done = true;
                return Ok(None);
            }
            return Ok(Some(Need::Read(Entity::Person, vec![id])));
        };
        self.person.record = Some(record.clone());
        if let Some(other) = self.person.other() {
            self.take_over(other, id, seen, &wanted.filled(&record), around, progress);
            return Ok(Some(Need::Merge(Entity::Person, other, id)));
        }
        // The sales team may know somebody with an address that is new to us.
        if let Some(email) = self.email_to_seek(wanted).filter(|email| !record.has_email(email)) {
            return Ok(Some(Need::FindByEmail(email)));
        }
        let mut body = wanted.changes(&record, seen);
        if let Some(name) = renamed(&record, seen, wanted, around)? {
            body.insert("name".to_owned(), name.into());
        }
        if body.is_empty() {
            let seen = Seen {
                written: wanted.fingerprint(),
                name: seen.name.clone(),
                email: wanted.mark(seen),
                given: wanted.given(&seen.given),
            };
            self.done(Entity::Person, id, seen, around.account, progress);
            return Ok(None);
        }
        // Should the answer be lost, all of it may be there.
        let given = seen.given.or(&wanted.given(&seen.given));
        self.keep(Entity::Person, Bound::Id { id, seen: Seen { given, ..seen.clone() } }, around.account, progress);
        Ok(Some(Need::Update(Entity::Person, id, body.into())))
    }

    /// The other one is about to become part of this one, which keeps what it says: only what it lacks comes from the other one.
    fn take_over(
        &mut self,
        other: u64,
        id: u64,
        seen: &Seen,
        filled: &Given,
        around: &Around<'_>,
        progress: &mut Progress,
    ) {
        let Some((_, old)) = self.person.olds.iter().find(|(_, bound)| bound.id() == Some(other)) else { return };
        let given = seen.given.or(&old.given().without(filled));
        self.person.own = Bound::Id { id, seen: Seen { given, ..seen.clone() } };
        self.keep_if_alone(around, progress);
    }

    /// The person was written as wanted, under this name if it was given one.
    pub(super) fn person_written(
        &mut self,
        id: u64,
        name: Option<&str>,
        around: &Around<'_>,
        progress: &mut Progress,
    ) -> Result<(), Verdict> {
        let wanted = around.account.wanted_person(around.schema, around.person)?;
        let before = match &self.person.own {
            Bound::Id { seen, .. } => seen.clone(),
            Bound::No | Bound::Maybe { .. } => Seen::default(),
        };
        let (email, given) = (wanted.mark(&before), wanted.given(&self.person.own.given()));
        let seen = Seen { written: wanted.fingerprint(), name: name.map_or(before.name, fingerprint), email, given };
        self.done(Entity::Person, id, seen, around.account, progress);
        Ok(())
    }

    /// Records that were found by a search and read.
    pub(super) fn candidates_read(&mut self, records: Vec<Record>, around: &Around<'_>, progress: &mut Progress) {
        self.candidates.clear();
        let code = around.schema.key(around.account, Entity::Person);
        match std::mem::take(&mut self.sought) {
            Sought::Key(of) => {
                let is_it = |record: &Record| !record.is("is_deleted") && record.custom_text(code) == of;
                self.found_by_key(&of, records.into_iter().filter(is_it).collect(), around, progress);
            }
            Sought::Email => {
                let Ok(wanted) = around.account.wanted_person(around.schema, around.person) else { return };
                let email = wanted.email.clone().unwrap_or_default();
                let is_it = |record: &Record| {
                    let holder = record.custom_text(code);
                    !record.is("is_deleted") && record.has_email(&email) && (holder.is_empty() || self.is_key(holder))
                };
                let found = records.into_iter().filter(is_it).min_by_key(|record| record.id);
                if let Some(record) = found {
                    let filled = wanted.filled(&record);
                    self.adopt(record, &filled);
                }
            }
            Sought::Nothing => {}
        }
    }

    /// What was found with a key in its field, which nobody else has.
    pub(super) fn found_by_key(
        &mut self,
        of: &str,
        mut found: Vec<Record>,
        around: &Around<'_>,
        progress: &mut Progress,
    ) {
        found.sort_by_key(|record| record.id);
        let mut ids = found.iter().map(|record| record.id);
        let first = ids.next();
        self.person.to_merge.extend(ids);
        if of == self.key {
            self.person.is_sought = true;
            if let Some(id) = first {
                // Where there are others, they are made one before anything is kept: else nobody would look for them again.
                let seen = Seen { given: self.person.own.given(), ..Seen::default() };
                self.person.own = Bound::Id { id, seen };
                self.person.record = found.into_iter().next();
                self.keep_if_alone(around, progress);
            }
            return;
        }
        let Some(at) = self.person.olds.iter().position(|(old, _)| old == of) else { return };
        match (first, self.person.olds[at].1.clone()) {
            (Some(id), bound) => {
                let seen = Seen { given: bound.given(), ..Seen::default() };
                self.person.olds[at].1 = Bound::Id { id, seen };
            }
            (None, Bound::Maybe { since, .. }) if self.is_too_early(since, around) => {}
            (None, _) => {
                progress.bind(of, GONE);
                self.person.olds.remove(at);
            }
        }
    }

    pub(super) fn keep_if_alone(&mut self, around: &Around<'_>, progress: &mut Progress) {
        if self.person.to_merge.is_empty() {
            self.keep(Entity::Person, self.person.own.clone(), around.account, progress);
        }
    }

    /// The record of the sales team becomes the person's, and what we have made so far becomes part of it. What it says already is
    /// not ours.
    fn adopt(&mut self, record: Record, filled: &Given) {
        let ours = self.person.own.id().filter(|id| *id != record.id);
        self.person.to_merge.extend(ours);
        let seen = Seen { given: self.person.own.given().without(filled), ..Seen::default() };
        self.person.own = Bound::Id { id: record.id, seen };
        self.person.record = Some(record);
    }

    /// A record of a subject that turned out to be this one becomes this one's.
    fn inherit(&mut self, around: &Around<'_>, progress: &mut Progress) -> bool {
        let Some(at) = self.person.olds.iter().position(|(_, bound)| bound.id().is_some()) else { return false };
        let (old, bound) = self.person.olds.remove(at);
        self.keep(Entity::Person, bound, around.account, progress);
        progress.bind(old, GONE);
        true
    }

    fn email_to_seek(&self, wanted: &Wanted) -> Option<String> {
        wanted.email.clone().filter(|_| !self.is_email_sought)
    }
}

/// Which parts of a record that is about to be made will be ours.
pub(super) fn to_be_given(entity: Entity, around: &Around<'_>) -> Given {
    let wanted = around.account.wanted_person(around.schema, around.person);
    let wanted = wanted.ok().filter(|_| entity == Entity::Person);
    wanted.map(|wanted| wanted.given(&Given::default())).unwrap_or_default()
}

/// The body of a new person.
pub(super) fn new_person(around: &Around<'_>) -> Result<Value, Verdict> {
    let wanted = around.account.wanted_person(around.schema, around.person)?;
    let name = match &wanted.name {
        Some(name) => name.clone(),
        None => around.account.stand_in(&wanted, around.person)?,
    };
    Ok(wanted.created(Map::from_iter([("name".to_owned(), Value::from(name))])))
}

/// The name to put in place of one that was ours. A name that somebody else has given stays.
fn renamed<'w>(
    record: &Record,
    seen: &Seen,
    wanted: &'w Wanted,
    around: &Around<'_>,
) -> Result<Option<&'w str>, Verdict> {
    let there = record.member("name").as_str().unwrap_or_default();
    let Some(name) = wanted.name.as_deref().filter(|name| *name != there) else { return Ok(None) };
    let is_ours = there.is_empty()
        || fingerprint(there) == seen.name
        || wanted.email.as_deref().is_some_and(|email| there.eq_ignore_ascii_case(email))
        || around.account.is_usual_placeholder(there)
        || there == around.account.placeholder(around.person)?;
    Ok(is_ours.then_some(name))
}
