//! `/v1/identify`: somebody says who it is.

use axum::Json;
use axum::extract::State;
use domain::identity::{Identifier, IdentifierKind};
use domain::key::Scope;
use pipeline::identity::{Identified, IdentifyError, IdentifyRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::subjects::said::{self, Said};
use crate::auth::{Caller, Publisher};
use crate::extract::Json as Body;
use crate::problem::Problem;
use crate::state::ApiState;

/// Who it is: at least one identifier, at most one of each kind.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyBody {
    /// The account in the app, as the app's own database calls it. A number is taken too.
    #[schema(value_type = Option<String>, examples("42"))]
    user_id: Option<Said>,
    #[schema(value_type = Option<String>, examples("ada@example.org"))]
    email: Option<Said>,
    /// One installation of the app.
    #[schema(value_type = Option<String>)]
    install_id: Option<Said>,
    /// One click on a link.
    #[schema(value_type = Option<String>)]
    click_id: Option<Said>,
    /// An id that an app or a site made for somebody who is not signed in.
    #[schema(value_type = Option<String>)]
    anonymous_id: Option<Said>,
    #[schema(value_type = Option<String>)]
    referral_code: Option<Said>,
    /// What the person is called.
    name: Option<String>,
    phone: Option<String>,
    /// Whatever else is known: texts, numbers, yes or no; at most 64, beside `first_name` and `last_name`. What is said last counts,
    /// but for empty texts, which say nothing. An `email` here is read as the one above.
    #[serde(default)]
    #[schema(value_type = Object)]
    traits: Map<String, Value>,
}

/// Who it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentifyAnswer {
    #[schema(examples("sub_7Q0M8X2V4N6B8C0D2F4G6H8J0K"))]
    subject: String,
    /// All that the person is known by, best first. To a key that may only publish, which reads nothing that it did not say, only
    /// those of this call.
    #[schema(examples(json!(["user:42", "email:ada@example.org", "install:i-7"])))]
    identifiers: Vec<String>,
    /// Whether a user or an address is known, and not only a device.
    is_known: bool,
    /// Whether this said anything new.
    changed: bool,
    /// The event that it is kept as; `null` if it said nothing new, and nothing is stored.
    event: Option<String>,
}

/// Say who somebody is
///
/// Puts an account or an address and what is known of the person so far (an install, a click, a referral code) together, and says what
/// the person is called. When this answers 200, it is on disk and counts for whatever is asked or sent from then on. It can be
/// repeated as often as an application likes, at every start of the app for example.
///
/// Two people who are both known are never made one: that is a 409, and nothing is stored. A `referral_code` may be used by many: it says
/// where each of them came from, and makes nobody one with anybody else who has used it.
#[utoipa::path(
    post,
    path = "/v1/identify",
    tag = "people",
    security(("key" = ["publish"])),
    request_body = IdentifyBody,
    responses(
        (status = 200, description = "The person", body = IdentifyAnswer),
        (status = 409, description = "An identifier belongs to somebody else"),
        (status = 503, description = "Busy; send it again after `Retry-After` seconds"),
    ),
)]
pub(crate) async fn identify(
    State(state): State<ApiState>,
    Publisher(caller): Publisher,
    Body(wanted): Body<IdentifyBody>,
) -> Result<Json<IdentifyAnswer>, Problem> {
    let request = read(wanted)?;
    let identified = state.identity.identify(caller.appspace_id(), &request).await;
    let identified = identified.map_err(|error| refused(error, &request))?;
    Ok(Json(show(&caller, &request, &identified)))
}

fn read(mut wanted: IdentifyBody) -> Result<IdentifyRequest, Problem> {
    let email = said::address(wanted.email, wanted.traits.remove("email"))?;
    let identifiers = said::identifiers([
        (IdentifierKind::User, wanted.user_id),
        (IdentifierKind::Email, email),
        (IdentifierKind::Install, wanted.install_id),
        (IdentifierKind::Click, wanted.click_id),
        (IdentifierKind::Anonymous, wanted.anonymous_id),
        (IdentifierKind::Referral, wanted.referral_code),
    ])?;
    let mut traits = wanted.traits;
    for (name, text) in [("name", wanted.name), ("phone", wanted.phone)] {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { continue };
        let is_said = |said: Value| said.as_str().is_none_or(|said| !said.trim().is_empty());
        if traits.insert(name.to_owned(), text.into()).is_some_and(is_said) {
            let detail = format!("`{name}` is said here and among the `traits`; leave one out");
            return Err(Problem::unprocessable(name, detail));
        }
    }
    Ok(IdentifyRequest { identifiers: identifiers.into_iter().collect(), traits })
}

/// The problem, and for a conflict what mends it.
fn refused(error: IdentifyError, request: &IdentifyRequest) -> Problem {
    let IdentifyError::Conflict(apart) = &error else { return error.into() };
    let says = |kind: IdentifierKind| request.identifiers.iter().find(|one| one.kind() == kind);
    let more = apart.iter().find_map(|(kind, others)| {
        let one = says(*kind)?;
        let is_two_users = says(IdentifierKind::User).is_some() && others.contains(&IdentifierKind::User);
        let unsaid = others.iter().find(|other| other.is_person() && says(**other).is_none());
        let same = unsaid
            .filter(|_| !is_two_users)
            .map(|other| format!("; if it is the same person after all, say the `{}` here too", other.member()));
        Some(format!(" (`POST /v1/subjects/{one}/unlink` with this `{}`){}", kind.member(), same.unwrap_or_default()))
    });
    Problem::from(error).say_more(&more.unwrap_or_default())
}

fn show(caller: &Caller, request: &IdentifyRequest, identified: &Identified) -> IdentifyAnswer {
    let may_read = caller.key.scope.allows(Scope::Read);
    let is_shown = |one: &&Identifier| may_read || request.identifiers.contains(*one);
    IdentifyAnswer {
        subject: identified.profile.subject.to_string(),
        identifiers: identified.profile.identifiers.iter().filter(is_shown).map(ToString::to_string).collect(),
        is_known: identified.profile.is_known(),
        changed: identified.event.is_some(),
        event: identified.event.map(|event| event.to_string()),
    }
}
