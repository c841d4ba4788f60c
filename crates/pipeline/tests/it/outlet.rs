//! One destination over real transports: a connector, its settings, and events handed to it as the engine would.

use std::sync::Arc;
use std::time::Duration;

use domain::connector::{Batch, Call, Item, Outlet, Progress, Step};
use domain::event::{DedupeKey, Event, TimeMark};
use domain::{AppspaceId, DeliveryId, DestinationId, EventId, Reading, Settings, SourceId, Timestamp, Verdict};
use pipeline::Clock;
use pipeline::transport::{Guard, Transport, TransportError, Transports};
use serde_json::Value;

use crate::house::START;

/// Long enough for a peer on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most calls of one exchange.
const CALLS_MAX: usize = 50;

pub(crate) struct Destination {
    outlet: Box<dyn Outlet>,
    transports: Arc<Transports>,
}

impl Destination {
    /// A destination behind a guard that lets us reach this machine.
    pub(crate) fn new(connector: &str, settings: Value) -> Self {
        Self::behind(Guard::new(true, Vec::new()), connector, settings)
    }

    pub(crate) fn behind(guard: Guard, connector: &str, settings: Value) -> Self {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let connector = connectors::by_name(connector).unwrap();
        connector.manifest().check(&settings).unwrap();
        Self {
            outlet: connector.open(&settings).unwrap(),
            transports: Transports::start(guard, Arc::new(Clock::system()), &[]).unwrap(),
        }
    }

    /// What becomes of a batch, and the calls that were made.
    pub(crate) async fn deliver(&self, events: &[Event]) -> Result<(Vec<Verdict>, Vec<Call>), TransportError> {
        let readings: Vec<_> = events.iter().map(|_| Reading::new("tolinku".to_owned())).collect();
        let item = |(event, reading)| {
            let event: &Event = event;
            Item { event, delivery: DeliveryId { event: event.id, ordinal: 0 }, attempt: 1, reading }
        };
        let items: Vec<_> = events.iter().zip(&readings).map(item).collect();
        let batch = Batch { items: &items, now: START, token: None, digest: None };
        let lane = DestinationId::mint(START, 1);
        let mut progress = Progress::default();
        let mut step = self.outlet.prepare(&batch, &mut progress);
        let mut calls = Vec::new();
        while calls.len() < CALLS_MAX {
            let call = match step {
                Step::Send(call) => call,
                Step::Settle(verdicts) => return Ok((verdicts, calls)),
                Step::Split { alone } => return Ok((vec![alone; items.len()], calls)),
                step => panic!("{step:?}"),
            };
            calls.push(call.clone());
            let reply = self.transports.exchange(lane, call, DEADLINE).await?;
            progress.replies += 1;
            step = self.outlet.advance(&batch, &mut progress, &reply);
        }
        panic!("no end after {CALLS_MAX} calls");
    }

    /// The verdicts of a batch that gets through to the peer.
    pub(crate) async fn verdicts(&self, events: &[Event]) -> Vec<Verdict> {
        self.deliver(events).await.unwrap().0
    }
}

/// A sample of a type, received at [`START`].
pub(crate) fn sample(event_type: &str, number: u64) -> Event {
    let body = domain::catalogue::sample(event_type, START, number).unwrap();
    of(event_type, number, body)
}

/// An event with this body, received at [`START`].
pub(crate) fn of(event_type: &str, number: u64, body: impl Into<bytes::Bytes>) -> Event {
    let (appspace, body) = (AppspaceId::mint(START, 1), body.into());
    Event {
        id: EventId::mint(START, number.into()),
        appspace,
        source: SourceId::API,
        event_type: event_type.parse().unwrap(),
        occurred_at: START,
        received_at: START,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body,
    }
}

/// The same event, received so much later.
pub(crate) fn later(event: Event, by: Duration) -> Event {
    Event { received_at: Timestamp::from_millis(event.received_at.as_millis()) + by, ..event }
}
