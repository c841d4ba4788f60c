//! Many callers at once: a store may put them into one commit, but none may feel the others.

use std::sync::Arc;

use bytes::Bytes;
use domain::delivery::State;
use domain::event::DedupeKey;
use domain::{DeliveryId, Event, Verdict};
use tokio::task::JoinSet;

use super::kit::{Kit, LEASE_SECS, STEPS_MAX, at, change, settlement};
use crate::{Append, Appended, NewEvent, OnKnown, Settled, StoreError};

pub(super) async fn a_call_that_is_refused_takes_no_other_with_it(mut kit: Kit) {
    let a = kit.destination("a").await;
    let key = DedupeKey::of_idempotency_key(kit.app, "k", 0);
    let next = DedupeKey::of_idempotency_key(kit.app, "k", 1);
    let published = change(&kit.event(0, &[]), |event| Event { dedupe_key: key, ..event });
    kit.append(vec![published]).await;

    let mut calls = JoinSet::new();
    let mut good = Vec::new();
    for n in 0..300 {
        let new = kit.event(n, &[a]);
        let (new, on_known) = if n % 3 == 0 {
            let other = change(&new, |event| Event { dedupe_key: key, body: Bytes::from_static(b"other"), ..event });
            (other, OnKnown::MustBeIdentical { next })
        } else {
            good.push(DeliveryId { event: new.event.id, ordinal: 0 });
            (new, OnKnown::Count)
        };
        let store = kit.share();
        calls.spawn(async move { store.append(Append { events: vec![new], on_known }).await });
    }
    let answers = calls.join_all().await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::IdempotencyMismatch))).count();
    assert_eq!((refused, answers.iter().filter(|answer| answer.is_ok()).count()), (100, 200));
    for _ in 0..2 {
        let mut due = kit.due(a, 1_000).await;
        due.sort_unstable();
        assert_eq!(due, good);
        kit.reopen().await;
    }
}

pub(super) async fn an_event_sent_many_times_at_once_is_stored_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let first = kit.event(0, &[a]);
    let events: Vec<NewEvent> = (0..100).map(|_| kit.again(&first, 0)).collect();
    let mut calls = JoinSet::new();
    for new in events {
        let store = kit.share();
        calls.spawn(async move { store.append(Append { events: vec![new], on_known: OnKnown::Count }).await });
    }
    let answers: Vec<Appended> = calls.join_all().await.into_iter().flatten().flatten().collect();
    let stored = answers.iter().filter(|answer| matches!(answer, Appended::Stored { .. })).count();
    assert_eq!((answers.len(), stored), (100, 1));
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    let mut counts: Vec<u64> = answers.iter().map(|answer| duplicates(*answer)).collect();
    counts.sort_unstable();
    assert!(counts.into_iter().eq(0..100));
    assert_eq!(kit.due(a, 1).await.len(), 1);
}

fn duplicates(appended: Appended) -> u64 {
    match appended {
        Appended::Stored { .. } => 0,
        Appended::Duplicate { duplicates, .. } => duplicates,
    }
}

pub(super) async fn a_name_is_given_once_however_many_ask(mut kit: Kit) {
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (store, destination, news) = (kit.share(), kit.new_destination("a"), kit.event(0, &[]));
        calls.spawn(async move { store.put_destination(destination, vec![news]).await });
    }
    assert_eq!(calls.join_all().await.iter().filter(|answer| answer.is_ok()).count(), 1);
    kit.reopen().await;
    assert_eq!(kit.store().load_catalog().await.expect("load").destinations.len(), 1);
    assert_eq!(kit.list_events(&kit.all_events()).await.len(), 1);
}

pub(super) async fn nothing_is_owed_to_a_destination_deleted_meanwhile(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut calls = JoinSet::new();
    for n in 0..200 {
        let (store, new) = (kit.share(), kit.event(n, &[a]));
        calls.spawn(async move {
            store.append(Append { events: vec![new], on_known: OnKnown::Count }).await.expect("append");
        });
        if n == 100 {
            let store = kit.share();
            calls.spawn(async move { store.delete_destination(a, at(100)).await.expect("delete") });
        }
    }
    calls.join_all().await;
    assert_eq!(kit.due(a, 1_000).await, []);
    kit.tidy(1_000).await;
    kit.reopen().await;
    for id in kit.list_deliveries(&kit.all_deliveries()).await {
        assert_eq!(kit.state(id).await, State::Cancelled);
    }
    assert_eq!(kit.list_events(&kit.all_events()).await.len(), 200);
    assert_eq!(kit.store().lanes().await.expect("lanes"), []);
}

pub(super) async fn of_a_settlement_and_a_cancellation_one_wins(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 40, a).await;
    let work = kit.claim(a, 50, 40).await;
    for (owned, n) in work.iter().zip(0..) {
        let (settler, canceller, app) = (kit.share(), kit.share(), kit.app);
        let (id, settlement) = (owned.id, settlement(owned, 51, &Verdict::Delivered));
        let settle = async { settler.settle([settlement].into()).await.expect("settle")[0] };
        let cancel = async { canceller.cancel(app, id, at(51)).await };
        let (settled, cancelled) = if n % 2 == 0 {
            tokio::join!(settle, cancel)
        } else {
            let (cancelled, settled) = tokio::join!(cancel, settle);
            (settled, cancelled)
        };
        let (delivery, attempts) = kit.delivery(id).await;
        let seen = (settled, cancelled.is_ok(), delivery.standing.state, attempts.len());
        let outcomes = [(Settled::Done, false, State::Delivered, 1), (Settled::Stale, true, State::Cancelled, 0)];
        assert!(outcomes.contains(&seen), "{seen:?}");
    }
    kit.reopen().await;
    assert_eq!(kit.due(a, 1_000).await, []);
    assert_eq!(owed.len(), 40);
}

pub(super) async fn workers_that_share_a_lane_do_each_delivery_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let events: Vec<NewEvent> = (0..400).map(|_| kit.event(0, &[a])).collect();
    let mut calls = JoinSet::new();
    for chunk in events.chunks(10) {
        let (store, events) = (kit.share(), chunk.to_vec());
        calls.spawn(async move {
            store.append(Append { events, on_known: OnKnown::Count }).await.expect("append");
            0
        });
    }
    for worker in 0..4 {
        let store = kit.share();
        calls.spawn(async move {
            let mut done = 0;
            // Ends when it has found nothing often enough; what is left then is found below.
            for _ in 0..100 {
                let claimed = store.claim(a, at(1), 7 + worker, at(1 + LEASE_SECS)).await.expect("claim");
                let settlements: Vec<_> =
                    claimed.work.iter().map(|owned| settlement(owned, 2, &Verdict::Delivered)).collect();
                let settled = store.settle(settlements.into()).await.expect("settle");
                assert!(settled.iter().all(|settled| *settled == Settled::Done));
                done += settled.len();
                tokio::task::yield_now().await;
            }
            done
        });
    }
    let mut done: usize = calls.join_all().await.into_iter().sum();
    let rest = kit.claim(a, 3, STEPS_MAX).await;
    for owned in &rest {
        assert_eq!(kit.settle(owned, 4, &Verdict::Delivered).await, Settled::Done);
    }
    done += rest.len();
    assert_eq!(done, events.len());
    kit.reopen().await;
    for new in &events {
        let (delivery, attempts) = kit.delivery(DeliveryId { event: new.event.id, ordinal: 0 }).await;
        assert_eq!((delivery.standing.state, attempts.len()), (State::Delivered, 1));
    }
}

impl Kit {
    /// The store for a task of its own; to be dropped before the store is opened again.
    pub(super) fn share(&self) -> Arc<dyn crate::Store> {
        self.store.clone().expect("the store is open")
    }
}
