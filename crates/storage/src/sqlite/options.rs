//! What may be set of a store, and why one does not open.

use std::path::PathBuf;
use std::time::Duration;

use super::vault::Vault;
use crate::DEDUPE_WINDOW_DEFAULT;

/// The database file inside the data directory.
pub const DATABASE_FILE: &str = "afterclick.db";
/// The file inside the data directory that a running store holds locked.
pub const LOCK_FILE: &str = "lock";
/// The file inside the data directory that keeps room back on the disk.
pub const HEADROOM_FILE: &str = "headroom";

/// What may be set of a [`super::SqliteStore`].
#[derive(Debug)]
pub struct SqliteOptions {
    /// Where the files are; made if it is not there.
    pub data_dir: PathBuf,
    /// Seals secrets at rest.
    pub vault: Vault,
    /// For how long a dedupe key is remembered.
    pub dedupe_window: Duration,
    /// How many rows of the log may wait to be folded. Fewer mean less memory and a faster start, more mean fewer runs
    /// to search.
    pub tail_rows_max: usize,
    /// How many bytes of bodies are kept in memory for deliveries that wait.
    pub kept_bytes_max: usize,
    /// Room kept back on the disk, so that outcomes can still be recorded when it is full.
    pub headroom_bytes: u64,
}

impl SqliteOptions {
    /// The defaults for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>, vault: Vault) -> Self {
        Self {
            data_dir: data_dir.into(),
            vault,
            dedupe_window: DEDUPE_WINDOW_DEFAULT,
            tail_rows_max: 65_536,
            kept_bytes_max: 8 * 1024 * 1024,
            headroom_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Why a store does not open. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data directory `{}` is in use by process {pid}; stop it first or choose another `--data-dir`", dir.display())]
    Locked { dir: PathBuf, pid: String },
    #[error(
        "the secrets in this store were sealed with another key; set AFTERCLICK_MASTER_KEY to the key it was made with"
    )]
    WrongKey,
    #[error("a secret in this store cannot be opened: `{0}` was altered; restore a backup")]
    Altered(String),
    #[error("the store has schema version {found}, this program knows {known}; start the newer program that wrote it")]
    NewerSchema { found: usize, known: usize },
    #[error("the database file is not a store of Afterclick; choose another `--data-dir`")]
    NotOurs,
    #[error("SQLite {0} is too old: 3.51.3 mended a corruption in WAL mode; build with the bundled one")]
    TooOldSqlite(&'static str),
    #[error(
        "SQLite did not accept `{pragma}` and answers `{answer}`; a store on this file system would not be durable"
    )]
    Setting { pragma: &'static str, answer: String },
    #[error("cannot {action} `{}`: {error}", path.display())]
    Io { action: &'static str, path: PathBuf, error: std::io::Error },
    #[error("the database cannot be read: {0}; restore a backup if this stays so")]
    Database(#[from] rusqlite::Error),
}
