//! `/v1/journeys`: what happened to one person, from the first click on.

use axum::Json;
use axum::extract::State;
use domain::identity::{Journey, SalesRecord, Stage, Step};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::subjects::identifiers;
use super::subjects::shape::{self, RecordShown, StageShown, StepShown};
use crate::auth::Reader;
use crate::extract::{Path, Query};
use crate::problem::Problem;
use crate::state::ApiState;

/// Steps of a journey unless asked otherwise.
const STEPS_DEFAULT: usize = 200;
/// Most steps of a journey.
const STEPS_MAX: usize = 2_000;

/// How much of a journey.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JourneyQuery {
    /// Most steps, from the first on.
    #[param(minimum = 1, maximum = 2000, default = 200)]
    limit: Option<usize>,
}

/// What happened to one person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JourneyShown {
    #[schema(examples("sub_7Q0M8X2V4N6B8C0D2F4G6H8J0K"))]
    subject: String,
    /// What the person is called, if that is known.
    name: Option<String>,
    /// What the person is known by, best first.
    identifiers: Vec<String>,
    #[schema(value_type = StageShown)]
    stage: Stage,
    /// In the order of time.
    #[schema(value_type = Vec<StepShown>)]
    steps: Vec<Step>,
    /// Whether there are more steps than these.
    more: bool,
    /// What a sales team sees of it.
    #[schema(value_type = RecordShown)]
    record: SalesRecord,
}

/// Get a journey
///
/// What happened to a person in the order of time, how long each step took, and what a sales team sees of it. Told from the events
/// that are still kept; the record remembers more. Events of the last moments may not be in it yet.
#[utoipa::path(
    get,
    path = "/v1/journeys/{key}",
    tag = "people",
    security(("key" = ["read"])),
    params(("key" = String, Path, description = shape::KEY), JourneyQuery),
    responses((status = 200, description = "The journey", body = JourneyShown)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(key): Path,
    Query(query): Query<JourneyQuery>,
) -> Result<Json<JourneyShown>, Problem> {
    let limit = query.limit.unwrap_or(STEPS_DEFAULT);
    if !(1..=STEPS_MAX).contains(&limit) {
        let detail = format!("`limit` must be 1 to {STEPS_MAX}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "query_invalid", detail).at("limit"));
    }
    let journey = state.identity.journey(caller.appspace_id(), &key).await?;
    Ok(Json(show(journey, limit)))
}

fn show(journey: Journey, limit: usize) -> JourneyShown {
    let Journey { profile, stage, mut steps, is_cut, record } = journey;
    let more = is_cut || steps.len() > limit;
    steps.truncate(limit);
    JourneyShown {
        subject: profile.subject.to_string(),
        name: profile.name().map(str::to_owned),
        identifiers: identifiers(&profile),
        stage,
        steps,
        more,
        record,
    }
}
