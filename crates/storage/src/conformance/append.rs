//! An append is all or nothing, and what it stores comes back as it was.

use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use domain::delivery::{Standing, State};
use domain::event::{BODY_BYTES_MAX, DedupeKey, TimeMark};
use domain::verdict::FailureReason;
use domain::{DeliveryId, DestinationId, Event, SourceId};

use super::kit::{Kit, at, change, expect_missing, fresh};
use crate::{Append, Appended, DELIVERIES_PER_EVENT_MAX, NewDelivery, OnKnown, StoreError};

pub(super) async fn an_event_comes_back_as_it_was_stored(mut kit: Kit) {
    let marks = [TimeMark::Sender, TimeMark::Defaulted, TimeMark::Future, TimeMark::Old];
    let mut events = Vec::new();
    for mark in marks {
        let source = SourceId::mint(at(0), u128::from(kit.number()));
        let event_type = format!("a.{}", kit.number()).parse().expect("a type");
        let new = kit.event(10, &[]);
        let occurred_at = domain::Timestamp::from_millis(-7);
        events.push(change(&new, |event| Event { source, event_type, occurred_at, time_mark: mark, ..event }));
    }
    kit.append(events.clone()).await;
    for _ in 0..2 {
        for new in &events {
            assert!(kit.has(new).await);
        }
        kit.reopen().await;
    }
}

pub(super) async fn bodies_are_kept_byte_for_byte(mut kit: Kit) {
    let long: Vec<u8> = (0..BODY_BYTES_MAX).map(|n| n.to_le_bytes()[0]).collect();
    let bodies: [&[u8]; 6] = [b"", b"\0", b"a\0b\0", b"\xff\xfe\x80", "{\"é\":\"\u{1f517}\"}\r\n".as_bytes(), &long];
    let mut events = Vec::new();
    for body in bodies {
        let body = Bytes::copy_from_slice(body);
        events.push(change(&kit.event(0, &[]), |event| Event { body, ..event }));
    }
    kit.append(events.clone()).await;
    for _ in 0..2 {
        for new in &events {
            assert!(kit.has(new).await);
        }
        kit.reopen().await;
    }
}

pub(super) async fn an_event_owes_a_delivery_to_each_destination_in_order(mut kit: Kit) {
    let [a, b, c] = [kit.destination("a").await, kit.destination("b").await, kit.destination("c").await];
    let new = kit.event(5, &[c, a, b]);
    let id = new.event.id;
    assert_eq!(kit.append(vec![new]).await, [Appended::Stored { id, deliveries: 3 }]);
    for _ in 0..2 {
        for (ordinal, destination) in [(0, c), (1, a), (2, b)] {
            let (delivery, attempts) = kit.delivery(DeliveryId { event: id, ordinal }).await;
            assert_eq!((delivery.destination, delivery.standing), (destination, fresh(5)));
            assert_eq!((delivery.created_at, delivery.ended_at, delivery.replay), (at(5), None, None));
            assert_eq!((delivery.event_type.as_str(), delivery.note, delivery.leased), ("link.clicked", None, false));
            assert!(attempts.is_empty());
        }
        expect_missing(kit.store().delivery(kit.app, DeliveryId { event: id, ordinal: 3 }).await, "delivery");
        kit.reopen().await;
    }
}

pub(super) async fn events_of_one_call_keep_their_order(mut kit: Kit) {
    let a = kit.destination("a").await;
    let events = vec![kit.event(0, &[a]), kit.event(0, &[]), kit.event(0, &[a, a])];
    let stored = events.iter().map(|new| Appended::Stored {
        id: new.event.id,
        deliveries: u16::try_from(new.deliveries.len()).expect("a few"),
    });
    let stored: Vec<_> = stored.collect();
    assert_eq!(kit.append(events).await, stored);
    let newest_first: Vec<_> = stored.iter().rev().map(|appended| appended.id()).collect();
    assert_eq!(kit.list_events(&kit.all_events()).await, newest_first);
}

pub(super) async fn an_empty_append_does_nothing(kit: Kit) {
    assert_eq!(kit.append(Vec::new()).await, []);
    let next = DedupeKey([9; 32]);
    assert_eq!(kit.try_append(Vec::new(), OnKnown::MustBeIdentical { next }).await.expect("append"), []);
    assert_eq!(kit.list_events(&kit.all_events()).await, []);
}

pub(super) async fn a_stillborn_delivery_is_dead_at_once_and_says_why(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut new = kit.event(3, &[a]);
    let stillborn = Some((FailureReason::FilterError, "`data.x` is undefined".to_owned()));
    new.deliveries.push(NewDelivery { destination: a, stillborn });
    let id = DeliveryId { event: new.event.id, ordinal: 1 };
    kit.append(vec![new]).await;
    kit.reopen().await;

    let (delivery, attempts) = kit.delivery(id).await;
    assert_eq!(delivery.standing, Standing::stillborn(FailureReason::FilterError, at(3)));
    assert_eq!(delivery.note.as_deref(), Some("`data.x` is undefined"));
    assert_eq!((delivery.ended_at, attempts.len()), (Some(at(3)), 0));
    assert_eq!(kit.list_dead(&kit.all_dead()).await, [id]);
    assert_eq!(kit.due(a, 3).await, [DeliveryId { ordinal: 0, ..id }]);
}

pub(super) async fn an_append_that_is_refused_stores_nothing(mut kit: Kit) {
    let a = kit.destination("a").await;
    let good = kit.event(0, &[a]);
    let too_many = kit.event(0, &vec![a; DELIVERIES_PER_EVENT_MAX + 1]);
    let refused = kit.try_append(vec![good.clone(), too_many.clone()], OnKnown::Count).await;
    assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    for _ in 0..2 {
        assert!(!kit.has(&good).await && !kit.has(&too_many).await);
        assert_eq!(kit.due(a, 0).await, []);
        kit.reopen().await;
    }
    assert_eq!(kit.append(vec![good.clone()]).await, [Appended::Stored { id: good.event.id, deliveries: 1 }]);
}

pub(super) async fn a_destination_that_is_gone_is_left_out(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let unknown = DestinationId::mint(at(0), 7);
    kit.store().delete_destination(a, at(1)).await.expect("delete");
    let new = kit.event(2, &[a, unknown, b]);
    let id = new.event.id;
    assert_eq!(kit.append(vec![new]).await, [Appended::Stored { id, deliveries: 1 }]);
    assert_eq!(kit.delivery(DeliveryId { event: id, ordinal: 0 }).await.0.destination, b);
    assert_eq!(kit.list_deliveries(&kit.all_deliveries()).await.len(), 1);
    assert_eq!((kit.due(a, 9).await.len(), kit.due(unknown, 9).await.len()), (0, 0));
}

pub(super) async fn a_dropped_append_did_everything_or_nothing(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut given_up = Vec::new();
    for secs in 0..20 {
        let new = kit.event(secs, &[a]);
        let append = Append { events: vec![new.clone()], on_known: OnKnown::Count };
        // Polled once, then dropped: what a web framework does to the handler of a client that hung up.
        let _ = pin!(kit.store().append(append)).poll(&mut Context::from_waker(Waker::noop()));
        given_up.push(new);
    }
    let last = kit.owe(20, 1, a).await;
    kit.reopen().await;

    let mut owed = Vec::new();
    for new in &given_up {
        if kit.has(new).await {
            owed.push(DeliveryId { event: new.event.id, ordinal: 0 });
        }
    }
    owed.extend(last);
    assert_eq!(kit.due(a, 100).await, owed);
    // Sent once more, each is known or new, but never stored twice.
    let again: Vec<_> = given_up.iter().map(|new| kit.again(new, 50)).collect();
    kit.append(again).await;
    assert_eq!(kit.list_events(&kit.all_events()).await.len(), given_up.len() + 1);
}

pub(super) async fn an_event_has_a_most_of_deliveries(mut kit: Kit) {
    let a = kit.destination("a").await;
    let new = kit.event(0, &vec![a; DELIVERIES_PER_EVENT_MAX]);
    let id = new.event.id;
    kit.append(vec![new]).await;
    let last = DeliveryId { event: id, ordinal: u16::MAX - 1 };
    assert_eq!(kit.state(last).await, State::Pending);
    let refused = kit.store().resend(kit.app, last, at(1)).await;
    assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    let replay = kit.replay(a).await;
    assert_eq!(kit.replay_first(replay, 1, &[id]).await.created, 0);
}
