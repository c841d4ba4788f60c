//! The online backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::kit::{OnDisk, has_all, options};
use crate::sqlite::{BackupError, DATABASE_FILE, SqliteStore, backup};
use crate::{Append, EventLog as _, NewEvent, OnKnown, Upkeep as _};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_writer_is_one_whole_moment() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let before: Vec<NewEvent> = (0..500).map(|n| kit.event(n, &[a])).collect();
    kit.append(before.clone()).await;
    let meanwhile: Vec<NewEvent> = (500..20_000).map(|n| kit.event(n, &[a])).collect();

    let is_done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, is_done, meanwhile) = (probe.store(), is_done.clone(), meanwhile.clone());
        async move {
            let mut written = 0;
            for chunk in meanwhile.chunks(10) {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                let append = Append { events: chunk.to_vec(), on_known: OnKnown::Count };
                store.append(append).await.unwrap();
                written += chunk.len();
            }
            written
        }
    });
    let to = TempDir::new().unwrap();
    let file = to.path().join(DATABASE_FILE);
    let (from, into) = (probe.dir().to_owned(), file.clone());
    tokio::task::spawn_blocking(move || backup(&from, &into)).await.unwrap().unwrap();
    is_done.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);

    let (copy, _watch) = SqliteStore::open(options(to.path())).unwrap();
    assert!(has_all(&copy, &kit, &before).await);
    // Whatever came in meanwhile is there up to one moment and not after it.
    let mut has = Vec::new();
    for new in &meanwhile {
        has.push(copy.event(kit.app, new.event.id).await.is_ok());
    }
    assert!(has.is_sorted_by(|a, b| a >= b), "a gap in the copy");
    copy.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_needs_a_store() {
    let (_kit, probe) = OnDisk::kit(|options| options).await;
    let to = TempDir::new().unwrap();
    let file = to.path().join("copy.db");
    backup(probe.dir(), &file).unwrap();
    assert!(matches!(backup(probe.dir(), &file), Err(BackupError::Exists(_))));
    let nowhere = to.path().join("nowhere");
    assert!(matches!(backup(&nowhere, &to.path().join("other.db")), Err(BackupError::NoStore(_))));
    assert!(!to.path().join("other.db").exists());
    assert!(!to.path().join("copy.db.partial").exists());
}

#[tokio::test]
async fn a_store_that_is_not_running_can_be_backed_up() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let event = kit.event(0, &[]);
    kit.append(vec![event.clone()]).await;
    kit.store().close().await.unwrap();
    let to = TempDir::new().unwrap();
    backup(probe.dir(), &to.path().join(DATABASE_FILE)).unwrap();
    let (copy, _watch) = SqliteStore::open(options(to.path())).unwrap();
    assert!(has_all(&copy, &kit, &[event]).await);
}
