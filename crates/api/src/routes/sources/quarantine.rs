//! `/v1/sources/{source}/quarantine`: what was signed and is no event.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use storage::Quarantined;
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::auth::Reader;
use crate::extract::{Path, Query};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// How much of a body the list shows, in bytes.
const SHOWN_BYTES_MAX: usize = 16 * 1_024;

/// A body that was signed and is no event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantinedBody {
    received_at: Time,
    /// What is wrong with it.
    reason: String,
    /// SHA-256 of the body, in hex. The same body again is not kept twice.
    sha256: String,
    body_bytes: usize,
    /// The beginning of the body, at most 16 KiB, as text with replacement characters where it is none.
    body: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QuarantineQuery {
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List what a source sent that is no event
///
/// Signed bodies that could not be read, newest first; at most 200 are kept.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/quarantine",
    tag = "sources",
    security(("key" = ["read"])),
    params(("source" = String, Path, description = "Name or id of a source"), QuarantineQuery),
    responses((status = 200, description = "A page", body = List<QuarantinedBody>)),
)]
pub(crate) async fn quarantined(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(source): Path,
    Query(query): Query<QuarantineQuery>,
) -> Result<Json<List<QuarantinedBody>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let live = find(&state, &caller, &source)?;
    let found = state.store.quarantined(caller.appspace_id(), live.source.id, page).await?;
    Ok(Json(List::of(found, |entry: Quarantined| QuarantinedBody {
        received_at: entry.received_at.into(),
        reason: entry.reason,
        sha256: hex::encode(entry.body_hash),
        body_bytes: entry.body.len(),
        body: String::from_utf8_lossy(&entry.body[..entry.body.len().min(SHOWN_BYTES_MAX)]).into_owned(),
    })))
}
