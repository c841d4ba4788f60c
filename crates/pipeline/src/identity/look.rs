//! Looking people up: for a delivery, for the API, for a journey.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::fact::SUBJECT_UPDATED;
use domain::identity::{Identifier, IdentifierKind, Journey, Profile};
use domain::{AppspaceId, Event, Reading, SubjectId};
use storage::{FACTS_PER_CALL_MAX, SUBJECTS_PER_CALL_MAX, StoreError, SubjectRecord};
use tokio::time::Instant;

use super::Identity;
use super::draft::Records;

/// The code of what is logged when what is known of somebody cannot be read.
const PERSON_UNREADABLE: &str = "identity_person_unreadable";
/// How often a subject may turn out to be another one until it is given up.
const MERGES_MAX: usize = 64;
/// Most events that a journey is told from; of more, the first.
const JOURNEY_EVENTS_MAX: usize = 2_000;
/// Bytes of bodies after which no more events are read for a journey.
const JOURNEY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why nobody was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("nobody is known by this; give a subject's id, or an identifier like `user:42`")]
    NotFound,
    #[error("several people are known by this: write its kind before it, one of {}", list(.0))]
    Ambiguous(Vec<Identifier>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of the person whom an event is about cannot be read, or the event cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

fn list(identifiers: &[Identifier]) -> String {
    identifiers.iter().map(|identifier| format!("`{}:`", identifier.kind().code())).collect::<Vec<_>>().join(", ")
}

impl Identity {
    /// Of each event, which are of one appspace, all that is known of the person it is about, once the events themselves have
    /// been folded. `None` of one that names nobody.
    pub async fn profiles(&self, events: &[Arc<Event>], deadline: Instant) -> Result<Vec<Option<Profile>>, StoreError> {
        let each = self.profile_of_each(events, deadline).await?.into_iter();
        each.map(|known| known.map_err(|Unreadable| StoreError::Unreadable("what is known of this person"))).collect()
    }

    /// The same, where what cannot be read of one keeps nobody from reading the others.
    pub(crate) async fn profile_of_each(
        &self,
        events: &[Arc<Event>],
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Profile>, Unreadable>>, StoreError> {
        let Some(appspace) = events.first().map(|event| event.appspace) else { return Ok(Vec::new()) };
        self.settle_up(events, deadline).await?;
        // What made folding panic is not looked at once more.
        let are_aside: Vec<bool> = events.iter().map(|event| self.asides.holds(event.id)).collect();
        let who = |(event, is_aside): (&Arc<Event>, &bool)| if *is_aside { None } else { self.who(event) };
        let who: Vec<Option<Who>> = events.iter().zip(&are_aside).map(who).collect();
        let found = match self.patiently(deadline, || self.profiles_of(appspace, &who)).await {
            Err(StoreError::Unreadable(_)) => self.profiles_one_by_one(appspace, &who, deadline).await?,
            found => found?.into_iter().map(Ok).collect(),
        };
        let known = |(is_aside, known): (&bool, _)| if *is_aside { Err(Unreadable) } else { known };
        Ok(are_aside.iter().zip(found).map(known).collect())
    }

    async fn profiles_one_by_one(
        &self,
        appspace: AppspaceId,
        who: &[Option<Who>],
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Profile>, Unreadable>>, StoreError> {
        let mut all = Vec::with_capacity(who.len());
        for one in who.chunks(1) {
            all.push(match self.patiently(deadline, || self.profiles_of(appspace, one)).await {
                Err(error @ StoreError::Unreadable(_)) => {
                    tracing::error!(code = PERSON_UNREADABLE, %appspace, %error, "a person is left out of what is sent");
                    Err(Unreadable)
                }
                found => Ok(found?.remove(0)),
            });
        }
        Ok(all)
    }

    /// All that is known of a subject, or of the one that it turned out to be.
    pub async fn subject(&self, appspace: AppspaceId, id: SubjectId) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles_of(appspace, &[Some(Who::Subject(id))]).await?.remove(0))
    }

    /// All that is known of whoever has this identifier.
    pub async fn profile(&self, appspace: AppspaceId, of: &Identifier) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles_of(appspace, &[Some(Who::Named(of.clone()))]).await?.remove(0))
    }

    /// Whoever a text means: a subject's id, an identifier with its kind, or without it if only one person is known by it.
    pub async fn find(&self, appspace: AppspaceId, text: &str) -> Result<Profile, FindError> {
        let found = if let Ok(id) = text.parse::<SubjectId>() {
            self.subject(appspace, id).await?
        } else if let Some(found) = self.find_named(appspace, text).await? {
            Some(found)
        } else {
            self.find_bare(appspace, text).await?
        };
        found.ok_or(FindError::NotFound)
    }

    /// What happened to whoever a text means, step by step.
    pub async fn journey(&self, appspace: AppspaceId, text: &str) -> Result<Journey, FindError> {
        let profile = self.find(appspace, text).await?;
        let (events, is_cut) = self.first_events_of(appspace, &profile).await?;
        let read: Vec<(Arc<Event>, Reading)> = events
            .into_iter()
            .map(|event| {
                let reading = Reading::new(self.registry.source_name(event.source));
                (event, reading)
            })
            .collect();
        let told = read
            .iter()
            .map(|(event, reading)| (&**event, reading.data(event), self.registry.referral_created(event.source)));
        Ok(Journey { is_cut, ..Journey::of(profile, told) })
    }

    /// The first events of a person, oldest first, and whether there are more.
    async fn first_events_of(
        &self,
        appspace: AppspaceId,
        profile: &Profile,
    ) -> Result<(Vec<Arc<Event>>, bool), StoreError> {
        let identifiers: Vec<Identifier> = profile.identifiers.iter().cloned().collect();
        let (mut events, mut bytes): (Vec<Arc<Event>>, usize) = (Vec::new(), 0);
        while events.len() < JOURNEY_EVENTS_MAX && bytes < JOURNEY_BYTES_MAX {
            let after = events.last().map(|event| event.id);
            let more = self.store.events_of(appspace, &identifiers, after, FACTS_PER_CALL_MAX).await?;
            if more.is_empty() {
                return Ok((events, false));
            }
            bytes += more.iter().map(|event| event.body.len()).sum::<usize>();
            events.extend(more);
        }
        Ok((events, true))
    }

    async fn find_named(&self, appspace: AppspaceId, text: &str) -> Result<Option<Profile>, StoreError> {
        match text.parse::<Identifier>() {
            Ok(identifier) => self.profile(appspace, &identifier).await,
            Err(_) => Ok(None),
        }
    }

    async fn find_bare(&self, appspace: AppspaceId, text: &str) -> Result<Option<Profile>, FindError> {
        let all: Vec<Identifier> =
            IdentifierKind::ALL.into_iter().filter_map(|kind| Identifier::new(kind, text)).collect();
        let who: Vec<Option<Who>> = all.iter().cloned().map(Who::Named).map(Some).collect();
        let found = self.profiles_of(appspace, &who).await?;
        let known: Vec<(Identifier, Profile)> =
            all.into_iter().zip(found).filter_map(|(identifier, profile)| Some((identifier, profile?))).collect();
        let subjects: BTreeSet<SubjectId> = known.iter().map(|(_, profile)| profile.subject).collect();
        if subjects.len() > 1 {
            return Err(FindError::Ambiguous(known.into_iter().map(|(identifier, _)| identifier).collect()));
        }
        Ok(known.into_iter().next().map(|(_, profile)| profile))
    }

    /// Whom an event is about.
    fn who(&self, event: &Event) -> Option<Who> {
        if event.event_type.as_str() == SUBJECT_UPDATED {
            let reading = Reading::new(String::new());
            let subject = reading.data(event).get("subject")?.as_str()?.parse().ok()?;
            return Some(Who::Subject(subject));
        }
        self.fact(event)?.identifiers.into_iter().next().map(Who::Named)
    }

    /// All that is known now of the person whom an event is about.
    pub(super) async fn profile_by(&self, event: &Event) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles_of(event.appspace, &[self.who(event)]).await?.remove(0))
    }

    async fn profiles_of(&self, appspace: AppspaceId, who: &[Option<Who>]) -> Result<Vec<Option<Profile>>, StoreError> {
        let mut records = Records::default();
        let named: BTreeSet<Identifier> = who.iter().flatten().filter_map(Who::identifier).cloned().collect();
        self.read_identifiers(appspace, &named, &mut records).await?;
        let subject_of = |who: &Who, records: &Records| match who {
            Who::Subject(id) => Some(*id),
            Who::Named(identifier) => records.identifiers.get(identifier).map(|record| record.subject),
        };
        let ids: BTreeSet<SubjectId> = who.iter().flatten().filter_map(|who| subject_of(who, &records)).collect();
        let last = self.read_subjects(appspace, ids, &mut records).await?;
        let members = last.values().filter_map(|id| records.subjects.get(id)).flat_map(|record| &record.identifiers);
        let members: BTreeSet<Identifier> = members.cloned().collect();
        self.read_identifiers(appspace, &members, &mut records).await?;
        let profile = |who: &Option<Who>| records.profile(*last.get(&subject_of(who.as_ref()?, &records)?)?);
        Ok(who.iter().map(profile).collect())
    }

    async fn read_identifiers(
        &self,
        appspace: AppspaceId,
        wanted: &BTreeSet<Identifier>,
        records: &mut Records,
    ) -> Result<(), StoreError> {
        let wanted = wanted.iter().filter(|one| !records.identifiers.contains_key(*one)).cloned();
        for some in wanted.collect::<Vec<_>>().chunks(SUBJECTS_PER_CALL_MAX) {
            let found = self.store.identifiers(appspace, some).await?;
            records.identifiers.extend(found.into_iter().flatten().map(|record| (record.identifier.clone(), record)));
        }
        Ok(())
    }

    /// Reads subjects and those that they turned out to be; returns for each which one it is now.
    async fn read_subjects(
        &self,
        appspace: AppspaceId,
        wanted: BTreeSet<SubjectId>,
        records: &mut Records,
    ) -> Result<BTreeMap<SubjectId, SubjectId>, StoreError> {
        let mut last: BTreeMap<SubjectId, SubjectId> = wanted.into_iter().map(|id| (id, id)).collect();
        for _ in 0..MERGES_MAX {
            let unread: BTreeSet<SubjectId> =
                last.values().filter(|id| !records.subjects.contains_key(id)).copied().collect();
            for some in Vec::from_iter(unread).chunks(SUBJECTS_PER_CALL_MAX) {
                let found = self.store.subjects(appspace, some).await?;
                records.subjects.extend(found.into_iter().flatten().map(|record| (record.id, record)));
            }
            let mut has_moved = false;
            for id in last.values_mut() {
                let next = records.subjects.get(id).and_then(|record: &SubjectRecord| record.merged_into);
                has_moved |= next.is_some();
                *id = next.unwrap_or(*id);
            }
            if !has_moved {
                break;
            }
        }
        Ok(last)
    }
}

/// Whom something is about.
#[derive(Debug, Clone)]
pub(super) enum Who {
    Subject(SubjectId),
    Named(Identifier),
}

impl Who {
    fn identifier(&self) -> Option<&Identifier> {
        match self {
            Self::Subject(_) => None,
            Self::Named(identifier) => Some(identifier),
        }
    }
}
