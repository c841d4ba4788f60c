//! Trying a destination out: a real test event, or a look at what would be sent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::connector::{Batch, Item, Progress, Step, Token};
use domain::event::{DedupeKey, EventType, TimeMark};
use domain::secret::MASK;
use domain::{AppspaceId, DeliveryId, Event, EventId, Reading, Secret, SourceId, Verdict, catalogue};
use http::StatusCode;
use pipeline::registry::LiveDestination;
use pipeline::route::{self, Decision};
use serde::{Deserialize, Serialize};
use storage::{Append, NewDelivery, NewEvent, OnKnown};
use utoipa::ToSchema;

use super::find;
use crate::auth::{Owner, Reader};
use crate::extract::{Json as Body, Path};
use crate::masked::{scrubbed, secrets};
use crate::problem::Problem;
use crate::routes::events;
use crate::state::ApiState;

/// The type of the sample that a preview shows unless asked otherwise.
const PREVIEW_TYPE_DEFAULT: &str = "link.clicked";
/// Headers whose value is a credential whatever it looks like.
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// A test that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tested {
    event: String,
    /// Follow it at `/v1/deliveries/{delivery}`.
    delivery: String,
}

/// Send a test event to a destination
///
/// Makes a real event of the type `test` and owes it to this destination alone, whatever it is subscribed to. A paused
/// destination holds it like any other.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/test",
    tag = "destinations",
    security(("key" = ["appspace"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    responses((status = 202, description = "The event and its delivery are on disk", body = Tested)),
)]
pub(crate) async fn test(
    State(state): State<ApiState>,
    Owner(caller): Owner,
    Path(destination): Path,
) -> Result<(StatusCode, Json<Tested>), Problem> {
    let live = find(&state, &caller, &destination)?;
    let event = sample(&state, caller.appspace_id(), catalogue::TEST).ok_or_else(Problem::internal)?;
    let id = event.id;
    let event = NewEvent { event: Arc::new(event), deliveries: vec![NewDelivery::to(live.destination.id)] };
    state.store.append(Append { events: vec![event], on_known: OnKnown::Count }).await?;
    let delivery = DeliveryId { event: id, ordinal: 0 };
    Ok((StatusCode::ACCEPTED, Json(Tested { event: id.to_string(), delivery: delivery.to_string() })))
}

/// What to preview: a stored event, or the sample of a type.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PreviewRequest {
    /// Id of a stored event.
    event: Option<String>,
    /// A type of the catalogue; `link.clicked`, if nothing is said.
    r#type: Option<String>,
}

/// What would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    event: String,
    r#type: String,
    /// Whether the destination would be owed such an event.
    matches: bool,
    /// The first request; `null` if the connector sends none.
    request: Option<Request>,
    /// What the connector decides without sending, in words.
    verdict: Option<String>,
}

/// A request that would be made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Request {
    /// `POST` and the like; `MAIL` and `SQL` for the other transports.
    method: &'static str,
    /// `https://…`, `smtp://host:port`, `postgres://user@host:port/database`.
    url: String,
    headers: Vec<Header>,
    body: String,
}

/// A header of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Header {
    name: String,
    /// Secrets and credentials are masked.
    value: String,
}

/// Show what would be sent to a destination
///
/// Nothing is sent. Secrets in it are masked.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/preview",
    tag = "destinations",
    security(("key" = ["read"])),
    params(("destination" = String, Path, description = "Name or id of a destination")),
    request_body = Option<PreviewRequest>,
    responses((status = 200, description = "The request that would be made", body = Preview)),
)]
pub(crate) async fn preview(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(destination): Path,
    Body(wanted): Body<PreviewRequest>,
) -> Result<Json<Preview>, Problem> {
    let live = find(&state, &caller, &destination)?;
    let event = match (&wanted.event, &wanted.r#type) {
        (Some(_), Some(_)) => return Err(Problem::unprocessable("event", "name an `event` or a `type`, not both")),
        (Some(id), None) => events::find(&state, &caller, id).await?.event,
        (None, named) => {
            let event_type = named.as_deref().unwrap_or(PREVIEW_TYPE_DEFAULT);
            let sample = sample(&state, caller.appspace_id(), event_type).ok_or_else(|| {
                let detail = format!("there is no sample of `{event_type}`; see `/v1/event-types`");
                Problem::unprocessable("type", detail)
            })?;
            Arc::new(sample)
        }
    };
    Ok(Json(look(&state, &live, &event)))
}

fn look(state: &ApiState, live: &LiveDestination, event: &Event) -> Preview {
    let delivery = DeliveryId { event: event.id, ordinal: 0 };
    let source_name = state.registry.source_name(event.source);
    let reading = Reading::new(source_name.clone());
    let items = [Item { event, delivery, attempt: 1, reading: &reading }];
    let token = Token { secret: Secret::from(MASK), valid_for: None, extra: None };
    let batch = Batch { items: &items, now: state.clock.now(), token: Some(&token), digest: None };
    let matches = live.destination.events.matches(&event.event_type)
        && route::decide(live, event, &source_name, &mut None) == Decision::Owed;
    let (request, verdict) = match live.outlet.prepare(&batch, &mut Progress::default()) {
        Step::Send(call) | Step::SendOnce { call, .. } => (Some(call.shown()), None),
        Step::Settle(verdicts) => (None, verdicts.first().map(in_words)),
        Step::Split { alone } => (None, Some(in_words(&alone))),
        Step::Reauthorize { message } => (None, Some(message)),
    };
    let hidden = secrets(live.connector.manifest().fields, &live.destination.settings);
    let request = request.map(|call| Request {
        method: call.method,
        url: scrubbed(&call.url, &hidden),
        headers: call.headers.into_iter().map(|(name, value)| header(name, &value, &hidden)).collect(),
        body: scrubbed(&call.body, &hidden),
    });
    let verdict = verdict.map(|verdict| scrubbed(&verdict, &hidden));
    Preview { event: event.id.to_string(), r#type: event.event_type.to_string(), matches, request, verdict }
}

fn header(name: String, value: &str, hidden: &[String]) -> Header {
    let is_credential = CREDENTIAL_HEADERS.iter().any(|credential| name.eq_ignore_ascii_case(credential));
    let value = if is_credential { MASK.to_owned() } else { scrubbed(value, hidden) };
    Header { name, value }
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "nothing is to be sent; the delivery counts as delivered".to_owned(),
        Verdict::Retry { reason, .. } => format!("nothing can be sent now: {}", reason.code()),
        Verdict::Wait { after, .. } => format!("nothing can be sent for {} s", after.as_secs()),
        Verdict::Reject { reason, message } => {
            format!("this event can never be sent: {}", message.as_deref().unwrap_or(reason.code()))
        }
        Verdict::Skip { message } => format!("there is nothing in this event for the destination: {message}"),
        Verdict::Pause { reason, message } => format!("the destination would be paused ({}): {message}", reason.code()),
    }
}

/// A sample event of the catalogue, as if it had been published now.
fn sample(state: &ApiState, appspace: AppspaceId, event_type: &str) -> Option<Event> {
    let (now, random) = (state.clock.now(), state.clock.random());
    let id = EventId::mint(now, random);
    #[expect(clippy::cast_possible_truncation, reason = "64 of 128 random bits are unique enough for a sample")]
    let body = catalogue::sample(event_type, now, random as u64)?;
    let event_type: EventType = event_type.parse().ok()?;
    Some(Event {
        id,
        appspace,
        source: SourceId::API,
        event_type,
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_sender_id(SourceId::API, appspace, &id.to_string()),
        body: body.into(),
    })
}
