//! A store in a directory of its own, and the few calls the tests make of it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use crate::Store;
use crate::conformance::Backend;
use crate::sqlite::{SqliteOptions, SqliteStore, Vault};

/// The key of every vault here.
pub(super) const KEY: [u8; 32] = [7; 32];

/// Options for a directory.
pub(super) fn options(dir: &Path) -> SqliteOptions {
    SqliteOptions::new(dir, Vault::new(vec![KEY]))
}

/// The store as a [`Backend`].
pub(super) struct OnDisk {
    dir: TempDir,
    change: fn(SqliteOptions) -> SqliteOptions,
}

impl OnDisk {
    pub(super) fn new(change: fn(SqliteOptions) -> SqliteOptions) -> Self {
        Self { dir: TempDir::new().expect("a directory"), change }
    }
}

#[async_trait]
impl Backend for OnDisk {
    async fn open(&mut self) -> Arc<dyn Store> {
        let options = (self.change)(options(self.dir.path()));
        Arc::new(SqliteStore::open(options).expect("the store opens").0)
    }
}
