//! Trying a destination out with a real test event.

use axum::Json;
use axum::extract::State;
use domain::event::{DedupeKey, EventType, TimeMark};
use domain::{AppspaceId, DeliveryId, Event, EventId, SourceId, catalogue};
use http::StatusCode;
use serde::Serialize;
use storage::{Append, NewDelivery, NewEvent, OnKnown};
use utoipa::ToSchema;

use super::find;
use crate::auth::Owner;
use crate::extract::Path;
use crate::problem::Problem;
use crate::state::ApiState;

/// A test that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tested {
    event: String,
    /// Follow it at `/v1/deliveries/{delivery}`.
    delivery: String,
}

/// Send a test event to a destination
///
/// Makes a real event of the type `test` and owes it to this destination alone, whatever it is subscribed to. A paused
/// destination holds it like any other.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/test",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    responses((status = 202, description = "The event and its delivery are on disk", body = Tested)),
)]
pub(crate) async fn test(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
) -> Result<(StatusCode, Json<Tested>), Problem> {
    let live = find(&state, &caller, &destination)?;
    let event = sample(&state, caller.appspace_id(), catalogue::TEST).ok_or_else(Problem::internal)?;
    let id = event.id;
    let event = NewEvent::new(event, vec![NewDelivery::to(live.destination.id)]);
    state.store.append(Append { events: vec![event], on_known: OnKnown::Count }).await?;
    let delivery = DeliveryId { event: id, ordinal: 0 };
    Ok((StatusCode::ACCEPTED, Json(Tested { event: id.to_string(), delivery: delivery.to_string() })))
}

/// A sample event of the catalogue, as if it had been published now.
pub(super) fn sample(state: &ApiState, appspace: AppspaceId, event_type: &str) -> Option<Event> {
    let (now, random) = (state.clock.now(), state.clock.random());
    let id = EventId::mint(now, random);
    #[expect(clippy::cast_possible_truncation, reason = "64 of 128 random bits are unique enough for a sample")]
    let body = catalogue::sample(event_type, now, random as u64)?;
    let event_type: EventType = event_type.parse().ok()?;
    Some(Event {
        id,
        appspace,
        source: SourceId::API,
        event_type,
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_sender_id(SourceId::API, appspace, &id.to_string()),
        body: body.into(),
    })
}
