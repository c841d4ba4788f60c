//! The readers: a few connections beside the writer, for short reads on blocking threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection;
use super::failure;
use super::options::OpenError;
use super::shared::Shared;
use crate::Result;

/// How many reads may run at once.
const READERS: usize = 3;

/// Idle connections, and as many places as there are connections.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let idle = (0..READERS).map(|_| connection::reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { idle: Mutex::new(idle), places: Arc::new(Semaphore::new(READERS)) })
    }
}

/// A connection in use; goes back however the read ends.
struct Borrowed<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        lock(&self.readers.idle).extend(self.conn.take());
    }
}

/// Runs a read on a blocking thread. It goes on to its end also when the caller is gone.
pub(super) async fn read<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Connection, &Shared) -> Result<T> + Send + 'static,
) -> Result<T> {
    shared.check_open()?;
    let place = shared.readers.places.clone().acquire_owned().await.map_err(|_| failure::closed())?;
    let shared = shared.clone();
    let run = move || {
        let _place = place;
        let conn = lock(&shared.readers.idle).pop().ok_or_else(|| failure::failed("a reader is missing"))?;
        let borrowed = Borrowed { readers: &shared.readers, conn: Some(conn) };
        borrowed.conn.as_ref().map_or_else(|| Err(failure::closed()), |conn| work(conn, &shared))
    };
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| Err(failure::failed(&format!("a reader: {error}"))))
}

/// Runs `work` inside one read transaction, so that all of it sees the same moment.
pub(super) fn in_snapshot<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = conn.unchecked_transaction()?;
    let outcome = work(&tx)?;
    tx.finish()?;
    Ok(outcome)
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
