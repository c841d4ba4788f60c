//! `DELETE /v1/subjects/{key}`: a person is forgotten, with a receipt.

use axum::Json;
use axum::extract::State;
use pipeline::identity;
use serde::Serialize;
use utoipa::ToSchema;

use super::{find, shape};
use crate::auth::Owner;
use crate::extract::Path;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// What was removed, and what others hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// The subject, which is no more.
    subject: String,
    erased_at: Time,
    removed: Removed,
    /// Deliveries that were called off.
    cancelled: Vec<Cancelled>,
    /// Records at vendors, which Afterclick cannot remove: have the person removed there too.
    held_elsewhere: Vec<Held>,
}

/// How much was removed here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removed {
    /// Subjects: this one, and those that had turned out to be it.
    subjects: usize,
    identifiers: usize,
    /// Events whose bodies were overwritten. The events themselves stay in the log, with nothing in them.
    events: usize,
    /// Attempts whose replies or messages were.
    attempts: usize,
    /// What destinations remembered: ids at vendors, and what was sent.
    notes: usize,
}

/// Deliveries to one destination that were called off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cancelled {
    destination: String,
    /// `null` if it has been deleted.
    name: Option<String>,
    deliveries: usize,
}

/// A record at a vendor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Held {
    /// The name of the destination.
    destination: String,
    connector: String,
    /// What the vendor calls it; `null` if it may have one and its id was never learnt.
    id: Option<String>,
    /// The key that it carries there.
    key: String,
}

/// Erase a subject
///
/// Removes for good all that is kept of a person: records, bodies of events, replies of vendors, and what destinations remember. What
/// has been sent is with the vendors: the receipt says who holds a record under which id.
///
/// It is done in pieces, between other work, for up to 45 seconds. Of somebody with more events than that is enough for, the answer is 503
/// `erasure_unfinished`: nothing else is to be done than to call again, and it goes on from there. The receipt, which the last call
/// answers with, counts what all of them have removed since the server was started. What is said of the person meanwhile goes too.
#[utoipa::path(
    delete,
    path = "/v1/subjects/{key}",
    tag = "people",
    security(("key" = ["appspace"])),
    params(("key" = String, Path, description = shape::KEY)),
    responses(
        (status = 200, description = "The receipt; it is shown this once", body = Receipt),
        (status = 503, description = "There is more to erase, or the store is busy; call again after `Retry-After` seconds"),
    ),
)]
pub(crate) async fn erase(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(key): Path,
) -> Result<Json<Receipt>, Problem> {
    let profile = find(&state, &caller, &key).await?;
    let receipt = state.identity.erase(caller.appspace_id(), profile.subject).await?;
    Ok(Json(show(&state, receipt)))
}

fn show(state: &ApiState, receipt: identity::Receipt) -> Receipt {
    let erased = receipt.erased;
    let cancelled = erased.cancelled.into_iter().map(|(id, deliveries)| Cancelled {
        destination: id.to_string(),
        name: state.registry.destination(id).map(|live| live.destination.name.to_string()),
        deliveries,
    });
    let held = receipt.remote.into_iter().map(|remote| Held {
        destination: remote.destination.to_string(),
        connector: remote.connector,
        id: remote.id,
        key: remote.key,
    });
    Receipt {
        subject: receipt.subject.to_string(),
        erased_at: state.clock.now().into(),
        removed: Removed {
            subjects: erased.subjects,
            identifiers: erased.identifiers,
            events: erased.events,
            attempts: erased.attempts,
            notes: erased.memos,
        },
        cancelled: cancelled.collect(),
        held_elsewhere: held.collect(),
    }
}
