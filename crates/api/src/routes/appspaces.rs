//! `/v1/appspaces`: tenants.

use axum::Json;
use axum::extract::State;
use domain::Name;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Admin, find_appspace};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, Part};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// A new tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAppspace {
    #[schema(value_type = String, examples("acme"))]
    name: Name,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Appspace {
    #[schema(examples("app_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    name: String,
    created_at: Time,
}

/// Create an appspace
#[utoipa::path(
    post,
    path = "/v1/appspaces",
    tag = "administration",
    security(("key" = ["admin"])),
    request_body = CreateAppspace,
    responses(
        (status = 201, description = "The appspace", body = Appspace),
        (status = 409, description = "The name is taken"),
    ),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    _: Admin,
    Body(wanted): Body<CreateAppspace>,
) -> Result<(StatusCode, Json<Appspace>), Problem> {
    let appspace = state.registry.create_appspace(wanted.name).await?;
    Ok((StatusCode::CREATED, Json(show(&appspace))))
}

/// List appspaces
#[utoipa::path(
    get,
    path = "/v1/appspaces",
    tag = "administration",
    security(("key" = ["admin"])),
    params(Part),
    responses((status = 200, description = "All of them, oldest first", body = List<Appspace>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Admin,
    Query(part): Query<Part>,
) -> Result<Json<List<Appspace>>, Problem> {
    Ok(Json(List::part(&state.registry.appspaces(), &part, show)?))
}

/// Get an appspace
#[utoipa::path(
    get,
    path = "/v1/appspaces/{appspace}",
    tag = "administration",
    security(("key" = ["admin"])),
    params(("appspace" = String, Path, description = "Name or id of an appspace")),
    responses((status = 200, description = "The appspace", body = Appspace)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Admin,
    Path(appspace): Path,
) -> Result<Json<Appspace>, Problem> {
    let found = find_appspace(&state.registry, &appspace).ok_or_else(|| Problem::not_found("appspace"))?;
    Ok(Json(show(&found)))
}

fn show(appspace: &domain::Appspace) -> Appspace {
    Appspace { id: appspace.id.to_string(), name: appspace.name.to_string(), created_at: appspace.created_at.into() }
}
