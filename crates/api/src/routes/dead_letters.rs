//! `/v1/dead-letters`: deliveries that will not be tried again by themselves, and trying them again.

use axum::Json;
use axum::extract::State;
use domain::verdict::FailureReason;
use domain::{DeliveryId, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use storage::{DeadLetterQuery, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::deliveries::{self, Delivery, find_destination};
use super::replays::DryRun;
use crate::auth::{Caller, Owner, Reader};
use crate::extract::{Json as Body, Query};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// Most ids in one call.
const IDS_MAX: usize = 1_000;
/// Dead letters redriven in one durable step.
const REDRIVE_STEP: usize = 500;
/// Most dead letters redriven in one call.
const REDRIVE_MAX: u64 = 100_000;

/// Which dead letters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLettersQuery {
    /// Name or id of a destination.
    destination: Option<String>,
    /// Why they died, for example `server_error`.
    reason: Option<String>,
    /// Died at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Died before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Which dead letters to try again: `ids`, or any of the conditions, or `all`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redrive {
    /// At most 1,000 ids of deliveries.
    ids: Option<Vec<String>>,
    /// Name or id of a destination.
    destination: Option<String>,
    /// Why they died, for example `server_error`.
    reason: Option<String>,
    /// Died at or after.
    from: Option<Time>,
    /// Died before.
    to: Option<Time>,
    /// `true` for every dead letter of the appspace: a call without any condition must say so.
    all: bool,
    /// Only count. Not with `ids`.
    dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Redriven {
    Done(RedriveAnswer),
    DryRun(DryRun),
}

/// What a redrive did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedriveAnswer {
    /// Deliveries that are pending again.
    redriven: u64,
    /// Whether more fit: call again.
    more: bool,
    /// Ids that were named and could not be redriven.
    skipped: Vec<Skipped>,
}

/// An id that could not be redriven.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Skipped {
    id: String,
    /// `delivery_not_found` or `not_dead`.
    code: &'static str,
}

/// List dead letters
///
/// The latest to die first.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "deliveries",
    security(("key" = ["read"])),
    params(DeadLettersQuery),
    responses((status = 200, description = "A page", body = List<Delivery>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(query): Query<DeadLettersQuery>,
) -> Result<Json<List<Delivery>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let (destination, reason) = (query.destination.as_deref(), query.reason.as_deref());
    let wanted = wanted(&state, &caller, destination, reason, query.from, query.to)?;
    let found = state.store.dead_letters(wanted, page).await?;
    Ok(Json(List::of(found, |summary| deliveries::show(&state, &summary))))
}

/// Try dead letters again
///
/// They are pending at once, with their whole schedule before them. At most 100,000 in one call; `more` says whether to
/// call again.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/redrive",
    tag = "deliveries",
    security(("key" = ["appspace"])),
    request_body = Redrive,
    responses((status = 200, description = "How many, or with `dry_run` how many it would be", body = Redriven)),
)]
pub(crate) async fn redrive(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Body(redrive): Body<Redrive>,
) -> Result<Json<Redriven>, Problem> {
    check(&redrive)?;
    let now = state.clock.now();
    if let Some(ids) = redrive.ids {
        return Ok(Json(Redriven::Done(redrive_ids(&state, &caller, ids, now).await?)));
    }
    let (destination, reason) = (redrive.destination.as_deref(), redrive.reason.as_deref());
    let mut wanted = wanted(&state, &caller, destination, reason, redrive.from, redrive.to)?;
    if redrive.dry_run {
        let count = state.store.dead_letter_count(wanted).await?;
        return Ok(Json(Redriven::DryRun(DryRun { dry_run: true, count })));
    }
    // What dies while this runs is not part of it, or a dead destination would keep it running.
    wanted.to = Some(wanted.to.map_or(now, |to| to.min(now)));
    let mut redriven = 0;
    loop {
        let step = state.store.redrive(wanted.clone(), now, REDRIVE_STEP).await?;
        redriven += step as u64;
        let more = step == REDRIVE_STEP;
        if !more || redriven >= REDRIVE_MAX {
            return Ok(Json(Redriven::Done(RedriveAnswer { redriven, more, skipped: Vec::new() })));
        }
    }
}

/// A redrive must say what it means: nothing at all would mean everything.
fn check(redrive: &Redrive) -> Result<(), Problem> {
    let Redrive { ids, destination, reason, from, to, all, dry_run } = redrive;
    let conditions = destination.is_some() || reason.is_some() || from.is_some() || to.is_some();
    let ways = [ids.is_some(), conditions, *all].into_iter().filter(|way| *way).count();
    let problem = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, "redrive_unclear", detail));
    match ids {
        _ if ways == 0 => {
            problem("say which: `ids`, a condition (`destination`, `reason`, `from`, `to`), or `all`: true")
        }
        _ if ways > 1 => problem("say one thing: `ids`, conditions, or `all`: true"),
        Some(_) if *dry_run => problem("`dry_run` counts by conditions; it does not go with `ids`"),
        Some(ids) if !(1..=IDS_MAX).contains(&ids.len()) => problem("name 1 to 1,000 ids"),
        _ => Ok(()),
    }
}

async fn redrive_ids(
    state: &ApiState,
    caller: &Caller,
    ids: Vec<String>,
    now: Timestamp,
) -> Result<RedriveAnswer, Problem> {
    let mut redriven = 0;
    let mut skipped = Vec::new();
    for id in ids {
        match redrive_one(state, caller, &id, now).await? {
            None => redriven += 1,
            Some(code) => skipped.push(Skipped { id, code }),
        }
    }
    Ok(RedriveAnswer { redriven, more: false, skipped })
}

/// Redrives one delivery, or says why not.
async fn redrive_one(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    now: Timestamp,
) -> Result<Option<&'static str>, StoreError> {
    const NOT_FOUND: &str = "delivery_not_found";
    let Ok(id) = id.parse::<DeliveryId>() else {
        return Ok(Some(NOT_FOUND));
    };
    match state.store.delivery(caller.appspace_id(), id).await {
        Ok((delivery, _)) if delivery.standing.state != domain::delivery::State::Dead => return Ok(Some("not_dead")),
        Ok(_) => {}
        Err(StoreError::NotFound { .. }) => return Ok(Some(NOT_FOUND)),
        Err(error) => return Err(error),
    }
    match state.store.retry(caller.appspace_id(), id, now).await {
        Ok(_) => Ok(None),
        Err(StoreError::Illegal(_)) => Ok(Some("not_dead")),
        Err(error) => Err(error),
    }
}

fn wanted(
    state: &ApiState,
    caller: &Caller,
    destination: Option<&str>,
    reason: Option<&str>,
    from: Option<Time>,
    to: Option<Time>,
) -> Result<DeadLetterQuery, Problem> {
    Ok(DeadLetterQuery {
        appspace: caller.appspace_id(),
        destination: destination.map(|named| find_destination(state, caller, named)).transpose()?,
        reason: reason.map(failure_reason).transpose()?,
        from: from.map(|time| time.0),
        to: to.map(|time| time.0),
    })
}

fn failure_reason(code: &str) -> Result<FailureReason, Problem> {
    FailureReason::from_code(code).ok_or_else(|| {
        let known: Vec<String> = FailureReason::ALL.iter().map(|reason| format!("`{}`", reason.code())).collect();
        let detail = format!("`{code}` is not a reason; there are {}", known.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, "reason_unknown", detail).at("reason")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_says_exactly_one_thing() {
        let check = |json: &str| check(&serde_json::from_str(json).unwrap()).is_ok();
        for good in [r#"{"all": true}"#, r#"{"ids": ["a"]}"#, r#"{"reason": "dns", "destination": "a"}"#] {
            assert!(check(good), "{good}");
        }
        for bad in ["{}", r#"{"all": false}"#, r#"{"ids": []}"#, r#"{"ids": ["a"], "all": true}"#] {
            assert!(!check(bad), "{bad}");
        }
    }
}
