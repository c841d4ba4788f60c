//! Operational events: what a person should hear of without watching a dashboard.
//!
//! They are ordinary events of the appspace, stored in the same step as the change that causes them and deliverable to
//! any destination that names them; but never about themselves: none is made about the delivery of an operational event
//! (but for those that carry what is known of a person), and none about a destination goes to that destination.

use std::sync::Arc;

use domain::event::{DedupeKey, EventType, TimeMark};
use domain::id::{DeliveryId, DestinationId};
use domain::identity::IdentifierKind;
use domain::identity::fact::{IDENTIFIED, SUBJECT_UPDATED};
use domain::verdict::FailureReason;
use domain::{AppspaceId, Event, EventId, Source, SourceId, SubjectId};
use serde_json::{Value, json};
use storage::NewEvent;

use crate::clock::Clock;
use crate::registry::{LiveDestination, Registry};

/// The name of the built-in source of operational events.
pub const SOURCE_NAME: &str = "afterclick";

/// A destination was paused, by a person, a verdict or its breaker (`reason` `breaker`).
pub fn destination_paused(registry: &Registry, live: &LiveDestination, reason: &str, message: &str) -> NewEvent {
    let data = json!({ "destination": named(live), "reason": reason, "message": message });
    make(registry, live.destination.appspace, "afterclick.destination.paused", &data, Some(live.destination.id))
}

/// A destination takes deliveries again.
pub fn destination_recovered(registry: &Registry, live: &LiveDestination) -> NewEvent {
    let data = json!({ "destination": named(live) });
    make(registry, live.destination.appspace, "afterclick.destination.recovered", &data, Some(live.destination.id))
}

/// Something became known of a subject late, because of an event or of what a person said. It is owed to those who name it,
/// and to whoever is added.
pub fn subject_updated(
    registry: &Registry,
    appspace: AppspaceId,
    subject: SubjectId,
    because: Option<EventId>,
    changed: &[String],
) -> NewEvent {
    let because = because.map(|event| event.to_string());
    let data = json!({ "subject": subject.to_string(), "because": because, "changed": changed });
    make(registry, appspace, SUBJECT_UPDATED, &data, None)
}

/// What became known of a subject by an event whose delivery will not arrive, for the destination that it was owed to. Made again for
/// the same event and destination, it is the same.
pub fn subject_told_again(
    registry: &Registry,
    appspace: AppspaceId,
    subject: SubjectId,
    because: EventId,
    to: DestinationId,
) -> NewEvent {
    let new = subject_updated(registry, appspace, subject, Some(because), &[]);
    let dedupe_key = DedupeKey::of_sender_id(SourceId::AFTERCLICK, appspace, &format!("{because} {to}"));
    let event = Event { dedupe_key, ..Arc::unwrap_or_clone(new.event) };
    NewEvent { event: Arc::new(event), deliveries: new.deliveries, has_facts: new.has_facts }
}

/// A person has said that an identifier is not the subject's. Neither what it is nor whose it is now is said: an event belongs to one
/// subject, and goes with that one.
pub fn subject_unlinked(
    registry: &Registry,
    appspace: AppspaceId,
    subject: SubjectId,
    kind: IdentifierKind,
) -> NewEvent {
    let data = json!({ "subject": subject.to_string(), "identifier": kind.code() });
    make(registry, appspace, "afterclick.subject.unlinked", &data, None)
}

/// A delivery became a dead letter. `None` if its event is itself about the operation of this server.
pub fn delivery_dead(
    registry: &Registry,
    live: &LiveDestination,
    delivery: DeliveryId,
    event: &Event,
    reason: FailureReason,
    attempts: u32,
) -> Option<NewEvent> {
    let is_about_somebody = [IDENTIFIED, SUBJECT_UPDATED].contains(&event.event_type.as_str());
    if event.event_type.is_operational() && !is_about_somebody {
        return None;
    }
    let data = json!({
        "destination": named(live),
        "delivery": delivery.to_string(),
        "event": { "id": event.id.to_string(), "type": event.event_type.as_str() },
        "reason": reason.code(),
        "attempts": attempts,
    });
    Some(make(registry, live.destination.appspace, "afterclick.delivery.dead", &data, Some(live.destination.id)))
}

/// A source refuses one request after another because of their signatures.
pub fn source_failing(registry: &Registry, source: &Source, code: &str, failures: u32) -> NewEvent {
    let data = json!({
        "source": { "id": source.id.to_string(), "name": source.name.as_str() },
        "code": code,
        "failures": failures,
    });
    make(registry, source.appspace, "afterclick.source.failing", &data, None)
}

fn named(live: &LiveDestination) -> Value {
    json!({ "id": live.destination.id.to_string(), "name": live.destination.name.as_str() })
}

fn make(
    registry: &Registry,
    appspace: AppspaceId,
    event_type: &str,
    data: &Value,
    about: Option<DestinationId>,
) -> NewEvent {
    let clock: &Clock = registry.clock();
    let now = clock.now();
    let id = EventId::mint(now, clock.random());
    let body = json!({ "event": event_type, "timestamp": now.to_string(), "data": data, "id": id.to_string() });
    let event_type: EventType = event_type.parse().expect("our own types are well-formed");
    let event = Event {
        id,
        appspace,
        source: SourceId::AFTERCLICK,
        event_type,
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_sender_id(SourceId::AFTERCLICK, appspace, &id.to_string()),
        body: body.to_string().into(),
    };
    let mut deliveries = registry.routes(appspace).deliveries(&event, SOURCE_NAME);
    deliveries.retain(|delivery| Some(delivery.destination) != about);
    // What we say about ourselves names nobody whom no event has named before.
    NewEvent { event: Arc::new(event), deliveries, has_facts: false }
}
