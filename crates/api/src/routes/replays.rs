//! `/v1/replays`: owing past events to a destination again.

use axum::Json;
use axum::extract::State;
use domain::ReplayId;
use domain::replay::{Replay as Job, ReplayState, Select};
use domain::subscription::Subscriptions;
use http::StatusCode;
use pipeline::registry::LiveDestination;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Owner, Reader};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::routes::destinations;
use crate::state::ApiState;
use crate::wire::Time;

/// Deliveries per second that a replay may make at most.
const PER_SECOND_MAX: f64 = 100_000.0;

/// Which events to owe again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateReplay {
    /// Name or id of a destination.
    destination: String,
    /// Events received at or after.
    from: Time,
    /// Events received before; now, if it is left out.
    to: Option<Time>,
    /// Which types; what the destination is subscribed to, if it is left out.
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Subscriptions>,
    /// `failed` (the default): those whose last delivery is dead. `missing`: those never owed to it. `all`.
    #[schema(value_type = Option<SelectShown>)]
    select: Option<Select>,
    /// Most deliveries made per second.
    #[schema(exclusive_minimum = 0.0, maximum = 100_000.0)]
    per_second: Option<f64>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// Which of the events in range are owed again.
#[derive(ToSchema)]
#[schema(as = Select, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes `domain::replay::Select`")]
pub(crate) enum SelectShown {
    Failed,
    Missing,
    All,
}

/// A replay, as asked for and as far as it has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replay {
    #[schema(examples("rpl_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    destination: String,
    /// `null` if it has been deleted.
    destination_name: Option<String>,
    from: Time,
    to: Time,
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Subscriptions>,
    #[schema(value_type = SelectShown)]
    select: Select,
    per_second: Option<f64>,
    /// `running`, `done`, `cancelled` or `failed` (the destination was deleted).
    #[schema(value_type = String, examples("running"))]
    state: ReplayState,
    /// Events looked at.
    scanned: u64,
    /// Deliveries made.
    created: u64,
    created_at: Time,
    ended_at: Option<Time>,
}

/// What a replay or a redrive would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// Always `true`.
    pub(crate) dry_run: bool,
    /// Deliveries that would be made, or made pending again.
    pub(crate) count: u64,
}

/// The replay that was begun, or what it would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ReplayAnswer {
    Begun(Replay),
    DryRun(DryRun),
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplaysQuery {
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Begin a replay
///
/// A durable job: it goes on after a restart and yields to live traffic. With `dry_run` nothing is made, only counted.
#[utoipa::path(
    post,
    path = "/v1/replays",
    tag = "replays",
    security(("key" = ["appspace"])),
    request_body = CreateReplay,
    responses(
        (status = 201, description = "The replay", body = Replay),
        (status = 200, description = "What it would do (`dry_run`)", body = DryRun),
    ),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Body(wanted): Body<CreateReplay>,
) -> Result<(StatusCode, Json<ReplayAnswer>), Problem> {
    let live = destinations::find(&state, &caller, &wanted.destination)?;
    let dry_run = wanted.dry_run;
    let range = Range {
        from: wanted.from,
        to: wanted.to,
        events: wanted.events,
        select: wanted.select.unwrap_or(Select::Failed),
        per_second: wanted.per_second,
    };
    let job = plan(&state, &live, range)?;
    if dry_run {
        let count = state.replayer.dry_run(&job).await?;
        return Ok((StatusCode::OK, Json(ReplayAnswer::DryRun(DryRun { dry_run: true, count }))));
    }
    state.replayer.create(job.clone()).await?;
    Ok((StatusCode::CREATED, Json(ReplayAnswer::Begun(show(&state, job)))))
}

/// List replays
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/v1/replays",
    tag = "replays",
    security(("key" = ["read"])),
    params(ReplaysQuery),
    responses((status = 200, description = "A page", body = List<Replay>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(query): Query<ReplaysQuery>,
) -> Result<Json<List<Replay>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let found = state.store.replays(caller.appspace_id(), page).await?;
    Ok(Json(List::of(found, |job| show(&state, job))))
}

/// Get a replay with its progress
#[utoipa::path(
    get,
    path = "/v1/replays/{replay}",
    tag = "replays",
    security(("key" = ["read"])),
    params(("replay" = String, Path, description = "Id of a replay")),
    responses((status = 200, description = "The replay", body = Replay)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(replay): Path,
) -> Result<Json<Replay>, Problem> {
    let job = state.store.replay(caller.appspace_id(), parse(&replay)?).await?;
    Ok(Json(show(&state, job)))
}

/// Cancel a replay
///
/// Those of its deliveries that are still pending are cancelled with it.
#[utoipa::path(
    post,
    path = "/v1/replays/{replay}/cancel",
    tag = "replays",
    security(("key" = ["appspace"])),
    params(("replay" = String, Path, description = "Id of a replay")),
    responses((status = 200, description = "The replay as it stands now", body = Replay)),
)]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(replay): Path,
) -> Result<Json<Replay>, Problem> {
    let job = state.replayer.cancel(caller.appspace_id(), parse(&replay)?).await?;
    Ok(Json(show(&state, job)))
}

// ---------------------------------------------------------------------------------------------------------------------

/// What a replay is asked to look at.
pub(crate) struct Range {
    pub(crate) from: Time,
    pub(crate) to: Option<Time>,
    pub(crate) events: Option<Subscriptions>,
    pub(crate) select: Select,
    pub(crate) per_second: Option<f64>,
}

/// The job that a range asks for.
pub(crate) fn plan(state: &ApiState, live: &LiveDestination, range: Range) -> Result<Job, Problem> {
    let now = state.clock.now();
    let (from, to) = (range.from.0, range.to.map_or(now, |to| to.0));
    if from >= to {
        return Err(Problem::unprocessable("from", "the range is empty; `from` must be before `to`"));
    }
    if range.per_second.is_some_and(|rate| !(rate > 0.0 && rate <= PER_SECOND_MAX)) {
        return Err(Problem::unprocessable("per_second", "`per_second` must be more than 0 and at most 100000"));
    }
    Ok(Job {
        id: ReplayId::mint(now, state.clock.random()),
        appspace: live.destination.appspace,
        destination: live.destination.id,
        from,
        to,
        events: range.events,
        select: range.select,
        per_second: range.per_second,
        state: ReplayState::Running,
        scanned: 0,
        created: 0,
        created_at: now,
        ended_at: None,
    })
}

fn show(state: &ApiState, job: Job) -> Replay {
    let live = state.registry.destination(job.destination);
    Replay {
        id: job.id.to_string(),
        destination: job.destination.to_string(),
        destination_name: live.map(|live| live.destination.name.to_string()),
        from: job.from.into(),
        to: job.to.into(),
        events: job.events,
        select: job.select,
        per_second: job.per_second,
        state: job.state,
        scanned: job.scanned,
        created: job.created,
        created_at: job.created_at.into(),
        ended_at: job.ended_at.map(Time::from),
    }
}

fn parse(id: &str) -> Result<ReplayId, Problem> {
    id.parse().map_err(|_| Problem::not_found("replay"))
}
