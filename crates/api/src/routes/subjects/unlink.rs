//! `…/unlink`: an identifier is not the subject's.

use axum::Json;
use axum::extract::State;
use domain::identity::IdentifierKind;
use http::StatusCode;
use pipeline::identity::UnlinkError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::said::{self, Said};
use super::{find, shape};
use crate::auth::Owner;
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::state::ApiState;

/// What is not the subject's: one identifier or more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnlinkBody {
    #[schema(value_type = Option<String>)]
    user_id: Option<Said>,
    #[schema(value_type = Option<String>)]
    email: Option<Said>,
    #[schema(value_type = Option<String>)]
    install_id: Option<Said>,
    #[schema(value_type = Option<String>)]
    click_id: Option<Said>,
    #[schema(value_type = Option<String>)]
    anonymous_id: Option<Said>,
    #[schema(value_type = Option<String>)]
    referral_code: Option<Said>,
}

/// What was cut.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unlinked {
    /// The subject that was named.
    subject: String,
    unlinked: Vec<UnlinkedOne>,
}

/// One identifier that was cut from all others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnlinkedOne {
    #[schema(examples("install:i-7"))]
    identifier: String,
    /// The subject that it is of now. The id stays with the user, else with the address, so it can be the same one, and the
    /// rest another.
    subject: String,
    /// `false` if it was all that the subject is known by, and nothing was done.
    was_linked: bool,
}

/// Unlink identifiers from a subject
///
/// For what was put together wrongly: a device that changed hands, an address that somebody else typed. What was said up to now
/// links them to nothing again; what is said later, does.
#[utoipa::path(
    post,
    path = "/v1/subjects/{key}/unlink",
    tag = "people",
    security(("key" = ["appspace"])),
    params(("key" = String, Path, description = shape::KEY)),
    request_body = UnlinkBody,
    responses((status = 200, description = "Which subject each is of now", body = Unlinked)),
)]
pub(crate) async fn unlink(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(key): Path,
    Body(wanted): Body<UnlinkBody>,
) -> Result<Json<Unlinked>, Problem> {
    let profile = find(&state, &caller, &key).await?;
    let identifiers = said::identifiers([
        (IdentifierKind::User, wanted.user_id),
        (IdentifierKind::Email, wanted.email),
        (IdentifierKind::Install, wanted.install_id),
        (IdentifierKind::Click, wanted.click_id),
        (IdentifierKind::Anonymous, wanted.anonymous_id),
        (IdentifierKind::Referral, wanted.referral_code),
    ])?;
    if identifiers.is_empty() {
        let detail = "nothing is to be unlinked; name one identifier or more, for example `install_id`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "identifier_missing", detail));
    }
    // Before the first one is cut: after that the rest may be of another subject.
    if let Some(foreign) = identifiers.iter().find(|one| !profile.identifiers.contains(one)) {
        return Err(Problem::from(UnlinkError::OfAnother).at(foreign.kind().member()));
    }
    // Whatever has company in a subject is linked.
    let was_linked = profile.identifiers.len() > 1;
    let mut unlinked = Vec::new();
    // The best one is what the others are linked to, so it comes last: each is cut while there is something to cut.
    for identifier in identifiers.iter().rev() {
        let cut = state.identity.unlink(caller.appspace_id(), None, identifier).await?;
        unlinked
            .insert(0, UnlinkedOne { identifier: identifier.to_string(), subject: cut.now.to_string(), was_linked });
    }
    Ok(Json(Unlinked { subject: profile.subject.to_string(), unlinked }))
}
