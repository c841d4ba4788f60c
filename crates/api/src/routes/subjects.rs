//! `/v1/subjects`: the people and devices that events are about.

pub(crate) mod erase;
pub(crate) mod said;
pub(crate) mod shape;
pub(crate) mod unlink;

use axum::Json;
use axum::extract::State;
use domain::identity::{Profile, SalesRecord, Stage};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use self::shape::{RecordShown, StageShown};
use crate::auth::{Caller, Reader};
use crate::extract::Path;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// A person or a device that events are about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subject {
    /// Stays the same whatever else becomes known. If it was asked for by the id of one that turned out to be this one, this
    /// is another id than that.
    #[schema(examples("sub_7Q0M8X2V4N6B8C0D2F4G6H8J0K"))]
    id: String,
    /// Whether a user or an address is known, and not only a device.
    is_known: bool,
    #[schema(value_type = StageShown)]
    stage: Stage,
    /// What it is known by, each with its kind, best first.
    #[schema(examples(json!(["user:42", "email:ada@example.org", "install:i-7"])))]
    identifiers: Vec<String>,
    /// Ids of subjects that turned out to be this one. They lead here too.
    absorbed: Vec<String>,
    first_seen_at: Option<Time>,
    last_seen_at: Option<Time>,
    /// All that is known, as templates see it under `person`: `user_id`, `email`, `name`, `phone`, `traits`, `first_touch`,
    /// `last_touch`, and when what happened first. What is not known is left out.
    #[schema(value_type = Object)]
    profile: Value,
    /// What a sales team sees.
    #[schema(value_type = RecordShown)]
    record: SalesRecord,
}

/// Get a subject
///
/// Who it is, what is known, and what a sales team sees. Events of the last moments may not be in it yet.
#[utoipa::path(
    get,
    path = "/v1/subjects/{key}",
    tag = "people",
    security(("key" = ["read"])),
    params(("key" = String, Path, description = shape::KEY)),
    responses((status = 200, description = "The subject", body = Subject)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(key): Path,
) -> Result<Json<Subject>, Problem> {
    let profile = find(&state, &caller, &key).await?;
    Ok(Json(show(&profile)))
}

/// Whoever a key means, in the caller's appspace.
pub(crate) async fn find(state: &ApiState, caller: &Caller, key: &str) -> Result<Profile, Problem> {
    Ok(state.identity.find(caller.appspace_id(), key).await?)
}

/// What somebody is known by, best first.
pub(crate) fn identifiers(profile: &Profile) -> Vec<String> {
    profile.identifiers.iter().map(ToString::to_string).collect()
}

fn show(profile: &Profile) -> Subject {
    Subject {
        id: profile.subject.to_string(),
        is_known: profile.is_known(),
        stage: profile.stage(),
        identifiers: identifiers(profile),
        absorbed: profile.absorbed.iter().map(ToString::to_string).collect(),
        first_seen_at: profile.trace.first_seen.map(Time::from),
        last_seen_at: profile.trace.last_seen.map(Time::from),
        profile: profile.value(),
        record: SalesRecord::of(profile),
    }
}
