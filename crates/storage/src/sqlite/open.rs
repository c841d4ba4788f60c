//! Opening a store: lock, check, migrate, load, start.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::connection;
use super::dedupe::Dedupe;
use super::erase;
use super::headroom::Headroom;
use super::kept::Budget;
use super::load;
use super::lock::DirLock;
use super::names::Names;
use super::options::{OpenError, SqliteOptions};
use super::reader::Readers;
use super::records;
use super::schema;
use super::sealed;
use super::shared::{Parts, Shared};
use super::transaction::WriterState;
use super::{checkpoint, writer};

/// The threads of an open store.
#[derive(Debug)]
pub(super) struct Threads {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    stop_checkpointer: mpsc::Sender<()>,
}

/// Opens or makes a store.
pub(super) fn open(options: SqliteOptions) -> Result<(Arc<Shared>, Threads), OpenError> {
    make_dir(&options.data_dir)?;
    // First of all: from here on no other process works from this directory.
    let dir_lock = DirLock::take(&options.data_dir)?;
    let path = connection::database_path(&options.data_dir);
    let conn = connection::writer(&path)?;
    schema::migrate(&conn)?;
    // A file is durable only once its name is.
    sync_dir(&options.data_dir)?;
    sealed::check(&conn, &options.vault)?;
    let identifier_key = records::key(&conn, &options.vault)?;
    erase::finish(&conn)?;
    load::clear_interrupted_fold(&conn)?;
    let names = Names::load(&conn)?;
    let dedupe = Dedupe::load(&conn, options.dedupe_window)?;
    let budget = Budget::new(options.kept_bytes_max);
    let tail = load::tail(&conn)?;
    let lanes = load::lanes(&conn, &names, &tail, &budget)?;
    let last_event_no = load::last_event_no(&conn)?;
    let shared = Arc::new(Shared::new(Parts {
        tail,
        lanes,
        readers: Readers::open(&path)?,
        budget,
        vault: options.vault,
        identifier_key,
        dir_lock,
        tail_rows_max: options.tail_rows_max,
    }));
    let checkpoint_conn = connection::checkpointer(&path)?;
    let state = WriterState::new(names, dedupe, shared.clone(), last_event_no);
    let (stop_checkpointer, stop) = mpsc::channel();
    let for_checkpointer = shared.clone();
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        let io = |error| OpenError::Io { action: "start a thread for", path: path.clone(), error };
        thread::Builder::new().name(name.to_owned()).spawn(run).map_err(io)
    };
    let checkpointer =
        spawn("checkpointer", Box::new(move || checkpoint::run(&checkpoint_conn, &for_checkpointer, &stop)))?;
    let headroom = Headroom::keep(&options.data_dir, options.headroom_bytes);
    let writer = spawn("writer", Box::new(move || writer::run(conn, state, headroom)))?;
    Ok((shared, Threads { writer, checkpointer, stop_checkpointer }))
}

impl Threads {
    /// Waits until what is queued is committed, then lets go of the data directory.
    pub(super) fn join(self, shared: &Shared) {
        drop(self.stop_checkpointer);
        // A panic in either has been reported as the failure of the store.
        let _ = self.writer.join();
        let _ = self.checkpointer.join();
        shared.dir_lock.release();
    }
}

fn make_dir(dir: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::Io { action: "make the directory", path: dir.to_owned(), error };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io)
}

fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::Io { action: "sync the directory", path: dir.to_owned(), error };
    if cfg!(unix) { fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io) } else { Ok(()) }
}
