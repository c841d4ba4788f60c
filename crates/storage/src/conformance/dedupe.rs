//! An event is stored once, however often it is sent.

use bytes::Bytes;
use domain::event::DedupeKey;
use domain::{DeliveryId, Event};

use super::kit::{Kit, change};
use crate::{Appended, DEDUPE_WINDOW_DEFAULT, NewEvent, OnKnown, StoreError};

pub(super) async fn a_known_event_is_counted_and_not_stored_again(mut kit: Kit) {
    let a = kit.destination("a").await;
    let first = kit.event(0, &[a]);
    let id = first.event.id;
    assert_eq!(kit.append(vec![first.clone()]).await, [Appended::Stored { id, deliveries: 1 }]);
    for duplicates in 1..=3 {
        let again = kit.again(&first, 10);
        assert_eq!(kit.append(vec![again.clone()]).await, [Appended::Duplicate { id, duplicates }]);
        assert!(!kit.has(&again).await);
    }
    kit.reopen().await;
    assert_eq!(kit.store().event(kit.app, id).await.expect("the first").duplicates, 3);
    assert_eq!(kit.due(a, 20).await, [DeliveryId { event: id, ordinal: 0 }]);
}

pub(super) async fn duplicates_inside_one_call_are_known(mut kit: Kit) {
    let a = kit.destination("a").await;
    let first = kit.event(0, &[a]);
    let between = kit.event(0, &[a]);
    let [second, third] = [kit.again(&first, 0), kit.again(&first, 0)];
    let id = first.event.id;
    let appended = kit.append(vec![first, second, between.clone(), third]).await;
    let between = Appended::Stored { id: between.event.id, deliveries: 1 };
    let duplicate = |duplicates| Appended::Duplicate { id, duplicates };
    assert_eq!(appended, [Appended::Stored { id, deliveries: 1 }, duplicate(1), between, duplicate(2)]);
    assert_eq!(kit.store().event(kit.app, id).await.expect("the first").duplicates, 2);
    assert_eq!(kit.due(a, 0).await.len(), 2);
}

pub(super) async fn thousands_of_events_are_known_after_a_restart(mut kit: Kit) {
    let events: Vec<NewEvent> = (0..3_000).map(|n| kit.event(n * 60, &[])).collect();
    for chunk in events.chunks(250) {
        kit.append(chunk.to_vec()).await;
    }
    kit.tidy(0).await;
    kit.reopen().await;
    let again: Vec<NewEvent> = events.iter().map(|new| kit.again(new, 200_000)).collect();
    let appended = kit.append(again).await;
    let known = events.iter().map(|new| Appended::Duplicate { id: new.event.id, duplicates: 1 });
    assert!(appended.into_iter().eq(known));
}

pub(super) async fn the_window_counts_from_the_first_event(mut kit: Kit) {
    let first = kit.event(0, &[]);
    kit.append(vec![first.clone()]).await;
    let received = |new: &NewEvent, after_ms: u64| {
        let received_at = first.event.received_at + std::time::Duration::from_millis(after_ms);
        change(new, |event| Event { received_at, ..event })
    };
    let window_ms = u64::try_from(DEDUPE_WINDOW_DEFAULT.as_millis()).expect("a few days");
    let again = [kit.again(&first, 0), kit.again(&first, 0), kit.again(&first, 0)];
    let (inside, outside, later) =
        (received(&again[0], window_ms - 1), received(&again[1], window_ms), received(&again[2], window_ms + 1));

    kit.reopen().await;
    let duplicate = |of: &NewEvent| Appended::Duplicate { id: of.event.id, duplicates: 1 };
    assert_eq!(kit.append(vec![inside]).await, [duplicate(&first)]);
    let stored = Appended::Stored { id: outside.event.id, deliveries: 0 };
    assert_eq!(kit.append(vec![outside.clone()]).await, [stored]);
    kit.reopen().await;
    assert_eq!(kit.append(vec![later]).await, [duplicate(&outside)]);
}

pub(super) async fn a_clock_that_steps_back_opens_no_gap(mut kit: Kit) {
    let first = kit.event(1_000, &[]);
    kit.append(vec![first.clone()]).await;
    let again = kit.again(&first, -100_000);
    assert_eq!(kit.append(vec![again]).await, [Appended::Duplicate { id: first.event.id, duplicates: 1 }]);
}

pub(super) async fn the_same_key_in_two_appspaces_is_two_events(mut kit: Kit) {
    let ours = kit.event(0, &[]);
    let appspace = kit.other;
    let theirs = kit.again(&ours, 0);
    let theirs = change(&theirs, |event| Event { appspace, ..event });
    kit.append(vec![ours.clone(), theirs.clone()]).await;
    kit.reopen().await;
    assert!(kit.has(&ours).await && kit.has(&theirs).await);
    let again = kit.again(&theirs, 1);
    assert_eq!(kit.append(vec![again]).await, [Appended::Duplicate { id: theirs.event.id, duplicates: 1 }]);
}

pub(super) async fn keys_that_begin_alike_are_told_apart(mut kit: Kit) {
    let mut events = Vec::new();
    for last in 0..20 {
        let mut key = [7; 32];
        key[31] = last;
        events.push(change(&kit.event(0, &[]), |event| Event { dedupe_key: DedupeKey(key), ..event }));
    }
    kit.append(events[..10].to_vec()).await;
    kit.append(events[10..].to_vec()).await;
    for duplicates in 1..=2 {
        for new in &events {
            let again = kit.again(new, 1);
            assert_eq!(kit.append(vec![again]).await, [Appended::Duplicate { id: new.event.id, duplicates }]);
        }
        kit.reopen().await;
    }
}

pub(super) async fn an_event_that_was_removed_is_new_again(mut kit: Kit) {
    let first = kit.event(0, &[]);
    kit.append(vec![first.clone()]).await;
    assert_eq!(kit.prune(10, 100).await, 1);
    let again = kit.again(&first, 20);
    assert_eq!(kit.append(vec![again.clone()]).await, [Appended::Stored { id: again.event.id, deliveries: 0 }]);
}

// ---------------------------------------------------------------------------------------------------------------------

/// A publish call with an idempotency key, as the intake makes it.
fn publish(kit: &mut Kit, key: &str, bodies: &[&'static str]) -> (Vec<NewEvent>, OnKnown) {
    let app = kit.app;
    let mut events = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let dedupe_key = DedupeKey::of_idempotency_key(app, key, index);
        let body = Bytes::from_static(body.as_bytes());
        events.push(change(&kit.event(0, &[]), |event| Event { dedupe_key, body, ..event }));
    }
    (events, OnKnown::MustBeIdentical { next: DedupeKey::of_idempotency_key(app, key, bodies.len()) })
}

pub(super) async fn a_call_that_is_made_again_is_answered_like_the_first(mut kit: Kit) {
    let (first, on_known) = publish(&mut kit, "k", &["1", "2", "3"]);
    kit.try_append(first.clone(), on_known).await.expect("the first call");
    kit.reopen().await;
    let (second, on_known) = publish(&mut kit, "k", &["1", "2", "3"]);
    let known = first.iter().map(|new| Appended::Duplicate { id: new.event.id, duplicates: 1 });
    assert_eq!(kit.try_append(second, on_known).await.expect("the second call"), known.collect::<Vec<_>>());
    assert_eq!(kit.list_events(&kit.all_events()).await.len(), 3);
}

pub(super) async fn another_call_under_the_same_key_is_refused_whole(mut kit: Kit) {
    let (first, on_known) = publish(&mut kit, "k", &["1", "2"]);
    kit.try_append(first.clone(), on_known).await.expect("the first call");
    let others: [&[&'static str]; 5] = [&["1", "x"], &["x", "2"], &["1"], &["1", "2", "3"], &["1", "2", "3", "4"]];
    for bodies in others {
        let (events, on_known) = publish(&mut kit, "k", bodies);
        let refused = kit.try_append(events, on_known).await;
        assert!(matches!(refused, Err(StoreError::IdempotencyMismatch)), "{bodies:?}: {refused:?}");
    }
    assert_eq!(kit.list_events(&kit.all_events()).await.len(), 2);
    for new in &first {
        assert_eq!(kit.store().event(kit.app, new.event.id).await.expect("an event").duplicates, 0);
    }
    let (events, on_known) = publish(&mut kit, "another key", &["1"]);
    kit.try_append(events, on_known).await.expect("another key is another call");
}
