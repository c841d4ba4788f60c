//! `/v1/deliveries`: one event owed to one destination, and what a person may do about it.

pub(crate) mod act;
mod shape;

use axum::Json;
use axum::extract::State;
use domain::{DeliveryId, DestinationId, ReplayId};
use serde::Deserialize;
use storage::{DeliveryQuery, DeliverySummary};
use utoipa::IntoParams;

pub(crate) use self::shape::{Delivery, show};
use self::shape::{DeliveryState, DeliveryWithAttempts, show_attempt, stored};
use crate::auth::{Caller, Reader};
use crate::extract::{Path, Query};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::routes::destinations;
use crate::routes::events::event_type;
use crate::state::ApiState;

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

// ---------------------------------------------------------------------------------------------------------------------

/// A destination to filter by: one that has been deleted is still found by its id, a foreign one finds nothing.
pub(crate) fn find_destination(state: &ApiState, caller: &Caller, named: &str) -> Result<DestinationId, Problem> {
    match state.registry.find_destination(caller.appspace_id(), named) {
        Some(live) => Ok(live.destination.id),
        None => named.parse().map_err(|_| Problem::not_found("destination")),
    }
}

pub(crate) fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|_| Problem::not_found("delivery"))
}
