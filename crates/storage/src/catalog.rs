//! The catalog: appspaces, sources, destinations and keys.

use async_trait::async_trait;
use domain::key::Key;
use domain::{Appspace, Destination, DestinationId, KeyId, Source, SourceId, Timestamp};

use crate::{NewEvent, Result};

/// Appspaces, sources, destinations and keys: few, small, and read whole at start.
///
/// `put_*` creates or replaces by id. A name must be unique among its kind in its appspace, else
/// [`StoreError::NameTaken`](crate::StoreError::NameTaken). To delete what is not there is [`StoreError::NotFound`](crate::StoreError::NotFound). Everything is durable when the
/// call returns.
#[async_trait]
pub trait Catalog {
    /// All of it.
    async fn load_catalog(&self) -> Result<CatalogSnapshot>;

    async fn put_appspace(&self, appspace: Appspace) -> Result<()>;
    async fn put_source(&self, source: Source) -> Result<()>;
    async fn delete_source(&self, id: SourceId) -> Result<()>;

    /// `events` are operational events that the change causes, stored in the same step.
    ///
    /// A destination that was deleted cannot come back, it is not found: a verdict that pauses it may arrive late.
    async fn put_destination(&self, destination: Destination, events: Vec<NewEvent>) -> Result<()>;

    /// Deletes a destination: nothing of it is claimed or created from now on, what workers have in hand turns stale,
    /// its running replays fail, its open and dead deliveries become cancelled and its memos are forgotten, at once or
    /// by and by through [`Upkeep::tidy`](crate::Upkeep::tidy). The log stays, the name is free.
    async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()>;

    async fn put_key(&self, key: Key) -> Result<()>;
    async fn delete_key(&self, id: KeyId) -> Result<()>;
}

/// The whole catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogSnapshot {
    pub appspaces: Vec<Appspace>,
    pub sources: Vec<Source>,
    pub destinations: Vec<Destination>,
    pub keys: Vec<Key>,
}
