//! Stops without warning: whatever was acknowledged is in the files, at every moment.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use domain::{DeliveryId, DestinationId, Verdict};
use tempfile::TempDir;

use super::kit::{OnDisk, has_all, options};
use crate::conformance::kit::{Kit, STEPS_MAX, at, fail, ids};
use crate::sqlite::{SqliteOptions, SqliteStore};
use crate::{EventLog as _, NewEvent, OnKnown, Work as _};

/// Folds take several steps, so that some copies are made in the middle of one.
fn folding(options: SqliteOptions) -> SqliteOptions {
    SqliteOptions { tail_rows_max: 5_000, kept_bytes_max: 10_000, ..options }
}

/// What a store opened on a copy would try, of one destination.
async fn owed(copy: TempDir, destination: DestinationId) -> BTreeSet<DeliveryId> {
    let (store, _watch) = SqliteStore::open(folding(options(copy.path()))).unwrap();
    let mut ids = Vec::new();
    loop {
        // A claim may be short while a fold is at work; it then says that there is more.
        let claimed = store.claim(destination, at(1_000_000), STEPS_MAX, at(1_000_001)).await.unwrap();
        ids.extend(claimed.work.iter().map(|owned| owned.id));
        if claimed.next_due.is_none() {
            break;
        }
    }
    let set: BTreeSet<DeliveryId> = ids.iter().copied().collect();
    assert_eq!(set.len(), ids.len(), "something is owed twice");
    let lanes = store.lanes().await.unwrap();
    let pending = lanes.iter().find(|lane| lane.destination == destination).map_or(0, |lane| lane.pending);
    assert_eq!(pending, set.len() as u64);
    set
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_wherever_it_stops() {
    let (mut kit, probe) = OnDisk::kit(folding).await;
    let a = kit.destination("a").await;
    let mut expected = BTreeSet::new();
    for round in 0..40 {
        expected.extend(kit.owe(round * 100, 150, a).await);
        assert_eq!(owed(probe.copy().await, a).await, expected, "after an append, round {round}");
        let work = kit.claim(a, 100_000, 60).await;
        for (owned, n) in work.iter().zip(0..) {
            let verdict = if n % 3 == 0 { fail() } else { Verdict::Delivered };
            kit.settle(owned, 100_000, &verdict).await;
            if n % 3 != 0 {
                expected.remove(&owned.id);
            }
        }
        assert_eq!(owed(probe.copy().await, a).await, expected, "after outcomes, round {round}");
    }
    assert!(probe.store().shared.tail().folds.len() > 1, "nothing was folded");
}

#[tokio::test]
async fn what_a_stopped_fold_has_left_is_no_part_of_the_log() {
    let (mut kit, probe) = OnDisk::kit(folding).await;
    probe.store().shared.folds_beside_calls_only.store(true, Ordering::Relaxed);
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut of_a = kit.owe(0, 2_400, a).await;
    let of_b = kit.owe(0, 100, b).await;
    // From here on each commit is one step of the fold.
    let mut unfinished = 0;
    for n in 0..8 {
        of_a.extend(kit.owe(5_000 + n, 1, a).await);
        let copy = probe.copy().await;
        unfinished += usize::from(probe.store().shared.tail().folds.is_empty());
        let (store, _watch) = SqliteStore::open(folding(options(copy.path()))).unwrap();
        let claimed = store.claim(a, at(1_000_000), STEPS_MAX, at(1_000_001)).await.unwrap();
        assert_eq!(ids(&claimed.work), of_a, "step {n}");
        drop(store);
        assert_eq!(owed(copy, b).await, of_b.iter().copied().collect(), "step {n}");
    }
    assert!((2..8).contains(&unfinished), "{unfinished} steps of 8 were not the last");
}

#[tokio::test]
async fn duplicates_are_known_after_a_stop() {
    let (mut kit, probe) = OnDisk::kit(folding).await;
    let events: Vec<NewEvent> = (0..6_000).map(|n| kit.event(n, &[])).collect();
    for chunk in events.chunks(250) {
        kit.append(chunk.to_vec()).await;
    }
    let copy = probe.copy().await;
    let mut kit = Kit::open(Box::new(OnDisk::on(copy, folding))).await;
    let again: Vec<NewEvent> = events.iter().map(|new| kit.again(new, 7_000)).collect();
    let answers = kit.try_append(again, OnKnown::Count).await.unwrap();
    for (answer, new) in answers.iter().zip(&events) {
        assert_eq!(answer.id(), new.event.id);
    }
}

#[tokio::test]
async fn a_closed_store_has_committed_what_callers_had_queued_and_left() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let events: Vec<NewEvent> = (0..200).map(|n| kit.event(n, &[])).collect();
    let store = probe.store();
    let calls = events.iter().map(|new| {
        let append = crate::Append { events: vec![new.clone()], on_known: OnKnown::Count };
        Box::pin(store.append(append))
    });
    for mut call in calls {
        // The first poll puts it into the queue; then the caller hangs up.
        let waker = std::task::Waker::noop();
        let _ = std::future::Future::poll(call.as_mut(), &mut std::task::Context::from_waker(waker));
    }
    drop(store);
    kit.reopen().await;
    assert!(has_all(&probe.store(), &kit, &events).await);
}
