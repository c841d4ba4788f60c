//! `/v1/event-types`: the catalogue.

use axum::Json;
use axum::extract::State;
use domain::catalogue;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Reader;
use crate::extract::Query;
use crate::list::{List, Part};
use crate::problem::Problem;
use crate::state::ApiState;

/// An event type that is known here. Any other well-formed type is accepted as well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeEntry {
    #[schema(examples("link.clicked"))]
    r#type: &'static str,
    /// Another name of the same thing; a subscription to one takes both.
    alias: Option<&'static str>,
    #[schema(value_type = String, examples("links"))]
    group: catalogue::Group,
    title: &'static str,
    description: &'static str,
    /// Whole bodies as they may come in.
    #[schema(value_type = Vec<Object>)]
    samples: Vec<serde_json::Value>,
}

/// List the known event types, with samples
#[utoipa::path(
    get,
    path = "/v1/event-types",
    tag = "events",
    security(("key" = ["read"])),
    params(Part),
    responses((status = 200, description = "The catalogue", body = List<EventTypeEntry>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Reader,
    Query(part): Query<Part>,
) -> Result<Json<List<EventTypeEntry>>, Problem> {
    let now = state.clock.now();
    let show = |kind: &catalogue::EventKind| EventTypeEntry {
        r#type: kind.event_type,
        alias: kind.alias,
        group: kind.group,
        title: kind.title,
        description: kind.description,
        samples: kind
            .samples
            .iter()
            .filter_map(|sample| serde_json::from_slice(&kind.body(sample, now, 0)).ok())
            .collect(),
    };
    Ok(Json(List::part(catalogue::ALL, &part, show)?))
}
