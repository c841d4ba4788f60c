//! What is claimed, in which order, and when to come back.

use std::collections::BTreeSet;

use domain::delivery::Class;
use domain::{DeliveryId, DestinationId};

use super::kit::{Kit, LEASE_SECS, STEPS_MAX, at, fail, first_step, fresh, ids};
use crate::{Claimed, Owned};

async fn claimed(kit: &Kit, destination: DestinationId, secs: i64, limit: usize) -> Claimed {
    kit.store().claim(destination, at(secs), limit, at(secs + LEASE_SECS)).await.expect("claim")
}

/// A lane with this many deliveries of each class, all due at 10,000 s.
async fn mixed(kit: &mut Kit, counts: [usize; 3]) -> DestinationId {
    let a = kit.destination("a").await;
    let [fresh, retries, replays] = counts;
    let owed = kit.settled(0, retries.max(replays), a, &fail()).await;
    let again: Vec<_> = owed[..replays].iter().map(|id| id.event).collect();
    for id in &owed[retries..] {
        kit.store().cancel(kit.app, *id, at(5_000)).await.expect("cancel");
    }
    let replay = kit.replay(a).await;
    kit.store().advance_replay(first_step(replay, 6_000, &again)).await.expect("advance");
    kit.owe(8_000, fresh, a).await;
    a
}

fn counts(work: &[Owned]) -> [usize; 3] {
    [Class::Fresh, Class::Retry, Class::Replay]
        .map(|class| work.iter().filter(|owned| owned.standing.class == class).count())
}

pub(super) async fn fresh_deliveries_are_claimed_by_age(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 5, a).await;
    assert_eq!(ids(&kit.claim(a, 10, 3).await), owed[..3]);
    assert_eq!(ids(&kit.claim(a, 10, 3).await), owed[3..]);
    assert_eq!(ids(&kit.claim(a, 10, 3).await), []);
}

pub(super) async fn what_is_claimed_comes_with_its_event(mut kit: Kit) {
    let a = kit.destination("a").await;
    let new = kit.event(4, &[a]);
    kit.append(vec![new.clone()]).await;
    let again = kit.owe(5, 1, a).await;
    let replay = kit.replay(a).await;
    kit.replay_first(replay, 6, &[new.event.id]).await;

    let work = kit.claim(a, 7, 10).await;
    assert_eq!(ids(&work[1..2]), again);
    let [first, _, replayed] = &work[..] else { panic!("three are due, not {}", work.len()) };
    assert_eq!((&first.event, first.destination, first.standing), (&new.event, a, fresh(4)));
    assert_eq!((first.created_at, first.replay), (at(4), None));
    assert_eq!((&replayed.event, replayed.created_at, replayed.replay), (&new.event, at(6), Some(replay)));
    assert_eq!(replayed.id, DeliveryId { event: new.event.id, ordinal: 1 });
    assert!(kit.delivery(first.id).await.0.leased);
}

pub(super) async fn a_claim_for_nothing_takes_nothing(mut kit: Kit) {
    let a = kit.destination("a").await;
    assert_eq!(claimed(&kit, a, 0, 10).await.next_due, None);
    kit.owe(3, 2, a).await;
    let none = claimed(&kit, a, 9, 0).await;
    assert_eq!((none.work.len(), none.next_due), (0, Some(at(3))));
    let unknown = claimed(&kit, DestinationId::mint(at(0), 3), 9, 10).await;
    assert_eq!((unknown.work.len(), unknown.next_due), (0, None));
}

pub(super) async fn what_is_not_due_stays_and_says_when_to_come_back(mut kit: Kit) {
    let a = kit.destination("a").await;
    // Tried at 3 s, due again at 63 s.
    let owed = kit.settled(0, 3, a, &fail()).await;
    for _ in 0..2 {
        let early = claimed(&kit, a, 62, 10).await;
        assert_eq!((early.work.len(), early.next_due), (0, Some(at(63))));
        kit.tidy(62).await;
        kit.reopen().await;
    }
    let due = claimed(&kit, a, 63, 2).await;
    assert_eq!((ids(&due.work), due.next_due), (owed[..2].to_vec(), Some(at(63))));
    // What is leased is not waiting.
    let last = claimed(&kit, a, 63, 10).await;
    assert_eq!((ids(&last.work), last.next_due), (owed[2..].to_vec(), None));
}

pub(super) async fn the_next_due_time_is_the_earliest_of_all_classes(mut kit: Kit) {
    let a = kit.destination("a").await;
    kit.settled(0, 1, a, &fail()).await;
    kit.owe(40, 1, a).await;
    assert_eq!(claimed(&kit, a, 40, 0).await.next_due, Some(at(40)));
    assert_eq!(claimed(&kit, a, 40, 1).await.next_due, Some(at(61)));
    assert_eq!(claimed(&kit, a, 61, 1).await.next_due, None);
}

pub(super) async fn retries_are_claimed_by_due_time(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 3, a).await;
    let work = kit.claim(a, 3, 3).await;
    for (owned, secs) in work.iter().zip([30, 10, 20]) {
        kit.settle(owned, secs, &fail()).await;
    }
    assert_eq!(kit.due(a, 100).await, [owed[1], owed[2], owed[0]]);
}

pub(super) async fn fresh_ones_come_first_then_retries_then_replays(mut kit: Kit) {
    let a = mixed(&mut kit, [4, 3, 2]).await;
    let work = kit.claim(a, 10_000, 100).await;
    let classes: Vec<Class> = work.iter().map(|owned| owned.standing.class).collect();
    let expected = [[Class::Fresh; 4].as_slice(), &[Class::Retry; 3], &[Class::Replay; 2]].concat();
    assert_eq!(classes, expected);
}

pub(super) async fn a_full_claim_leaves_places_to_retries_and_replays(mut kit: Kit) {
    let a = mixed(&mut kit, [60, 60, 60]).await;
    assert_eq!(counts(&kit.claim(a, 10_000, 10).await), [7, 2, 1]);
    assert_eq!(counts(&kit.claim(a, 10_000, 20).await), [14, 4, 2]);
}

pub(super) async fn places_are_counted_on_from_claim_to_claim(mut kit: Kit) {
    let a = mixed(&mut kit, [60, 60, 60]).await;
    for _ in 0..3 {
        let mut sum = [0; 3];
        for _ in 0..10 {
            let one = counts(&kit.claim(a, 10_000, 1).await);
            sum = [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]];
        }
        assert_eq!(sum, [7, 2, 1]);
    }
}

pub(super) async fn places_that_a_class_cannot_fill_go_to_the_others(mut kit: Kit) {
    let a = mixed(&mut kit, [20, 1, 30]).await;
    assert_eq!(counts(&kit.claim(a, 10_000, 10).await), [8, 1, 1]);
    assert_eq!(counts(&kit.claim(a, 10_000, 10).await), [9, 0, 1]);
    assert_eq!(counts(&kit.claim(a, 10_000, 10).await), [3, 0, 7]);
    assert_eq!(counts(&kit.claim(a, 10_000, 100).await), [0, 0, 21]);
}

pub(super) async fn two_claims_never_overlap(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 40, a).await;
    let (one, two, three, four) =
        tokio::join!(kit.claim(a, 50, 13), kit.claim(a, 50, 13), kit.claim(a, 50, 13), kit.claim(a, 50, 13));
    let all = [one, two, three, four].concat();
    assert_eq!(all.len(), 40);
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>(), owed.into_iter().collect());
}

pub(super) async fn a_lane_holds_the_work_of_its_destination_only(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let for_a = kit.owe(0, 2, a).await;
    let for_b = kit.owe(10, 3, b).await;
    let both = kit.event(20, &[b, a]);
    kit.append(vec![both.clone()]).await;
    let of_both = |ordinal| DeliveryId { event: both.event.id, ordinal };
    assert_eq!(kit.due(b, 50).await, [&for_b[..], &[of_both(0)]].concat());
    assert_eq!(kit.due(a, 50).await, [&for_a[..], &[of_both(1)]].concat());
}

pub(super) async fn each_of_many_lanes_keeps_its_own_order(mut kit: Kit) {
    let mut lanes = Vec::new();
    for n in 0..150 {
        lanes.push((kit.destination(&format!("d{n}")).await, Vec::new()));
    }
    for round in 0..4 {
        let mut events = Vec::new();
        for (destination, owed) in &mut lanes {
            let new = kit.event(round, &[*destination]);
            owed.push(DeliveryId { event: new.event.id, ordinal: 0 });
            events.push(new);
        }
        kit.append(events).await;
        if round == 1 {
            kit.tidy(round).await;
        }
    }
    for (destination, owed) in &lanes {
        assert_eq!(ids(&kit.claim(*destination, 10, 2).await), owed[..2]);
    }
    kit.tidy(11).await;
    kit.reopen().await;
    for (destination, owed) in &lanes {
        assert_eq!(kit.due(*destination, 12).await, *owed);
    }
}

pub(super) async fn a_deep_backlog_is_claimed_in_order_to_its_end(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut owed = Vec::new();
    for n in 0..6 {
        owed.extend(kit.owe(n * 1_000, 500, a).await);
        kit.owe(n * 1_000 + 500, 50, b).await;
        // Some of the backlog is put in order, some is not, and some is in hand while that happens.
        if n % 2 == 0 {
            kit.tidy(n * 1_000).await;
        }
    }
    let in_hand = kit.claim(a, 10_000, 300).await;
    kit.tidy(10_000).await;
    let next = kit.claim(a, 10_000, 300).await;
    assert_eq!([ids(&in_hand), ids(&next)].concat(), owed[..600]);

    kit.reopen().await;
    let mut met = Vec::new();
    for _ in 0..STEPS_MAX {
        let work = kit.claim(a, 10_000, 64).await;
        if work.is_empty() {
            break;
        }
        met.extend(ids(&work));
    }
    assert_eq!(met, owed);
    assert_eq!(kit.due(b, 10_000).await.len(), 300);
}
