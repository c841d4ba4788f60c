//! Room kept back on the disk, so that a full one stops intake but not deliveries.
//!
//! A file lies beside the database. When a commit finds the disk full, the file is removed, and what it held
//! is for outcomes alone: intake is refused until the file could be made again with as much room to spare. That is also
//! how the end of the trouble is noticed, without anybody's help.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::options::HEADROOM_FILE;

const CHUNK_BYTES: usize = 16 * 1024;
/// How long to wait after the room could not be had back.
const PAUSE: Duration = Duration::from_secs(1);

/// The room, or the wish for it.
#[derive(Debug)]
pub(super) struct Headroom {
    path: PathBuf,
    bytes: u64,
    is_kept: bool,
    failed_at: Option<Instant>,
}

impl Headroom {
    /// Keeps room back in a data directory, if there is any.
    pub(super) fn keep(data_dir: &Path, bytes: u64) -> Self {
        let path = data_dir.join(HEADROOM_FILE);
        let is_kept = make(&path, bytes, bytes).is_ok();
        Self { path, bytes, is_kept, failed_at: None }
    }

    /// Whether the room is kept back. If it was given up, tries to have it back, now and then.
    pub(super) fn is_whole(&mut self) -> bool {
        if !self.is_kept && self.failed_at.is_none_or(|at| at.elapsed() >= PAUSE) {
            // Twice as much, or intake would fill the disk again at once and starve the outcomes.
            match make(&self.path, self.bytes, 2 * self.bytes) {
                Ok(()) => (self.is_kept, self.failed_at) = (true, None),
                Err(error) => {
                    tracing::warn!(%error, "no room can be kept back on the disk; intake is refused");
                    let _ = fs::remove_file(&self.path);
                    self.failed_at = Some(Instant::now());
                }
            }
        }
        self.is_kept
    }

    /// Gives the room up, for outcomes.
    pub(super) fn give_up(&mut self) {
        if self.is_kept {
            tracing::warn!("the disk is full; intake is refused until there is room again");
            let _ = fs::remove_file(&self.path);
            self.is_kept = false;
        }
    }
}

/// Makes the file unless it is there, if there is room for `needed` bytes. It is made of zeros, because a hole holds no
/// room. It need not last, so it is not synced.
fn make(path: &Path, bytes: u64, needed: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() == bytes) {
        return Ok(());
    }
    let mut file = File::create(path)?;
    let chunk = [0; CHUNK_BYTES];
    let mut left = needed;
    while left > 0 {
        let now = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        file.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    file.set_len(bytes)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn room_is_kept_given_up_and_kept_again() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join(HEADROOM_FILE);
        let mut headroom = Headroom::keep(dir.path(), 100_000);
        assert_eq!(fs::metadata(&file).unwrap().len(), 100_000);
        headroom.give_up();
        assert!(!file.exists());
        assert!(headroom.is_whole());
        assert!(file.exists());
    }

    #[test]
    fn room_that_cannot_be_had_leaves_nothing_behind() {
        let dir = TempDir::new().unwrap();
        let mut headroom = Headroom::keep(&dir.path().join("not there"), 100_000);
        assert!(!headroom.is_whole());
        headroom.give_up();
        assert!(!headroom.is_whole());
    }
}
