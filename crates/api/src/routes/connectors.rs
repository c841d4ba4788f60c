//! `/v1/connectors` and `/v1/source-kinds`: what this program can speak to, and listen to.

use axum::Json;
use axum::extract::State;
use domain::connector::{Category, Connector, Field, FieldKind};
use domain::retry::format_wait;
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
    /// One sentence: what reaches the vendor.
    summary: &'static str,
    /// What the vendor is for.
    #[schema(value_type = String, examples("warehouse"))]
    category: Category,
    /// What a destination gets that names no events.
    events: &'static [&'static str],
    /// How much goes into one request.
    batch: Batching,
    /// Most requests that the vendor bears; a destination can ask for less.
    rate: Option<RateShown>,
    /// Whether `/v1/destinations/{destination}/provision` has something to make.
    provisions: bool,
    /// What else to know of it, in Markdown.
    notes: &'static str,
    settings: Vec<Setting>,
}

/// How much goes into one request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batching {
    /// Most events, unless the destination says otherwise.
    items: usize,
    /// Most events that a destination may ask for.
    items_max: usize,
    /// How long the first event waits for others, unless the destination says otherwise.
    #[schema(examples("5s"))]
    wait: String,
}

/// Most requests to a vendor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateShown {
    per_second: f64,
    /// In a day of UTC, if the vendor counts days.
    per_day: Option<u32>,
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
            category: manifest.category,
            events: manifest.events,
            batch: Batching {
                items: manifest.batch.items,
                items_max: manifest.batch.items_max,
                wait: format_wait(manifest.batch.linger()),
            },
            rate: manifest.rate.map(|rate| RateShown { per_second: rate.per_second, per_day: rate.per_day }),
            provisions: manifest.provisions,
            notes: manifest.notes,
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
