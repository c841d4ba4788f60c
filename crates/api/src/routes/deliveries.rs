//! `/v1/deliveries`: one event owed to one destination, and what a person may do about it.

use axum::Json;
use axum::extract::State;
use domain::attempt;
use domain::delivery;
use domain::{DeliveryId, DestinationId, ReplayId};
use http::StatusCode;
use pipeline::admission::{BreakerStatus, LaneStatus};
use pipeline::registry::LiveDestination;
use serde::{Deserialize, Serialize};
use storage::{DeliveryQuery, DeliverySummary};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Caller, Owner, Reader};
use crate::extract::{Path, Query};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::routes::destinations;
use crate::routes::events::event_type;
use crate::state::ApiState;
use crate::wire::Time;

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(examples("dlv_01JD3ZK7Q0M8X2V4N6B8C0D2F4_0"))]
    pub(crate) id: String,
    event: String,
    #[schema(examples("link.clicked"))]
    r#type: String,
    destination: String,
    /// `null` if it has been deleted.
    destination_name: Option<String>,
    pub(crate) state: DeliveryState,
    /// What holds it: `breaker`, or why its destination is paused.
    #[schema(examples("manual"))]
    pub(crate) held_by: Option<&'static str>,
    /// When the next attempt is due, while there will be one.
    due_at: Option<Time>,
    /// Attempts so far.
    attempts: u32,
    /// Why it is dead.
    #[schema(examples("server_error"))]
    reason: Option<&'static str>,
    /// What a filter or template said that failed before any attempt.
    note: Option<String>,
    created_at: Time,
    /// When it was delivered, died or was cancelled.
    ended_at: Option<Time>,
    /// The replay that made it.
    replay: Option<String>,
    last_attempt: Option<Attempt>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    /// Will be tried when it is due.
    Pending,
    /// Is being tried.
    Leased,
    /// Waits until its destination is resumed or its breaker closes.
    Held,
    Delivered,
    /// Waits for a person.
    Dead,
    Cancelled,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    number: u32,
    started_at: Time,
    duration_ms: u32,
    /// The HTTP status, if a reply came.
    status: Option<u16>,
    /// Why it failed.
    reason: Option<&'static str>,
    /// What went wrong, for a person.
    error: Option<String>,
    /// The beginning of the reply.
    reply: Option<String>,
}

/// A delivery with every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: Delivery,
    /// Oldest first.
    attempts_made: Vec<Attempt>,
}

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveriesQuery {
    /// Name or id of a destination.
    destination: Option<String>,
    /// Id of an event.
    event: Option<String>,
    /// `held` and `leased` are looked for among the pending ones, page by page: pages can be short.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// An exact event type.
    r#type: Option<String>,
    /// Id of a replay.
    replay: Option<String>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Which deliveries of a destination to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfDestinationQuery {
    /// `held` and `leased` are looked for among the pending ones, page by page: pages can be short.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List deliveries
///
/// Those of the newest event first.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "deliveries",
    security(("key" = ["read"])),
    params(DeliveriesQuery),
    responses((status = 200, description = "A page", body = List<Delivery>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<List<Delivery>>, Problem> {
    let destination = query.destination.as_deref().map(|named| find_destination(&state, &caller, named)).transpose()?;
    let event = query.event.as_deref().map(str::parse).transpose().map_err(|_| Problem::not_found("event"))?;
    let replay: Option<ReplayId> =
        query.replay.as_deref().map(str::parse).transpose().map_err(|_| Problem::not_found("replay"))?;
    let event_type = query.r#type.as_deref().map(event_type).transpose()?;
    let appspace = caller.appspace_id();
    let wanted = DeliveryQuery { appspace, destination, event, state: None, event_type, replay };
    list_page(&state, wanted, query.state, query.limit, query.cursor.as_deref()).await
}

/// List the deliveries of a destination
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}/deliveries",
    tag = "destinations",
    security(("key" = ["read"])),
    params(("destination" = String, Path, description = "Name or id of a destination"), OfDestinationQuery),
    responses((status = 200, description = "A page", body = List<Delivery>)),
)]
pub(crate) async fn list_of_destination(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(destination): Path,
    Query(query): Query<OfDestinationQuery>,
) -> Result<Json<List<Delivery>>, Problem> {
    let live = destinations::find(&state, &caller, &destination)?;
    let (appspace, destination) = (caller.appspace_id(), Some(live.destination.id));
    let wanted = DeliveryQuery { appspace, destination, event: None, state: None, event_type: None, replay: None };
    list_page(&state, wanted, query.state, query.limit, query.cursor.as_deref()).await
}

async fn list_page(
    state: &ApiState,
    wanted: DeliveryQuery,
    shown_state: Option<DeliveryState>,
    limit: Option<usize>,
    cursor: Option<&str>,
) -> Result<Json<List<Delivery>>, Problem> {
    let request = page(limit, cursor)?;
    let found = state.store.deliveries(DeliveryQuery { state: shown_state.map(stored), ..wanted }, request).await?;
    let mut list = List::of(found, |summary| show(state, &summary));
    list.data.retain(|delivery| shown_state.is_none_or(|wanted| delivery.state == wanted));
    Ok(Json(list))
}

/// Get a delivery with all its attempts
#[utoipa::path(
    get,
    path = "/v1/deliveries/{delivery}",
    tag = "deliveries",
    security(("key" = ["read"])),
    params(("delivery" = String, Path, description = "Id of a delivery")),
    responses((status = 200, description = "The delivery", body = DeliveryWithAttempts)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(delivery): Path,
) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let (delivery, attempts) = state.store.delivery(caller.appspace_id(), parse(&delivery)?).await?;
    let summary = DeliverySummary { delivery, last_attempt: attempts.last().cloned() };
    let delivery = show(&state, &summary);
    Ok(Json(DeliveryWithAttempts { delivery, attempts_made: attempts.iter().map(show_attempt).collect() }))
}

/// Retry a delivery
///
/// A pending one is due at once; a dead one starts its whole schedule again.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{delivery}/retry",
    tag = "deliveries",
    security(("key" = ["appspace"])),
    params(("delivery" = String, Path, description = "Id of a delivery")),
    responses(
        (status = 200, description = "The delivery as it stands now", body = Delivery),
        (status = 409, description = "It has been delivered or cancelled; see `resend`"),
    ),
)]
pub(crate) async fn retry(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(delivery): Path,
) -> Result<Json<Delivery>, Problem> {
    let delivery = state.store.retry(caller.appspace_id(), parse(&delivery)?, state.clock.now()).await?;
    Ok(Json(show_changed(&state, delivery)))
}

/// Cancel a delivery
///
/// One that is being tried is cancelled as well; what it has sent cannot be unsent.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{delivery}/cancel",
    tag = "deliveries",
    security(("key" = ["appspace"])),
    params(("delivery" = String, Path, description = "Id of a delivery")),
    responses(
        (status = 200, description = "The delivery as it stands now", body = Delivery),
        (status = 409, description = "It has been delivered or cancelled"),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(delivery): Path,
) -> Result<Json<Delivery>, Problem> {
    let delivery = state.store.cancel(caller.appspace_id(), parse(&delivery)?, state.clock.now()).await?;
    Ok(Json(show_changed(&state, delivery)))
}

/// Send a delivery's event to its destination once more
///
/// Makes a new delivery of the same event, whatever became of this one. The receiver sees the same `webhook-id`.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{delivery}/resend",
    tag = "deliveries",
    security(("key" = ["appspace"])),
    params(("delivery" = String, Path, description = "Id of a delivery")),
    responses((status = 201, description = "The new delivery", body = Delivery)),
)]
pub(crate) async fn resend(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(delivery): Path,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let delivery = state.store.resend(caller.appspace_id(), parse(&delivery)?, state.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(show_changed(&state, delivery))))
}

// ---------------------------------------------------------------------------------------------------------------------

/// A destination to filter by: one that has been deleted is still found by its id, a foreign one finds nothing.
pub(crate) fn find_destination(state: &ApiState, caller: &Caller, named: &str) -> Result<DestinationId, Problem> {
    match state.registry.find_destination(caller.appspace_id(), named) {
        Some(live) => Ok(live.destination.id),
        None => named.parse().map_err(|_| Problem::not_found("destination")),
    }
}

/// A delivery as it is shown.
pub(crate) fn show(state: &ApiState, summary: &DeliverySummary) -> Delivery {
    let live = state.registry.destination(summary.delivery.destination);
    let held_by = live.as_deref().and_then(|live| held_by(live, &state.lane_status(live)));
    let name = live.map(|live| live.destination.name.to_string());
    render(&summary.delivery, summary.last_attempt.as_ref(), name, held_by)
}

fn show_changed(state: &ApiState, delivery: delivery::Delivery) -> Delivery {
    show(state, &DeliverySummary { delivery, last_attempt: None })
}

fn render(
    delivery: &delivery::Delivery,
    last_attempt: Option<&attempt::Attempt>,
    destination_name: Option<String>,
    held_by: Option<&'static str>,
) -> Delivery {
    let standing = &delivery.standing;
    let state = shown_state(delivery, held_by);
    let waits = matches!(state, DeliveryState::Pending | DeliveryState::Held);
    Delivery {
        id: delivery.id.to_string(),
        event: delivery.id.event.to_string(),
        r#type: delivery.event_type.to_string(),
        destination: delivery.destination.to_string(),
        destination_name,
        state,
        held_by: held_by.filter(|_| state == DeliveryState::Held),
        due_at: waits.then(|| standing.due_at.into()),
        attempts: standing.attempts,
        reason: standing.reason.map(domain::verdict::FailureReason::code),
        note: delivery.note.clone(),
        created_at: delivery.created_at.into(),
        ended_at: delivery.ended_at.map(Time::from),
        replay: delivery.replay.map(|id| id.to_string()),
        last_attempt: last_attempt.map(show_attempt),
    }
}

/// What the store calls pending is held in a closed lane, and leased in a worker's hand.
const fn shown_state(delivery: &delivery::Delivery, held_by: Option<&'static str>) -> DeliveryState {
    match delivery.standing.state {
        delivery::State::Pending if delivery.leased => DeliveryState::Leased,
        delivery::State::Pending if held_by.is_some() => DeliveryState::Held,
        delivery::State::Pending => DeliveryState::Pending,
        delivery::State::Delivered => DeliveryState::Delivered,
        delivery::State::Dead => DeliveryState::Dead,
        delivery::State::Cancelled => DeliveryState::Cancelled,
    }
}

const fn stored(shown: DeliveryState) -> delivery::State {
    match shown {
        DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Held => delivery::State::Pending,
        DeliveryState::Delivered => delivery::State::Delivered,
        DeliveryState::Dead => delivery::State::Dead,
        DeliveryState::Cancelled => delivery::State::Cancelled,
    }
}

/// Why a lane is closed, if it is.
fn held_by(live: &LiveDestination, lane: &LaneStatus) -> Option<&'static str> {
    match (&live.destination.paused, lane.breaker) {
        (Some(pause), _) => Some(pause.reason.code()),
        (None, BreakerStatus::Open { .. }) if live.destination.breaker => Some("breaker"),
        (None, _) => None,
    }
}

fn show_attempt(attempt: &attempt::Attempt) -> Attempt {
    Attempt {
        number: attempt.number,
        started_at: attempt.started_at.into(),
        duration_ms: attempt.duration_ms,
        status: attempt.status,
        reason: attempt.reason.map(domain::verdict::FailureReason::code),
        error: attempt.error.clone(),
        reply: attempt.reply.clone(),
    }
}

pub(crate) fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|_| Problem::not_found("delivery"))
}
