//! The registry: appspaces, sources, destinations and keys as the running process sees them.
//!
//! Every change is checked, stored and then shown, in this order and one change at a time, so that what is in memory is
//! never ahead of the disk. Reading is a look into a map behind a lock that is never held across an await.

mod live;
mod shown;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::appspace::DEFAULT_APPSPACE;
use domain::connector::SettingsError;
use domain::destination::{CONCURRENCY_MAX, DESTINATIONS_MAX, Pause};
use domain::identity::ReferralCreated;
use domain::key::{Key, KeyHash};
use domain::source::{Dialect, SOURCE_SECRETS_MAX, SOURCES_MAX};
use domain::subscription::Subscriptions;
use domain::verdict::PauseReason;
use domain::{Appspace, AppspaceId, Connector, Destination, DestinationId, KeyId, Name, Source, SourceId};
use storage::{Store, StoreError};
use tokio::sync::Mutex;

use self::shown::Shown;
use crate::clock::Clock;
use crate::route::Routes;
use crate::{intake, operational};

pub use self::live::{LiveDestination, LiveSource};

/// The senders and vendors this program knows, from its `wire`.
#[derive(Clone, Copy)]
pub struct Plugins {
    pub dialects: &'static [&'static dyn Dialect],
    /// The dialect of `POST /v1/events`.
    pub native: &'static dyn Dialect,
    pub connectors: &'static [&'static dyn Connector],
}

impl Plugins {
    /// The connector of this name.
    pub fn connector(&self, name: &str) -> Option<&'static dyn Connector> {
        self.connectors.iter().copied().find(|connector| connector.manifest().name == name)
    }

    /// The events of a destination that names none: those of its connector. One whose connector is not known is refused
    /// for that.
    pub fn default_events(&self, connector: &str) -> Subscriptions {
        self.connector(connector).map_or_else(Subscriptions::every, |connector| connector.manifest().default_events())
    }
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{0}` is not a kind of source; this program has {1}")]
    UnknownKind(String, String),
    #[error("`{0}` is not a connector; this program has {1}")]
    UnknownConnector(String, String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("a source needs 1 to {SOURCE_SECRETS_MAX} secrets")]
    SecretCount,
    #[error("a secret of this source cannot be used: {0}")]
    Secret(#[from] domain::signature::SecretError),
    #[error("the filter does not compile: {0}")]
    Filter(#[from] domain::expression::ExpressionError),
    #[error("concurrency must be 1 to {CONCURRENCY_MAX}")]
    Concurrency,
    #[error("the rate must be more than 0 and at most 100000 requests per second")]
    Rate,
    #[error("the batch {0}")]
    Batch(String),
    #[error("the volume {0}")]
    Volume(&'static str),
    #[error("the privacy {0}")]
    Privacy(String),
    #[error("an appspace can have at most {0} {1}")]
    TooMany(usize, &'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The catalog in memory, with everything compiled.
pub struct Registry {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    plugins: Plugins,
    shown: RwLock<Shown>,
    /// Held over a whole change.
    changing: Mutex<()>,
}

impl Registry {
    /// Loads the catalog; makes the appspace `default` on the first start.
    pub async fn load(store: Arc<dyn Store>, clock: Arc<Clock>, plugins: Plugins) -> Result<Self, RegistryError> {
        let catalog = store.load_catalog().await?;
        let registry = Self { store, clock, plugins, shown: RwLock::default(), changing: Mutex::new(()) };
        {
            let mut shown = registry.write();
            shown.appspaces = catalog.appspaces.into_iter().map(|appspace| (appspace.id, appspace)).collect();
            shown.keys = catalog.keys.into_iter().map(|key| (key.hash, Arc::new(key))).collect();
            for source in catalog.sources {
                let live = LiveSource::compile(plugins, source)?;
                shown.show_source(live);
            }
            for destination in catalog.destinations {
                let live = Arc::new(LiveDestination::compile(plugins, destination)?);
                shown.own(live);
            }
            let appspaces: Vec<AppspaceId> = shown.owned.keys().copied().collect();
            for appspace in appspaces {
                shown.route_again(appspace);
            }
        }
        if registry.appspace_by_name(DEFAULT_APPSPACE).is_none() {
            registry.create_appspace(DEFAULT_APPSPACE.parse().expect("the default name is a name")).await?;
        }
        Ok(registry)
    }

    /// The clock of this process.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The senders and vendors this program knows.
    pub fn plugins(&self) -> Plugins {
        self.plugins
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// The appspace `default`.
    pub fn default_appspace(&self) -> Appspace {
        self.appspace_by_name(DEFAULT_APPSPACE).expect("made when the registry was loaded")
    }

    /// The appspace with this id.
    pub fn appspace(&self, id: AppspaceId) -> Option<Appspace> {
        self.read().appspaces.get(&id).cloned()
    }

    /// The appspace with this name.
    pub fn appspace_by_name(&self, name: &str) -> Option<Appspace> {
        self.read().appspaces.values().find(|appspace| appspace.name.as_str() == name).cloned()
    }

    /// All appspaces, oldest first.
    pub fn appspaces(&self) -> Vec<Appspace> {
        self.read().appspaces.values().cloned().collect()
    }

    /// The source behind `/webhooks/{path}`: a name in `default`, or any source's id.
    pub fn source_by_path(&self, path: &str) -> Option<Arc<LiveSource>> {
        let shown = self.read();
        shown.sources.get(shown.paths.get(path)?).map(Arc::clone)
    }

    /// A source of an appspace by id or name.
    pub fn source(&self, appspace: AppspaceId, id_or_name: &str) -> Option<Arc<LiveSource>> {
        let shown = self.read();
        let of_appspace = |live: &&Arc<LiveSource>| live.source.appspace == appspace;
        let by_id = id_or_name.parse().ok().and_then(|id: SourceId| shown.sources.get(&id)).filter(of_appspace);
        let by_name = || {
            let mut own = shown.sources.values().filter(of_appspace);
            own.find(|live| live.source.name.as_str() == id_or_name)
        };
        by_id.or_else(by_name).map(Arc::clone)
    }

    /// The sources of an appspace, oldest first.
    pub fn sources(&self, appspace: AppspaceId) -> Vec<Arc<LiveSource>> {
        let mut sources: Vec<_> =
            self.read().sources.values().filter(|live| live.source.appspace == appspace).map(Arc::clone).collect();
        sources.sort_by_key(|live| live.source.id);
        sources
    }

    /// What to call a source: the built-in ones have names too, a deleted one only its id.
    pub fn source_name(&self, id: SourceId) -> String {
        if id == SourceId::API {
            return intake::PUBLISH_SOURCE_NAME.to_owned();
        }
        if id == SourceId::AFTERCLICK {
            return operational::SOURCE_NAME.to_owned();
        }
        self.read().sources.get(&id).map_or_else(|| id.to_string(), |live| live.source.name.to_string())
    }

    /// What a source means by `referral.created`. What a deleted one meant shows in its events.
    pub fn referral_created(&self, id: SourceId) -> ReferralCreated {
        let shown = self.read();
        let live = shown.sources.get(&id);
        live.map_or(ReferralCreated::Shown, |live| live.dialect.referral_created(&live.source.settings))
    }

    /// The destination with this id.
    pub fn destination(&self, id: DestinationId) -> Option<Arc<LiveDestination>> {
        self.read().destinations.get(&id).map(Arc::clone)
    }

    /// A destination of an appspace by id or name.
    pub fn find_destination(&self, appspace: AppspaceId, id_or_name: &str) -> Option<Arc<LiveDestination>> {
        let shown = self.read();
        let owned = shown.owned.get(&appspace)?;
        let by_id = id_or_name.parse().ok().and_then(|id: DestinationId| owned.get(&id));
        let by_name = || owned.values().find(|live| live.destination.name.as_str() == id_or_name);
        by_id.or_else(by_name).map(Arc::clone)
    }

    /// The destinations of an appspace, oldest first.
    pub fn destinations(&self, appspace: AppspaceId) -> Vec<Arc<LiveDestination>> {
        self.read().owned.get(&appspace).into_iter().flat_map(BTreeMap::values).map(Arc::clone).collect()
    }

    /// Every destination of every appspace.
    pub fn all_destinations(&self) -> Vec<Arc<LiveDestination>> {
        self.read().destinations.values().map(Arc::clone).collect()
    }

    /// The routing table of an appspace.
    pub fn routes(&self, appspace: AppspaceId) -> Arc<Routes> {
        self.read().routes.get(&appspace).map(Arc::clone).unwrap_or_default()
    }

    /// The key with this hash, live or not.
    pub fn key(&self, hash: KeyHash) -> Option<Arc<Key>> {
        self.read().keys.get(&hash).map(Arc::clone)
    }

    /// All keys, oldest first.
    pub fn keys(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.read().keys.values().map(Arc::clone).collect();
        keys.sort_by_key(|key| key.id);
        keys
    }

    // --- changing ----------------------------------------------------------------------------------------------------

    /// Makes an appspace.
    pub async fn create_appspace(&self, name: Name) -> Result<Appspace, RegistryError> {
        let _changing = self.changing.lock().await;
        let now = self.clock.now();
        let appspace = Appspace { id: AppspaceId::mint(now, self.clock.random()), name, created_at: now };
        self.store.put_appspace(appspace.clone()).await?;
        self.write().appspaces.insert(appspace.id, appspace.clone());
        Ok(appspace)
    }

    /// Creates or replaces a source.
    pub async fn put_source(&self, source: Source) -> Result<Arc<LiveSource>, RegistryError> {
        let _changing = self.changing.lock().await;
        let is_new = !self.read().sources.contains_key(&source.id);
        if is_new && self.sources(source.appspace).len() >= SOURCES_MAX {
            return Err(RegistryError::TooMany(SOURCES_MAX, "sources"));
        }
        let live = LiveSource::compile(self.plugins, source.clone())?;
        self.store.put_source(source).await?;
        Ok(self.write().show_source(live))
    }

    /// Deletes a source; its events stay.
    pub async fn delete_source(&self, id: SourceId) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        self.store.delete_source(id).await?;
        let mut shown = self.write();
        shown.sources.remove(&id);
        shown.paths.retain(|_, source| *source != id);
        Ok(())
    }

    /// Creates or replaces a destination; its lane uses the new settings from the next attempt on.
    pub async fn put_destination(&self, destination: Destination) -> Result<Arc<LiveDestination>, RegistryError> {
        let _changing = self.changing.lock().await;
        self.put_destination_locked(destination).await
    }

    /// Pauses a destination. Pausing a paused one again changes nothing.
    pub async fn pause_destination(
        &self,
        id: DestinationId,
        reason: PauseReason,
        message: &str,
    ) -> Result<Arc<LiveDestination>, RegistryError> {
        let _changing = self.changing.lock().await;
        let live = self.destination(id).ok_or(StoreError::NotFound { noun: "destination" })?;
        if live.destination.paused.is_some() {
            return Ok(live);
        }
        let pause = Pause { reason, message: message.to_owned(), since: self.clock.now() };
        self.put_destination_locked(Destination { paused: Some(pause), ..live.destination.clone() }).await
    }

    /// Resumes a paused destination. Resuming one that runs changes nothing.
    pub async fn resume_destination(&self, id: DestinationId) -> Result<Arc<LiveDestination>, RegistryError> {
        let _changing = self.changing.lock().await;
        let live = self.destination(id).ok_or(StoreError::NotFound { noun: "destination" })?;
        if live.destination.paused.is_none() {
            return Ok(live);
        }
        self.put_destination_locked(Destination { paused: None, ..live.destination.clone() }).await
    }

    /// Deletes a destination; its open deliveries are cancelled, its log stays.
    pub async fn delete_destination(&self, id: DestinationId) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        self.store.delete_destination(id, self.clock.now()).await?;
        let mut shown = self.write();
        if let Some(live) = shown.destinations.remove(&id) {
            let appspace = live.destination.appspace;
            shown.owned.entry(appspace).or_default().remove(&id);
            shown.route_again(appspace);
        }
        drop(shown);
        self.store.signal().mark([id]);
        Ok(())
    }

    /// Creates or replaces a key.
    pub async fn put_key(&self, key: Key) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        self.store.put_key(key.clone()).await?;
        let mut shown = self.write();
        shown.keys.retain(|_, old| old.id != key.id);
        shown.keys.insert(key.hash, Arc::new(key));
        Ok(())
    }

    /// Revokes a key, at once and for good.
    pub async fn delete_key(&self, id: KeyId) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        self.store.delete_key(id).await?;
        self.write().keys.retain(|_, key| key.id != id);
        Ok(())
    }

    /// Stores and shows a destination, with the operational event that its pausing or resuming is.
    async fn put_destination_locked(&self, destination: Destination) -> Result<Arc<LiveDestination>, RegistryError> {
        let before = self.destination(destination.id);
        let count = self.read().owned.get(&destination.appspace).map_or(0, BTreeMap::len);
        if before.is_none() && count >= DESTINATIONS_MAX {
            return Err(RegistryError::TooMany(DESTINATIONS_MAX, "destinations"));
        }
        let live = Arc::new(LiveDestination::compile(self.plugins, destination)?);
        let was_paused = before.is_some_and(|before| before.destination.paused.is_some());
        let event = match (&live.destination.paused, was_paused) {
            (Some(pause), false) => {
                Some(operational::destination_paused(self, &live, pause.reason.code(), &pause.message))
            }
            (None, true) => Some(operational::destination_recovered(self, &live)),
            _ => None,
        };
        self.store.put_destination(live.destination.clone(), event.into_iter().collect()).await?;
        let mut shown = self.write();
        shown.own(Arc::clone(&live));
        shown.route_again(live.destination.appspace);
        drop(shown);
        self.store.signal().mark([live.destination.id]);
        Ok(live)
    }

    fn read(&self) -> RwLockReadGuard<'_, Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shown> {
        self.shown.write().unwrap_or_else(PoisonError::into_inner)
    }
}
