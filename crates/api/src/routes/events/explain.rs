//! `/v1/events/{event}/explain`: why each destination did or did not get an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::identity::Profile;
use domain::{DestinationId, Event, EventId, Reading};
use pipeline::registry::LiveDestination;
use pipeline::route::{self, Decision};
use serde::Serialize;
use storage::page::PAGE_LIMIT_MAX;
use storage::{DeliveryQuery, DeliverySummary, PageRequest};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::auth::{Caller, Reader};
use crate::extract::Path;
use crate::problem::Problem;
use crate::routes::deliveries::{Delivery, show};
use crate::routes::subjects::identifiers;
use crate::state::ApiState;

/// Most deliveries of one event that an explanation looks at.
const DELIVERIES_MAX: usize = 5_000;
/// Longest wait for what is known of a person.
const PERSON_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why an event went where it went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    event: String,
    r#type: String,
    /// Whom it is about; `null` if it names nobody. The token of a link is shared by everybody who taps it, and names nobody.
    about: Option<About>,
    /// Every destination of the appspace, and those deleted meanwhile that the event was owed to.
    destinations: Vec<Explained>,
}

/// Whom an event is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct About {
    /// The subject, as it is now. `/v1/subjects/{subject}` has more.
    #[schema(examples("sub_7Q0M8X2V4N6B8C0D2F4G6H8J0K"))]
    subject: String,
    /// Whether a user or an address is known, and not only a device.
    is_known: bool,
    /// What the subject is known by, best first.
    identifiers: Vec<String>,
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
    /// Its volume leaves the event out: it is not in the sample, or its value is too small.
    HeldBack,
    /// It would match now, and did not when the event came in.
    MatchesNow,
}

/// Explain where an event went
///
/// Says whom it is about, and for each destination whether it is subscribed, what its filter says, and how its deliveries stand.
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
    let about = about(&state, &event).await?;
    let mut deliveries: BTreeMap<DestinationId, Vec<Delivery>> = BTreeMap::new();
    for summary in deliveries_of(&state, &caller, event.id).await? {
        deliveries.entry(summary.delivery.destination).or_default().push(show(&state, &summary));
    }
    let source_name = state.registry.source_name(event.source);
    let reading = Reading::new(source_name);
    let mut destinations = Vec::new();
    for live in state.registry.destinations(caller.appspace_id()) {
        let deliveries = deliveries.remove(&live.destination.id).unwrap_or_default();
        destinations.push(explained(&live, &event, &reading, deliveries));
    }
    destinations.extend(deliveries.into_iter().map(|(id, deliveries)| Explained {
        destination: id.to_string(),
        name: None,
        outcome: Outcome::Owed,
        why: "it was owed; the destination has been deleted since".to_owned(),
        deliveries,
    }));
    Ok(Json(Explanation { event: event.id.to_string(), r#type: event.event_type.to_string(), about, destinations }))
}

async fn about(state: &ApiState, event: &Arc<Event>) -> Result<Option<About>, Problem> {
    let profile = person(state, event).await?;
    Ok(profile.map(|profile| About {
        subject: profile.subject.to_string(),
        is_known: profile.is_known(),
        identifiers: identifiers(&profile),
    }))
}

/// The person that a stored event is about.
pub(crate) async fn person(state: &ApiState, event: &Arc<Event>) -> Result<Option<Profile>, Problem> {
    let deadline = Instant::now() + PERSON_WAIT_MAX;
    let profiles = state.identity.profiles(std::slice::from_ref(event), deadline).await?;
    Ok(profiles.into_iter().next().flatten())
}

/// Why a destination does not want an event; `None` if it does.
pub(crate) fn unwanted(live: &LiveDestination, event: &Event, reading: &Reading) -> Option<(Outcome, String)> {
    let destination = &live.destination;
    if !destination.events.matches(&event.event_type) {
        let patterns: Vec<String> =
            destination.events.patterns().iter().map(|pattern| format!("`{pattern}`")).collect();
        let why = format!("`{}` is not among its events, which are {}", event.event_type, patterns.join(", "));
        return Some((Outcome::NotSubscribed, why));
    }
    match route::decide(live, event, reading) {
        Decision::Owed => None,
        Decision::Filtered => {
            let why = format!("its filter says no: `{}`", destination.when.as_deref().unwrap_or_default());
            Some((Outcome::Filtered, why))
        }
        Decision::Failed(message) => {
            Some((Outcome::FilterFailed, format!("its filter fails on this event: {message}")))
        }
        Decision::Unwanted(unwanted) => Some((Outcome::HeldBack, format!("the event {}", unwanted.describe()))),
    }
}

/// Puts into words how one destination stands to the event.
fn explained(live: &LiveDestination, event: &Event, reading: &Reading, deliveries: Vec<Delivery>) -> Explained {
    let destination = &live.destination;
    let (outcome, why) = if deliveries.is_empty() {
        unwanted(live, event, reading).unwrap_or_else(|| {
            let before = if destination.created_at > event.received_at {
                "was made after the event came in"
            } else {
                "did not when the event came in"
            };
            let why = format!("it matches now, and {before}; a replay that selects `missing` sends it");
            (Outcome::MatchesNow, why)
        })
    } else {
        (Outcome::Owed, "it is owed; its deliveries say how it went".to_owned())
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
