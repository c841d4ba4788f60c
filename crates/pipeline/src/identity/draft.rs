//! Drafts: what folding facts comes to, decided over records in memory.
//!
//! A draft is given records as it asks for them ([`Wanted`]), is told facts one after the other, and ends as the records to
//! write and what changed of whom. It reads no store and no clock, so the same facts and records always end the same.

mod around;
mod assign;
mod changes;

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::{Fact, Identifier, Profile, Trace};
use domain::{AppspaceId, EventId, SubjectId, Timestamp};
use storage::{IdentifierRecord, SubjectRecord};

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
#[derive(Debug, Clone, Default)]
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
    /// What was known before; nothing of a subject that begins.
    pub(crate) before: Trace,
    /// The event that says so.
    pub(crate) because: Option<EventId>,
    /// Events about this very subject, whose own deliveries carry the profile.
    pub(crate) carriers: Vec<EventId>,
    /// The members of the profile that differ.
    pub(crate) changed: Vec<String>,
}

impl Change {
    /// Whether more is or was known than that somebody was seen: only then it is news to everybody who asks for them.
    pub(crate) fn is_telling(&self) -> bool {
        self.before.is_telling() || self.profile.trace.is_telling()
    }
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

    /// The subject that has to be looked up with an identifier: the one that it is of or, if it is new, the one that it would begin.
    /// That may be there: it stays with its person when what it began with is taken away and forgotten.
    pub(crate) fn subject_with(&self, identifier: &Identifier, found: Option<&IdentifierRecord>) -> SubjectId {
        found.map_or_else(|| SubjectId::born(self.appspace, identifier, 0), |record| record.subject)
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
    pub(crate) fn unknown_subjects(&self, of: &BTreeSet<SubjectId>) -> BTreeSet<SubjectId> {
        of - &self.looked_up_subjects
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
        // Nobody looks through the links of what is shared, and a link that stays at its other end comes back.
        let linked = self.now.identifiers.get(identifier).into_iter().flat_map(|record| record.links.keys());
        self.unknown(linked).none()?;
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
        Some(Profile { subject, absorbed, lost: record.lost.clone(), identifiers, trace })
    }
}

impl Wanted {
    /// An error if there is anything.
    fn none(self) -> Result<(), Self> {
        if self.identifiers.is_empty() && self.subjects.is_empty() { Ok(()) } else { Err(self) }
    }
}
