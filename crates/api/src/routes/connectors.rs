//! `/v1/connectors` and `/v1/source-kinds`: what this program can speak to, and listen to.

use axum::Json;
use axum::extract::State;
use domain::connector::{Connector, Field, FieldKind};
use domain::source::Dialect;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Reader;
use crate::extract::Query;
use crate::list::{List, Part};
use crate::problem::Problem;
use crate::state::ApiState;

/// A vendor that a destination can speak to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectorEntry {
    /// The word in `connector`.
    #[schema(examples("webhook"))]
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    /// Most events in one request.
    batch_items_max: usize,
    settings: Vec<Setting>,
}

/// A sender that a source can listen to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceKind {
    /// The word in `kind`.
    #[schema(examples("tolinku"))]
    name: &'static str,
    title: &'static str,
    settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Setting {
    name: &'static str,
    /// `text`, `secret`, `url`, `secret_url`, `choice`, `switch`, `integer`, `template`, `mapping`, `list` or `map`.
    r#type: &'static str,
    required: bool,
    /// For a person: what to put here.
    help: &'static str,
    /// What fits, in words.
    fits: String,
    /// What holds if nothing is said, as it would be written in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    /// The choices, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static [&'static str]>,
}

/// List the connectors and their settings
#[utoipa::path(
    get,
    path = "/v1/connectors",
    tag = "destinations",
    security(("key" = ["read"])),
    params(Part),
    responses((status = 200, description = "Every connector", body = List<ConnectorEntry>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Reader,
    Query(part): Query<Part>,
) -> Result<Json<List<ConnectorEntry>>, Problem> {
    let show = |connector: &&dyn Connector| {
        let manifest = connector.manifest();
        ConnectorEntry {
            name: manifest.name,
            title: manifest.title,
            summary: manifest.summary,
            batch_items_max: manifest.batch.items_max,
            settings: manifest.fields.iter().map(show_field).collect(),
        }
    };
    Ok(Json(List::part(state.registry.plugins().connectors, &part, show)?))
}

/// List the kinds of sources and their settings
#[utoipa::path(
    get,
    path = "/v1/source-kinds",
    tag = "sources",
    security(("key" = ["read"])),
    params(Part),
    responses((status = 200, description = "Every kind", body = List<SourceKind>)),
)]
pub(crate) async fn source_kinds(
    State(state): State<ApiState>,
    _: Reader,
    Query(part): Query<Part>,
) -> Result<Json<List<SourceKind>>, Problem> {
    let show = |dialect: &&dyn Dialect| {
        let manifest = dialect.manifest();
        SourceKind {
            name: manifest.name,
            title: manifest.title,
            settings: manifest.fields.iter().map(show_field).collect(),
        }
    };
    Ok(Json(List::part(state.registry.plugins().dialects, &part, show)?))
}

fn show_field(field: &Field) -> Setting {
    let of = match field.kind {
        FieldKind::Choice { of } => Some(of),
        _ => None,
    };
    Setting {
        name: field.name,
        r#type: field.kind.code(),
        required: field.required,
        help: field.help,
        fits: field.kind.describe(),
        default: field.default,
        of,
    }
}
