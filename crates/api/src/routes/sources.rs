//! `/v1/sources`: who may send, and how it signs.

pub(crate) mod quarantine;
pub(crate) mod secrets;
pub(crate) mod shape;
pub(crate) mod trial;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::signature::Scheme;
use domain::source::{Managed, SourceSecret};
use domain::{Name, Secret, Settings, SourceId};
use http::StatusCode;
use pipeline::registry::LiveSource;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::secrets::new_secret;
use self::shape::{SchemeShown, Source, SourceWithSecret, show, with_secret};
use crate::auth::{Caller, Owner, Reader};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, Part};
use crate::masked;
use crate::problem::Problem;
use crate::state::ApiState;

/// A new source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSource {
    /// Unique in the appspace; in `default` the last part of the path `/webhooks/{name}`.
    #[schema(value_type = String, examples("tolinku"))]
    name: Name,
    /// Who sends: see `/v1/source-kinds`.
    #[schema(examples("tolinku"))]
    kind: String,
    /// How it signs.
    #[serde(default)]
    #[schema(value_type = SchemeShown)]
    scheme: Scheme,
    /// What it signs with: 1 to 8 secrets, all live at once. One is made and shown once, if they are left out.
    #[schema(value_type = Option<Vec<String>>)]
    secrets: Option<Vec<Secret>>,
    /// The settings of the kind.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeSource {
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    #[schema(value_type = Option<SchemeShown>)]
    scheme: Option<Scheme>,
    /// Replaces all secrets at once. To replace one without a gap, see `rotate-secret`.
    #[schema(value_type = Option<Vec<String>>)]
    secrets: Option<Vec<Secret>>,
    /// Members to set; `null` removes one.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
}

/// Create a source
#[utoipa::path(
    post,
    path = "/v1/sources",
    tag = "sources",
    security(("key" = ["appspace"])),
    request_body = CreateSource,
    responses(
        (status = 201, description = "The source, and its secret if it was made here", body = SourceWithSecret),
        (status = 409, description = "The name is taken"),
    ),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Body(wanted): Body<CreateSource>,
) -> Result<(StatusCode, Json<SourceWithSecret>), Problem> {
    let now = state.clock.now();
    let made = if wanted.secrets.is_none() { Some(new_secret()?) } else { None };
    let secrets = wanted.secrets.unwrap_or_else(|| made.iter().cloned().collect());
    let source = domain::Source {
        id: SourceId::mint(now, state.clock.random()),
        appspace: caller.appspace_id(),
        name: wanted.name,
        kind: wanted.kind,
        scheme: wanted.scheme,
        secrets: secrets.into_iter().map(|secret| SourceSecret { secret, created_at: now, expires_at: None }).collect(),
        settings: Settings(wanted.settings),
        managed: Managed::Api,
        created_at: now,
        updated_at: now,
    };
    let live = state.registry.put_source(source).await?;
    Ok((StatusCode::CREATED, Json(with_secret(&caller, &live, made))))
}

/// List sources
#[utoipa::path(
    get,
    path = "/v1/sources",
    tag = "sources",
    security(("key" = ["read"])),
    params(Part),
    responses((status = 200, description = "All of them, oldest first", body = List<Source>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(part): Query<Part>,
) -> Result<Json<List<Source>>, Problem> {
    let sources = state.registry.sources(caller.appspace_id());
    Ok(Json(List::part(&sources, &part, |live| show(&caller, live))?))
}

/// Get a source
#[utoipa::path(
    get,
    path = "/v1/sources/{source}",
    tag = "sources",
    security(("key" = ["read"])),
    params(("source" = String, Path, description = "Name or id of a source")),
    responses((status = 200, description = "The source", body = Source)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(source): Path,
) -> Result<Json<Source>, Problem> {
    Ok(Json(show(&caller, &*find(&state, &caller, &source)?)))
}

/// Change a source
#[utoipa::path(
    patch,
    path = "/v1/sources/{source}",
    tag = "sources",
    security(("key" = ["appspace"])),
    params(("source" = String, Path, description = "Name or id of a source")),
    request_body = ChangeSource,
    responses(
        (status = 200, description = "The source as it is now", body = Source),
        (status = 409, description = "The name is taken, or the source comes from the configuration file"),
    ),
)]
pub(crate) async fn change(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(source): Path,
    Body(change): Body<ChangeSource>,
) -> Result<Json<Source>, Problem> {
    let live = find_own(&state, &caller, &source)?;
    let now = state.clock.now();
    let mut source = live.source.clone();
    if let Some(name) = change.name {
        source.name = name;
    }
    if let Some(scheme) = change.scheme {
        source.scheme = scheme;
    }
    if let Some(secrets) = change.secrets {
        let secret = |secret| SourceSecret { secret, created_at: now, expires_at: None };
        source.secrets = secrets.into_iter().map(secret).collect();
    }
    if let Some(edit) = change.settings {
        source.settings = masked::merged(live.dialect.manifest().fields, &source.settings, edit);
    }
    source.updated_at = now;
    Ok(Json(show(&caller, &*state.registry.put_source(source).await?)))
}

/// Delete a source
///
/// Its events stay.
#[utoipa::path(
    delete,
    path = "/v1/sources/{source}",
    tag = "sources",
    security(("key" = ["appspace"])),
    params(("source" = String, Path, description = "Name or id of a source")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "It comes from the configuration file"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(source): Path,
) -> Result<StatusCode, Problem> {
    let live = find_own(&state, &caller, &source)?;
    state.registry.delete_source(live.source.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

// ---------------------------------------------------------------------------------------------------------------------

fn find(state: &ApiState, caller: &Caller, source: &str) -> Result<Arc<LiveSource>, Problem> {
    state.registry.source(caller.appspace_id(), source).ok_or_else(|| Problem::not_found("source"))
}

/// A source that the API may change.
fn find_own(state: &ApiState, caller: &Caller, source: &str) -> Result<Arc<LiveSource>, Problem> {
    let live = find(state, caller, source)?;
    match live.source.managed {
        Managed::Api => Ok(live),
        Managed::File => Err(Problem::managed_by_file("source")),
    }
}
