//! `/`, `/healthz`, `/readyz`, `/metrics` and `/v1/openapi.json`: the process itself. All of them are open.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use pipeline::metrics::Snapshot;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::openapi;
use crate::problem::Problem;
use crate::state::ApiState;

/// How long the store may take to say that it can commit.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Where to look.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Index {
    name: &'static str,
    version: &'static str,
    openapi: &'static str,
    events: &'static str,
    health: &'static str,
    ready: &'static str,
    metrics: &'static str,
}

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(examples("ok"))]
    status: &'static str,
}

/// What this is and where to look
#[utoipa::path(
    get,
    path = "/",
    tag = "operation",
    security(()),
    responses((status = 200, description = "Links", body = Index)),
)]
pub(crate) async fn index() -> Json<Index> {
    Json(Index {
        name: "afterclick",
        version: env!("CARGO_PKG_VERSION"),
        openapi: "/v1/openapi.json",
        events: "/v1/events",
        health: "/healthz",
        ready: "/readyz",
        metrics: "/metrics",
    })
}

/// Whether the process runs
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether events can be taken in
///
/// Asks the store whether it can commit; 503 if it cannot.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    security(()),
    responses(
        (status = 200, description = "They can", body = Health),
        (status = 503, description = "They cannot"),
    ),
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    let not_ready = |detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail);
    match timeout(READY_WITHIN, state.store.check()).await {
        Ok(Ok(())) => Ok(Json(Health { status: "ready" })),
        Ok(Err(storage::StoreError::Busy { reason, .. })) => Err(not_ready(&reason.to_string())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store is not ready");
            Err(not_ready("the store cannot commit; the server's log says why"))
        }
        Err(_) => Err(not_ready("the store does not answer in time")),
    }
}

/// Metrics in the Prometheus text format
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(state): State<ApiState>) -> Result<Response, Problem> {
    let lanes = state.lanes().await?;
    let snapshot = Snapshot { figures: state.store.figures(), lanes, connections: state.connections.open() as u64 };
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], state.metrics.render(snapshot)).into_response())
}

/// This document
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "operation",
    security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value, content_type = "application/json"),
    ),
)]
pub(crate) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi::JSON.as_str()).into_response()
}
