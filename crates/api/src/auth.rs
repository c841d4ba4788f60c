//! Who is calling, and what they may do.
//!
//! A handler names the scope it needs by the extractor it takes, [`Admin`], [`Owner`], [`Publisher`] or [`Reader`], so
//! a route without one is public on the face of it. Everything a handler then does is done in [`Caller::appspace`].

use std::sync::Arc;

use axum::extract::FromRequestParts;
use domain::key::{Key, KeyHash, Scope};
use domain::{Appspace, AppspaceId, Timestamp};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use pipeline::Registry;

use crate::problem::Problem;
use crate::state::ApiState;

/// Names the appspace that an admin key acts in.
pub(crate) const APPSPACE_HEADER: &str = "afterclick-appspace";
/// Longest key worth hashing, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// The holder of a live key, acting in one appspace.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) key: Arc<Key>,
    pub(crate) appspace: Appspace,
}

impl Caller {
    /// The id of the appspace they act in.
    pub(crate) const fn appspace_id(&self) -> AppspaceId {
        self.appspace.id
    }
}

/// A caller that may do everything, everywhere.
pub(crate) struct Admin(pub(crate) Caller);
/// A caller that may change its appspace.
pub(crate) struct Owner(pub(crate) Caller);
/// A caller that may publish events.
pub(crate) struct Publisher(pub(crate) Caller);
/// A caller that may look at its appspace.
pub(crate) struct Reader(pub(crate) Caller);
/// Any caller with a live key.
pub(crate) struct Anyone(pub(crate) Caller);

macro_rules! needs {
    ($extractor:ident, $scope:expr) => {
        impl FromRequestParts<ApiState> for $extractor {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
                authenticate(&state.registry, &parts.headers, $scope, state.clock.now()).map(Self)
            }
        }
    };
}

needs!(Admin, Some(Scope::Admin));
needs!(Owner, Some(Scope::Appspace));
needs!(Publisher, Some(Scope::Publish));
needs!(Reader, Some(Scope::Read));
needs!(Anyone, None);

/// Finds the caller behind a request and checks that they may do what needs `needed`.
fn authenticate(
    registry: &Registry,
    headers: &HeaderMap,
    needed: Option<Scope>,
    now: Timestamp,
) -> Result<Caller, Problem> {
    let presented = bearer(headers)?;
    let key = registry.key(KeyHash::of(presented)).filter(|key| key.is_live(now)).ok_or_else(invalid)?;
    if let Some(needed) = needed.filter(|needed| !key.scope.allows(*needed)) {
        let detail = format!("this needs a key with the scope `{}`; this one has `{}`", code(needed), code(key.scope));
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
    }
    let named = headers.get(APPSPACE_HEADER);
    let appspace = match (key.appspace, named) {
        (Some(own), None) => registry.appspace(own).ok_or_else(invalid)?,
        (None, None) => registry.default_appspace(),
        (Some(_), Some(_)) => {
            let detail = "only an admin key may name an appspace; leave out `Afterclick-Appspace`";
            return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
        }
        (None, Some(named)) => named
            .to_str()
            .ok()
            .and_then(|named| find_appspace(registry, named))
            .ok_or_else(|| Problem::not_found("appspace"))?,
    };
    Ok(Caller { key, appspace })
}

/// An appspace by id or name.
pub(crate) fn find_appspace(registry: &Registry, id_or_name: &str) -> Option<Appspace> {
    match id_or_name.parse::<AppspaceId>() {
        Ok(id) => registry.appspace(id),
        Err(_) => registry.appspace_by_name(id_or_name),
    }
}

/// The stable code of a scope.
pub(crate) const fn code(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Appspace => "appspace",
        Scope::Publish => "publish",
        Scope::Read => "read",
    }
}

/// The key in the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        let detail = "this needs a key; send `Authorization: Bearer <key>`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "key_missing", detail));
    };
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    let key = key.trim();
    let fits = scheme.eq_ignore_ascii_case("bearer") && (1..=KEY_BYTES_MAX).contains(&key.len());
    if fits { Ok(key) } else { Err(invalid()) }
}

fn invalid() -> Problem {
    let detail =
        "this key is not known, has been revoked or has expired; send `Authorization: Bearer <key>` with a live one";
    Problem::new(StatusCode::UNAUTHORIZED, "key_invalid", detail)
}
