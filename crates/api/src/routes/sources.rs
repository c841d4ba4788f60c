//! `/v1/sources`: who may send, and how it signs.

use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use std::time::Duration;

use domain::signature::Scheme;
use domain::source::{Managed, SOURCE_SECRETS_MAX, SourceSecret};
use domain::{Name, Secret, Settings, SourceId, Timestamp};
use http::StatusCode;
use pipeline::registry::LiveSource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage::Quarantined;
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Caller, Owner, Reader};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, Part, page};
use crate::masked;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// Longest time that an old secret may stay live beside a new one: 7 days.
pub(crate) const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

/// How much of a quarantined body a list shows, in bytes.
const QUARANTINE_SHOWN_BYTES_MAX: usize = 16 * 1_024;

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

/// How a sender signs.
#[derive(ToSchema)]
#[schema(as = Scheme, rename_all = "kebab-case")]
#[expect(dead_code, reason = "describes `domain::signature::Scheme`")]
pub(crate) enum SchemeShown {
    BodyHex,
    BodyHexPrefixed,
    Timestamped,
    StandardWebhooks,
}

/// A new secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateSecret {
    /// The new secret. One is made and shown once, if it is left out.
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Secret>,
    /// How long the old one stays live: 0 (the default) ends it at once, at most 7 days.
    #[schema(maximum = 604_800)]
    pub(crate) overlap_seconds: u64,
}

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    #[schema(examples("src_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    name: String,
    kind: String,
    #[schema(value_type = SchemeShown)]
    scheme: Scheme,
    /// Where the sender posts to.
    #[schema(examples("/webhooks/tolinku"))]
    path: String,
    secrets: Vec<ShownSecret>,
    /// Secret ones are masked.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Who owns it: `api`, or `file` for one from the configuration file, which the API cannot change.
    #[schema(value_type = String, examples("api"))]
    managed_by: Managed,
    created_at: Time,
    updated_at: Time,
}

/// One of the secrets of a source, by its last characters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownSecret {
    #[schema(examples("••••pQ0="))]
    hint: String,
    created_at: Time,
    expires_at: Option<Time>,
    /// When a request last matched it, if it was the last to match since the start of this process.
    last_matched_at: Option<Time>,
}

/// A source with a secret that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceWithSecret {
    #[serde(flatten)]
    source: Source,
    /// The secret, if it was made here. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
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

/// Give a source a new secret
///
/// With an overlap the old ones stay live until it ends, so that the sender can change over without a gap.
#[utoipa::path(
    post,
    path = "/v1/sources/{source}/rotate-secret",
    tag = "sources",
    security(("key" = ["appspace"])),
    params(("source" = String, Path, description = "Name or id of a source")),
    request_body = Option<RotateSecret>,
    responses(
        (status = 200, description = "The source, and its new secret if it was made here", body = SourceWithSecret),
        (status = 409, description = "It comes from the configuration file"),
    ),
)]
pub(crate) async fn rotate_secret(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(source): Path,
    Body(wanted): Body<RotateSecret>,
) -> Result<Json<SourceWithSecret>, Problem> {
    let live = find_own(&state, &caller, &source)?;
    let now = state.clock.now();
    let (secret, overlap, made) = rotation(wanted)?;
    let mut source = live.source.clone();
    source.secrets = rotated(source.secrets, secret, overlap, now)?;
    source.updated_at = now;
    let live = state.registry.put_source(source).await?;
    Ok(Json(with_secret(&caller, &live, made)))
}

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
pub(crate) async fn quarantine(
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
        body: String::from_utf8_lossy(&entry.body[..entry.body.len().min(QUARANTINE_SHOWN_BYTES_MAX)]).into_owned(),
    })))
}

// ---------------------------------------------------------------------------------------------------------------------

/// 32 random bytes from the operating system.
pub(crate) fn random_bytes() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system has no randomness to give");
        Problem::internal()
    })?;
    Ok(bytes)
}

/// A new signing secret.
pub(crate) fn new_secret() -> Result<Secret, Problem> {
    random_bytes().map(Secret::from_random)
}

/// The secret of a rotation, how long the old one stays, and the secret once more if it was made here.
pub(crate) fn rotation(wanted: RotateSecret) -> Result<(Secret, Duration, Option<Secret>), Problem> {
    if wanted.overlap_seconds > OVERLAP_SECONDS_MAX {
        let detail = format!("`overlap_seconds` must be at most {OVERLAP_SECONDS_MAX} (7 days)");
        return Err(Problem::unprocessable("overlap_seconds", detail));
    }
    let overlap = Duration::from_secs(wanted.overlap_seconds);
    match wanted.secret {
        Some(secret) => Ok((secret, overlap, None)),
        None => new_secret().map(|made| (made.clone(), overlap, Some(made))),
    }
}

/// The secrets after a rotation: the new one, and those before it that are still live, until the overlap ends.
fn rotated(
    secrets: Vec<SourceSecret>,
    new: Secret,
    overlap: Duration,
    now: Timestamp,
) -> Result<Vec<SourceSecret>, Problem> {
    let ends_at = now + overlap;
    let mut rotated = vec![SourceSecret { secret: new, created_at: now, expires_at: None }];
    for old in secrets.into_iter().filter(|old| old.is_live(now) && !overlap.is_zero()) {
        if old.secret != rotated[0].secret {
            let expires_at = old.expires_at.map_or(ends_at, |at| at.min(ends_at));
            rotated.push(SourceSecret { expires_at: Some(expires_at), ..old });
        }
    }
    if rotated.len() > SOURCE_SECRETS_MAX {
        let detail = format!("{SOURCE_SECRETS_MAX} secrets are live at once already; rotate without an overlap");
        return Err(Problem::unprocessable("overlap_seconds", detail));
    }
    Ok(rotated)
}

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

fn with_secret(caller: &Caller, live: &LiveSource, made: Option<Secret>) -> SourceWithSecret {
    SourceWithSecret { source: show(caller, live), secret: made.map(|secret| secret.expose().to_owned()) }
}

fn show(caller: &Caller, live: &LiveSource) -> Source {
    let source = &live.source;
    let last_match = live.last_match();
    let secrets = source.secrets.iter().enumerate().map(|(index, secret)| ShownSecret {
        hint: secret.secret.masked(),
        created_at: secret.created_at.into(),
        expires_at: secret.expires_at.map(Time::from),
        last_matched_at: last_match.filter(|(matched, _)| *matched == index).map(|(_, at)| at.into()),
    });
    let in_default = caller.appspace.name.as_str() == domain::appspace::DEFAULT_APPSPACE;
    let last_part = if in_default { source.name.to_string() } else { source.id.to_string() };
    Source {
        id: source.id.to_string(),
        name: source.name.to_string(),
        kind: source.kind.clone(),
        scheme: source.scheme,
        path: format!("/webhooks/{last_part}"),
        secrets: secrets.collect(),
        settings: masked::shown(live.dialect.manifest().fields, &source.settings),
        managed_by: source.managed,
        created_at: source.created_at.into(),
        updated_at: source.updated_at.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str, expires_at: Option<i64>) -> SourceSecret {
        let created_at = Timestamp::from_secs(1);
        SourceSecret { secret: text.into(), created_at, expires_at: expires_at.map(Timestamp::from_secs) }
    }

    fn check(old: &[SourceSecret], overlap_secs: u64, expect: &[(&str, Option<i64>)]) {
        let (overlap, now) = (Duration::from_secs(overlap_secs), Timestamp::from_secs(100));
        let rotated = rotated(old.to_vec(), "new".into(), overlap, now).unwrap();
        let seen: Vec<_> = rotated.iter().map(|s| (s.secret.expose(), s.expires_at.map(Timestamp::as_secs))).collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_rotation_ends_the_old_secrets_at_once_or_after_the_overlap() {
        check(&[secret("old", None)], 0, &[("new", None)]);
        check(&[secret("old", None)], 60, &[("new", None), ("old", Some(160))]);
        check(&[secret("old", Some(110)), secret("gone", Some(90))], 60, &[("new", None), ("old", Some(110))]);
        check(&[secret("new", None)], 60, &[("new", None)]);
    }

    #[test]
    fn too_many_live_secrets_are_refused() {
        let old = vec![secret("old", None); SOURCE_SECRETS_MAX];
        assert!(rotated(old, "new".into(), Duration::from_secs(1), Timestamp::from_secs(1)).is_err());
    }
}
