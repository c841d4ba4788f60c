//! The batches that a connector would send, made one by one for a client that does nothing but make and send them.

use anyhow::{Context as _, Result, bail};
use bench::requests::{self, EVENT_TYPE};
use bytes::Bytes;
use domain::connector::{Batch, Call, HttpCall, Item, Outlet, Progress, Step};
use domain::event::{DedupeKey, TimeMark};
use domain::{AppspaceId, DeliveryId, Event, EventId, Reading, Settings, SourceId};

/// A connector with settings written as in the file.
pub(crate) fn open(connector: &str, settings: &str) -> Result<Box<dyn Outlet>> {
    let connector = connectors::by_name(connector).context("no such connector")?;
    let settings: Settings = toml::from_str(settings)?;
    connector.manifest().check(&settings)?;
    Ok(connector.open(&settings)?)
}

/// The first call for a batch of numbered bodies.
pub(crate) fn render(outlet: &dyn Outlet, numbers: impl Iterator<Item = u64>) -> Result<HttpCall> {
    let events: Vec<_> = numbers.map(event).collect();
    let readings: Vec<_> = events.iter().map(|_| Reading::new("tolinku".to_owned())).collect();
    let item =
        |(event, reading)| Item { event, delivery: DeliveryId { event: event.id, ordinal: 0 }, attempt: 1, reading };
    let items: Vec<_> = events.iter().zip(&readings).map(item).collect();
    let batch = Batch { items: &items, now: requests::now(), token: None, digest: None };
    match outlet.prepare(&batch, &mut Progress::default()) {
        Step::Send(Call::Http(call)) => Ok(call),
        step => bail!("the connector does not begin with a request: {step:?}"),
    }
}

fn event(sequence: u64) -> Event {
    let now = requests::now();
    let appspace = AppspaceId::mint(now, 1);
    let body = Bytes::from(requests::body(sequence, EVENT_TYPE, &now.to_string()));
    Event {
        id: EventId::mint(now, sequence.into()),
        appspace,
        source: SourceId::API,
        event_type: EVENT_TYPE.parse().expect("an ordinary type"),
        occurred_at: now,
        received_at: now,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body,
    }
}
