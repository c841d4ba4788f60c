//! `/v1/events/{event}/explain`: why each destination did or did not get an event.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use domain::{DestinationId, Event, EventId};
use pipeline::registry::LiveDestination;
use pipeline::route::{self, Decision};
use serde::Serialize;
use storage::page::PAGE_LIMIT_MAX;
use storage::{DeliveryQuery, DeliverySummary, PageRequest};
use utoipa::ToSchema;

use crate::auth::{Caller, Reader};
use crate::extract::Path;
use crate::problem::Problem;
use crate::routes::deliveries::{Delivery, show};
use crate::state::ApiState;

/// Most deliveries of one event that an explanation looks at.
const DELIVERIES_MAX: usize = 5_000;

/// Why an event went where it went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    event: String,
    r#type: String,
    /// Every destination of the appspace, and those deleted meanwhile that the event was owed to.
    destinations: Vec<Explained>,
}

/// Why one destination did or did not get the event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explained {
    destination: String,
    /// Its name; `null` if it has been deleted.
    name: Option<String>,
    outcome: Outcome,
    /// For a person.
    why: String,
    deliveries: Vec<Delivery>,
}

/// How a destination stands to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is owed; the deliveries say how it went.
    Owed,
    /// Its subscriptions do not name the type.
    NotSubscribed,
    /// Its filter says no.
    Filtered,
    /// Its filter fails on this event.
    FilterFailed,
    /// It would match now, and did not when the event came in.
    MatchesNow,
}

/// Explain where an event went
///
/// Says for each destination whether it is subscribed, what its filter says, and how its deliveries stand.
/// Subscriptions and filters are judged as they are now; deliveries were made by those at the time.
#[utoipa::path(
    get,
    path = "/v1/events/{event}/explain",
    tag = "events",
    security(("key" = ["read"])),
    params(("event" = String, Path, description = "Id of an event")),
    responses((status = 200, description = "One entry for each destination", body = Explanation)),
)]
pub(crate) async fn explain(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(event): Path,
) -> Result<Json<Explanation>, Problem> {
    let event = super::find(&state, &caller, &event).await?.event;
    let mut deliveries: BTreeMap<DestinationId, Vec<Delivery>> = BTreeMap::new();
    for summary in deliveries_of(&state, &caller, event.id).await? {
        deliveries.entry(summary.delivery.destination).or_default().push(show(&state, &summary));
    }
    let source_name = state.registry.source_name(event.source);
    let mut value = None;
    let mut destinations = Vec::new();
    for live in state.registry.destinations(caller.appspace_id()) {
        let deliveries = deliveries.remove(&live.destination.id).unwrap_or_default();
        let decision = live
            .destination
            .events
            .matches(&event.event_type)
            .then(|| route::decide(&live, &event, &source_name, &mut value));
        destinations.push(explained(&live, &event, decision, deliveries));
    }
    destinations.extend(deliveries.into_iter().map(|(id, deliveries)| Explained {
        destination: id.to_string(),
        name: None,
        outcome: Outcome::Owed,
        why: "it was owed; the destination has been deleted since".to_owned(),
        deliveries,
    }));
    Ok(Json(Explanation { event: event.id.to_string(), r#type: event.event_type.to_string(), destinations }))
}

/// Puts into words how one destination stands to the event. `decision` is `None` if it is not subscribed.
fn explained(
    live: &LiveDestination,
    event: &Event,
    decision: Option<Decision>,
    deliveries: Vec<Delivery>,
) -> Explained {
    let destination = &live.destination;
    let (outcome, why) = match decision {
        _ if !deliveries.is_empty() => (Outcome::Owed, "it is owed; its deliveries say how it went".to_owned()),
        None => {
            let patterns: Vec<String> =
                destination.events.patterns().iter().map(|pattern| format!("`{pattern}`")).collect();
            let why = format!("`{}` is not among its events, which are {}", event.event_type, patterns.join(", "));
            (Outcome::NotSubscribed, why)
        }
        Some(Decision::Filtered) => {
            (Outcome::Filtered, format!("its filter says no: `{}`", destination.when.as_deref().unwrap_or_default()))
        }
        Some(Decision::Failed(message)) => {
            (Outcome::FilterFailed, format!("its filter fails on this event: {message}"))
        }
        Some(Decision::Owed) if destination.created_at > event.received_at => {
            let why = "it matches, and was made after the event came in; a replay that selects `missing` sends it";
            (Outcome::MatchesNow, why.to_owned())
        }
        Some(Decision::Owed) => {
            let why = "it matches now, and did not when the event came in; a replay that selects `missing` sends it";
            (Outcome::MatchesNow, why.to_owned())
        }
    };
    Explained {
        destination: destination.id.to_string(),
        name: Some(destination.name.to_string()),
        outcome,
        why,
        deliveries,
    }
}

async fn deliveries_of(state: &ApiState, caller: &Caller, event: EventId) -> Result<Vec<DeliverySummary>, Problem> {
    let query = DeliveryQuery {
        appspace: caller.appspace_id(),
        destination: None,
        event: Some(event),
        state: None,
        event_type: None,
        replay: None,
    };
    let mut request = PageRequest::first(PAGE_LIMIT_MAX);
    let mut found = Vec::new();
    loop {
        let page = state.store.deliveries(query.clone(), request.clone()).await?;
        let next = request.after(&page);
        found.extend(page.items);
        match next {
            Some(next) if found.len() < DELIVERIES_MAX => request = next,
            _ => return Ok(found),
        }
    }
}
