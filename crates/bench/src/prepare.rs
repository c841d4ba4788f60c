//! Stores made beforehand, directly through the storage crate: an API call an event would take an hour.
//!
//! A store is first opened by the program with its configuration, so that its catalog is the one that the program
//! makes; only then is it filled here, while no program has it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::requests::{self, EVENT_TYPE, reserve};
use bench::server::MASTER_KEY_HEX;
use bytes::Bytes;
use domain::event::{DedupeKey, TimeMark};
use domain::subscription::{Pattern, Subscriptions};
use domain::{
    Appspace, AppspaceId, Destination, DestinationId, Event, EventId, EventType, Source, SourceId, Timestamp,
};
use storage::sqlite::{SqliteOptions, SqliteStore, Vault};
use storage::{Append, Catalog as _, EventLog as _, NewDelivery, NewEvent, OnKnown, Upkeep as _};

/// Events of one durable step.
const EVENTS_PER_STEP: usize = 1_000;

/// Stores `count` events received evenly over the last `spread`, each owed to the only destination of the store.
pub(crate) fn fill(data_dir: &Path, count: usize, spread: Duration) -> Result<()> {
    fill_numbered(data_dir, reserve(count), count, spread)
}

/// The same, with bodies numbered from `first` on.
pub(crate) fn fill_numbered(data_dir: &Path, first: u64, count: usize, spread: Duration) -> Result<()> {
    with_store(data_dir, async |store| {
        let (source, destination) = only_pair(store).await?;
        let begin = requests::now() - spread;
        let at = |index: usize| begin + spread.mul_f64(index as f64 / count as f64);
        for step in (0..count).step_by(EVENTS_PER_STEP) {
            let events = (step..count.min(step + EVENTS_PER_STEP))
                .map(|index| new_event(&source, destination.id, first + index as u64, at(index)))
                .collect();
            store.append(Append { events, on_known: OnKnown::Count }).await?;
        }
        Ok(())
    })
}

/// Makes appspaces that each have a source like the one that is there, and a destination like the one that is there
/// for each of the event types. Returns the sources.
pub(crate) fn tenants(data_dir: &Path, appspaces: usize, types: &[&str]) -> Result<Vec<SourceId>> {
    with_store(data_dir, async |store| {
        let (source, destination) = only_pair(store).await?;
        let now = requests::now();
        let mut sources = Vec::with_capacity(appspaces);
        for number in 0..appspaces {
            let appspace = AppspaceId::mint(now, random());
            let name = format!("tenant-{number}").parse()?;
            store.put_appspace(Appspace { id: appspace, name, created_at: now }).await?;
            let id = SourceId::mint(now, random());
            store.put_source(Source { id, appspace, ..source.clone() }).await?;
            sources.push(id);
            for event_type in types {
                let id = DestinationId::mint(now, random());
                let events = Subscriptions::new(vec![Pattern::Exact(event_type.parse()?)])?;
                let name = event_type.parse()?;
                let destination = Destination { id, appspace, name, events, ..destination.clone() };
                store.put_destination(destination, Vec::new()).await?;
            }
        }
        Ok(sources)
    })
}

/// The source that the configuration names and the only destination.
async fn only_pair(store: &SqliteStore) -> Result<(Source, Destination)> {
    let catalog = store.load_catalog().await?;
    let source = catalog.sources.into_iter().find(|source| source.name.as_str() == "tolinku");
    let destination = catalog.destinations.into_iter().next();
    source.zip(destination).context("the program made no source or no destination from its configuration")
}

fn new_event(source: &Source, destination: DestinationId, sequence: u64, at: Timestamp) -> NewEvent {
    let body = Bytes::from(requests::body(sequence, EVENT_TYPE, &at.to_string()));
    let event = Event {
        id: EventId::mint(at, random()),
        appspace: source.appspace,
        source: source.id,
        event_type: EVENT_TYPE.parse::<EventType>().expect("an ordinary type"),
        occurred_at: at,
        received_at: at,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(source.id, source.appspace, &body),
        body,
    };
    NewEvent::new(event, vec![NewDelivery::to(destination)])
}

/// Not random at all, but different each time and rising, which is what ids of one millisecond need.
fn random() -> u128 {
    u128::from(reserve(1))
}

/// Opens the store of a data directory, works on it and closes it.
fn with_store<T>(data_dir: &Path, work: impl AsyncFnOnce(&SqliteStore) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut key = [0; 32];
        hex::decode_to_slice(MASTER_KEY_HEX, &mut key)?;
        let (store, _watch) = SqliteStore::open(SqliteOptions::new(data_dir, Vault::new(vec![key])))?;
        let result = work(&store).await?;
        store.close().await?;
        Ok(result)
    })
}
