//! The secrets of sources, and how secrets are made and changed over.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::source::{SOURCE_SECRETS_MAX, SourceSecret};
use domain::{Secret, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find_own;
use super::shape::{SourceWithSecret, with_secret};
use crate::auth::Owner;
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::state::ApiState;

/// Longest time that an old secret may stay live beside a new one: 7 days.
const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

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
