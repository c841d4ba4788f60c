//! Deliveries that arrive at their first try: the try is in their own row, in stores of before it is not.

use domain::{Attempt, Verdict};
use rusqlite::Connection;

use super::kit::{Change, OnDisk, Probe, take_back};
use crate::conformance::kit::{Kit, settlement};
use crate::sqlite::transaction::Tx;
use crate::sqlite::{DATABASE_FILE, SqliteOptions};
use crate::{DeliverySummary, NewEvent, PageRequest, Settled};

async fn count(probe: &Probe, sql: &'static str) -> i64 {
    let count = move |tx: &mut Tx<'_>| Ok(tx.conn.query_row(sql, [], |row| row.get(0))?);
    probe.store().shared.queue.command(count).await.unwrap()
}

/// Delivers three of four, so that one of those in the middle stays.
async fn deliver(kit: &mut Kit) -> Vec<DeliverySummary> {
    let a = kit.destination("a").await;
    kit.owe(0, 4, a).await;
    let claimed = kit.claim(a, 10, 4).await;
    let outcomes = [0, 1, 3].map(|at| settlement(&claimed[at], 11, &Verdict::Delivered));
    assert_eq!(kit.store().settle(outcomes.into()).await.unwrap(), [Settled::Done; 3]);
    listed(kit).await
}

async fn listed(kit: &Kit) -> Vec<DeliverySummary> {
    listed_up_to(kit, 10).await
}

async fn listed_up_to(kit: &Kit, limit: usize) -> Vec<DeliverySummary> {
    kit.store().deliveries(kit.all_deliveries(), PageRequest::first(limit)).await.unwrap().items
}

fn attempts(of: &[DeliverySummary]) -> Vec<Option<Attempt>> {
    of.iter().map(|summary| summary.last_attempt.clone()).collect()
}

#[tokio::test]
async fn a_first_try_that_succeeds_is_shown_and_takes_no_row() {
    for change in [(|options| options) as Change, |options| SqliteOptions { tail_rows_max: 1, ..options }] {
        let (mut kit, probe) = OnDisk::kit(change).await;
        let deliveries = deliver(&mut kit).await;
        let ended: Vec<bool> = deliveries.iter().map(|summary| summary.delivery.ended_at.is_some()).collect();
        assert_eq!(ended, [true, false, true, true]);
        assert_eq!(attempts(&deliveries).iter().map(Option::is_some).collect::<Vec<_>>(), ended);
        assert_eq!(count(&probe, "SELECT count(*) FROM attempts").await, 0);
        kit.reopen().await;
        assert_eq!(attempts(&listed(&kit).await), attempts(&deliveries));
    }
}

#[tokio::test]
async fn what_arrives_together_says_each_its_own_and_leaves_its_neighbours_alone() {
    let (mut kit, _probe) = OnDisk::kit(|options| options).await;
    let (a, b) = (kit.destination("a").await, kit.destination("b").await);
    let owed = [&[b, a][..], &[b, a], &[b, a], &[b], &[a, b], &[b, a], &[b, a], &[b, a]];
    let events: Vec<NewEvent> = (0..).zip(owed).map(|(secs, to)| kit.event(secs, to)).collect();
    kit.append(events).await;
    let claimed = kit.claim(a, 10, 7).await;
    let mut outcomes: Vec<_> = claimed.iter().map(|owned| settlement(owned, 11, &Verdict::Delivered)).collect();
    outcomes[5].attempt.reply = Some("another".to_owned());
    outcomes[6].attempt.duration_ms = 8;
    outcomes.swap(0, 4);
    let waits = outcomes.remove(1).id;
    assert_eq!(kit.store().settle(outcomes.clone().into()).await.unwrap(), [Settled::Done; 6]);
    for listed in listed_up_to(&kit, 20).await {
        let id = listed.delivery.id;
        let outcome = outcomes.iter().find(|outcome| outcome.id == id);
        assert_eq!(listed.last_attempt, outcome.map(|outcome| outcome.attempt.clone()));
        assert_eq!(listed.delivery.ended_at, outcome.map(|outcome| outcome.now));
        assert_eq!(listed.delivery.destination == b || id == waits, outcome.is_none());
    }
}

#[tokio::test]
async fn the_attempts_of_an_older_store_are_still_shown() {
    let (mut kit, probe) = OnDisk::kit(|options| options).await;
    let deliveries = deliver(&mut kit).await;
    let dir = probe.copy().await;
    let conn = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let before = "INSERT INTO attempts SELECT no, 1, tried_at, tried_ms, tried_status, NULL, NULL, tried_reply \
                  FROM deliveries WHERE state = 1; \
                  UPDATE deliveries SET ended_at = NULL WHERE state = 0;";
    conn.execute_batch(before).unwrap();
    take_back(&conn, 2);
    drop(conn);
    let app = kit.app;
    let mut kit = Kit::open(Box::new(OnDisk::on(dir, |options| options))).await;
    kit.app = app;
    assert_eq!(attempts(&listed(&kit).await), attempts(&deliveries));
}
