//! How a destination is shown.

use domain::destination::BatchWish;
use domain::retry::RetryPolicy;
use domain::source::Managed;
use domain::subscription::Subscriptions;
use domain::{Privacy, Volume};
use pipeline::admission::LaneStatus;
use pipeline::registry::LiveDestination;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::masked;
use crate::state::ApiState;
use crate::wire::Time;

/// When a failed delivery is tried again.
#[derive(Serialize, ToSchema)]
#[schema(as = Retry)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes `domain::retry::RetryPolicy`")]
pub(crate) enum RetryShown {
    /// `standard` or `tolinku`.
    Preset(String),
    /// The wait after each failed try: `["1s", "10s", "5m"]`.
    Waits(Vec<String>),
}

/// How much goes into one batch; what is left out is the connector's.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
pub(crate) struct BatchShown {
    /// Most events in one batch, at most what the connector takes.
    #[schema(examples(50), minimum = 1)]
    items: Option<u32>,
    /// How long the first event of a batch waits for others, at most `15m`.
    #[schema(examples("2s"))]
    wait: Option<String>,
}

/// How much of what matches is wanted; everything, if nothing is said.
#[derive(Serialize, ToSchema)]
#[schema(as = Volume)]
pub(crate) struct VolumeShown {
    /// The part of events wanted, always the same ones.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0, examples(0.1))]
    sample: Option<f64>,
    /// Of events that carry a value, only those of at least this one.
    #[schema(examples(100.0))]
    threshold: Option<f64>,
    /// One message per interval about everything that happened in it, `1s` to `1d`.
    #[schema(examples("30s"))]
    digest: Option<String>,
    /// Of the events of one type about one subject, only the first of each day (UTC).
    first_per_subject_per_day: Option<bool>,
}

/// Fields of events and people that a destination does not get, or not as they are, wherever they stand in a body; each name stands
/// for all its spellings.
#[derive(Serialize, ToSchema)]
#[schema(as = Privacy)]
pub(crate) struct PrivacyShown {
    /// Left out.
    #[schema(examples(json!(["user_agent"])))]
    drop: Option<Vec<String>>,
    /// Only SHA-256 of the text, in lower case, as 64 hexadecimal digits.
    #[schema(examples(json!(["email"])))]
    hash: Option<Vec<String>>,
    /// Only so many characters or, of an IP address, so many bits (twice as many of version 6).
    #[schema(examples(json!({"ip": 24})))]
    truncate: Option<std::collections::BTreeMap<String, u8>>,
}

/// A destination.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Destination {
    #[schema(examples("dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    name: String,
    connector: String,
    #[schema(value_type = Vec<String>)]
    events: Subscriptions,
    when: Option<String>,
    #[schema(value_type = RetryShown)]
    retry: RetryPolicy,
    concurrency: u16,
    rate: Option<f64>,
    #[schema(value_type = BatchShown)]
    batch: BatchWish,
    #[schema(value_type = VolumeShown)]
    volume: Volume,
    #[schema(value_type = PrivacyShown)]
    privacy: Privacy,
    breaker: bool,
    /// Secret ones are masked.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    paused: Option<Paused>,
    /// What is going on at the moment: its breaker, attempts on the wire, why nothing is sent, the newest attempt.
    #[schema(value_type = Object)]
    lane: LaneStatus,
    /// Who owns it: `api`, or `file` for one from the configuration file, which the API cannot change.
    #[schema(value_type = String, examples("api"))]
    managed_by: Managed,
    created_at: Time,
    updated_at: Time,
}

/// Why nothing is sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Paused {
    /// `manual`, `gone`, `unauthorized`, `misconfigured` or `quota`.
    #[schema(examples("manual"))]
    reason: &'static str,
    message: String,
    since: Time,
}

/// A destination with what was just made for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DestinationWithSecret {
    #[serde(flatten)]
    pub(crate) destination: Destination,
    /// The signing secret, if it was made here. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// The replay that the backfill began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<String>,
}

pub(crate) fn show(state: &ApiState, live: &LiveDestination) -> Destination {
    let destination = &live.destination;
    Destination {
        id: destination.id.to_string(),
        name: destination.name.to_string(),
        connector: destination.connector.clone(),
        events: destination.events.clone(),
        when: destination.when.clone(),
        retry: destination.retry.clone(),
        concurrency: destination.concurrency,
        rate: destination.rate.map(|rate| rate.per_second),
        batch: destination.batch,
        volume: destination.volume,
        privacy: destination.privacy.clone(),
        breaker: destination.breaker,
        settings: masked::shown(live.connector.manifest().fields, &destination.settings),
        paused: destination.paused.as_ref().map(|pause| Paused {
            reason: pause.reason.code(),
            message: pause.message.clone(),
            since: pause.since.into(),
        }),
        lane: state.lane_status(live),
        managed_by: destination.managed,
        created_at: destination.created_at.into(),
        updated_at: destination.updated_at.into(),
    }
}
