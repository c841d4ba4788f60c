//! Outcomes are recorded in one durable step, with the operational events they cause.

use domain::delivery::{Class, Standing, State};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Attempt, DeliveryId, Verdict};

use super::kit::{Kit, at, fail, ids, reject, settlement, skip};
use crate::{
    DELIVERIES_PER_EVENT_MAX, DeliveryQuery, DeliverySummary, Fence, NewDelivery, PageRequest, Settled, Settlement,
    StoreError,
};

pub(super) async fn a_delivered_one_is_done_for_good(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 1, a, &Verdict::Delivered).await;
    for _ in 0..2 {
        let (delivery, attempts) = kit.delivery(owed[0]).await;
        assert_eq!((delivery.standing.state, delivery.standing.attempts), (State::Delivered, 1));
        assert_eq!((delivery.ended_at, delivery.leased, attempts.len()), (Some(at(1)), false, 1));
        assert_eq!(kit.due(a, 100_000).await, []);
        kit.tidy(10).await;
        kit.reopen().await;
    }
}

pub(super) async fn a_failed_one_waits_for_its_next_try(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 1, a, &fail()).await;
    let waiting =
        Standing { state: State::Pending, class: Class::Retry, attempts: 1, spent: 1, due_at: at(61), reason: None };
    for _ in 0..2 {
        let (delivery, attempts) = kit.delivery(owed[0]).await;
        assert_eq!((delivery.standing, delivery.ended_at, attempts.len()), (waiting, None, 1));
        kit.reopen().await;
    }
    assert_eq!((kit.due(a, 60).await, kit.due(a, 61).await), (vec![], owed));
}

pub(super) async fn a_rejected_one_is_dead_and_says_why(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.settled(0, 1, a, &reject(FailureReason::TemplateError)).await;
    kit.reopen().await;
    let (delivery, _) = kit.delivery(owed[0]).await;
    assert_eq!(delivery.standing.state, State::Dead);
    assert_eq!(delivery.standing.reason, Some(FailureReason::TemplateError));
    assert_eq!(delivery.ended_at, Some(at(1)));
    assert_eq!(kit.due(a, 100_000).await, []);
}

pub(super) async fn a_paused_one_is_due_at_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let pause = Verdict::Pause { reason: PauseReason::Gone, message: "410".to_owned() };
    let owed = kit.settled(0, 1, a, &pause).await;
    let standing = kit.delivery(owed[0]).await.0.standing;
    assert_eq!((standing.state, standing.attempts, standing.spent), (State::Pending, 1, 0));
    assert_eq!(kit.due(a, 1).await, owed);
}

pub(super) async fn a_skipped_one_has_ended_and_says_so(mut kit: Kit) {
    let a = kit.destination("a").await;
    let skipped = kit.settled(0, 2, a, &skip()).await;
    let delivered = kit.settled(10, 1, a, &Verdict::Delivered).await;
    let waiting = kit.settled(20, 1, a, &fail()).await;
    kit.tidy(30).await;
    for _ in 0..2 {
        let (delivery, attempts) = kit.delivery(skipped[0]).await;
        let Standing { state, attempts: made, reason, .. } = delivery.standing;
        assert_eq!((state, made, reason), (State::Skipped, 1, None));
        assert_eq!((delivery.ended_at, delivery.leased), (Some(at(2)), false));
        assert_eq!(attempts[0].reason, Some(FailureReason::NotApplicable));
        let of_state = async |state| {
            let query = DeliveryQuery { destination: Some(a), state: Some(state), ..kit.all_deliveries() };
            kit.list_deliveries(&query).await
        };
        assert_eq!(of_state(State::Skipped).await, [skipped[1], skipped[0]]);
        assert_eq!((of_state(State::Delivered).await, of_state(State::Dead).await), (delivered.clone(), vec![]));
        assert_eq!(kit.store().dead_letter_count(kit.all_dead()).await.expect("a count"), 0);
        assert_eq!(kit.store().lanes().await.expect("lanes").iter().map(|lane| lane.pending).sum::<u64>(), 1);
        kit.reopen().await;
    }
    assert_eq!(kit.due(a, 100_000).await, waiting);
}

pub(super) async fn attempts_are_kept_in_order_with_all_they_say(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1, a).await;
    let told = [(Some(500), Some("no \u{1f517}\r\n\0")), (None, None), (Some(999), Some("")), (Some(200), None)];
    let mut expected: Vec<Attempt> = Vec::new();
    for (n, (status, reply)) in told.into_iter().enumerate() {
        let secs = 10_000 * i64::try_from(n + 1).expect("a few");
        let work = kit.claim(a, secs, 1).await;
        let verdict = if n == 3 { Verdict::Delivered } else { fail() };
        let mut settlement = settlement(&work[0], secs, &verdict);
        settlement.attempt.status = status;
        settlement.attempt.reply = reply.map(str::to_owned);
        settlement.attempt.duration_ms = u32::MAX - 1;
        expected.push(settlement.attempt.clone());
        kit.store().settle([settlement].into()).await.expect("settle");
        assert_eq!(kit.delivery(owed[0]).await.1, expected);
        kit.reopen().await;
    }
    let (delivery, attempts) = kit.delivery(owed[0]).await;
    assert_eq!((delivery.standing.attempts, attempts), (4, expected.clone()));
    let page = kit.store().deliveries(kit.all_deliveries(), PageRequest::first(1)).await.expect("a page");
    assert_eq!(page.items, [DeliverySummary { delivery, last_attempt: expected.pop() }]);
}

pub(super) async fn every_reason_and_state_survives_a_restart(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut dead = Vec::new();
    for (n, reason) in FailureReason::ALL.into_iter().enumerate() {
        dead.push((reason, kit.settled(i64::try_from(n).expect("a few") * 10, 1, a, &reject(reason)).await[0]));
    }
    kit.reopen().await;
    for (reason, id) in dead {
        let (delivery, attempts) = kit.delivery(id).await;
        assert_eq!((delivery.standing.reason, attempts[0].reason), (Some(reason), Some(reason)));
    }
}

pub(super) async fn outcomes_and_their_operational_events_are_one_step(mut kit: Kit) {
    let [a, watcher] = [kit.destination("a").await, kit.destination("watcher").await];
    kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    let news = kit.event(2, &[watcher]);
    let dead = Settlement { news: Some(news.clone()), ..settlement(&work[0], 2, &reject(FailureReason::Gone)) };
    assert_eq!(kit.store().settle([dead].into()).await.expect("settle"), [Settled::Done]);
    kit.reopen().await;
    assert!(kit.has(&news).await);
    assert_eq!(kit.due(watcher, 3).await, [DeliveryId { event: news.event.id, ordinal: 0 }]);
    assert_eq!(kit.state(work[0].id).await, State::Dead);
}

pub(super) async fn a_stale_settlement_stores_no_operational_event(mut kit: Kit) {
    let [a, watcher] = [kit.destination("a").await, kit.destination("watcher").await];
    kit.owe(0, 3, a).await;
    let work = kit.claim(a, 3, 3).await;
    kit.store().cancel(kit.app, work[0].id, at(4)).await.expect("cancel");
    let mut news = Vec::new();
    let mut settlements = Vec::new();
    // The third one is brought twice.
    for owned in work.iter().chain(&work[2..]) {
        news.push(kit.event(5, &[watcher]));
        let dead = settlement(owned, 5, &reject(FailureReason::Gone));
        settlements.push(Settlement { news: news.last().cloned(), ..dead });
    }
    let settled = kit.store().settle(settlements.into()).await.expect("settle");
    assert_eq!(settled, [Settled::Stale, Settled::Done, Settled::Done, Settled::Stale]);
    for _ in 0..2 {
        let mut has = Vec::new();
        for new in &news {
            has.push(kit.has(new).await);
        }
        assert_eq!(has, [false, true, true, false]);
        kit.reopen().await;
    }
    assert_eq!(kit.due(watcher, 6).await.len(), 2);
}

pub(super) async fn outcomes_whose_operational_event_is_refused_change_nothing(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 2, a).await;
    let work = kit.claim(a, 2, 2).await;
    let mut settlements: Vec<_> = work.iter().map(|owned| settlement(owned, 3, &Verdict::Delivered)).collect();
    let mut news = kit.event(3, &[]);
    news.deliveries = vec![NewDelivery::to(a); DELIVERIES_PER_EVENT_MAX + 1];
    settlements[1].news = Some(news.clone());
    let refused = kit.store().settle(settlements.clone().into()).await;
    assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    assert!(!kit.has(&news).await);
    assert_eq!((kit.state(owed[0]).await, kit.delivery(owed[0]).await.1.len()), (State::Pending, 0));
    // The leases go on.
    settlements[1].news = None;
    assert_eq!(kit.store().settle(settlements.into()).await.expect("settle"), [Settled::Done, Settled::Done]);
}

pub(super) async fn a_stale_settlement_does_not_hinder_the_others(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 4, a).await;
    let work = kit.claim(a, 5, 4).await;
    kit.store().cancel(kit.app, owed[1], at(6)).await.expect("cancel");
    let mut settlements: Vec<_> = work.iter().map(|owned| settlement(owned, 7, &Verdict::Delivered)).collect();
    settlements[2].fence = Fence(work[2].fence.0 + 1_000_000);
    let settled = kit.store().settle(settlements.into()).await.expect("settle");
    assert_eq!(settled, [Settled::Done, Settled::Stale, Settled::Stale, Settled::Done]);
    kit.reopen().await;
    let mut states = Vec::new();
    for id in &owed {
        states.push((kit.state(*id).await, kit.delivery(*id).await.1.len()));
    }
    let expected = [(State::Delivered, 1), (State::Cancelled, 0), (State::Pending, 0), (State::Delivered, 1)];
    assert_eq!(states, expected);
}

pub(super) async fn a_lease_settles_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    let twice = vec![settlement(&work[0], 2, &fail()), settlement(&work[0], 2, &Verdict::Delivered)];
    assert_eq!(kit.store().settle(twice.into()).await.expect("settle"), [Settled::Done, Settled::Stale]);
    assert_eq!(kit.settle(&work[0], 3, &Verdict::Delivered).await, Settled::Stale);
    let (delivery, attempts) = kit.delivery(owed[0]).await;
    assert_eq!((delivery.standing.state, attempts.len()), (State::Pending, 1));
}

pub(super) async fn what_never_was_cannot_be_settled(mut kit: Kit) {
    let a = kit.destination("a").await;
    kit.owe(0, 1, a).await;
    let work = kit.claim(a, 1, 1).await;
    let real = settlement(&work[0], 2, &Verdict::Delivered);
    let ghost = kit.event(0, &[]).event.id;
    let settlements = vec![
        Settlement { id: DeliveryId { event: ghost, ordinal: 0 }, ..real.clone() },
        Settlement { id: DeliveryId { ordinal: 9, ..real.id }, ..real },
    ];
    let settled = kit.store().settle(settlements.into()).await.expect("settle");
    assert_eq!(settled, [Settled::Stale, Settled::Stale]);
}

pub(super) async fn hundreds_of_outcomes_fit_into_one_step(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 600, a).await;
    let work = kit.claim(a, 1_000, 600).await;
    assert_eq!(ids(&work), owed);
    let verdicts = [Verdict::Delivered, fail(), reject(FailureReason::Dns)];
    let settlements =
        work.iter().zip(verdicts.iter().cycle()).map(|(owned, verdict)| settlement(owned, 1_000, verdict));
    let settled = kit.store().settle(settlements.collect()).await.expect("settle");
    assert!(settled.len() == 600 && settled.iter().all(|settled| *settled == Settled::Done));
    kit.reopen().await;
    let retries: Vec<_> = owed.iter().copied().skip(1).step_by(3).collect();
    assert_eq!(kit.due(a, 1_060).await, retries);
    assert_eq!(kit.store().dead_letter_count(kit.all_dead()).await.expect("a count"), 200);
}
