//! A house to test in: the memory store, a simulated clock, the real senders and connectors.

use std::sync::Arc;

use domain::destination::{BatchWish, CONCURRENCY_DEFAULT};
use domain::event::Event;
use domain::retry::RetryPolicy;
use domain::signature::{Scheme, Signer, Signing};
use domain::source::{Managed, SourceSecret};
use domain::{AppspaceId, Destination, DestinationId, Privacy, Secret, Settings, Source, SourceId, Timestamp, Volume};
use http::HeaderMap;
use pipeline::{Clock, Identity, Intake, Metrics, Plugins, Registry, Replayer};
use serde_json::json;
use storage::memory::MemoryStore;
use storage::{DeliveryQuery, DeliverySummary, EventQuery, PageRequest, Store};

pub(crate) const SECRET: &str = "whsec_dGVzdF9zZWNyZXRfMzJfYnl0ZXNfbG9uZ19rZXkhISE=";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_772_634_728);

pub(crate) struct House {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) intake: Intake,
    pub(crate) identity: Arc<Identity>,
    pub(crate) replayer: Arc<Replayer>,
    pub(crate) metrics: Arc<Metrics>,
}

pub(crate) fn plugins() -> Plugins {
    Plugins {
        dialects: sources::ALL,
        native: sources::by_name("tolinku").expect("the native dialect"),
        connectors: connectors::ALL,
    }
}

impl House {
    /// A house with one source `tolinku`.
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()), plugins()).await
    }

    /// The same over another store and with other connectors.
    pub(crate) async fn over(store: Arc<dyn Store>, plugins: Plugins) -> Self {
        Self::at(store, plugins, START).await
    }

    /// The same at a later time, as after a restart.
    pub(crate) async fn at(store: Arc<dyn Store>, plugins: Plugins, start: Timestamp) -> Self {
        let clock = Arc::new(Clock::simulated(start, start.as_millis().cast_unsigned()));
        let registry = Arc::new(Registry::load(Arc::clone(&store), Arc::clone(&clock), plugins).await.unwrap());
        let metrics = Arc::new(Metrics::default());
        let identity = Arc::new(Identity::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        ));
        let intake = Intake::new(
            Arc::clone(&registry),
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&identity),
        );
        let replayer = Arc::new(Replayer::new(Arc::clone(&registry), Arc::clone(&store), Arc::clone(&clock)));
        let house = Self { store, clock, registry, intake, identity, replayer, metrics };
        if house.registry.source_by_path("tolinku").is_none() {
            house.registry.put_source(house.source("tolinku", Scheme::BodyHex)).await.unwrap();
        }
        house
    }

    pub(crate) fn appspace(&self) -> AppspaceId {
        self.registry.default_appspace().id
    }

    pub(crate) fn source(&self, name: &str, scheme: Scheme) -> Source {
        let now = self.clock.now();
        Source {
            id: SourceId::mint(now, self.clock.random()),
            appspace: self.appspace(),
            name: name.parse().unwrap(),
            kind: "tolinku".to_owned(),
            scheme,
            secrets: vec![SourceSecret { secret: Secret::new(SECRET), created_at: now, expires_at: None }],
            settings: Settings::default(),
            managed: Managed::Api,
            created_at: now,
            updated_at: now,
        }
    }

    /// A webhook destination that is not stored yet.
    pub(crate) fn destination(&self, name: &str, events: &[&str]) -> Destination {
        let now = self.clock.now();
        Destination {
            id: DestinationId::mint(now, self.clock.random()),
            appspace: self.appspace(),
            name: name.parse().unwrap(),
            connector: "webhook".to_owned(),
            events: serde_json::from_value(json!(events)).unwrap(),
            when: None,
            retry: RetryPolicy::Tolinku,
            concurrency: CONCURRENCY_DEFAULT,
            rate: None,
            batch: BatchWish::default(),
            volume: Volume::default(),
            privacy: Privacy::default(),
            breaker: true,
            settings: serde_json::from_value(json!({ "url": "https://example.com/hooks", "secret": SECRET })).unwrap(),
            paused: None,
            managed: Managed::Api,
            created_at: now,
            updated_at: now,
        }
    }

    /// Stores a webhook destination.
    pub(crate) async fn put(&self, destination: Destination) -> DestinationId {
        self.registry.put_destination(destination).await.unwrap().destination.id
    }

    /// Sends a signed webhook to `/webhooks/tolinku`.
    pub(crate) async fn send(&self, body: &str) -> Result<pipeline::intake::Receipt, pipeline::intake::Rejection> {
        self.intake.receive("tolinku", signed(Scheme::BodyHex, body), body.to_owned().into()).await
    }

    pub(crate) async fn events(&self) -> Vec<Arc<Event>> {
        let query = EventQuery { appspace: self.appspace(), source: None, event_type: None, from: None, to: None };
        let page = self.store.events(query, PageRequest::first(200)).await.unwrap();
        page.items.into_iter().map(|record| record.event).collect()
    }

    pub(crate) async fn deliveries(&self, destination: DestinationId) -> Vec<DeliverySummary> {
        let query = DeliveryQuery {
            appspace: self.appspace(),
            destination: Some(destination),
            event: None,
            state: None,
            event_type: None,
            replay: None,
        };
        self.store.deliveries(query, PageRequest::first(200)).await.unwrap().items
    }
}

/// The headers of a body signed with [`SECRET`] at [`START`].
pub(crate) fn signed(scheme: Scheme, body: &str) -> HeaderMap {
    let signer = Signer::new(scheme, &Secret::new(SECRET)).unwrap();
    signer.headers(&Signing::default_for(scheme), "msg_1", START, body.as_bytes())
}

/// A click, different for each number.
pub(crate) fn click(number: u32) -> String {
    format!(r#"{{"event":"link.clicked","timestamp":"2026-03-04T14:32:08.441Z","data":{{"token":"t{number}"}}}}"#)
}
