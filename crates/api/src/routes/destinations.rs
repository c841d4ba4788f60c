//! `/v1/destinations`: who receives, what, and how.

pub(crate) mod act;
pub(crate) mod preview;
pub(crate) mod provision;
pub(crate) mod shape;
pub(crate) mod trial;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::connector::{Connector, FieldKind};
use domain::destination::{BatchWish, CONCURRENCY_DEFAULT, RateLimit};
use domain::replay::Select;
use domain::retry::RetryPolicy;
use domain::source::Managed;
use domain::subscription::Subscriptions;
use domain::{Name, Privacy, Secret, Settings, Volume};
use http::StatusCode;
use pipeline::RegistryError;
use pipeline::reconcile::check_addresses;
use pipeline::registry::LiveDestination;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::shape::{BatchShown, Destination, DestinationWithSecret, PrivacyShown, RetryShown, VolumeShown, show};
use super::replays;
use super::sources::secrets::new_secret;
use crate::auth::{Caller, Owner, Reader};
use crate::extract::{Json as Body, Path, Query};
use crate::list::{List, Part};
use crate::masked;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::wire::Time;

/// The setting that holds what a connector signs with.
const SECRET: &str = "secret";

/// A new destination.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDestination {
    /// Unique in the appspace.
    #[schema(value_type = String, examples("orders-backend"))]
    name: Name,
    /// Who receives: see `/v1/connectors`.
    #[schema(examples("webhook"))]
    connector: String,
    /// Exact types, `prefix.*` or `*` (every type but `test` and `afterclick.*`). What is meant for the connector's
    /// readers, if it is left out: see `/v1/connectors`.
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Subscriptions>,
    /// A filter: only events for which it is true are sent.
    #[schema(examples("data.revenue >= 100"))]
    when: Option<String>,
    /// `standard` (the default), `tolinku`, or a list of waits.
    #[schema(value_type = Option<RetryShown>)]
    retry: Option<RetryPolicy>,
    /// Requests at once; 8 by default.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u16>,
    /// Most requests per second; no limit by default.
    #[schema(exclusive_minimum = 0.0, maximum = 100_000.0)]
    rate: Option<f64>,
    /// How much goes into one batch, if not what the connector says.
    #[serde(default)]
    #[schema(value_type = Option<BatchShown>)]
    batch: BatchWish,
    /// How much of what matches it wants; everything by default.
    #[serde(default)]
    #[schema(value_type = Option<VolumeShown>)]
    volume: Volume,
    /// Fields that it does not get, or not as they are.
    #[serde(default)]
    #[schema(value_type = Option<PrivacyShown>)]
    privacy: Privacy,
    /// Whether its breaker may open; `true` by default.
    breaker: Option<bool>,
    /// The settings of the connector. A signing secret that is left out is made and shown once.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Past events to send as well.
    backfill: Option<Backfill>,
}

/// Past events that a new destination is owed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backfill {
    /// Events received at or after.
    from: Time,
    /// Events received before; now, if it is left out.
    to: Option<Time>,
    /// Most deliveries made per second.
    per_second: Option<f64>,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeDestination {
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Subscriptions>,
    /// `null` removes the filter.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    when: Edit<String>,
    #[schema(value_type = Option<RetryShown>)]
    retry: Option<RetryPolicy>,
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u16>,
    /// `null` removes the limit.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    rate: Edit<f64>,
    #[schema(value_type = Option<BatchShown>)]
    batch: Option<BatchWish>,
    #[schema(value_type = Option<VolumeShown>)]
    volume: Option<Volume>,
    #[schema(value_type = Option<PrivacyShown>)]
    privacy: Option<Privacy>,
    breaker: Option<bool>,
    /// Members to set; `null` removes one. A member that is sent back as it was shown stays.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
}

/// A member of a change that can be taken away: left out is not the same as `null`.
#[derive(Debug, Default)]
pub(crate) enum Edit<T> {
    #[default]
    Keep,
    Set(Option<T>),
}

/// Create a destination
#[utoipa::path(
    post,
    path = "/v1/destinations",
    tag = "destinations",
    security(("key" = ["appspace"])),
    request_body = CreateDestination,
    responses(
        (status = 201, description = "The destination, and its secret if it was made here", body = DestinationWithSecret),
        (status = 409, description = "The name is taken"),
    ),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Body(mut wanted): Body<CreateDestination>,
) -> Result<(StatusCode, Json<DestinationWithSecret>), Problem> {
    let made = make_secret(&state, &mut wanted)?;
    let default_events = || state.registry.plugins().default_events(&wanted.connector);
    let events = wanted.events.take().unwrap_or_else(default_events);
    let backfill = wanted.backfill.take();
    let now = state.clock.now();
    let destination = domain::Destination {
        id: domain::DestinationId::mint(now, state.clock.random()),
        appspace: caller.appspace_id(),
        name: wanted.name,
        connector: wanted.connector,
        events,
        when: wanted.when,
        retry: wanted.retry.unwrap_or(RetryPolicy::Standard),
        concurrency: wanted.concurrency.unwrap_or(CONCURRENCY_DEFAULT),
        rate: wanted.rate.map(rate).transpose()?,
        batch: wanted.batch,
        volume: wanted.volume,
        privacy: wanted.privacy,
        breaker: wanted.breaker.unwrap_or(true),
        settings: Settings(wanted.settings),
        paused: None,
        managed: Managed::Api,
        created_at: now,
        updated_at: now,
    };
    // A backfill that cannot be done must be refused before there is a destination.
    let compiled = compile(&state, &destination)?;
    let job = backfill.map(|backfill| replays::plan(&state, &compiled, backfill.into())).transpose()?;
    let live = state.registry.put_destination(destination).await?;
    let replay = job.as_ref().map(|job| job.id.to_string());
    if let Some(job) = job
        && let Err(error) = state.replayer.create(job).await
    {
        // Half of what was asked for would be worse than nothing: the call can be made again.
        state.registry.delete_destination(live.destination.id).await?;
        return Err(error.into());
    }
    let secret = made.map(|secret| secret.expose().to_owned());
    let created = DestinationWithSecret { destination: show(&state, &live), secret, replay };
    Ok((StatusCode::CREATED, Json(created)))
}

/// List destinations
#[utoipa::path(
    get,
    path = "/v1/destinations",
    tag = "destinations",
    security(("key" = ["read"])),
    params(Part),
    responses((status = 200, description = "All of them, oldest first", body = List<Destination>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(part): Query<Part>,
) -> Result<Json<List<Destination>>, Problem> {
    let destinations = state.registry.destinations(caller.appspace_id());
    Ok(Json(List::part(&destinations, &part, |live| show(&state, live))?))
}

/// Get a destination
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}",
    tag = "destinations",
    security(("key" = ["read"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    responses((status = 200, description = "The destination", body = Destination)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(destination): Path,
) -> Result<Json<Destination>, Problem> {
    Ok(Json(show(&state, &*find(&state, &caller, &destination)?)))
}

/// Change a destination
///
/// The next attempt uses what is new; nothing is routed again.
#[utoipa::path(
    patch,
    path = "/v1/destinations/{destination}",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    request_body = ChangeDestination,
    responses(
        (status = 200, description = "The destination as it is now", body = Destination),
        (status = 409, description = "The name is taken, or it comes from the configuration file"),
    ),
)]
pub(crate) async fn change(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
    Body(change): Body<ChangeDestination>,
) -> Result<Json<Destination>, Problem> {
    let live = find_own(&state, &caller, &destination)?;
    let mut destination = changed(live.connector, live.destination.clone(), change)?;
    destination.updated_at = state.clock.now();
    compile(&state, &destination)?;
    Ok(Json(show(&state, &*state.registry.put_destination(destination).await?)))
}

/// Delete a destination
///
/// What it was still owed is cancelled; the log stays.
#[utoipa::path(
    delete,
    path = "/v1/destinations/{destination}",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "It comes from the configuration file"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
) -> Result<StatusCode, Problem> {
    let live = find_own(&state, &caller, &destination)?;
    state.registry.delete_destination(live.destination.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

// ---------------------------------------------------------------------------------------------------------------------

/// A destination of the caller's appspace by id or name.
pub(crate) fn find(state: &ApiState, caller: &Caller, destination: &str) -> Result<Arc<LiveDestination>, Problem> {
    let found = state.registry.find_destination(caller.appspace_id(), destination);
    found.ok_or_else(|| Problem::not_found("destination"))
}

/// A destination that the API may change.
pub(crate) fn find_own(state: &ApiState, caller: &Caller, destination: &str) -> Result<Arc<LiveDestination>, Problem> {
    let live = find(state, caller, destination)?;
    match live.destination.managed {
        Managed::Api => Ok(live),
        Managed::File => Err(Problem::managed_by_file("destination")),
    }
}

/// Checks a destination as saving it would, and what only the API checks: where its URLs lead.
pub(crate) fn compile(state: &ApiState, destination: &domain::Destination) -> Result<LiveDestination, RegistryError> {
    let live = pipeline::registry::LiveDestination::compile(state.registry.plugins(), destination.clone())?;
    check_addresses(&state.guard, &live)?;
    Ok(live)
}

/// Whether a connector signs with a secret that can be made here.
pub(crate) fn signs(connector: &dyn Connector) -> bool {
    let manifest = connector.manifest();
    let secret = manifest.field(SECRET).filter(|field| field.kind == FieldKind::Secret);
    secret.is_some() && manifest.field("previous_secret").is_some()
}

/// Makes the signing secret of a new destination that needs one and was given none.
fn make_secret(state: &ApiState, wanted: &mut CreateDestination) -> Result<Option<Secret>, Problem> {
    let connector = state.registry.plugins().connector(&wanted.connector);
    if !connector.is_some_and(signs) || wanted.settings.contains_key(SECRET) {
        return Ok(None);
    }
    let made = new_secret()?;
    wanted.settings.insert(SECRET.to_owned(), Value::from(made.expose()));
    Ok(Some(made))
}

fn changed(
    connector: &dyn Connector,
    mut destination: domain::Destination,
    change: ChangeDestination,
) -> Result<domain::Destination, Problem> {
    if let Some(name) = change.name {
        destination.name = name;
    }
    if let Some(events) = change.events {
        destination.events = events;
    }
    if let Edit::Set(when) = change.when {
        destination.when = when;
    }
    if let Some(retry) = change.retry {
        destination.retry = retry;
    }
    if let Some(concurrency) = change.concurrency {
        destination.concurrency = concurrency;
    }
    if let Edit::Set(limit) = change.rate {
        destination.rate = limit.map(rate).transpose()?;
    }
    if let Some(batch) = change.batch {
        destination.batch = batch;
    }
    if let Some(volume) = change.volume {
        destination.volume = volume;
    }
    if let Some(privacy) = change.privacy {
        destination.privacy = privacy;
    }
    if let Some(breaker) = change.breaker {
        destination.breaker = breaker;
    }
    if let Some(edit) = change.settings {
        destination.settings = masked::merged(connector.manifest().fields, &destination.settings, edit);
    }
    Ok(destination)
}

pub(crate) fn rate(per_second: f64) -> Result<RateLimit, Problem> {
    RateLimit::new(per_second).ok_or_else(|| RegistryError::Rate.into())
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}

impl From<Backfill> for replays::Range {
    fn from(backfill: Backfill) -> Self {
        let Backfill { from, to, per_second } = backfill;
        Self { from, to, events: None, select: Select::Missing, per_second }
    }
}
