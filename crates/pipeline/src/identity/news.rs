//! News: which destinations hear that something became known of a subject, although no event of theirs says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::delivery::{Delivery, State};
use domain::identity::fact::SUBJECT_UPDATED;
use domain::identity::{Identifier, Profile, Trace};
use domain::{AppspaceId, DeliveryId, DestinationId, Event, EventId, EventType, Reading};
use storage::page::PAGE_LIMIT_MAX;
use storage::{DeliveryQuery, DeliverySummary, NewDelivery, NewEvent, PageRequest, StoreError};
use tokio::time::Instant;

use super::Identity;
use super::draft::{Change, Folded};
use super::fold::fold_of;
use super::identify::CALL_MAX;
use crate::registry::LiveDestination;
use crate::route::{Decision, decide};
use crate::{bindings, operational};

/// Most events of a subject that are looked through for one that a destination was owed: its first ones, since who is concerned
/// nearly always is from the beginning. So many are read at a time.
const LOOKED_THROUGH_MAX: usize = 256;
const LOOKED_THROUGH_AT_ONCE: usize = 32;

/// An event that tells of a change.
#[derive(Debug)]
pub(super) struct News {
    pub(super) event: NewEvent,
    /// The best identifier of whom it tells.
    pub(super) of: Option<Identifier>,
}

impl Identity {
    /// Whether anybody wants to hear what becomes known of subjects.
    pub(super) fn is_followed(&self, appspace: AppspaceId) -> bool {
        let event_type = updated();
        !self.registry.routes(appspace).subscribed(&event_type).is_empty()
            || self.registry.destinations(appspace).iter().any(|live| live.outlet.reissues())
    }

    /// The events that tell of changes. Of one that nobody is owed there is none. `own` is an event that says what changed and is
    /// about to be stored.
    pub(super) async fn news(
        &self,
        appspace: AppspaceId,
        changes: &[Change],
        own: Option<&NewEvent>,
    ) -> Result<Vec<News>, StoreError> {
        let mut news = Vec::new();
        for change in changes {
            let (subject, because) = (change.profile.subject, change.because);
            let mut event = operational::subject_updated(&self.registry, appspace, subject, because, &change.changed);
            if !change.is_telling() {
                // It is news to nobody but to whoever has a record.
                event.deliveries.clear();
            }
            for live in self.registry.destinations(appspace) {
                let id = live.destination.id;
                let is_owed = event.deliveries.iter().any(|delivery| delivery.destination == id);
                if live.outlet.reissues() && !is_owed && self.must_hear(&live, change, own).await? {
                    event.deliveries.push(NewDelivery::to(id));
                }
            }
            if !event.deliveries.is_empty() {
                news.push(News { event, of: change.profile.identifiers.first().cloned() });
            }
        }
        Ok(news)
    }

    /// Deliveries of these events to a destination are about to end without having arrived. Whatever became known of people by
    /// these events and has ridden on them goes to the destination by itself, once, and so does not wait for their next event.
    /// What cannot be read of one is left out.
    pub(crate) async fn tell_instead(
        &self,
        to: DestinationId,
        lost: &[(DeliveryId, Arc<Event>)],
    ) -> Result<(), StoreError> {
        let Some(live) = self.registry.destination(to).filter(|live| live.outlet.reissues()) else { return Ok(()) };
        let is_news = |event: &Event| event.event_type.as_str() == SUBJECT_UPDATED;
        let lost: Vec<_> = lost.iter().filter(|(_, event)| !is_news(event)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let _held = self.hold(Instant::now() + CALL_MAX).await?;
        let appspace = live.destination.appspace;
        let ids: BTreeSet<DeliveryId> = lost.iter().map(|(id, _)| *id).collect();
        let (mut told, mut news) = (BTreeSet::new(), Vec::new());
        for (id, event) in lost {
            let profile = match self.profile_by(event).await {
                Err(StoreError::Unreadable(_)) => continue,
                profile => profile?,
            };
            let Some(profile) = profile else { continue };
            if !profile.trace.is_telling() && !self.has_record(to, &profile).await? {
                continue;
            }
            if told.contains(&profile.subject) || self.is_sent_otherwise(&live, *id, &ids).await? {
                continue;
            }
            told.insert(profile.subject);
            let mut event = operational::subject_told_again(&self.registry, appspace, profile.subject, event.id, to);
            // Who asks for what becomes known has been told when it did.
            if event.deliveries.iter().all(|delivery| delivery.destination != to) {
                event.deliveries = vec![NewDelivery::to(to)];
                news.push(News { event, of: profile.identifiers.first().cloned() });
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        self.store.fold(fold_of(appspace, Folded::default(), news)).await
    }

    /// Calls off a delivery for a person. What it would have brought of people is brought otherwise.
    pub async fn call_off(&self, appspace: AppspaceId, id: DeliveryId) -> Result<Delivery, StoreError> {
        let (delivery, _) = self.store.delivery(appspace, id).await?;
        if delivery.standing.cancel().is_ok() {
            let event = self.store.event(appspace, id.event).await?.event;
            self.tell_instead(delivery.destination, &[(id, event)]).await?;
        }
        self.store.cancel(appspace, id, self.clock.now()).await
    }

    /// Whether the event of a delivery is sent to its destination by another one that is not lost too.
    async fn is_sent_otherwise(
        &self,
        live: &LiveDestination,
        id: DeliveryId,
        lost: &BTreeSet<DeliveryId>,
    ) -> Result<bool, StoreError> {
        let destination = &live.destination;
        let all = self.deliveries_of(destination.appspace, id.event, Some(destination.id)).await?;
        Ok(all.iter().any(|other| !lost.contains(&other.delivery.id) && is_sent(other.delivery.standing.state)))
    }

    /// Whether a destination has to write its record of a subject once more: it is concerned with the subject, and no event of
    /// its own carries what is new.
    async fn must_hear(
        &self,
        live: &LiveDestination,
        change: &Change,
        own: Option<&NewEvent>,
    ) -> Result<bool, StoreError> {
        for event in &change.carriers {
            let is_carried = match own.filter(|own| own.event.id == *event) {
                Some(own) => own.deliveries.contains(&NewDelivery::to(live.destination.id)),
                None => self.has_delivery(live, *event).await?,
            };
            // Where only the first of a day is sent, this one may be passed over.
            if is_carried && !live.destination.volume.first_per_subject_per_day {
                return Ok(false);
            }
        }
        self.is_concerned(live, change).await
    }

    /// Whether the destination has a delivery of this event, which is sent with the profile.
    async fn has_delivery(&self, live: &LiveDestination, event: EventId) -> Result<bool, StoreError> {
        let destination = &live.destination;
        let deliveries = self.deliveries_of(destination.appspace, event, Some(destination.id)).await?;
        Ok(deliveries.iter().any(|summary| is_sent(summary.delivery.standing.state)))
    }

    /// The deliveries of an event, to one destination or to any.
    pub(super) async fn deliveries_of(
        &self,
        appspace: AppspaceId,
        event: EventId,
        destination: Option<DestinationId>,
    ) -> Result<Vec<DeliverySummary>, StoreError> {
        let query =
            DeliveryQuery { appspace, destination, event: Some(event), state: None, event_type: None, replay: None };
        let (mut found, mut next) = (Vec::new(), Some(PageRequest::first(PAGE_LIMIT_MAX)));
        // A page may be empty and yet not be the last one.
        while let Some(request) = next {
            let page = self.store.deliveries(query.clone(), request.clone()).await?;
            next = request.after(&page);
            found.extend(page.items);
        }
        Ok(found)
    }

    /// Whether a destination has to do with a subject: it has a record of it, or was owed one of its events. What was taken away
    /// counts too: a record says it still. Of one of whom only clicks are known there is a record or nothing.
    async fn is_concerned(&self, live: &LiveDestination, change: &Change) -> Result<bool, StoreError> {
        let destination = &live.destination;
        if !change.is_telling() {
            return self.has_record(destination.id, &change.profile).await;
        }
        let is_plain = destination.when.is_none() && destination.volume.is_everything();
        let mut happened = happened(&change.profile.trace).chain(happened(&change.before));
        if is_plain && happened.any(|event_type| destination.events.matches(&event_type)) {
            return Ok(true);
        }
        Ok(self.has_record(destination.id, &change.profile).await? || self.was_owed(live, change).await?)
    }

    async fn has_record(&self, destination: DestinationId, profile: &Profile) -> Result<bool, StoreError> {
        let subjects = profile.absorbed.iter().chain([&profile.subject]);
        let keys: Vec<String> = subjects.map(|subject| bindings::key(&subject.to_string())).collect();
        for some in keys.chunks(storage::MEMOS_PER_CALL_MAX) {
            match self.store.recall(destination, some.to_vec(), self.clock.now()).await {
                Ok(found) if found.iter().any(Option::is_some) => return Ok(true),
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn was_owed(&self, live: &LiveDestination, change: &Change) -> Result<bool, StoreError> {
        let identifiers: Vec<Identifier> = change.profile.identifiers.iter().cloned().collect();
        let is_owed = |event: &Arc<Event>| {
            let reading = Reading::new(self.registry.source_name(event.source));
            live.destination.events.matches(&event.event_type) && decide(live, event, &reading) == Decision::Owed
        };
        let (mut looked_through, mut after) = (0, None);
        while looked_through < LOOKED_THROUGH_MAX {
            let (appspace, limit) = (live.destination.appspace, LOOKED_THROUGH_AT_ONCE);
            let events = self.store.events_of(appspace, &identifiers, after, limit).await?;
            if events.iter().any(is_owed) {
                return Ok(true);
            }
            let Some(last) = events.last() else { break };
            after = Some(last.id);
            looked_through += events.len();
        }
        Ok(false)
    }
}

const fn is_sent(state: State) -> bool {
    matches!(state, State::Pending | State::Delivered)
}

/// The type of the event that tells of a subject.
fn updated() -> EventType {
    SUBJECT_UPDATED.parse().expect("our own types are well-formed")
}

/// The types of the events that a trace gives evidence of, also when the events themselves are no longer kept.
fn happened(trace: &Trace) -> impl Iterator<Item = EventType> {
    let all = [
        ("link.clicked", trace.clicked_at),
        ("install.tracked", trace.installed_at),
        ("deferred_link.claimed", trace.claimed_at),
        ("referral.created", trace.referred_at),
        ("referral.completed", trace.completed_at),
    ];
    all.into_iter().filter_map(|(event_type, at)| at.and(event_type.parse().ok()))
}
