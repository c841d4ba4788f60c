//! Each store of this crate, through the whole suite.

mod memory {
    use crate::conformance::{Backend, Memory};

    fn open() -> Box<dyn Backend> {
        Box::new(Memory::default())
    }

    crate::conformance_tests!(open);
}

mod sqlite {
    use crate::conformance::Backend;

    fn open() -> Box<dyn Backend> {
        Box::new(super::Sqlite::new(|options| options))
    }

    crate::conformance_tests!(open);
}

/// SQLite again, with so little memory that nearly everything has to come back from disk.
mod sqlite_short_of_memory {
    use crate::conformance::Backend;
    use crate::sqlite::SqliteOptions;

    fn open() -> Box<dyn Backend> {
        Box::new(super::Sqlite::new(|options| SqliteOptions { tail_rows_max: 50, kept_bytes_max: 1_000, ..options }))
    }

    crate::conformance_tests!(open);
}

use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use super::Backend;
use crate::Store;
use crate::sqlite::{SqliteOptions, SqliteStore, Vault};

/// A SQLite store in a directory of its own.
struct Sqlite {
    dir: TempDir,
    adjust: fn(SqliteOptions) -> SqliteOptions,
}

impl Sqlite {
    fn new(adjust: fn(SqliteOptions) -> SqliteOptions) -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), adjust }
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn open(&mut self) -> Arc<dyn Store> {
        let options = SqliteOptions::new(self.dir.path(), Vault::new(vec![[7; 32]]));
        let (store, _) = SqliteStore::open((self.adjust)(options)).expect("the store opens");
        Arc::new(store)
    }
}
