//! How a delivery is shown.

use domain::{Timestamp, attempt, delivery};
use pipeline::admission::{BreakerStatus, LaneStatus};
use pipeline::registry::LiveDestination;
use serde::{Deserialize, Serialize};
use storage::DeliverySummary;
use utoipa::ToSchema;

use crate::state::ApiState;
use crate::wire::Time;

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(examples("dlv_01JD3ZK7Q0M8X2V4N6B8C0D2F4_0"))]
    pub(crate) id: String,
    event: String,
    #[schema(examples("link.clicked"))]
    r#type: String,
    destination: String,
    /// `null` if it has been deleted.
    destination_name: Option<String>,
    pub(crate) state: DeliveryState,
    /// What holds it: `breaker`, or why its destination is paused.
    #[schema(examples("manual"))]
    pub(crate) held_by: Option<&'static str>,
    /// When the next attempt is due, while there will be one.
    due_at: Option<Time>,
    /// Attempts so far.
    attempts: u32,
    /// Why it is dead.
    #[schema(examples("server_error"))]
    reason: Option<&'static str>,
    /// What a filter or template said that failed before any attempt.
    note: Option<String>,
    created_at: Time,
    /// When it was delivered, died or was cancelled.
    ended_at: Option<Time>,
    /// The replay that made it.
    replay: Option<String>,
    last_attempt: Option<Attempt>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    /// Will be tried when it is due.
    Pending,
    /// Is being tried.
    Leased,
    /// Waits until its destination is resumed or its breaker closes.
    Held,
    Delivered,
    /// Waits for a person.
    Dead,
    Cancelled,
    /// There was nothing in the event for the destination.
    Skipped,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    number: u32,
    started_at: Time,
    duration_ms: u32,
    /// The HTTP status, if a reply came.
    status: Option<u16>,
    /// Why it failed.
    reason: Option<&'static str>,
    /// What went wrong, for a person.
    error: Option<String>,
    /// The beginning of the reply.
    reply: Option<String>,
}

/// A delivery with every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    pub(crate) delivery: Delivery,
    /// Oldest first.
    pub(crate) attempts_made: Vec<Attempt>,
}

/// A delivery as it is shown.
pub(crate) fn show(state: &ApiState, summary: &DeliverySummary) -> Delivery {
    let live = state.registry.destination(summary.delivery.destination);
    let held_by = live.as_deref().and_then(|live| held_by(live, &state.lane_status(live)));
    render(&summary.delivery, summary.last_attempt.as_ref(), live.as_deref(), held_by)
}

pub(crate) fn show_changed(state: &ApiState, delivery: delivery::Delivery) -> Delivery {
    show(state, &DeliverySummary { delivery, last_attempt: None })
}

fn render(
    delivery: &delivery::Delivery,
    last_attempt: Option<&attempt::Attempt>,
    live: Option<&LiveDestination>,
    held_by: Option<&'static str>,
) -> Delivery {
    let standing = &delivery.standing;
    let state = shown_state(delivery, held_by);
    let waits = matches!(state, DeliveryState::Pending | DeliveryState::Held);
    Delivery {
        id: delivery.id.to_string(),
        event: delivery.id.event.to_string(),
        r#type: delivery.event_type.to_string(),
        destination: delivery.destination.to_string(),
        destination_name: live.map(|live| live.destination.name.to_string()),
        state,
        held_by: held_by.filter(|_| state == DeliveryState::Held),
        due_at: waits.then(|| next_try(standing.due_at, live).into()),
        attempts: standing.attempts,
        reason: standing.reason.map(domain::verdict::FailureReason::code),
        note: delivery.note.clone(),
        created_at: delivery.created_at.into(),
        ended_at: delivery.ended_at.map(Time::from),
        replay: delivery.replay.map(|id| id.to_string()),
        last_attempt: last_attempt.map(show_attempt),
    }
}

/// What is due at this time is tried then, but for what a digest gathers: the store calls that due since it came.
fn next_try(due: Timestamp, live: Option<&LiveDestination>) -> Timestamp {
    live.and_then(|live| live.destination.volume.digest_after(due)).unwrap_or(due)
}

/// What the store calls pending is held in a closed lane, and leased in a worker's hand.
const fn shown_state(delivery: &delivery::Delivery, held_by: Option<&'static str>) -> DeliveryState {
    match delivery.standing.state {
        delivery::State::Pending if delivery.leased => DeliveryState::Leased,
        delivery::State::Pending if held_by.is_some() => DeliveryState::Held,
        delivery::State::Pending => DeliveryState::Pending,
        delivery::State::Delivered => DeliveryState::Delivered,
        delivery::State::Dead => DeliveryState::Dead,
        delivery::State::Cancelled => DeliveryState::Cancelled,
        delivery::State::Skipped => DeliveryState::Skipped,
    }
}

pub(crate) const fn stored(shown: DeliveryState) -> delivery::State {
    match shown {
        DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Held => delivery::State::Pending,
        DeliveryState::Delivered => delivery::State::Delivered,
        DeliveryState::Dead => delivery::State::Dead,
        DeliveryState::Cancelled => delivery::State::Cancelled,
        DeliveryState::Skipped => delivery::State::Skipped,
    }
}

/// Why a lane is closed, if it is.
fn held_by(live: &LiveDestination, lane: &LaneStatus) -> Option<&'static str> {
    match (&live.destination.paused, lane.breaker) {
        (Some(pause), _) => Some(pause.reason.code()),
        (None, BreakerStatus::Open { .. }) if live.destination.breaker => Some("breaker"),
        (None, _) => None,
    }
}

pub(crate) fn show_attempt(attempt: &attempt::Attempt) -> Attempt {
    Attempt {
        number: attempt.number,
        started_at: attempt.started_at.into(),
        duration_ms: attempt.duration_ms,
        status: attempt.status,
        reason: attempt.reason.map(domain::verdict::FailureReason::code),
        error: attempt.error.clone(),
        reply: attempt.reply.clone(),
    }
}
