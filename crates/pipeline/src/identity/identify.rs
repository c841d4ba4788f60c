//! Identify: somebody says who it is, in an event like any other.
//!
//! What is said is stored and owed to destinations before it is answered. It is not stored if it would make one person of two, or
//! if it says nothing new: so a call can be repeated as often as an application likes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::event::{DedupeKey, TimeMark};
use domain::identity::fact::IDENTIFIED;
use domain::identity::trace::{TRAITS_MAX, is_counted};
use domain::identity::{Fact, Identifier, IdentifierKind, Profile};
use domain::{AppspaceId, Event, EventId, SourceId, SubjectId, Timestamp};
use serde_json::{Map, Value, json};
use storage::{NewEvent, StoreError};
use tokio::time::Instant;

use super::Identity;
use super::draft::Draft;
use crate::intake::PUBLISH_SOURCE_NAME;

/// Longest value of a trait, in bytes.
pub(super) const TRAIT_BYTES_MAX: usize = 1_024;
/// Longest time that a call waits for its turn and for what came in before it.
pub(super) const CALL_MAX: Duration = Duration::from_secs(10);

/// What somebody says of a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IdentifyRequest {
    /// At most one of each kind.
    pub identifiers: BTreeSet<Identifier>,
    /// `name`, `phone`, and whatever else; texts, numbers, yes or no.
    pub traits: Map<String, Value>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Identified {
    pub profile: Profile,
    /// The event that it was stored as; none if it said nothing new.
    pub event: Option<EventId>,
}

/// Why it was not stored.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    #[error(
        "this names nobody; give a `user_id` or an `email`, and what is known of the person so far: an `install_id`, \
         `click_id`, `anonymous_id` or `referral_code`"
    )]
    Nobody,
    #[error("the identifiers name `{0}` twice; a person is identified by one of each kind in a call")]
    Twice(&'static str),
    #[error("the trait `{0}` must be a text of at most {TRAIT_BYTES_MAX} bytes, a number, or yes or no")]
    Trait(String),
    #[error(
        "a person has at most {TRAITS_MAX} traits beside `name`, `first_name`, `last_name`, `email` and `phone`; leave some out"
    )]
    TooManyTraits,
    /// Identifiers of the call that belong to another person than the best of them, each with the kinds of identifiers
    /// that the other person is known by.
    #[error("{}", conflict(.0))]
    Conflict(Vec<(IdentifierKind, Vec<IdentifierKind>)>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// Takes in what somebody says of a person. When this returns `Ok`, it is on disk and whatever is asked about the person
    /// from then on knows of it.
    pub async fn identify(&self, appspace: AppspaceId, request: &IdentifyRequest) -> Result<Identified, IdentifyError> {
        request.check()?;
        let deadline = Instant::now() + CALL_MAX;
        let _held = self.hold(deadline).await?;
        self.catch_up(deadline).await?;
        let mut draft = self.draft_about(appspace, &request.identifiers).await?;
        let event = Arc::new(self.event_of(appspace, request, draft.last_said()));
        let fact = self.fact(&event).ok_or(IdentifyError::Nobody)?;
        let before = draft.clone();
        self.tell(&mut draft, event.id, &fact).await?;
        if draft.refused > 0 && !is_linked_but_for_codes(&draft, &fact) {
            let message = "one of these identifiers names more people or devices than are kept apart; leave it out";
            return Err(StoreError::Limit(message.to_owned()).into());
        }
        let profile = judge(&draft, &fact)?;
        if request.crowds_out(&before, &profile) {
            return Err(IdentifyError::TooManyTraits);
        }
        if says_nothing_new(&before, &draft, &fact, &profile) {
            return Ok(Identified { profile, event: None });
        }
        let deliveries = self.registry.routes(appspace).deliveries(&event, PUBLISH_SOURCE_NAME);
        let new = NewEvent { event: Arc::clone(&event), deliveries, has_facts: true };
        self.patiently(deadline, || self.write(draft.clone(), Some(&new))).await?;
        self.metrics.ingested.inc();
        Ok(Identified { profile, event: Some(event.id) })
    }

    /// A draft that has looked up the whole subjects of these.
    async fn draft_about(&self, appspace: AppspaceId, identifiers: &BTreeSet<Identifier>) -> Result<Draft, StoreError> {
        let mut draft = Draft::new(appspace, true);
        let wanted = draft.unknown(identifiers);
        self.look_up(&mut draft, wanted).await?;
        while let Err(wanted) = draft.members_of(identifiers) {
            self.look_up(&mut draft, wanted).await?;
        }
        Ok(draft)
    }

    /// The event that a call is kept as.
    fn event_of(&self, appspace: AppspaceId, request: &IdentifyRequest, last_said: Option<Timestamp>) -> Event {
        // What is said now comes after all that was said before, also within the same millisecond: it neither takes the place
        // of an older link nor gives way to what it corrects.
        let after = last_said.map(|at| at + Duration::from_millis(1));
        let now = self.clock.now().max(after.unwrap_or_default());
        let id = EventId::mint(now, self.clock.random());
        Event {
            id,
            appspace,
            source: SourceId::API,
            event_type: IDENTIFIED.parse().expect("our own types are well-formed"),
            occurred_at: now,
            received_at: now,
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_sender_id(SourceId::API, appspace, &id.to_string()),
            body: request.body(now),
        }
    }
}

impl IdentifyRequest {
    fn check(&self) -> Result<(), IdentifyError> {
        if self.identifiers.is_empty() {
            return Err(IdentifyError::Nobody);
        }
        let kinds: Vec<IdentifierKind> = self.identifiers.iter().map(Identifier::kind).collect();
        if let Some(twice) = kinds.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(IdentifyError::Twice(twice[0].member()));
        }
        if self.traits.keys().filter(|name| is_counted(name)).count() > TRAITS_MAX {
            return Err(IdentifyError::TooManyTraits);
        }
        let fits = |value: &Value| match value {
            Value::String(text) => text.len() <= TRAIT_BYTES_MAX,
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        match self.traits.iter().find(|(name, value)| name.len() > TRAIT_BYTES_MAX || !fits(value)) {
            Some((name, _)) => Err(IdentifyError::Trait(name.chars().take(64).collect())),
            None => Ok(()),
        }
    }

    /// Whether a trait of it, or one that is known, would have no room.
    fn crowds_out(&self, before: &Draft, profile: &Profile) -> bool {
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        let said = self.traits.iter().filter(|(name, value)| is_counted(name) && !is_blank(value));
        let said: Vec<&String> = said.map(|(name, _)| name).collect();
        let known = before.profile(profile.subject).map(|known| known.trace.traits).unwrap_or_default();
        let is_kept = |name: &String| profile.trace.traits.contains_key(name);
        !said.is_empty() && !said.into_iter().chain(known.keys()).all(is_kept)
    }

    fn body(&self, now: Timestamp) -> Bytes {
        let named = self.identifiers.iter().map(|one| (one.kind().member().to_owned(), Value::from(one.value())));
        let traits = (!self.traits.is_empty()).then(|| ("traits".to_owned(), Value::Object(self.traits.clone())));
        let data: Map<String, Value> = named.chain(traits).collect();
        json!({ "event": IDENTIFIED, "timestamp": now.to_string(), "data": data }).to_string().into()
    }
}

/// The person that the fact is about, if all that it names is that person. The code of a referral may be somebody else's who used it
/// before: it says where this person came from all the same, as it does in an event.
fn judge(draft: &Draft, fact: &Fact) -> Result<Profile, IdentifyError> {
    let subject_of = |one: &Identifier| draft.records().identifiers.get(one).map(|record| record.subject);
    let subject = fact.identifiers.first().and_then(subject_of).ok_or(IdentifyError::Nobody)?;
    let apart = fact.identifiers.iter().filter(|one| subject_of(one) != Some(subject) && !is_code(one));
    let known_by = |one: &Identifier| {
        let other = subject_of(one).and_then(|id| draft.records().subjects.get(&id));
        let mut kinds: Vec<_> = other.iter().flat_map(|other| &other.identifiers).map(Identifier::kind).collect();
        kinds.dedup();
        (one.kind(), kinds)
    };
    let apart: Vec<_> = apart.map(known_by).collect();
    if !apart.is_empty() {
        return Err(IdentifyError::Conflict(apart));
    }
    draft.profile(subject).ok_or(IdentifyError::Nobody)
}

fn is_code(identifier: &Identifier) -> bool {
    identifier.kind() == IdentifierKind::Referral
}

/// Whether the limits leave out nothing but that a code, which very many have used, is this person's.
fn is_linked_but_for_codes(draft: &Draft, fact: &Fact) -> bool {
    let Some((best, others)) = fact.identifiers.split_first() else { return true };
    let links = draft.records().identifiers.get(best).map(|record| &record.links);
    others.iter().all(|other| is_code(other) || links.is_some_and(|links| links.contains_key(other)))
}

/// Whether a person is known as well without the fact: by the same links, and with the same things to say.
fn says_nothing_new(before: &Draft, after: &Draft, fact: &Fact, profile: &Profile) -> bool {
    let ends = |draft: &Draft, one: &Identifier| {
        draft.records().identifiers.get(one).map(|record| record.links.keys().cloned().collect::<Vec<_>>())
    };
    let known = |id: SubjectId| before.profile(id);
    let is_linked = fact.identifiers.iter().all(|one| ends(before, one) == ends(after, one));
    is_linked && known(profile.subject).is_some_and(|known| known.value() == profile.value())
}

fn conflict(apart: &[(IdentifierKind, Vec<IdentifierKind>)]) -> String {
    let one = |(kind, known): &(IdentifierKind, Vec<IdentifierKind>)| {
        let known: Vec<&str> = known.iter().map(|kind| kind.code()).collect();
        format!("`{}` belongs to somebody else, who is known by: {}", kind.member(), known.join(", "))
    };
    let all: Vec<String> = apart.iter().map(one).collect();
    format!("{}; two known people are never made one, unlink what is wrong first", all.join("; "))
}
