//! Trying a source out: a sample, signed as its sender would sign it.

use axum::Json;
use axum::extract::State;
use domain::catalogue;
use http::StatusCode;
use pipeline::intake::Rejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use crate::auth::Owner;
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::state::ApiState;

/// What to send.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourceTest {
    /// A type of the catalogue; `test`, if nothing is said.
    #[schema(examples("link.clicked"))]
    r#type: Option<String>,
}

/// What was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceTested {
    /// See whom it went to at `/v1/events/{event}/explain`.
    event: String,
}

/// Send a sample through a source
///
/// The catalogue's sample of a type, signed with the source's first live secret, takes the way of a real webhook: it is
/// verified, stored and owed to every destination that matches.
#[utoipa::path(
    post,
    path = "/v1/sources/{source}/test",
    tag = "sources",
    security(("key" = ["appspace"])),
    params(("source" = String, Path, description = "Name or id of a source")),
    request_body = Option<SourceTest>,
    responses((status = 202, description = "The event is on disk", body = SourceTested)),
)]
pub(crate) async fn test(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(source): Path,
    Body(wanted): Body<SourceTest>,
) -> Result<(StatusCode, Json<SourceTested>), Problem> {
    let live = find(&state, &caller, &source)?;
    let event_type = wanted.r#type.as_deref().unwrap_or(catalogue::TEST);
    let tested = state.intake.test(&live, event_type).await.ok_or_else(|| {
        let detail = format!("there is no sample of `{event_type}`; see `/v1/event-types`");
        Problem::unprocessable("type", detail)
    })?;
    match tested {
        Ok(receipt) => Ok((StatusCode::ACCEPTED, Json(SourceTested { event: receipt.id.to_string() }))),
        Err(Rejection::Unreadable(error)) => {
            let detail = format!("the settings of this source do not read the sample: {error}");
            Err(Problem::unprocessable("type", detail))
        }
        Err(error) => Err(error.into()),
    }
}
