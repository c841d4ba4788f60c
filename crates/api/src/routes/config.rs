//! `PUT /v1/config`: what `afterclick apply` calls.

use axum::Json;
use axum::extract::State;
use domain::appspace::DEFAULT_APPSPACE;
use domain::destination::{BatchWish, CONCURRENCY_DEFAULT};
use domain::retry::RetryPolicy;
use domain::signature::Scheme;
use domain::subscription::Subscriptions;
use domain::{Name, Privacy, Secret, Settings, Volume};
use http::StatusCode;
use pipeline::reconcile::{self, Action, Desired, DestinationSpec, SourceSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::destinations::rate;
use super::destinations::shape::{BatchShown, PrivacyShown, RetryShown, VolumeShown};
use super::sources::shape::SchemeShown;
use crate::auth::Owner;
use crate::extract::Json as Body;
use crate::problem::Problem;
use crate::state::ApiState;

/// The whole of a configuration file, its variables filled in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    sources: Vec<ConfigSource>,
    #[serde(default)]
    destinations: Vec<ConfigDestination>,
    /// Remove objects that came from the file and are no longer in it.
    #[serde(default)]
    prune: bool,
    /// Only plan.
    #[serde(default)]
    dry_run: bool,
}

/// A source of the file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigSource {
    #[schema(value_type = String)]
    name: Name,
    kind: String,
    #[serde(default)]
    #[schema(value_type = SchemeShown)]
    scheme: Scheme,
    /// 1 to 8; nothing is made for a file.
    #[schema(value_type = Vec<String>)]
    secrets: Vec<Secret>,
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// A destination of the file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigDestination {
    #[schema(value_type = String)]
    name: Name,
    connector: String,
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Subscriptions>,
    when: Option<String>,
    #[schema(value_type = Option<RetryShown>)]
    retry: Option<RetryPolicy>,
    concurrency: Option<u16>,
    rate: Option<f64>,
    #[serde(default)]
    #[schema(value_type = Option<BatchShown>)]
    batch: BatchWish,
    #[serde(default)]
    #[schema(value_type = Option<VolumeShown>)]
    volume: Volume,
    #[serde(default)]
    #[schema(value_type = Option<PrivacyShown>)]
    privacy: Privacy,
    breaker: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// What was done, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Applied {
    /// `false` for a dry run.
    applied: bool,
    /// In the order of doing it.
    plan: Vec<PlanStep>,
}

/// One object of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanStep {
    /// `create`, `update`, `delete` or `unchanged`.
    #[schema(value_type = String, examples("update"))]
    action: Action,
    /// `source` or `destination`.
    kind: &'static str,
    name: String,
    /// The members that differ, without their values.
    changes: Vec<String>,
}

/// Apply a configuration file
///
/// Makes the objects of the file what the file says, in the appspace `default`. Objects made through the API are never
/// touched: one of the same name is 409. Nothing is changed unless the whole file is in order.
#[utoipa::path(
    put,
    path = "/v1/config",
    tag = "administration",
    security(("key" = ["appspace"])),
    request_body = Config,
    responses(
        (status = 200, description = "The plan, done unless `dry_run`", body = Applied),
        (status = 409, description = "A name is taken by an object made through the API"),
    ),
)]
pub(crate) async fn apply(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Body(config): Body<Config>,
) -> Result<Json<Applied>, Problem> {
    if caller.appspace.name.as_str() != DEFAULT_APPSPACE {
        let detail = "objects of a file live in the appspace `default`; use a key of that one";
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
    }
    let dry_run = config.dry_run;
    let plan = reconcile::plan(&state.registry, &state.guard, desired(&state, config)?)?;
    if !dry_run {
        reconcile::apply(&state.registry, &plan).await?;
    }
    let steps = plan.steps.into_iter().map(|step| PlanStep {
        action: step.action,
        kind: step.object.kind(),
        name: step.name.to_string(),
        changes: step.changes,
    });
    Ok(Json(Applied { applied: !dry_run, plan: steps.collect() }))
}

fn desired(state: &ApiState, config: Config) -> Result<Desired, Problem> {
    let sources = config.sources.into_iter().map(|source| SourceSpec {
        name: source.name,
        kind: source.kind,
        scheme: source.scheme,
        secrets: source.secrets,
        settings: Settings(source.settings),
    });
    let plugins = state.registry.plugins();
    let destinations = config.destinations.into_iter().map(|destination| {
        Ok(DestinationSpec {
            name: destination.name,
            events: destination.events.unwrap_or_else(|| plugins.default_events(&destination.connector)),
            connector: destination.connector,
            when: destination.when,
            retry: destination.retry.unwrap_or(RetryPolicy::Standard),
            concurrency: destination.concurrency.unwrap_or(CONCURRENCY_DEFAULT),
            rate: destination.rate.map(rate).transpose()?,
            batch: destination.batch,
            volume: destination.volume,
            privacy: destination.privacy,
            breaker: destination.breaker.unwrap_or(true),
            settings: Settings(destination.settings),
        })
    });
    let destinations = destinations.collect::<Result<_, Problem>>()?;
    Ok(Desired { sources: sources.collect(), destinations, prune: config.prune })
}
