//! Online backup: a copy of the database beside a running server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connection::{self, database_path};

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("`{}` exists; choose another file, a backup is never overwritten", .0.display())]
    Exists(PathBuf),
    #[error("there is no store in `{}`", .0.display())]
    NoStore(PathBuf),
    #[error("the backup failed: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("another process holds a lock on the store; try again")]
    Locked,
    #[error("cannot write `{}`: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Copies the store of `data_dir` to the file `to`, while a server may be writing to it.
///
/// The copy is of one moment. It reads beside the writer, in one step, so neither waits for the other. The file appears
/// under its name only when it is complete and durable. Secrets in it stay sealed: opening it needs the master key.
pub fn backup(data_dir: &Path, to: &Path) -> Result<(), BackupError> {
    let from = database_path(data_dir);
    if !from.exists() {
        return Err(BackupError::NoStore(data_dir.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| BackupError::Io { path, error }
    };
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&partial)(error)),
        _ => {}
    }
    copy(&from, &partial)?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(io(&partial))?;
    fs::rename(&partial, to).map_err(io(to))?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io(dir))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let from = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    from.busy_timeout(connection::BUSY_TIMEOUT)?;
    let mut to = Connection::open(to)?;
    let result = Backup::new(&from, &mut to)?.step(-1)?;
    match result {
        StepResult::Done => Ok(()),
        _ => Err(BackupError::Locked),
    }
}
