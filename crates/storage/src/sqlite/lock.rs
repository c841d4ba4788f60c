//! The exclusive lock on the data directory.
//!
//! It also voids leases: whoever holds it is the only process that works from this store, so a lease of an earlier
//! process has no owner any more. The operating system lets go of the lock however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::options::{LOCK_FILE, OpenError};

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct DirLock {
    file: File,
}

impl DirLock {
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let io = |action| {
            let path = path.clone();
            move |error| OpenError::Io { action, path, error }
        };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(OpenError::Locked { dir: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(io("lock")(error)),
        }
        // The number is for a person who meets the lock; nothing is decided by it.
        file.set_len(0).and_then(|()| file.rewind()).map_err(io("write"))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write"))?;
        Ok(Self { file })
    }

    /// Lets go before the value is dropped: a reader that is still at work may hold on to the value.
    pub(super) fn release(&self) {
        // It fails only for a file that is not locked.
        let _ = self.file.unlock();
    }
}
