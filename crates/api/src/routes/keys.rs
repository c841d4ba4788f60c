//! `/v1/keys` and `/v1/key`: who may call.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::key::{Key as StoredKey, KeyHash, Scope};
use domain::{KeyId, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Admin, Anyone, find_appspace};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, Part};
use crate::problem::Problem;
use crate::routes::sources::secrets::random_bytes;
use crate::state::ApiState;
use crate::wire::Time;

/// What every key begins with, so that scanners recognise one.
const PREFIX: &str = "ack_";
/// Longest label, in characters.
const LABEL_MAX: usize = 200;

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// `admin`: everything everywhere. `appspace`: everything in one appspace. `publish`: publish events. `read`: read
    /// everything of one appspace but secrets.
    #[schema(value_type = ScopeShown)]
    scope: Scope,
    /// For a person: where it is used.
    #[schema(max_length = 200)]
    label: String,
    /// Name or id of the appspace it is for; the one the call acts in, if it is left out. An `admin` key has none.
    appspace: Option<String>,
    /// When it stops being accepted; never, if it is left out.
    expires_at: Option<Time>,
}

/// What a key may do.
#[derive(ToSchema)]
#[schema(as = Scope, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes `domain::key::Scope`")]
pub(crate) enum ScopeShown {
    Admin,
    Appspace,
    Publish,
    Read,
}

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    #[schema(examples("key_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    #[schema(value_type = ScopeShown)]
    scope: Scope,
    label: String,
    /// The id of its appspace; `null` for an admin key.
    appspace: Option<String>,
    appspace_name: Option<String>,
    /// The last characters, to recognise it by.
    tail: String,
    created_at: Time,
    expires_at: Option<Time>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    #[serde(flatten)]
    shown: Key,
    /// The key. It is shown this once and stored only as a hash.
    key: String,
}

/// Create a key
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "administration",
    security(("key" = ["admin"])),
    request_body = CreateKey,
    responses((status = 201, description = "The key, shown this once", body = CreatedKey)),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Body(wanted): Body<CreateKey>,
) -> Result<(StatusCode, Json<CreatedKey>), Problem> {
    let now = state.clock.now();
    check(&wanted, now)?;
    let appspace = match (&wanted.appspace, wanted.scope) {
        (None, Scope::Admin) => None,
        (Some(_), Scope::Admin) => {
            return Err(Problem::unprocessable("appspace", "an admin key has no appspace; leave it out"));
        }
        (Some(named), _) => {
            Some(find_appspace(&state.registry, named).ok_or_else(|| Problem::not_found("appspace"))?.id)
        }
        (None, _) => Some(caller.appspace_id()),
    };
    let text = format!("{PREFIX}{}", BASE64.encode(random_bytes()?));
    let key = StoredKey {
        id: KeyId::mint(now, state.clock.random()),
        appspace,
        scope: wanted.scope,
        label: wanted.label,
        hash: KeyHash::of(&text),
        tail: text[text.len() - 4..].to_owned(),
        created_at: now,
        expires_at: wanted.expires_at.map(|time| time.0),
    };
    let shown = show(&state, &key);
    state.registry.put_key(key).await?;
    Ok((StatusCode::CREATED, Json(CreatedKey { shown, key: text })))
}

fn check(wanted: &CreateKey, now: Timestamp) -> Result<(), Problem> {
    let length = wanted.label.chars().count();
    if !(1..=LABEL_MAX).contains(&length) || wanted.label.chars().any(char::is_control) {
        return Err(Problem::unprocessable("label", "`label` must be 1 to 200 characters, without control characters"));
    }
    match wanted.expires_at {
        Some(at) if at.0 <= now => Err(Problem::unprocessable("expires_at", "`expires_at` is over already")),
        _ => Ok(()),
    }
}

/// List keys
///
/// Those of every appspace, oldest first, without the keys themselves.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "administration",
    security(("key" = ["admin"])),
    params(Part),
    responses((status = 200, description = "All of them", body = List<Key>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Admin,
    Query(part): Query<Part>,
) -> Result<Json<List<Key>>, Problem> {
    Ok(Json(List::part(&state.registry.keys(), &part, |key| show(&state, key))?))
}

/// Revoke a key
///
/// At once and for good. A key cannot revoke itself, so that nobody locks the door from outside.
#[utoipa::path(
    delete,
    path = "/v1/keys/{key}",
    tag = "administration",
    security(("key" = ["admin"])),
    params(("key" = String, Path, description = "Id of a key")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 409, description = "It is the key of this call"),
    ),
)]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Path(key): Path,
) -> Result<StatusCode, Problem> {
    let id: KeyId = key.parse().map_err(|_| Problem::not_found("key"))?;
    if id == caller.key.id {
        let detail = "this is the key of this very call; revoke it with another one";
        return Err(Problem::new(StatusCode::CONFLICT, "key_in_use", detail));
    }
    if !state.registry.keys().iter().any(|key| key.id == id) {
        return Err(Problem::not_found("key"));
    }
    state.registry.delete_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is asking
#[utoipa::path(
    get,
    path = "/v1/key",
    tag = "administration",
    security(("key" = [])),
    responses((status = 200, description = "The key of this call, and the appspace it acts in", body = Whoami)),
)]
pub(crate) async fn whoami(State(state): State<ApiState>, Anyone(caller): Anyone) -> Json<Whoami> {
    let acts_in = ActsIn { id: caller.appspace.id.to_string(), name: caller.appspace.name.to_string() };
    Json(Whoami { key: show(&state, &caller.key), acts_in })
}

/// The key of a call, and where it acts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Whoami {
    key: Key,
    acts_in: ActsIn,
}

/// The appspace that a call acts in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActsIn {
    id: String,
    name: String,
}

fn show(state: &ApiState, key: &StoredKey) -> Key {
    let appspace = key.appspace.and_then(|id| state.registry.appspace(id));
    Key {
        id: key.id.to_string(),
        scope: key.scope,
        label: key.label.clone(),
        appspace: key.appspace.map(|id| id.to_string()),
        appspace_name: appspace.map(|appspace| appspace.name.to_string()),
        tail: key.tail.clone(),
        created_at: key.created_at.into(),
        expires_at: key.expires_at.map(Time::from),
    }
}
