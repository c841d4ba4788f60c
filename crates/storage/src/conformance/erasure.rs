//! Erasure: an erased person is gone, piece by piece, and others are not.

use std::collections::BTreeMap;

use domain::delivery::State;
use domain::identity::{Identifier, Moment};
use domain::verdict::FailureReason;
use domain::{AppspaceId, DeliveryId, Event, EventId, SubjectId, Verdict};

use super::kit::{Kit, at, fail, ids, reject, settlement};
use super::subjects::{all, events_of, fold, fold_of, id, nothing, records, subject, tell};
use crate::{
    Appended, ERASED_DELIVERIES_PER_CALL_MAX, ERASED_PER_CALL_MAX, Erased, Erasure, Fold, Memo, NewDelivery, NewEvent,
    Settled,
};

/// What stands in the place of an erased body.
const TOMBSTONE: &str = r#"{"erased":true}"#;

pub(super) async fn an_erased_person_is_gone_and_others_are_not(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mine = [kit.event(1, &[a]), kit.event(2, &[a])].map(|new| NewEvent { has_facts: true, ..new });
    let [mine, hers] = mine;
    kit.append(vec![mine.clone(), hers.clone()]).await;
    for owned in kit.claim(a, 9, 9).await {
        assert_eq!(kit.settle(&owned, 9, &Verdict::Delivered).await, Settled::Done);
    }
    let him = fold_of(&kit, &["user:1", "email:a@b.c"], &[&mine]);
    let of_him = him.subjects[0].id;
    let mut her = fold_of(&kit, &["user:2", "install:i"], &[&hers]);
    let of_her = her.subjects[0].id;
    her.identifiers[0].links.insert(id("email:a@b.c"), Moment { at: at(5), tie: 1 });
    let mut him = him;
    him.identifiers[1].links.insert(id("user:2"), Moment { at: at(5), tie: 1 });
    fold(&kit, him).await;
    fold(&kit, her.clone()).await;

    let erased = erase(&kit, 20, &[of_him], &["user:1", "email:a@b.c", "click:never"]).await;
    let expected = Erased { subjects: 1, identifiers: 2, events: 1, attempts: 1, ..Erased::default() };
    assert_eq!(erased, expected);
    her.identifiers[0].links.remove(&id("email:a@b.c"));
    for _ in 0..2 {
        assert_eq!(records(&kit, &["user:1", "email:a@b.c"]).await, [None, None]);
        assert_eq!(subject(&kit, of_him).await, None);
        assert_eq!(events_of(&kit, &["user:1", "email:a@b.c"], None, 9).await, []);
        let found = kit.store().event(kit.app, mine.event.id).await.expect("its row stays");
        assert_eq!(*found.event, Event { body: TOMBSTONE.into(), ..(*mine.event).clone() });
        let (delivery, attempts) = kit.delivery(DeliveryId { event: mine.event.id, ordinal: 0 }).await;
        assert_eq!((delivery.standing.state, attempts.len()), (State::Delivered, 1));
        assert!(attempts.iter().all(|attempt| attempt.reply.is_none() && attempt.error.is_none()));

        assert!(kit.has(&hers).await);
        assert_eq!(events_of(&kit, &["user:2"], None, 9).await, [hers.event.id]);
        assert_eq!(records(&kit, &["user:2"]).await, [Some(her.identifiers[0].clone())]);
        assert!(subject(&kit, of_her).await.is_some());
        let (_, attempts) = kit.delivery(DeliveryId { event: hers.event.id, ordinal: 0 }).await;
        assert!(attempts[0].reply.is_some());
        kit.reopen().await;
    }
    // There is nothing left to erase, and the sender's repetition is known.
    assert_eq!(erase(&kit, 30, &[of_him], &["user:1", "email:a@b.c"]).await, Erased::default());
    let again = kit.again(&mine, 31);
    assert!(matches!(kit.append(vec![again]).await[..], [Appended::Duplicate { id, .. }] if id == mine.event.id));
    // A person who comes back begins anew.
    let anew = tell(&mut kit, 32).await;
    fold(&kit, fold_of(&kit, &["user:1"], &[&anew])).await;
    assert_eq!(events_of(&kit, &["user:1"], None, 9).await, [anew.event.id]);
}

pub(super) async fn what_is_open_of_an_erased_person_is_called_off(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let mut events: Vec<NewEvent> = (1..6).map(|secs| kit.event(secs, &[a, b])).collect();
    let stillborn = Some((FailureReason::FilterError, "no field email of ada@example.com".to_owned()));
    events[4].deliveries.push(NewDelivery { destination: b, stillborn });
    for new in &mut events {
        new.has_facts = true;
    }
    kit.append(events.clone()).await;
    let of = |n: usize, ordinal| DeliveryId { event: events[n].event.id, ordinal };
    // To `a`: one is dead, one waits for its next try, one is in hand, two are pending; the first of all is somebody else's.
    let work = kit.claim(a, 9, 4).await;
    assert_eq!(ids(&work), [of(0, 0), of(1, 0), of(2, 0), of(3, 0)]);
    kit.settle(&work[1], 10, &reject(FailureReason::ClientError)).await;
    kit.settle(&work[2], 10, &fail()).await;
    let told: Vec<&NewEvent> = events[1..].iter().collect();
    fold(&kit, fold_of(&kit, &["user:1"], &told)).await;
    fold(&kit, fold_of(&kit, &["user:2"], &[&events[0]])).await;

    let erased = erase(&kit, 20, &[], &["user:1"]).await;
    assert_eq!(erased.cancelled, BTreeMap::from([(a, 4), (b, 5)]));
    assert_eq!((erased.events, erased.attempts), (4, 2));
    assert_eq!(kit.settle(&work[3], 21, &Verdict::Delivered).await, Settled::Stale);
    assert_eq!(kit.settle(&work[0], 21, &Verdict::Delivered).await, Settled::Done);
    for _ in 0..2 {
        assert_eq!(kit.list_dead(&kit.all_dead()).await, []);
        for n in 1..5 {
            for ordinal in [0, 1] {
                let (delivery, attempts) = kit.delivery(of(n, ordinal)).await;
                assert_eq!(delivery.standing.state, State::Cancelled);
                assert!(attempts.iter().all(|attempt| attempt.reply.is_none() && attempt.error.is_none()));
            }
        }
        let (delivery, _) = kit.delivery(of(4, 2)).await;
        assert_eq!((delivery.standing.state, delivery.note, delivery.ended_at), (State::Cancelled, None, Some(at(20))));
        assert_eq!(kit.due(a, 9_000).await, []);
        assert_eq!(kit.due(b, 9_000).await, [of(0, 1)]);
        kit.reopen().await;
    }
    assert_eq!(kit.store().settle([settlement(&work[3], 22, &fail())].into()).await.expect("settle"), [Settled::Stale]);
}

pub(super) async fn who_has_many_events_is_erased_in_pieces(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut told = Vec::new();
    for secs in 1..=5 {
        let new = NewEvent { has_facts: true, ..kit.event(secs, &[a]) };
        kit.append(vec![new.clone()]).await;
        told.push(new);
    }
    fold(&kit, fold_of(&kit, &["user:1", "click:c"], &told[..3].iter().collect::<Vec<_>>())).await;
    let of_click = told[3..].iter().map(|new| (new.event.id, Some(id("click:c")))).collect();
    fold(&kit, Fold { events: of_click, ..nothing(kit.app) }).await;
    let mut fourth = all(&["user:1", "click:c"]);
    let of = SubjectId::born(kit.app, &fourth[0], 0);
    let keys = ["of him", "of her"].map(str::to_owned);
    let put = |key: &String| Memo::Put { key: key.clone(), value: "remote".into(), expires_at: None };
    kit.store().remember(a, keys.iter().map(put).collect(), at(10)).await.expect("remember");
    let remembered = async |kit: &Kit| {
        let found = kit.store().recall(a, keys.to_vec(), at(30)).await.expect("recall");
        found.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    let whole = erasure(kit.app, 20, &[of], &fourth);
    let whole = Erasure { memos: [(a, "of him".to_owned()), (a, "never".to_owned())].into(), ..whole };

    // Whatever the limit says, a call gets somewhere.
    for (limit, taken, left) in [(2, 2, &told[2..]), (0, 1, &told[3..])] {
        let erased = kit.store().erase(Erasure { limit, ..whole.clone() }).await.expect("erase");
        let cancelled = BTreeMap::from([(a, taken)]);
        assert_eq!(erased, Erased { events: taken, cancelled, more: true, ..Erased::default() });
        let left: Vec<EventId> = left.iter().map(|new| new.event.id).collect();
        for _ in 0..2 {
            // Nobody is half forgotten: who is left is found by every name, with all that is still to go.
            assert_eq!(events_of(&kit, &["user:1", "click:c"], None, 9).await, left);
            assert!(records(&kit, &["user:1", "click:c"]).await.iter().all(Option::is_some));
            assert!(subject(&kit, of).await.is_some());
            assert_eq!(kit.due(a, 9_000).await.len(), left.len());
            assert_eq!(remembered(&kit).await, [true, true]);
            kit.reopen().await;
        }
    }
    // What is told meanwhile goes too.
    let late = tell(&mut kit, 15).await;
    fourth.push(id("install:late"));
    fold(&kit, fold_of(&kit, &["user:1", "click:c", "install:late"], &[&late])).await;
    let erased = kit.erase(&Erasure { identifiers: fourth, ..whole.clone() }).await;
    let cancelled = BTreeMap::from([(a, 2)]);
    assert_eq!(
        erased,
        Erased { subjects: 1, identifiers: 3, events: 3, memos: 1, cancelled, ..Erased::default() },
        "what went before is not counted again"
    );
    for _ in 0..2 {
        assert_eq!(records(&kit, &["user:1", "click:c", "install:late"]).await, [None, None, None]);
        assert_eq!(subject(&kit, of).await, None);
        for new in told.iter().chain([&late]) {
            assert_eq!(kit.store().event(kit.app, new.event.id).await.expect("its row").event.body, TOMBSTONE);
        }
        assert_eq!(kit.due(a, 9_000).await, []);
        assert_eq!(remembered(&kit).await, [false, true]);
        kit.reopen().await;
    }
    assert_eq!(kit.erase(&whole).await, Erased::default());
}

pub(super) async fn no_piece_of_an_erasure_is_large(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut told = Vec::new();
    for _ in 0..=ERASED_PER_CALL_MAX {
        told.push(tell(&mut kit, 1).await);
    }
    let owed_to_many = vec![a; ERASED_DELIVERIES_PER_CALL_MAX / 2 + 1];
    for secs in 2..5 {
        let new = NewEvent { has_facts: true, ..kit.event(secs, &owed_to_many) };
        kit.append(vec![new.clone()]).await;
        told.push(new);
    }
    fold(&kit, fold_of(&kit, &["user:1"], &told.iter().collect::<Vec<_>>())).await;
    let whole = Erasure { limit: usize::MAX, ..erasure(kit.app, 9, &[], &all(&["user:1"])) };
    let mut pieces = Vec::new();
    while pieces.last() != Some(&0) {
        let erased = kit.store().erase(whole.clone()).await.expect("erase");
        assert_eq!(erased.more, erased.events > 0);
        pieces.push(erased.events);
    }
    assert_eq!(pieces, [ERASED_PER_CALL_MAX, 3, 1, 0]);
}

/// Erases somebody to the end.
async fn erase(kit: &Kit, secs: i64, subjects: &[SubjectId], texts: &[&str]) -> Erased {
    kit.erase(&erasure(kit.app, secs, subjects, &all(texts))).await
}

pub(super) fn erasure(appspace: AppspaceId, secs: i64, subjects: &[SubjectId], of: &[Identifier]) -> Erasure {
    Erasure {
        appspace,
        subjects: subjects.to_vec(),
        identifiers: of.to_vec(),
        limit: ERASED_PER_CALL_MAX,
        memos: Vec::new(),
        tombstone: TOMBSTONE.into(),
        now: at(secs),
    }
}
