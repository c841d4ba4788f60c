//! A look at what would be sent: nothing leaves, and nothing secret is shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::connector::{Batch, Item, Progress, Shown, Step, Token};
use domain::secret::MASK;
use domain::{DeliveryId, Event, Reading, Secret, SourceId, Verdict, catalogue};
use pipeline::registry::LiveDestination;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use super::trial::sample;
use crate::auth::{Caller, Reader};
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::routes::events;
use crate::routes::events::explain::unwanted;
use crate::state::ApiState;

/// The type that is shown if the destination gets it and nobody asks for another.
const TYPE_DEFAULT: &str = "link.clicked";
/// How many samples make the digest that is shown.
const DIGEST_SAMPLES: usize = 3;
/// What stands for the host that a token brings with it.
const TOKEN_HOST: &str = "host-that-comes-with-the-token.example";

/// What to preview: a stored event, or the sample of a type.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PreviewRequest {
    /// Id of a stored event.
    event: Option<String>,
    /// A type of the catalogue; if nothing is said, the first one that the destination is subscribed to.
    r#type: Option<String>,
}

/// What would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// The event; of several, the first.
    event: String,
    r#type: String,
    /// How many events the request is about: more than one for the sample of a destination that wants a digest.
    events: usize,
    /// Whether the destination would be owed such an event.
    matches: bool,
    /// For a person, why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    /// Whether it is one message about everything in an interval.
    digest: bool,
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
/// The exact request, whatever carries it. Nothing is sent. Secrets in it are masked, and so are tokens, which are not
/// fetched for this.
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
    let events = match (&wanted.event, wanted.r#type) {
        (Some(_), Some(_)) => return Err(Problem::unprocessable("event", "name an `event` or a `type`, not both")),
        (Some(id), None) => vec![events::find(&state, &caller, id).await?.event],
        (None, event_type) => samples(&state, &caller, &live, event_type)?,
    };
    Ok(Json(look(&state, &live, &events)))
}

/// Sample events of a type: as many as it takes to see what is sent.
fn samples(
    state: &ApiState,
    caller: &Caller,
    live: &LiveDestination,
    event_type: Option<String>,
) -> Result<Vec<Arc<Event>>, Problem> {
    let event_type = event_type.unwrap_or_else(|| type_for(live).to_owned());
    let count = if live.destination.volume.digest_ms.is_some() { DIGEST_SAMPLES } else { 1 };
    // As if it had come in by the front door, for connectors that name the source.
    let source = state.registry.sources(caller.appspace_id()).first().map_or(SourceId::API, |live| live.source.id);
    let sample = || sample(state, caller.appspace_id(), &event_type).map(|event| Arc::new(Event { source, ..event }));
    let samples: Option<Vec<_>> = std::iter::repeat_with(sample).take(count).collect();
    samples.ok_or_else(|| {
        let detail = format!("there is no sample of `{event_type}`; see `/v1/event-types`");
        Problem::unprocessable("type", detail)
    })
}

/// The type of the catalogue that says most about a destination.
fn type_for(live: &LiveDestination) -> &'static str {
    let events = &live.destination.events;
    let named = events.patterns().iter().filter_map(|pattern| catalogue::find(&pattern.to_string()));
    let all = named.chain(catalogue::ALL.iter()).map(|kind| kind.event_type);
    let is_wanted = |name: &&str| name.parse().is_ok_and(|event_type| events.matches(&event_type));
    std::iter::once(TYPE_DEFAULT).chain(all).find(is_wanted).unwrap_or(TYPE_DEFAULT)
}

fn look(state: &ApiState, live: &LiveDestination, events: &[Arc<Event>]) -> Preview {
    let first = &events[0];
    let readings: Vec<_> = events.iter().map(|event| Reading::new(state.registry.source_name(event.source))).collect();
    let items: Vec<Item<'_>> = events
        .iter()
        .zip(&readings)
        .map(|(event, reading)| Item {
            event,
            delivery: DeliveryId { event: event.id, ordinal: 0 },
            attempt: 1,
            reading,
        })
        .collect();
    let token = Token { secret: Secret::from(MASK), valid_for: None, extra: Some(TOKEN_HOST.to_owned()) };
    let digest = live.destination.volume.digest_ms.map(Duration::from_millis);
    let batch = Batch { items: &items, now: state.clock.now(), token: Some(&token), digest };
    let why_not = unwanted(live, first, &readings[0]).map(|(_, why)| why);
    let step = catch_unwind(AssertUnwindSafe(|| live.outlet.prepare(&batch, &mut Progress::default())));
    let (request, verdict) = match step {
        // A bug of the connector; the engine would try again.
        Err(_) => (None, Some("the connector failed on this event; the server's log has more".to_owned())),
        Ok(step) => first_step(step),
    };
    Preview {
        event: first.id.to_string(),
        r#type: first.event_type.to_string(),
        events: events.len(),
        matches: why_not.is_none(),
        why_not,
        digest: digest.is_some(),
        request: request.map(|call| Request::from(live.scrubber.shown(call))),
        verdict: verdict.map(|verdict| live.scrubber.text(&verdict)),
    }
}

/// What would be sent, or what the connector decides without sending.
fn first_step(step: Step) -> (Option<Shown>, Option<String>) {
    match step {
        Step::Send(call) | Step::SendOnce { call, .. } => (Some(call.shown()), None),
        Step::Settle(verdicts) => (None, verdicts.first().map(in_words)),
        Step::Split { alone } => (None, Some(in_words(&alone))),
        Step::Reauthorize { message } => (None, Some(message)),
    }
}

impl From<Shown> for Request {
    fn from(call: Shown) -> Self {
        let headers = call.headers.into_iter().map(|(name, value)| Header { name, value });
        Self { method: call.method, url: call.url, headers: headers.collect(), body: call.body }
    }
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
