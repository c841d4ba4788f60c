//! Tokens: fetched once, shared, renewed once when they are refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::delivery::State;
use domain::verdict::{FailureReason, PauseReason};
use serde_json::json;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};

fn wants_token(destination: &mut domain::Destination) {
    destination.connector = String::from("single");
    destination.settings = serde_json::from_value(json!({ "token": true })).unwrap();
}

/// A token with the time of its fetch as its name.
fn token(sent: &Sent, valid_s: u64) -> Answer {
    Answer::Says(json!({ "token": format!("at {} s", sent.at.as_secs()), "valid_s": valid_s }))
}

fn fetches(engine: &Engine, lane: domain::DestinationId) -> Vec<u64> {
    engine.wires.to(lane).iter().filter(|sent| sent.is_for_token()).map(|sent| sent.at.as_secs()).collect()
}

/// The only delivery has arrived, after one attempt that failed like this.
async fn arrives_at_the_second_try(engine: &Engine, lane: domain::DestinationId, reason: FailureReason, error: &str) {
    let (summary, attempts) = engine.only(lane).await;
    assert_eq!((summary.delivery.standing.state, attempts.len()), (State::Delivered, 2));
    assert_eq!((attempts[0].reason, attempts[0].error.as_deref()), (Some(reason), Some(error)));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_once_and_used_until_shortly_before_it_ends() {
    let script = |sent: &Sent| if sent.is_for_token() { token(sent, 600) } else { Answer::Slowly(200, SECOND) };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..8).await;
    engine.pass(30 * SECOND).await;
    assert_eq!(fetches(&engine, shop), [0], "eight began at once, and seven waited for the token of the first");
    engine.pass(500 * SECOND).await;
    engine.clicks(8..9).await;
    engine.pass(30 * SECOND).await;
    assert_eq!(fetches(&engine, shop), [0]);
    engine.clicks(9..10).await;
    engine.pass(30 * SECOND).await;
    assert_eq!(fetches(&engine, shop), [0, 560]);
    assert_eq!(engine.count(shop, State::Delivered).await, 10);
    let used: Vec<_> = engine.wires.to(shop).iter().filter_map(|sent| sent.authorization.clone()).collect();
    assert_eq!((&used[8][..], &used[9][..]), ("at 0 s", "at 560 s"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_and_the_exchange_begins_again() {
    let script = |sent: &Sent| match (sent.is_for_token(), sent.authorization.as_deref()) {
        (true, _) => token(sent, 36_000),
        (false, Some("at 0 s")) if sent.at.as_secs() >= 100 => {
            Answer::Refuses(401, json!({ "reauthorize": "expired" }))
        }
        _ => Answer::Status(200),
    };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..1).await;
    engine.pass(100 * SECOND).await;
    engine.clicks(1..9).await;
    engine.pass(SECOND).await;
    assert_eq!(fetches(&engine, shop), [0, 100]);
    assert_eq!(engine.count(shop, State::Delivered).await, 9);
    for summary in engine.house.deliveries(shop).await {
        assert_eq!(summary.delivery.standing.attempts, 1, "renewing is no attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_again_pauses_the_destination() {
    let script = |sent: &Sent| {
        if sent.is_for_token() {
            token(sent, 36_000)
        } else {
            Answer::Refuses(401, json!({ "reauthorize": "the key was revoked; make a new one" }))
        }
    };
    let (engine, shop) = bulk(script, |destination| {
        wants_token(destination);
        destination.concurrency = 1;
    })
    .await;
    engine.clicks(0..5).await;
    engine.pass(60 * SECOND).await;
    let live = engine.house.registry.destination(shop).unwrap();
    let pause = live.destination.paused.clone().unwrap();
    let name = &live.destination.name;
    let told = format!("the key was revoked; make a new one; then `afterclick destinations resume {name}`");
    assert_eq!((pause.reason, pause.message), (PauseReason::Unauthorized, told));
    assert_eq!(engine.wires.to(shop).len(), 4, "two tokens, two calls");
    assert_eq!(engine.count(shop, State::Pending).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_was_good_for_a_call_and_ends_is_no_reason_to_pause() {
    let calls = AtomicUsize::new(0);
    let script = move |sent: &Sent| {
        if sent.is_for_token() {
            return token(sent, 36_000);
        }
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 | 2 => Answer::Says(json!({ "more": true })),
            1 | 3 => Answer::Refuses(401, json!({ "reauthorize": "expired" })),
            _ => Answer::Status(200),
        }
    };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..1).await;
    engine.pass(70 * SECOND).await;
    arrives_at_the_second_try(&engine, shop, FailureReason::ClientError, "expired").await;
    assert!(engine.house.registry.destination(shop).unwrap().destination.paused.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_refused_is_one_call_and_one_clear_message() {
    let script = |sent: &Sent| {
        if sent.is_for_token() {
            Answer::SlowlySays(SECOND, json!({ "error": "invalid_client" }))
        } else {
            Answer::Status(200)
        }
    };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..8).await;
    engine.pass(60 * SECOND).await;
    let live = engine.house.registry.destination(shop).unwrap();
    assert!(live.destination.paused.as_ref().unwrap().message.starts_with("the client secret is refused"));
    assert_eq!(engine.wires.to(shop).len(), 1, "the others share the refusal");
    assert_eq!(engine.count(shop, State::Pending).await, 8);
}

#[tokio::test(start_paused = true)]
async fn a_token_server_that_is_down_is_tried_again_by_the_schedule() {
    let script = |sent: &Sent| match (sent.is_for_token(), sent.at.as_secs()) {
        (true, 0..10) => Answer::Fails(FailureReason::Connect),
        (true, _) => token(sent, 600),
        _ => Answer::Status(200),
    };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..1).await;
    engine.pass(70 * SECOND).await;
    arrives_at_the_second_try(&engine, shop, FailureReason::Connect, "no token could be fetched: as the script says")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_destination_drops_its_token() {
    let script = |sent: &Sent| if sent.is_for_token() { token(sent, 36_000) } else { Answer::Status(200) };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    let changed = engine.house.registry.destination(shop).unwrap().destination.clone();
    engine.house.put(changed).await;
    engine.clicks(1..2).await;
    engine.pass(SECOND).await;
    assert_eq!(fetches(&engine, shop), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_a_vendor_repeats_is_not_kept() {
    let script = |sent: &Sent| {
        if sent.is_for_token() {
            Answer::Says(json!({ "token": "canary-token", "valid_s": 600 }))
        } else {
            let said = format!("bad token {}", sent.authorization.as_deref().unwrap_or_default());
            Answer::Refuses(500, json!({ "message": said }))
        }
    };
    let (engine, shop) = bulk(script, wants_token).await;
    engine.clicks(0..1).await;
    engine.pass(100_000 * SECOND).await;
    let (_, attempts) = engine.only(shop).await;
    assert!(attempts.iter().all(|attempt| attempt.reply.as_deref() == Some(r#"{"message":"bad token ••••"}"#)));
}
