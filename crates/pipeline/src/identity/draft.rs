//! Drafts: what folding facts comes to, decided over records in memory.
//!
//! A draft is given records as it asks for them ([`Wanted`]), is told facts one after the other, and ends as the records to
//! write and what changed of whom. It reads no store and no clock, so the same facts and records always end the same.

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::graph::is_shared;
use domain::identity::{Fact, Identifier, IdentifierKind, Links, Moment, Profile, Trace};
use domain::{AppspaceId, EventId, SubjectId, Timestamp};
use storage::{IdentifierRecord, SubjectRecord};

use super::subjects::{self, Holder};

/// Most links of one identifier. What is told beyond them stays by itself.
pub(crate) const LINKS_PER_IDENTIFIER_MAX: usize = 500;
/// Most identifiers that are looked at to tell who is who. Where more are linked, only the subjects that a fact names itself
/// are looked at.
pub(crate) const NEIGHBOURS_MAX: usize = 2_000;
/// Most identifiers of one subject.
pub(crate) const IDENTIFIERS_PER_SUBJECT_MAX: usize = 1_000;

/// Records of one appspace, as they were found and as facts have changed them.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    appspace: AppspaceId,
    /// Whether anybody wants to hear what changed, so that whole subjects have to be looked up.
    pub(crate) is_followed: bool,
    found: Records,
    now: Records,
    /// What has been looked up, whether or not it was there.
    looked_up: BTreeSet<Identifier>,
    looked_up_subjects: BTreeSet<SubjectId>,
    read: Vec<(EventId, Option<Identifier>)>,
    /// The event that changed a subject last.
    causes: BTreeMap<SubjectId, EventId>,
    /// Links that were not taken because of the limits above.
    pub(crate) refused: u64,
}

/// Records by what they are of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    pub(crate) identifiers: BTreeMap<Identifier, IdentifierRecord>,
    pub(crate) subjects: BTreeMap<SubjectId, SubjectRecord>,
}

/// What has to be looked up before a draft can go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) identifiers: BTreeSet<Identifier>,
    pub(crate) subjects: BTreeSet<SubjectId>,
}

/// What a draft ends as.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) events: Vec<(EventId, Option<Identifier>)>,
    pub(crate) identifiers: Vec<IdentifierRecord>,
    pub(crate) subjects: Vec<SubjectRecord>,
    pub(crate) changes: Vec<Change>,
    pub(crate) refused: u64,
}

/// What became known of a subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) profile: Profile,
    /// The event that says so.
    pub(crate) because: Option<EventId>,
    /// Events about this very subject, whose own deliveries carry the profile.
    pub(crate) carriers: Vec<EventId>,
    /// The members of the profile that differ.
    pub(crate) changed: Vec<String>,
}

impl Draft {
    /// A draft without any records.
    pub(crate) fn new(appspace: AppspaceId, is_followed: bool) -> Self {
        Self {
            appspace,
            is_followed,
            found: Records::default(),
            now: Records::default(),
            looked_up: BTreeSet::new(),
            looked_up_subjects: BTreeSet::new(),
            read: Vec::new(),
            causes: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Takes in what was found of an identifier.
    pub(crate) fn learn(&mut self, identifier: Identifier, found: Option<IdentifierRecord>) {
        if self.looked_up.insert(identifier.clone())
            && let Some(record) = found
        {
            self.found.identifiers.insert(identifier.clone(), record.clone());
            self.now.identifiers.insert(identifier, record);
        }
    }

    /// Takes in what was found of a subject.
    pub(crate) fn learn_subject(&mut self, id: SubjectId, found: Option<SubjectRecord>) {
        if self.looked_up_subjects.insert(id)
            && let Some(record) = found
        {
            self.found.subjects.insert(id, record.clone());
            self.now.subjects.insert(id, record);
        }
    }

    /// The appspace that it is of.
    pub(crate) const fn appspace(&self) -> AppspaceId {
        self.appspace
    }

    /// How many identifiers have been looked up.
    pub(crate) fn looked_up(&self) -> usize {
        self.looked_up.len()
    }

    /// Whatever of these subjects has not been looked up.
    pub(crate) fn unknown_subjects(&self, of: BTreeSet<SubjectId>) -> BTreeSet<SubjectId> {
        &of - &self.looked_up_subjects
    }

    /// The records as they are now.
    pub(crate) const fn records(&self) -> &Records {
        &self.now
    }

    /// When something was said last of whatever has been looked up.
    pub(crate) fn last_said(&self) -> Option<Timestamp> {
        let of = |record: &IdentifierRecord| {
            let linked = record.links.values().map(|moment| moment.at).max();
            [linked, record.trace.last_seen, record.cut_at].into_iter().flatten().max()
        };
        self.now.identifiers.values().filter_map(of).max()
    }

    /// An event names nobody.
    pub(crate) fn pass(&mut self, event: EventId) {
        self.read.push((event, None));
    }

    /// Whatever of these identifiers has not been looked up.
    pub(crate) fn unknown<'a>(&self, of: impl IntoIterator<Item = &'a Identifier>) -> Wanted {
        let identifiers = of.into_iter().filter(|identifier| !self.looked_up.contains(identifier)).cloned().collect();
        Wanted { identifiers, subjects: BTreeSet::new() }
    }

    /// An event states a fact. Nothing has happened if something has to be looked up first.
    pub(crate) fn tell(&mut self, event: EventId, fact: &Fact, now: Timestamp) -> Result<(), Wanted> {
        let Some(best) = fact.identifiers.first() else {
            self.pass(event);
            return Ok(());
        };
        self.unknown(&fact.identifiers).none()?;
        let (links, refused) = self.new_links(best, &fact.identifiers[1..], fact.moment);
        if !links.is_empty() && links.len() + 1 == fact.identifiers.len() && self.are_leaves(best, &links)? {
            self.attach(best, &links, event, fact);
            return Ok(());
        }
        let unrecorded = fact.identifiers.iter().filter(|one| !self.now.identifiers.contains_key(*one));
        let ends = links.iter().flat_map(|(a, b)| [a, b]);
        let seeds: BTreeSet<Identifier> = unrecorded.chain(ends).cloned().collect();
        let around = if seeds.is_empty() { Some(BTreeSet::new()) } else { self.around(&seeds)? };
        if self.is_followed {
            self.whole_subject(best)?;
        }
        self.refused += refused;
        for identifier in &fact.identifiers {
            self.begin(identifier);
        }
        let record = self.now.identifiers.get_mut(best).expect("it has just begun");
        record.trace.merge(&fact.trace);
        if let Some(around) = around {
            for (a, b) in &links {
                self.link(a, b, fact.moment);
            }
            self.settle(&around, Some(event), now);
        } else {
            self.refused += links.len() as u64;
            self.settle(&seeds.into_iter().filter(|seed| !self.is_placed(seed)).collect(), Some(event), now);
        }
        self.read.push((event, Some(best.clone())));
        Ok(())
    }

    /// Cuts an identifier from all others: its links are gone, and what was told up to `now` links it to nothing again.
    pub(crate) fn cut(&mut self, identifier: &Identifier, now: Timestamp) -> Result<(), Wanted> {
        let around = match self.around(&BTreeSet::from([identifier.clone()]))? {
            Some(around) => around,
            None => self.members_of([identifier])?,
        };
        let Some(record) = self.now.identifiers.get_mut(identifier) else { return Ok(()) };
        record.cut_at = Some(now);
        for other in std::mem::take(&mut record.links).into_keys() {
            if let Some(record) = self.now.identifiers.get_mut(&other) {
                record.links.remove(identifier);
            }
        }
        self.settle(&around, None, now);
        Ok(())
    }

    /// All that is known of a subject now, as far as it has been looked up. `None` if it is none.
    pub(crate) fn profile(&self, subject: SubjectId) -> Option<Profile> {
        self.now.profile(subject)
    }

    /// What it all came to.
    pub(crate) fn finish(self) -> Folded {
        let changes = if self.is_followed { self.changes() } else { Vec::new() };
        let differs = |record: &IdentifierRecord| self.found.identifiers.get(&record.identifier) != Some(record);
        let subject_differs = |record: &SubjectRecord| self.found.subjects.get(&record.id) != Some(record);
        Folded {
            changes,
            identifiers: self.now.identifiers.values().filter(|record| differs(record)).cloned().collect(),
            subjects: self.now.subjects.values().filter(|record| subject_differs(record)).cloned().collect(),
            events: self.read,
            refused: self.refused,
        }
    }

    /// The links that a fact adds, or makes older, and how many the limits leave out.
    fn new_links(
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

    /// Whether each of these is a device that nobody has seen before, of a kind that its person has already: whoever is
    /// linked to that person, it changes nothing for them.
    fn are_leaves(&self, best: &Identifier, links: &[(Identifier, Identifier)]) -> Result<bool, Wanted> {
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
            let subjects = self.unknown_subjects(BTreeSet::from([record.subject]));
            return Wanted { subjects, ..Wanted::default() }.none().map(|()| false);
        };
        let has = |kind| record.links.keys().any(|known| known.kind() == kind && subject.identifiers.contains(known));
        let room = IDENTIFIERS_PER_SUBJECT_MAX.saturating_sub(subject.identifiers.len());
        Ok(links.len() <= room && links.iter().all(|(_, other)| has(other.kind())))
    }

    fn attach(&mut self, best: &Identifier, links: &[(Identifier, Identifier)], event: EventId, fact: &Fact) {
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

    /// Everything that can have a say in who these are: what is linked to them, over any number of links, and the subjects of
    /// all of it. `Ok(None)` if that is more than can be looked at and the subjects of the seeds alone are too much too.
    fn around(&self, seeds: &BTreeSet<Identifier>) -> Result<Option<BTreeSet<Identifier>>, Wanted> {
        let (mut around, mut open) = (seeds.clone(), Vec::from_iter(seeds.iter().cloned()));
        while !open.is_empty() {
            let (mut wanted, mut next) = (Wanted::default(), BTreeSet::new());
            for identifier in open {
                self.beside(&identifier, &mut next, &mut wanted);
            }
            wanted.none()?;
            open = next.into_iter().filter(|one| around.insert(one.clone())).collect();
            if around.len() > NEIGHBOURS_MAX {
                let members = self.members_of(seeds)?;
                return Ok(Some(members).filter(|members| members.len() <= IDENTIFIERS_PER_SUBJECT_MAX));
            }
        }
        Ok(Some(around))
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
    fn whole_subject(&self, identifier: &Identifier) -> Result<(), Wanted> {
        self.members_of([identifier]).map(|_| ())
    }

    /// A record of an identifier, if there is none.
    fn begin(&mut self, identifier: &Identifier) {
        self.now.identifiers.entry(identifier.clone()).or_insert_with(|| IdentifierRecord {
            identifier: identifier.clone(),
            subject: SubjectId::born(self.appspace, identifier, 0),
            links: BTreeMap::new(),
            cut_at: None,
            trace: Trace::default(),
        });
    }

    fn link(&mut self, a: &Identifier, b: &Identifier, moment: Moment) {
        for (own, other) in [(a, b), (b, a)] {
            if let Some(record) = self.now.identifiers.get_mut(own) {
                record.links.insert(other.clone(), moment);
            }
        }
    }

    /// Whether a subject holds it.
    fn is_placed(&self, identifier: &Identifier) -> bool {
        let subject = self.now.identifiers.get(identifier).and_then(|record| self.now.subjects.get(&record.subject));
        subject.is_some_and(|subject| subject.identifiers.contains(identifier))
    }

    /// Resolves the links among these and gives each group its subject.
    fn settle(&mut self, around: &BTreeSet<Identifier>, event: Option<EventId>, now: Timestamp) {
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
        for group in groups {
            let heirs: Vec<&Holder> = holders.iter().filter(|holder| group.contains(&holder.anchor)).collect();
            let mut record = match subjects::survivor(&heirs) {
                Some(id) => self.now.subjects[&id].clone(),
                None => self.fresh(&group, now),
            };
            let survivor = record.id;
            for holder in heirs.iter().filter(|holder| holder.id != survivor) {
                self.absorb(&mut record, holder.id);
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

    fn absorb(&mut self, survivor: &mut SubjectRecord, id: SubjectId) {
        let Some(other) = self.now.subjects.get_mut(&id) else { return };
        other.merged_into = Some(survivor.id);
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
            merged_into: None,
        }
    }

    /// What a sales team sees otherwise than before.
    fn changes(&self) -> Vec<Change> {
        let touched = |record: &&IdentifierRecord| self.found.identifiers.get(&record.identifier) != Some(record);
        let regrouped = |record: &&SubjectRecord| self.found.subjects.get(&record.id) != Some(record);
        let of_identifiers = self.now.identifiers.values().filter(touched).map(|record| record.subject);
        let subjects: BTreeSet<SubjectId> =
            self.now.subjects.values().filter(regrouped).map(|record| record.id).chain(of_identifiers).collect();
        let change = |id: SubjectId| {
            let profile = self.now.profile(id).filter(|profile| profile.trace.is_telling())?;
            let changed = differences(self.found.profile(id).as_ref(), &profile);
            let of_subject =
                |best: &Identifier| self.now.identifiers.get(best).is_some_and(|record| record.subject == id);
            let carriers = self.read.iter().filter(|(_, best)| best.as_ref().is_some_and(of_subject));
            let carriers: Vec<EventId> = carriers.map(|(event, _)| *event).collect();
            let because = carriers.last().or(self.causes.get(&id)).copied();
            (!changed.is_empty()).then_some(Change { profile, because, carriers, changed })
        };
        subjects.into_iter().filter_map(change).collect()
    }
}

impl Records {
    /// All that these records say of a subject. `None` if it is none.
    pub(crate) fn profile(&self, subject: SubjectId) -> Option<Profile> {
        let record = self.subjects.get(&subject).filter(|record| record.merged_into.is_none())?;
        let mut trace = Trace::default();
        for identifier in record.identifiers.iter().filter_map(|identifier| self.identifiers.get(identifier)) {
            trace.merge(&identifier.trace);
        }
        let (absorbed, identifiers) = (record.absorbed.clone(), record.identifiers.clone());
        Some(Profile { subject, absorbed, identifiers, trace })
    }
}

impl Wanted {
    /// An error if there is anything.
    fn none(self) -> Result<(), Self> {
        if self.identifiers.is_empty() && self.subjects.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The members of a profile that are not as they were.
fn differences(before: Option<&Profile>, now: &Profile) -> Vec<String> {
    let value = |profile: &Profile| profile.value().as_object().cloned().unwrap_or_default();
    let (old, new) = (before.map(value).unwrap_or_default(), value(now));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned();
    let is_merged = before.map_or(!now.absorbed.is_empty(), |before| before.absorbed != now.absorbed);
    differ.chain(is_merged.then(|| "absorbed".to_owned())).collect()
}
