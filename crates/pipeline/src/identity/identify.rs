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
use domain::identity::trace::TRAITS_MAX;
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
    #[error("a call has at most {TRAITS_MAX} traits")]
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
        if draft.refused > 0 {
            let message = "one of these identifiers names more people or devices than are kept apart; leave it out";
            return Err(StoreError::Limit(message.to_owned()).into());
        }
        let profile = judge(&draft, &fact)?;
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
        if self.traits.len() > TRAITS_MAX {
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

    fn body(&self, now: Timestamp) -> Bytes {
        let named = self.identifiers.iter().map(|one| (one.kind().member().to_owned(), Value::from(one.value())));
        let traits = (!self.traits.is_empty()).then(|| ("traits".to_owned(), Value::Object(self.traits.clone())));
        let data: Map<String, Value> = named.chain(traits).collect();
        json!({ "event": IDENTIFIED, "timestamp": now.to_string(), "data": data }).to_string().into()
    }
}

/// The person that the fact is about, if all that it names is that person.
fn judge(draft: &Draft, fact: &Fact) -> Result<Profile, IdentifyError> {
    let subject_of = |one: &Identifier| draft.records().identifiers.get(one).map(|record| record.subject);
    let subject = fact.identifiers.first().and_then(subject_of).ok_or(IdentifyError::Nobody)?;
    let apart = fact.identifiers.iter().filter(|one| subject_of(one) != Some(subject));
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
