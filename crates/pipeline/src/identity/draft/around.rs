//! What has to be looked at to tell who is who: the links that a fact adds, and everybody who is linked.

use std::collections::BTreeSet;

use domain::SubjectId;
use domain::identity::graph::is_shared;
use domain::identity::{Identifier, IdentifierKind, Moment};

use super::{Draft, IDENTIFIERS_PER_SUBJECT_MAX, LINKS_PER_IDENTIFIER_MAX, NEIGHBOURS_MAX, Wanted};

impl Draft {
    /// The links that a fact adds, or makes older, and how many the limits leave out.
    pub(super) fn new_links(
        &self,
        best: &Identifier,
        others: &[Identifier],
        moment: Moment,
    ) -> (Vec<(Identifier, Identifier)>, u64) {
        let record = |identifier: &Identifier| self.now.identifiers.get(identifier);
        let is_cut = |identifier: &Identifier| {
            record(identifier).and_then(|record| record.cut_at).is_some_and(|cut_at| moment.at <= cut_at)
        };
        let is_full = |identifier: &Identifier| {
            record(identifier).is_some_and(|record| {
                record.links.len() >= LINKS_PER_IDENTIFIER_MAX || is_shared(identifier, &record.links)
            })
        };
        let (mut links, mut refused) = (Vec::new(), 0);
        for other in others.iter().filter(|other| *other != best) {
            let told = record(best).and_then(|record| record.links.get(other));
            if told.is_some_and(|told| *told <= moment) || is_cut(best) || is_cut(other) {
                continue;
            }
            if told.is_none() && (is_full(best) || is_full(other)) {
                refused += 1;
                continue;
            }
            links.push((best.clone(), other.clone()));
        }
        (links, refused)
    }

    /// Everything that can have a say in who these are: what is linked to them, over any number of links, and the subjects of
    /// all of it. `Ok(None)` if that is more than can be looked at and the subjects of the seeds alone are too much too.
    pub(super) fn around(&self, seeds: &BTreeSet<Identifier>) -> Result<Option<BTreeSet<Identifier>>, Wanted> {
        let (mut around, mut open) = (seeds.clone(), seeds.clone());
        while !open.is_empty() {
            let (mut wanted, mut next) = (Wanted::default(), BTreeSet::new());
            for identifier in open {
                self.beside(&identifier, &mut next, &mut wanted);
            }
            wanted.none()?;
            open = next.into_iter().filter(|one| around.insert(one.clone())).collect();
            if around.len() > NEIGHBOURS_MAX {
                let members = self.members_of(seeds)?;
                self.absorbed_by(&members)?;
                return Ok(Some(members).filter(|members| members.len() <= IDENTIFIERS_PER_SUBJECT_MAX));
            }
        }
        self.absorbed_by(&around)?;
        Ok(Some(around))
    }

    /// Sees to it that the subjects have been looked up that turned out to be those of these.
    fn absorbed_by(&self, identifiers: &BTreeSet<Identifier>) -> Result<(), Wanted> {
        let subjects = identifiers.iter().filter_map(|one| self.now.identifiers.get(one)).map(|record| record.subject);
        let subjects: BTreeSet<SubjectId> = subjects.collect();
        let absorbed = subjects.iter().filter_map(|id| self.now.subjects.get(id)).flat_map(|subject| &subject.absorbed);
        let subjects = self.unknown_subjects(&absorbed.copied().collect());
        Wanted { subjects, ..Wanted::default() }.none()
    }

    /// What is one step away from an identifier: the others of its subject, and what it is linked to unless it is shared.
    fn beside(&self, identifier: &Identifier, next: &mut BTreeSet<Identifier>, wanted: &mut Wanted) {
        if !self.looked_up.contains(identifier) {
            wanted.identifiers.insert(identifier.clone());
            return;
        }
        let Some(record) = self.now.identifiers.get(identifier) else { return };
        if !is_shared(identifier, &record.links) {
            next.extend(record.links.keys().cloned());
        }
        match self.now.subjects.get(&record.subject) {
            Some(subject) => next.extend(subject.identifiers.iter().cloned()),
            None if !self.looked_up_subjects.contains(&record.subject) => {
                wanted.subjects.insert(record.subject);
            }
            None => {}
        }
    }

    /// These and the others of their subjects.
    pub(crate) fn members_of<'a>(
        &self,
        identifiers: impl IntoIterator<Item = &'a Identifier>,
    ) -> Result<BTreeSet<Identifier>, Wanted> {
        let (mut members, mut wanted) = (BTreeSet::new(), Wanted::default());
        for identifier in identifiers {
            members.insert(identifier.clone());
            let Some(record) = self.now.identifiers.get(identifier) else { continue };
            match self.now.subjects.get(&record.subject) {
                Some(subject) => members.extend(subject.identifiers.iter().cloned()),
                None => drop(wanted.subjects.insert(record.subject)),
            }
        }
        wanted.identifiers = self.unknown(&members).identifiers;
        wanted.subjects.retain(|id| !self.looked_up_subjects.contains(id));
        wanted.none()?;
        Ok(members)
    }

    /// Sees to it that the whole subject of an identifier has been looked up.
    pub(super) fn whole_subject(&self, identifier: &Identifier) -> Result<(), Wanted> {
        self.members_of([identifier]).map(|_| ())
    }

    /// Whether each of these is a device that nobody has seen before, of a kind that its person has already: whoever is
    /// linked to that person, it changes nothing for them.
    pub(super) fn are_leaves(&self, best: &Identifier, links: &[(Identifier, Identifier)]) -> Result<bool, Wanted> {
        let Some(record) = self.now.identifiers.get(best) else { return Ok(false) };
        let may_be = |kind| matches!(kind, IdentifierKind::Install | IdentifierKind::Click | IdentifierKind::Anonymous);
        let is_leaf = |other: &Identifier| {
            let mut alike = record.links.keys().filter(|known| known.kind() == other.kind());
            may_be(other.kind()) && !self.now.identifiers.contains_key(other) && alike.next().is_some()
        };
        if !links.iter().all(|(_, other)| is_leaf(other)) || is_shared(best, &record.links) {
            return Ok(false);
        }
        if self.is_followed {
            self.whole_subject(best)?;
        }
        let Some(subject) = self.now.subjects.get(&record.subject) else {
            let subjects = self.unknown_subjects(&BTreeSet::from([record.subject]));
            return Wanted { subjects, ..Wanted::default() }.none().map(|()| false);
        };
        let has = |kind| record.links.keys().any(|known| known.kind() == kind && subject.identifiers.contains(known));
        let room = IDENTIFIERS_PER_SUBJECT_MAX.saturating_sub(subject.identifiers.len());
        Ok(links.len() <= room && links.iter().all(|(_, other)| has(other.kind())))
    }
}
