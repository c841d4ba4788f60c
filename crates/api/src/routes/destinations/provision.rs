//! Making what a destination needs at its vendor: tables and columns.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use pipeline::provision::{Made, ProvisionError, State as Progress, Wish};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use super::preview::Request;
use crate::auth::Owner;
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::state::ApiState;

/// How to provision.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProvisionRequest {
    /// Only plan.
    dry_run: bool,
}

/// What was made, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provisioned {
    /// `false` for a dry run.
    applied: bool,
    /// In the order of doing it; empty if everything is there already.
    plan: Vec<Provision>,
}

/// One thing that was not there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provision {
    /// For a person: what is made.
    reason: String,
    request: Request,
    /// `planned`, `done`, `failed`, or `not_tried` because one before it failed.
    #[schema(examples("done"))]
    state: &'static str,
    /// What the vendor said to one that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Make what a destination needs
///
/// Looks at what is there, plans what is missing, and makes it unless `dry_run`. Nothing is ever dropped or changed, and
/// doing it again does nothing. For a destination from the configuration file too: what changes is the vendor's.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/provision",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    request_body = Option<ProvisionRequest>,
    responses(
        (status = 200, description = "The plan, and how each step of it went unless `dry_run`", body = Provisioned),
        (status = 409, description = "Somebody is doing this at this moment"),
        (status = 422, description = "Its connector makes nothing, or what is there is in the way"),
        (status = 502, description = "The vendor cannot be reached or refuses the credentials"),
    ),
)]
pub(crate) async fn provision(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
    Body(wanted): Body<ProvisionRequest>,
) -> Result<Json<Provisioned>, Problem> {
    let live = find(&state, &caller, &destination)?;
    let wish = if wanted.dry_run { Wish::Plan } else { Wish::Make };
    let made = state.provisioner.provision(&live, wish).await.map_err(|error| problem(&error))?;
    Ok(Json(Provisioned { applied: !wanted.dry_run, plan: made.into_iter().map(show).collect() }))
}

fn show(made: Made) -> Provision {
    let (state, error) = match made.state {
        Progress::Planned => ("planned", None),
        Progress::Done => ("done", None),
        Progress::Failed(message) => ("failed", Some(message)),
        Progress::NotTried => ("not_tried", None),
    };
    Provision { reason: made.reason, request: made.call.into(), state, error }
}

fn problem(error: &ProvisionError) -> Problem {
    let (status, code) = match error {
        ProvisionError::NothingToMake(_) => (StatusCode::UNPROCESSABLE_ENTITY, "provisioning_unsupported"),
        ProvisionError::UnderWay => (StatusCode::CONFLICT, "provisioning_under_way"),
        ProvisionError::NoToken(_) => (StatusCode::BAD_GATEWAY, "vendor_refused"),
        ProvisionError::NoReply(_) => (StatusCode::BAD_GATEWAY, "vendor_unreachable"),
        ProvisionError::NoPlan(_) => (StatusCode::UNPROCESSABLE_ENTITY, "provisioning_impossible"),
        ProvisionError::TooMuch => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    Problem::new(status, code, error.to_string())
}
