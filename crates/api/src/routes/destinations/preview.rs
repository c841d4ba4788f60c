//! A look at what would be sent: nothing leaves, and nothing secret is shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::connector::{Batch, Item, Shown, Step, Token};
use domain::identity::Profile;
use domain::secret::MASK;
use domain::{DeliveryId, Event, Reading, Secret, SourceId, Verdict, catalogue};
use pipeline::registry::LiveDestination;
use pipeline::view::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use super::trial::sample;
use crate::auth::{Caller, Reader};
use crate::extract::{Json as Body, Path};
use crate::problem::Problem;
use crate::routes::events;
use crate::routes::events::explain::{person, unwanted};
use crate::state::ApiState;

/// The type that is shown if the destination gets it and nobody asks for another.
const TYPE_DEFAULT: &str = "link.clicked";
/// How many samples make the digest that is shown.
const DIGEST_SAMPLES: usize = 3;
/// What stands for the host that a token brings with it.
const TOKEN_HOST: &str = "host-that-comes-with-the-token.example";

/// An event to look at, with what is known of the person if the destination wants to know.
struct Told {
    event: Arc<Event>,
    person: Option<Profile>,
}

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
/// The exact request, whatever carries it, without what the destination's privacy keeps back. Nothing is sent. Secrets in it are
/// masked, and so are tokens, which are not fetched for this. A record of a person shows what is known of the person of a stored
/// event, or what the sample alone says.
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
    let told = match (&wanted.event, wanted.r#type) {
        (Some(_), Some(_)) => return Err(Problem::unprocessable("event", "name an `event` or a `type`, not both")),
        (Some(id), None) => {
            let event = events::find(&state, &caller, id).await?.event;
            let person = if live.wants_people { person(&state, &event).await? } else { None };
            vec![Told { event, person }]
        }
        (None, event_type) => samples(&state, &caller, &live, event_type)?,
    };
    Ok(Json(look(&state, &live, &told)))
}

/// Sample events of a type, as many as it takes to see what is sent, each with what it alone says of a person.
fn samples(
    state: &ApiState,
    caller: &Caller,
    live: &LiveDestination,
    event_type: Option<String>,
) -> Result<Vec<Told>, Problem> {
    let event_type = event_type.unwrap_or_else(|| type_for(live).to_owned());
    let count = if live.destination.volume.digest_ms.is_some() { DIGEST_SAMPLES } else { 1 };
    // As if it had come in by the front door, for connectors that name the source.
    let source = state.registry.sources(caller.appspace_id()).first().map_or(SourceId::API, |live| live.source.id);
    let person = |event: &Event| if live.wants_people { state.identity.alone(event) } else { None };
    let sample = || {
        let event = Event { source, ..sample(state, caller.appspace_id(), &event_type)? };
        let person = person(&event);
        Some(Told { event: Arc::new(event), person })
    };
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

fn look(state: &ApiState, live: &LiveDestination, told: &[Told]) -> Preview {
    let first = &told[0].event;
    let views: Vec<View<'_>> = told.iter().map(|told| told.view(state, live)).collect();
    let item = |(told, view): (&Told, _)| View::item(view, DeliveryId { event: told.event.id, ordinal: 0 }, 1);
    let items: Vec<Item<'_>> = told.iter().zip(&views).map(item).collect();
    let token = Token { secret: Secret::from(MASK), valid_for: None, extra: Some(TOKEN_HOST.to_owned()) };
    let digest = live.destination.volume.digest_ms.map(Duration::from_millis);
    let batch = Batch { items: &items, now: state.clock.now(), token: Some(&token), digest };
    // What a destination may not see still counts for whether it wants the event.
    let reading = Reading::new(state.registry.source_name(first.source));
    let why_not = unwanted(live, first, &reading).map(|(_, why)| why);
    let step = catch_unwind(AssertUnwindSafe(|| live.outlet.preview(&batch)));
    let (request, verdict) = match step {
        // A bug of the connector; the engine would try again.
        Err(_) => (None, Some("the connector failed on this event; the server's log has more".to_owned())),
        Ok(step) => first_step(step),
    };
    Preview {
        event: first.id.to_string(),
        r#type: first.event_type.to_string(),
        events: told.len(),
        matches: why_not.is_none(),
        why_not,
        digest: digest.is_some(),
        request: request.map(|call| Request::from(live.scrubber.shown(call))),
        verdict: verdict.map(|verdict| live.scrubber.text(&verdict)),
    }
}

impl Told {
    /// What the destination would see of it.
    fn view(&self, state: &ApiState, live: &LiveDestination) -> View<'_> {
        let source = state.registry.source_name(self.event.source);
        View::of(&live.destination.privacy, &self.event, source, self.person.clone())
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
