//! A full disk, a failing one, a full queue, and a writer that breaks down.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use domain::event::EventType;
use domain::{Event, Verdict};

use super::kit::OnDisk;
use crate::conformance::kit::{at, change, settlement};
use crate::sqlite::HEADROOM_FILE;
use crate::sqlite::queue::APPENDS_MAX;
use crate::sqlite::transaction::Tx;
use crate::{
    Append, BusyReason, EventLog as _, NewEvent, OnKnown, Settled, Settlement, StoreError, Upkeep as _, Work as _,
};

/// Bodies large enough to fill a small disk soon.
fn large(new: &NewEvent, event_type: &str) -> NewEvent {
    let event_type: EventType = event_type.parse().unwrap();
    change(new, |event| Event { body: vec![b'x'; 60_000].into(), event_type, ..event })
}

#[tokio::test]
async fn a_full_disk_refuses_intake_and_recovers_by_itself() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 3, a).await;
    let work = kit.claim(a, 10, 3).await;
    let before = kit.list_events(&kit.all_events()).await;

    probe.execute("PRAGMA max_page_count = 1").await;
    let refused: Vec<NewEvent> = (0..3).map(|n| large(&kit.event(n, &[a]), "new.type")).collect();
    let busy = kit.try_append(refused.clone(), OnKnown::Count).await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy { reason: BusyReason::DiskFull, .. }), "{busy}");
    assert_eq!(kit.list_events(&kit.all_events()).await, before);
    assert_eq!(kit.store().lanes().await.unwrap()[0].pending, 3);
    assert_eq!(kit.due(a, 20).await, [], "what was rolled back is not claimed");
    // Small outcomes still fit.
    assert_eq!(kit.settle(&work[0], 20, &Verdict::Delivered).await, Settled::Done);

    probe.execute("PRAGMA max_page_count = 1000000").await;
    kit.append(refused.clone()).await;
    let another = large(&kit.event(5, &[a]), "another.type");
    kit.append(vec![another]).await;
    assert_eq!(kit.due(a, 30).await.len(), 4);
    kit.reopen().await;
    assert_eq!(kit.due(a, 40).await.len(), owed.len() - 1 + 4);
    assert!(probe.watch().reason().is_none());
    for new in &refused {
        assert!(kit.has(new).await);
    }
}

#[tokio::test]
async fn while_no_room_can_be_kept_back_outcomes_go_on_and_intake_waits() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 2, a).await;
    let work = kit.claim(a, 10, 2).await;
    let event = kit.event(20, &[a]);

    probe.execute("PRAGMA max_page_count = 1").await;
    let refused = large(&kit.event(1, &[a]), "new.type");
    kit.try_append(vec![refused], OnKnown::Count).await.unwrap_err();
    // The room was given up, and what lies in its place now keeps it from being had back.
    std::fs::create_dir(probe.dir().join(HEADROOM_FILE)).unwrap();
    probe.execute("PRAGMA max_page_count = 1000000").await;

    let busy = kit.try_append(vec![event.clone()], OnKnown::Count).await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy { reason: BusyReason::DiskFull, .. }), "{busy}");
    for owned in &work {
        assert_eq!(kit.settle(owned, 30, &Verdict::Delivered).await, Settled::Done);
    }
    assert_eq!(kit.state(owed[1]).await, domain::delivery::State::Delivered);
}

#[tokio::test]
async fn outcomes_that_do_not_fit_on_the_disk_can_be_brought_again() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    let work = kit.claim(a, 10, 1).await;
    let news = Some(large(&kit.event(5, &[]), "afterclick.test"));
    let outcome = Settlement { news, ..settlement(&work[0], 11, &Verdict::Delivered) };
    probe.execute("PRAGMA max_page_count = 1").await;
    let busy = kit.store().settle([outcome.clone()].into()).await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy { reason: BusyReason::DiskFull, .. }), "{busy}");
    probe.execute("PRAGMA max_page_count = 1000000").await;
    // The lease goes on as if nothing had happened.
    assert_eq!(kit.store().settle([outcome].into()).await.unwrap(), [Settled::Done]);
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_acknowledged() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    probe.store().shared.breaks_next_commit.store(true, Ordering::Relaxed);
    let event = kit.event(1, &[a]);
    let failed = kit.try_append(vec![event.clone()], OnKnown::Count).await.unwrap_err();
    assert!(matches!(failed, StoreError::Failed(_)), "{failed}");
    assert!(probe.watch().failed().await.contains("disk I/O"));

    let late = kit.event(2, &[a]);
    assert!(matches!(kit.try_append(vec![late], OnKnown::Count).await, Err(StoreError::Failed(_))));
    assert!(matches!(kit.store().check().await, Err(StoreError::Failed(_))));
    assert!(matches!(kit.store().claim(a, at(3), 1, at(4)).await, Err(StoreError::Failed(_))));
    assert!(matches!(kit.store().close().await, Err(StoreError::Failed(_))));
}

#[tokio::test]
async fn a_writer_that_breaks_down_leaves_nobody_waiting() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let store = probe.store();
    let event = kit.event(0, &[]);
    let broken = store
        .shared
        .queue
        .command(|_: &mut Tx<'_>| -> super::super::failure::TxResult<()> { panic!("a bug in a command") });
    let append = store.append(Append { events: vec![event], on_known: OnKnown::Count });
    let (broken, append) = tokio::join!(broken, append);
    assert!(matches!(broken, Err(StoreError::Failed(_))));
    assert!(matches!(append, Err(StoreError::Failed(_))));
    assert!(probe.watch().failed().await.contains("a bug in a command"));
}

#[tokio::test]
async fn a_full_queue_refuses_intake_but_takes_outcomes() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    let store = probe.store();
    // The writer is held up inside a transaction.
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (let_go, gate) = mpsc::channel::<()>();
    let mut gate = Some((held, gate));
    let hold = tokio::spawn({
        let store = store.clone();
        async move {
            let hold = move |_: &mut Tx<'_>| {
                if let Some((held, gate)) = gate.take() {
                    let _ = held.send(());
                    let _ = gate.recv();
                }
                Ok(())
            };
            store.shared.queue.command(hold).await
        }
    });
    is_held.await.unwrap();
    let events: Vec<NewEvent> = (0..APPENDS_MAX).map(|_| kit.event(5, &[])).collect();
    let mut calls = tokio::task::JoinSet::new();
    for new in events {
        let store = store.clone();
        calls.spawn(async move { store.append(Append { events: vec![new], on_known: OnKnown::Count }).await });
    }
    while store.figures().queued < APPENDS_MAX as u64 {
        tokio::task::yield_now().await;
    }
    let one_more = kit.event(9_999, &[]);
    let busy = kit.try_append(vec![one_more], OnKnown::Count).await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy { reason: BusyReason::QueueFull, .. }), "{busy}");
    let settle = store.settle([settlement(&work[0], 2, &Verdict::Delivered)].into());
    let (settled, _) = tokio::join!(settle, async { let_go.send(()) });
    assert_eq!(settled.unwrap(), [Settled::Done]);
    hold.await.unwrap().unwrap();
    assert!(calls.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn one_call_that_cannot_be_stored_takes_no_other_with_it() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let first = kit.event(0, &[]);
    kit.append(vec![first.clone()]).await;
    // Another body under an id that is taken: a fault of whoever makes ids.
    let twin = change(&kit.event(1, &[]), |event| Event { id: first.event.id, ..event });
    let good: Vec<NewEvent> = (0..20).map(|n| kit.event(n, &[])).collect();
    let mut calls = tokio::task::JoinSet::new();
    for new in good.iter().take(10).chain([&twin]).chain(good.iter().skip(10)).cloned() {
        let store = probe.store();
        calls.spawn(async move { store.append(Append { events: vec![new], on_known: OnKnown::Count }).await });
    }
    let answers = calls.join_all().await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(matches!(refused[..], [StoreError::Limit(_)]), "{refused:?}");
    for new in good.iter().chain([&first]) {
        assert!(kit.has(new).await);
    }
}
