//! `/v1/events`: publishing, and the log.

pub(crate) mod explain;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use domain::event::{EventType, PUBLISH_BODY_BYTES_MAX, TimeMark};
use domain::{EventId, SourceId, body};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use pipeline::intake::{PUBLISH_SOURCE_NAME, Receipt};
use pipeline::operational;
use serde::{Deserialize, Serialize};
use storage::{EventQuery, EventRecord};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Caller, Publisher, Reader};
use crate::extract::{Path, Query, read_body};
use crate::list::{List, page};
use crate::problem::Problem;
use crate::routes::webhooks;
use crate::state::ApiState;
use crate::wire::Time;

/// What is answered for one published event that is on disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    /// The id of the event; of a duplicate, the first one's.
    #[schema(examples("evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    /// Whether it was published before; it is then counted, not delivered again.
    duplicate: bool,
}

/// What is answered for an array: one entry for each event, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedAll {
    data: Vec<Published>,
}

/// One envelope, or an array of them.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a body that is read as raw bytes")]
pub(crate) enum PublishBody {
    One(EnvelopeBody),
    Many(Vec<EnvelopeBody>),
}

/// An event as an application publishes it. Unknown members are kept.
#[derive(Deserialize, ToSchema)]
#[schema(as = Envelope)]
#[expect(dead_code, reason = "describes a body that is read as raw bytes")]
pub(crate) struct EnvelopeBody {
    /// The type. Anything well-formed but `afterclick.*`, which is ours.
    #[schema(examples("link.clicked"))]
    event: String,
    /// When it happened, RFC 3339; the time of receipt if it is left out.
    timestamp: Option<String>,
    /// What happened.
    #[schema(value_type = Object)]
    data: serde_json::Value,
    /// Your own id of the event. The same id again is a duplicate.
    id: Option<String>,
}

/// What is answered: one entry for one envelope, `data` for an array.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PublishAnswer {
    One(Published),
    Many(PublishedAll),
}

/// Publish events
///
/// Takes one envelope or an array of 1 to 1,000: all of them or none. When this answers 202, they and everything they
/// owe to destinations are on disk. One envelope is answered with one object, an array with `{"data": […]}` in its
/// order.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    security(("key" = ["publish"])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 256 visible ASCII characters. The same key with the same body is answered like the first call; with another body it is 422"),
    ),
    request_body(content = PublishBody, description = "At most 4 MiB, and 256 KiB for each event"),
    responses(
        (status = 202, description = "The events are durable", body = PublishAnswer),
        (status = 503, description = "Busy; send it again after `Retry-After` seconds"),
    ),
)]
pub(crate) async fn publish(
    State(state): State<ApiState>,
    Publisher(caller): Publisher,
    request: Request,
) -> Result<(StatusCode, Json<PublishAnswer>), Problem> {
    let (parts, body) = request.into_parts();
    let idempotency_key = idempotency_key(&parts.headers)?;
    let body = read_body(&state.large_bodies, &parts.headers, body, PUBLISH_BODY_BYTES_MAX).await;
    let body = body.inspect_err(|problem| webhooks::count(&state, problem))?;
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let receipts = state.intake.publish(caller.appspace_id(), idempotency_key, body).await?;
    let mut published: Vec<Published> = receipts.into_iter().map(show_receipt).collect();
    let answer = match published.pop() {
        Some(one) if !is_array => PublishAnswer::One(one),
        last => {
            published.extend(last);
            PublishAnswer::Many(PublishedAll { data: published })
        }
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let malformed = |_| Problem::from(pipeline::intake::Rejection::IdempotencyKey);
    headers.get("idempotency-key").map(|value| value.to_str().map_err(malformed)).transpose()
}

fn show_receipt(receipt: Receipt) -> Published {
    Published { id: receipt.id.to_string(), duplicate: receipt.duplicate }
}

// ---------------------------------------------------------------------------------------------------------------------

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Name or id of a source; `api` are published events, `afterclick` operational ones.
    source: Option<String>,
    /// An exact type.
    r#type: Option<String>,
    /// Received at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Received before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// An event without its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    #[schema(examples("evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    #[schema(examples("link.clicked"))]
    r#type: String,
    /// The name of its source; the id, if that has been deleted.
    source: String,
    source_id: String,
    /// When it happened.
    occurred_at: Time,
    /// When it was received.
    received_at: Time,
    /// How far `occurred_at` can be trusted: `sender` it is the sender's; `defaulted` the sender gave none; `future`
    /// and
    /// `old` it is the sender's and odd.
    #[schema(value_type = String, examples("sender"))]
    time_mark: TimeMark,
    /// How often it was sent again.
    duplicates: u64,
    body_bytes: usize,
}

/// An event with its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventWithBody {
    #[serde(flatten)]
    event: Event,
    /// The exact text that was received. `…/body` has the bytes.
    body: String,
    /// The body, parsed.
    #[schema(value_type = Object)]
    envelope: serde_json::Value,
    /// Where its deliveries are listed.
    deliveries: String,
}

/// List events
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    security(("key" = ["read"])),
    params(EventsQuery),
    responses((status = 200, description = "A page", body = List<Event>)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Query(query): Query<EventsQuery>,
) -> Result<Json<List<Event>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let source = query.source.as_deref().map(|source| find_source(&state, &caller, source)).transpose()?;
    let event_type = query.r#type.as_deref().map(event_type).transpose()?;
    let (from, to) = (query.from.map(|time| time.0), query.to.map(|time| time.0));
    let query = EventQuery { appspace: caller.appspace_id(), source, event_type, from, to };
    let events = state.store.events(query, page).await?;
    Ok(Json(List::of(events, |record| show(&state, &record))))
}

/// Get an event with its body
#[utoipa::path(
    get,
    path = "/v1/events/{event}",
    tag = "events",
    security(("key" = ["read"])),
    params(("event" = String, Path, description = "Id of an event")),
    responses((status = 200, description = "The event", body = EventWithBody)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(event): Path,
) -> Result<Json<EventWithBody>, Problem> {
    let record = find(&state, &caller, &event).await?;
    Ok(Json(EventWithBody {
        event: show(&state, &record),
        body: String::from_utf8_lossy(&record.event.body).into_owned(),
        envelope: body::read(&record.event.body).unwrap_or_default(),
        deliveries: format!("/v1/deliveries?event={}", record.event.id),
    }))
}

/// Get the exact bytes of an event
#[utoipa::path(
    get,
    path = "/v1/events/{event}/body",
    tag = "events",
    security(("key" = ["read"])),
    params(("event" = String, Path, description = "Id of an event")),
    responses(
        (status = 200, description = "The body as it was received", body = serde_json::Value, content_type = "application/json"),
    ),
)]
pub(crate) async fn body(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(event): Path,
) -> Result<Response, Problem> {
    let record = find(&state, &caller, &event).await?;
    Ok(([(CONTENT_TYPE, "application/json")], record.event.body.clone()).into_response())
}

/// An event of the caller's appspace by its id.
pub(crate) async fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<EventRecord, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found("event"))?;
    Ok(state.store.event(caller.appspace_id(), id).await?)
}

/// An event type in a query or a body.
pub(crate) fn event_type(text: &str) -> Result<EventType, Problem> {
    text.parse().map_err(|error: domain::event::ParseEventTypeError| {
        Problem::new(StatusCode::BAD_REQUEST, "event_type_malformed", error.to_string()).at("type")
    })
}

fn find_source(state: &ApiState, caller: &Caller, source: &str) -> Result<SourceId, Problem> {
    match source {
        PUBLISH_SOURCE_NAME => Ok(SourceId::API),
        operational::SOURCE_NAME => Ok(SourceId::AFTERCLICK),
        // The events of a deleted source are still found by its id: a foreign one finds nothing, because the query is
        // bound to the appspace.
        _ => match state.registry.source(caller.appspace_id(), source) {
            Some(live) => Ok(live.source.id),
            None => source.parse().map_err(|_| Problem::not_found("source")),
        },
    }
}

fn show(state: &ApiState, record: &EventRecord) -> Event {
    let event = &record.event;
    Event {
        id: event.id.to_string(),
        r#type: event.event_type.to_string(),
        source: state.registry.source_name(event.source),
        source_id: event.source.to_string(),
        occurred_at: event.occurred_at.into(),
        received_at: event.received_at.into(),
        time_mark: event.time_mark,
        duplicates: record.duplicates,
        body_bytes: event.body.len(),
    }
}
