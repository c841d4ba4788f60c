//! The pipeline: intake, delivery engine, replay and retention.
//!
//! It sees the nouns of `domain` and the traits of `storage`, never a sender, a vendor or a backend by name: those come
//! in from the program. [`Pipeline::start`] puts the rooms together; [`intake`] is the way in, [`dispatcher`] the way
//! out, and between the two lies the store and nothing else.

pub mod admission;
mod alarms;
mod attempt;
mod bindings;
pub mod breaker;
mod budget;
mod chores;
pub mod clock;
mod desk;
pub mod dispatcher;
mod engine;
mod exchange;
mod firsts;
mod gathering;
mod holds;
pub mod identity;
pub mod intake;
mod lane;
mod ledger;
pub mod limits;
mod memory;
pub mod metrics;
mod once;
pub mod operational;
pub mod provision;
mod recollection;
pub mod reconcile;
pub mod registry;
pub mod replay;
pub mod route;
pub mod scrub;
mod seals;
#[cfg(test)]
mod specimen;
mod tokens;
pub mod transport;
pub mod upkeep;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use storage::Store;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use dispatcher::{Dispatcher, DispatcherOptions};
pub use identity::Identity;
pub use intake::Intake;
pub use metrics::Metrics;
pub use provision::Provisioner;
pub use registry::{Plugins, Registry, RegistryError};
pub use replay::Replayer;
pub use transport::Transport;

/// Everything that runs between the listener and the store.
pub struct Pipeline {
    pub store: Arc<dyn Store>,
    pub clock: Arc<Clock>,
    pub registry: Arc<Registry>,
    pub intake: Arc<Intake>,
    pub identity: Arc<Identity>,
    pub replayer: Arc<Replayer>,
    pub provisioner: Arc<Provisioner>,
    pub dispatcher: Arc<Dispatcher>,
    pub metrics: Arc<Metrics>,
    background: Vec<JoinHandle<()>>,
}

/// How a pipeline is to run.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// How long events are kept.
    pub retention: Duration,
    pub deliveries: DispatcherOptions,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self { retention: upkeep::RETENTION_DEFAULT, deliveries: DispatcherOptions::default() }
    }
}

impl Pipeline {
    /// Loads the catalog and starts everything.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<Clock>,
        plugins: Plugins,
        transport: Arc<dyn Transport>,
        options: PipelineOptions,
    ) -> Result<Self, RegistryError> {
        let metrics = Arc::new(Metrics::default());
        let registry = Arc::new(Registry::load(Arc::clone(&store), Arc::clone(&clock), plugins).await?);
        let identity = Arc::new(Identity::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        ));
        let intake = Arc::new(Intake::new(
            Arc::clone(&registry),
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&identity),
        ));
        let replayer = Arc::new(Replayer::new(Arc::clone(&registry), Arc::clone(&store), Arc::clone(&clock)));
        let provisioner = Arc::new(Provisioner::new(Arc::clone(&transport), Arc::clone(&clock)));
        let dispatcher = Arc::new(Dispatcher::start(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&identity),
            transport,
            options.deliveries,
        ));
        let runner = Arc::clone(&replayer);
        let folder = Arc::clone(&identity);
        let background = vec![
            tokio::spawn(async move { runner.run().await }),
            tokio::spawn(async move { folder.run().await }),
            tokio::spawn(upkeep::retain(Arc::clone(&store), Arc::clone(&clock), options.retention)),
            tokio::spawn(upkeep::tidy(Arc::clone(&store), Arc::clone(&clock))),
        ];
        Ok(Self { store, clock, registry, intake, identity, replayer, provisioner, dispatcher, metrics, background })
    }

    /// Stops in order: background work, then deliveries (those in flight may finish within `grace`), then the store.
    pub async fn stop(&self, grace: Duration) -> Result<(), storage::StoreError> {
        for task in &self.background {
            task.abort();
        }
        self.dispatcher.stop(grace).await;
        self.store.close().await
    }
}
