//! Which identifiers are one now, and under which id.

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::graph::is_shared;
use domain::identity::{Fact, Identifier, IdentifierKind, Links, Moment, Trace};
use domain::{EventId, SubjectId, Timestamp};
use storage::{IdentifierRecord, SubjectRecord};

use super::Draft;
use crate::identity::subjects::{self, Holder};

impl Draft {
    /// A record of an identifier, if there is none.
    pub(super) fn begin(&mut self, identifier: &Identifier) {
        self.now.identifiers.entry(identifier.clone()).or_insert_with(|| IdentifierRecord {
            identifier: identifier.clone(),
            subject: SubjectId::born(self.appspace, identifier, 0),
            links: BTreeMap::new(),
            cut_at: None,
            trace: Trace::default(),
        });
    }

    pub(super) fn link(&mut self, a: &Identifier, b: &Identifier, moment: Moment) {
        for (own, other) in [(a, b), (b, a)] {
            if let Some(record) = self.now.identifiers.get_mut(own) {
                record.links.insert(other.clone(), moment);
            }
        }
    }

    /// Whether a subject holds it.
    pub(super) fn is_placed(&self, identifier: &Identifier) -> bool {
        let subject = self.now.identifiers.get(identifier).and_then(|record| self.now.subjects.get(&record.subject));
        subject.is_some_and(|subject| subject.identifiers.contains(identifier))
    }

    /// Resolves the links among these and gives each group its subject.
    pub(super) fn settle(&mut self, around: &BTreeSet<Identifier>, event: Option<EventId>, now: Timestamp) {
        let mut links = Links::default();
        let shared = |record: &IdentifierRecord| is_shared(&record.identifier, &record.links);
        // Retention may have taken a record that its subject still names.
        let around: BTreeSet<Identifier> =
            around.iter().filter(|one| self.now.identifiers.contains_key(*one)).cloned().collect();
        let open = |identifier: &&Identifier| {
            around.contains(*identifier) && self.now.identifiers.get(*identifier).is_some_and(|record| !shared(record))
        };
        for identifier in around.iter().filter(open) {
            let record = &self.now.identifiers[identifier];
            for (other, moment) in record.links.iter().filter(|(other, _)| open(other)) {
                links.insert(identifier, other, *moment);
            }
        }
        let groups = links.resolve(around);
        self.assign(groups, event, now);
    }

    fn assign(&mut self, groups: Vec<BTreeSet<Identifier>>, event: Option<EventId>, now: Timestamp) {
        let all = groups.iter().flatten();
        let ids: BTreeSet<SubjectId> = all.map(|identifier| self.now.identifiers[identifier].subject).collect();
        let holders: Vec<Holder> =
            ids.iter().filter_map(|id| self.now.subjects.get(id)).filter_map(Holder::of).collect();
        let strays = self.strays(&holders, &groups);
        for (group, strays) in groups.into_iter().zip(strays) {
            let heirs: Vec<&Holder> = holders.iter().filter(|holder| group.contains(&holder.anchor)).collect();
            let mut record = match subjects::survivor(&heirs) {
                Some(id) => self.now.subjects[&id].clone(),
                None => self.fresh(&group, now),
            };
            record.lost.extend(self.lost(&heirs, &group));
            let survivor = record.id;
            for holder in heirs.iter().filter(|holder| holder.id != survivor) {
                self.absorb(&mut record, holder.id);
            }
            for id in strays {
                self.now.subjects.get_mut(&id).expect("it was looked up").merged_into = Some(record.id);
                record.absorbed.insert(id);
            }
            for identifier in &group {
                self.now.identifiers.get_mut(identifier).expect("it was resolved").subject = record.id;
            }
            record.identifiers = group;
            if self.now.subjects.get(&record.id) != Some(&record) {
                self.causes.extend(event.map(|event| (record.id, event)));
                self.now.subjects.insert(record.id, record);
            }
        }
    }

    /// Kinds of identifiers that these held and this group does not: somebody else's, as it turned out.
    fn lost(&self, heirs: &[&Holder], group: &BTreeSet<Identifier>) -> BTreeSet<IdentifierKind> {
        let records = heirs.iter().filter_map(|holder| self.now.subjects.get(&holder.id));
        let held = records.flat_map(|record| record.identifiers.iter().filter(|one| !group.contains(*one)));
        // One whose record retention has taken was not lost to anybody.
        held.filter(|one| self.now.identifiers.contains_key(*one)).map(Identifier::kind).collect()
    }

    /// For each group the subjects that turned out to be somebody else and began with what is in this group now: they go where that
    /// goes. Else a vendor's record of them would be merged into that of somebody they are not.
    fn strays(&mut self, holders: &[Holder], groups: &[BTreeSet<Identifier>]) -> Vec<Vec<SubjectId>> {
        let mut strays = vec![Vec::new(); groups.len()];
        for holder in holders {
            let absorbed = self.now.subjects[&holder.id].absorbed.clone();
            for &id in &absorbed {
                let Some(born) = self.now.subjects.get(&id).map(|record| &record.born) else { continue };
                let place = groups.iter().position(|group| group.contains(born));
                if let Some(place) = place.filter(|place| !groups[*place].contains(&holder.anchor)) {
                    self.now.subjects.get_mut(&holder.id).expect("it holds").absorbed.remove(&id);
                    strays[place].push(id);
                }
            }
            // Whoever led to the holder by way of one that goes, leads there directly.
            let stayed = self.now.subjects[&holder.id].absorbed.clone();
            for id in &stayed {
                if let Some(record) = self.now.subjects.get_mut(id)
                    && record.merged_into.is_some_and(|next| absorbed.contains(&next) && !stayed.contains(&next))
                {
                    record.merged_into = Some(holder.id);
                }
            }
        }
        strays
    }

    fn absorb(&mut self, survivor: &mut SubjectRecord, id: SubjectId) {
        let Some(other) = self.now.subjects.get_mut(&id) else { return };
        other.merged_into = Some(survivor.id);
        survivor.lost.append(&mut other.lost);
        other.identifiers.clear();
        survivor.absorbed.extend(std::mem::take(&mut other.absorbed));
        survivor.absorbed.insert(id);
    }

    /// A subject that begins. Of an identifier that has been of another subject before, it is a later round.
    fn fresh(&self, group: &BTreeSet<Identifier>, now: Timestamp) -> SubjectRecord {
        let born = group.first().expect("no group is empty").clone();
        let is_new = !self.found.identifiers.contains_key(&born);
        let later = now.as_millis().max(1).cast_unsigned();
        let mut rounds = is_new.then_some(0).into_iter().chain(later..);
        let id = rounds.find_map(|round| {
            let id = SubjectId::born(self.appspace, &born, round);
            (!self.now.subjects.contains_key(&id)).then_some(id)
        });
        SubjectRecord {
            id: id.expect("rounds do not end"),
            appspace: self.appspace,
            born,
            created_at: now,
            identifiers: BTreeSet::new(),
            absorbed: BTreeSet::new(),
            lost: BTreeSet::new(),
            merged_into: None,
        }
    }

    /// Gives a person devices that nobody else has a say in.
    pub(super) fn attach(
        &mut self,
        best: &Identifier,
        links: &[(Identifier, Identifier)],
        event: EventId,
        fact: &Fact,
    ) {
        let id = self.now.identifiers[best].subject;
        for (_, other) in links {
            self.begin(other);
            self.link(best, other, fact.moment);
            self.now.identifiers.get_mut(other).expect("it has just begun").subject = id;
        }
        if let Some(subject) = self.now.subjects.get_mut(&id) {
            subject.identifiers.extend(links.iter().map(|(_, other)| other.clone()));
        }
        self.now.identifiers.get_mut(best).expect("it has links").trace.merge(&fact.trace);
        self.causes.insert(id, event);
        self.read.push((event, Some(best.clone())));
    }
}
