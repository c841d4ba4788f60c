//! What a person does to a destination: a new secret, a pause, its end.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::verdict::PauseReason;
use domain::{Secret, Settings, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::shape::{Destination, DestinationWithSecret, show};
use super::{SECRET, compile, find, find_own, signs};
use crate::auth::Owner;
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::routes::sources::secrets::{RotateSecret, rotation};
use crate::state::ApiState;

const PREVIOUS_SECRET: &str = "previous_secret";
const PREVIOUS_SECRET_EXPIRES_AT: &str = "previous_secret_expires_at";
/// Longest message of a pause, in characters.
const MESSAGE_MAX: usize = 500;

/// Give a destination a new signing secret
///
/// With an overlap both sign until it ends: the Standard Webhooks header carries both signatures, `X-Webhook-Signature`
/// the old one's.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/rotate-secret",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    request_body = Option<RotateSecret>,
    responses(
        (status = 200, description = "The destination, and its new secret if it was made here", body = DestinationWithSecret),
        (status = 409, description = "It comes from the configuration file, or signs nothing"),
    ),
)]
pub(crate) async fn rotate_secret(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
    Body(wanted): Body<RotateSecret>,
) -> Result<Json<DestinationWithSecret>, Problem> {
    let live = find_own(&state, &caller, &destination)?;
    if !signs(live.connector) {
        let detail =
            format!("the connector `{}` signs nothing; change its settings instead", live.destination.connector);
        return Err(Problem::new(StatusCode::CONFLICT, "secret_not_rotatable", detail));
    }
    let now = state.clock.now();
    let (secret, overlap, made) = rotation(wanted)?;
    let mut destination = live.destination.clone();
    destination.settings = rotated(destination.settings, &secret, overlap, now);
    destination.updated_at = now;
    compile(&state, &destination)?;
    let live = state.registry.put_destination(destination).await?;
    let secret = made.map(|secret| secret.expose().to_owned());
    Ok(Json(DestinationWithSecret { destination: show(&state, &live), secret, replay: None }))
}

/// The settings after a rotation.
fn rotated(mut settings: Settings, new: &Secret, overlap: Duration, now: Timestamp) -> Settings {
    let old = settings.0.insert(SECRET.to_owned(), Value::from(new.expose()));
    match old {
        Some(old) if !overlap.is_zero() => {
            settings.0.insert(PREVIOUS_SECRET.to_owned(), old);
            let expires_at = Value::from((now + overlap).as_millis());
            settings.0.insert(PREVIOUS_SECRET_EXPIRES_AT.to_owned(), expires_at);
        }
        _ => {
            settings.0.remove(PREVIOUS_SECRET);
            settings.0.remove(PREVIOUS_SECRET_EXPIRES_AT);
        }
    }
    settings
}

/// Why it is paused.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PauseRequest {
    /// For a person: why.
    #[schema(max_length = 500)]
    message: Option<String>,
}

/// Pause a destination
///
/// Its deliveries are held, not lost. One that comes from the configuration file can be paused as well.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/pause",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    request_body = Option<PauseRequest>,
    responses((status = 200, description = "The destination as it is now", body = Destination)),
)]
pub(crate) async fn pause(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
    Body(wanted): Body<PauseRequest>,
) -> Result<Json<Destination>, Problem> {
    let live = find(&state, &caller, &destination)?;
    let message = wanted.message.unwrap_or_else(|| "paused through the API".to_owned());
    if message.chars().count() > MESSAGE_MAX {
        return Err(Problem::unprocessable("message", format!("`message` must be at most {MESSAGE_MAX} characters")));
    }
    let live = state.registry.pause_destination(live.destination.id, PauseReason::Manual, &message).await?;
    Ok(Json(show(&state, &live)))
}

/// Resume a destination
///
/// What was held is due at once.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/resume",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    responses((status = 200, description = "The destination as it is now", body = Destination)),
)]
pub(crate) async fn resume(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
) -> Result<Json<Destination>, Problem> {
    let live = find(&state, &caller, &destination)?;
    Ok(Json(show(&state, &*state.registry.resume_destination(live.destination.id).await?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: Value, overlap_secs: u64, expect: Value) {
        let settings: Settings = serde_json::from_value(before).unwrap();
        let now = Timestamp::from_secs(100);
        let rotated = rotated(settings, &"new".into(), Duration::from_secs(overlap_secs), now);
        assert_eq!(rotated, serde_json::from_value(expect).unwrap());
    }

    #[test]
    fn a_rotation_keeps_the_old_secret_only_during_the_overlap() {
        let during = json!({"secret": "new", "previous_secret": "old", "previous_secret_expires_at": 160_000});
        check(json!({"secret": "old"}), 60, during.clone());
        check(json!({"secret": "old"}), 0, json!({"secret": "new"}));
        check(during, 0, json!({"secret": "new"}));
    }
}
