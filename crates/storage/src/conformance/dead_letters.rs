//! Dead letters wait for a person: found, counted, and sent on their way again.

use domain::DeliveryId;
use domain::delivery::State;
use domain::verdict::FailureReason;

use super::kit::{Kit, STEPS_MAX, at, fail, reject};
use crate::{DeadLetterQuery, PageRequest};

pub(super) async fn dead_letters_are_found_by_reason_time_and_destination(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    // Each dies one second after it was owed.
    let one = kit.settled(0, 1, a, &reject(FailureReason::Dns)).await[0];
    let two = kit.settled(10, 1, b, &reject(FailureReason::Dns)).await[0];
    let three = kit.settled(20, 1, a, &reject(FailureReason::ClientError)).await[0];
    kit.settled(30, 1, a, &fail()).await;

    let all = kit.all_dead();
    let check = async |kit: &Kit, query: DeadLetterQuery, expected: &[DeliveryId]| {
        assert_eq!(kit.list_dead(&query).await, expected, "{query:?}");
        let count = kit.store().dead_letter_count(query.clone()).await.expect("a count");
        assert_eq!(count, expected.len() as u64, "{query:?}");
    };
    for _ in 0..2 {
        check(&kit, all.clone(), &[three, two, one]).await;
        check(&kit, DeadLetterQuery { destination: Some(a), ..all.clone() }, &[three, one]).await;
        check(&kit, DeadLetterQuery { reason: Some(FailureReason::Dns), ..all.clone() }, &[two, one]).await;
        check(&kit, DeadLetterQuery { reason: Some(FailureReason::Tls), ..all.clone() }, &[]).await;
        check(&kit, DeadLetterQuery { from: Some(at(11)), ..all.clone() }, &[three, two]).await;
        check(&kit, DeadLetterQuery { to: Some(at(11)), ..all.clone() }, &[one]).await;
        let narrow = DeadLetterQuery { from: Some(at(1)), to: Some(at(21)), destination: Some(a), ..all.clone() };
        check(&kit, narrow.clone(), &[one]).await;
        check(&kit, DeadLetterQuery { reason: Some(FailureReason::ClientError), ..narrow }, &[]).await;
        kit.tidy(100).await;
        kit.reopen().await;
    }
}

pub(super) async fn the_latest_to_die_comes_first(mut kit: Kit) {
    let a = kit.destination("a").await;
    let owed = kit.owe(0, 3, a).await;
    let work = kit.claim(a, 3, 3).await;
    for (n, secs) in [(1, 10), (2, 20), (0, 30)] {
        kit.settle(&work[n], secs, &reject(FailureReason::Dns)).await;
    }
    assert_eq!(kit.list_dead(&kit.all_dead()).await, [owed[0], owed[2], owed[1]]);
    // One that dies again is the latest.
    kit.store().retry(kit.app, owed[1], at(40)).await.expect("retry");
    assert_eq!(kit.list_dead(&kit.all_dead()).await, [owed[0], owed[2]]);
    let work = kit.claim(a, 40, 1).await;
    kit.settle(&work[0], 41, &reject(FailureReason::Dns)).await;
    kit.reopen().await;
    assert_eq!(kit.list_dead(&kit.all_dead()).await, [owed[1], owed[0], owed[2]]);
}

pub(super) async fn paging_through_dead_letters_meets_each_once(mut kit: Kit) {
    let a = kit.destination("a").await;
    let mut dead = Vec::new();
    for n in 0..6 {
        dead.extend(kit.settled(n * 1_000, 400, a, &reject(FailureReason::Dns)).await);
    }
    kit.tidy(0).await;
    let mut request = Some(PageRequest::first(150));
    let mut met = Vec::new();
    let mut secs = 10_000;
    for _ in 0..STEPS_MAX {
        let Some(next) = request else { break };
        let page = kit.store().dead_letters(kit.all_dead(), next.clone()).await.expect("a page");
        request = next.after(&page);
        met.extend(page.items.into_iter().map(|summary| summary.delivery.id));
        // The last one met is gone by the time of the next page, and another one is new.
        let last = met.last().expect("no page before the last is empty");
        kit.store().cancel(kit.app, *last, at(secs)).await.expect("cancel");
        kit.settled(secs, 1, a, &reject(FailureReason::Dns)).await;
        secs += 10;
    }
    met.sort_unstable();
    dead.sort_unstable();
    assert_eq!(met, dead);
}

pub(super) async fn a_redrive_takes_what_fits_and_no_more_than_asked(mut kit: Kit) {
    let [a, b] = [kit.destination("a").await, kit.destination("b").await];
    let dns = kit.settled(0, 25, a, &reject(FailureReason::Dns)).await;
    let tls = kit.settled(100, 3, a, &reject(FailureReason::Tls)).await;
    let elsewhere = kit.settled(200, 3, b, &reject(FailureReason::Dns)).await;

    let query =
        DeadLetterQuery { destination: Some(a), reason: Some(FailureReason::Dns), to: Some(at(150)), ..kit.all_dead() };
    let mut steps = Vec::new();
    for _ in 0..STEPS_MAX {
        let step = kit.store().redrive(query.clone(), at(300), 10).await.expect("redrive");
        steps.push(step);
        if step < 10 {
            break;
        }
    }
    assert_eq!(steps, [10, 10, 5]);
    kit.reopen().await;
    let left = [elsewhere, tls].concat();
    let mut listed = kit.list_dead(&kit.all_dead()).await;
    listed.sort_unstable();
    let mut expected = left.clone();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    let work = kit.claim(a, 300, 100).await;
    let mut redriven: Vec<_> = work.iter().map(|owned| owned.id).collect();
    redriven.sort_unstable();
    assert_eq!(redriven, dns);
    assert!(work.iter().all(|owned| (owned.standing.attempts, owned.standing.spent) == (1, 0)));
    assert_eq!(kit.state(left[0]).await, State::Dead);
}
