//! The WAL begins anew when it has become large: nothing is lost by it, and a reader only puts it off.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use tempfile::TempDir;

use super::kit::{OnDisk, Probe, has_all, options};
use crate::conformance::kit::{Kit, STEPS_MAX};
use crate::sqlite::shared::Shared;
use crate::sqlite::{DATABASE_FILE, SqliteStore, reader};
use crate::{NewEvent, Result};

/// How often the WAL of a store has begun anew: a number in its header, which the first commit after that writes.
fn beginnings(dir: &std::path::Path) -> u32 {
    let header = fs::read(dir.join(format!("{DATABASE_FILE}-wal"))).unwrap();
    u32::from_be_bytes(header[12..16].try_into().unwrap())
}

/// Stores an event with the WAL said to be large.
async fn append_beside_a_large_wal(kit: &mut Kit, probe: &Probe, secs: i64) -> NewEvent {
    let new = kit.event(secs, &[]);
    probe.store().shared.is_wal_large.store(true, Relaxed);
    kit.append(vec![new.clone()]).await;
    new
}

async fn has_all_after_a_stop(kit: &Kit, probe: &Probe, events: &[NewEvent]) -> bool {
    let copy: TempDir = probe.copy().await;
    let (store, _watch) = SqliteStore::open(options(copy.path())).unwrap();
    has_all(&store, kit, events).await
}

#[tokio::test]
async fn nothing_is_lost_when_the_wal_begins_anew() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let before = beginnings(probe.dir());
    let mut events = Vec::new();
    for n in 0..STEPS_MAX {
        if beginnings(probe.dir()) >= before + 3 {
            break;
        }
        events.push(append_beside_a_large_wal(&mut kit, &probe, n.try_into().unwrap()).await);
        if n < 10 {
            assert!(has_all_after_a_stop(&kit, &probe, &events).await, "step {n}");
        }
    }
    assert!(beginnings(probe.dir()) >= before + 3, "the WAL was never begun anew");
    assert!(has_all_after_a_stop(&kit, &probe, &events).await);
    kit.reopen().await;
    assert!(has_all(&probe.store(), &kit, &events).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_keeps_its_moment_and_the_wal_goes_on() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let mut events = vec![append_beside_a_large_wal(&mut kit, &probe, 0).await];
    let count = |conn: &rusqlite::Connection| {
        conn.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (reading, is_reading) = tokio::sync::oneshot::channel();
    let (let_go, gate) = mpsc::channel::<()>();
    let reads = tokio::spawn({
        let shared = probe.store().shared.clone();
        async move {
            let read = move |conn: &rusqlite::Connection, _: &Shared| -> Result<(i64, i64)> {
                let counts = reader::in_snapshot(conn, |conn| {
                    let first = count(conn);
                    let _ = reading.send(());
                    let _ = gate.recv();
                    Ok((first, count(conn)))
                });
                Ok(counts.unwrap())
            };
            reader::read(&shared, read).await.unwrap()
        }
    });
    is_reading.await.unwrap();
    // A reader that needs nothing of the WAL does not mind that it is begun anew once.
    events.push(append_beside_a_large_wal(&mut kit, &probe, 1).await);
    let before = beginnings(probe.dir());
    for n in 2..6 {
        events.push(append_beside_a_large_wal(&mut kit, &probe, n).await);
    }
    assert_eq!(beginnings(probe.dir()), before, "what a reader looks at was overwritten");
    let_go.send(()).unwrap();
    assert_eq!(reads.await.unwrap(), (1, 1));
    assert!(has_all_after_a_stop(&kit, &probe, &events).await);
}
