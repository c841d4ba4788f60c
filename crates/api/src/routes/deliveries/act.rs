//! What a person may do about a delivery.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::parse;
use super::shape::{Delivery, show_changed};
use crate::auth::Owner;
use crate::extract::Path;
use crate::problem::Problem;
use crate::state::ApiState;

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
    let delivery = state.identity.call_off(caller.appspace_id(), parse(&delivery)?).await?;
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
