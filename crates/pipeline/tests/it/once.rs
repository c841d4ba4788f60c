//! Messages to people: never sent twice by themselves, whatever breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::DestinationId;
use domain::delivery::State;
use domain::replay::{Replay, ReplayState, Select};
use domain::verdict::FailureReason;
use pipeline::dispatcher::DispatcherOptions;
use serde_json::{Value, json};
use storage::memory::MemoryStore;
use storage::{DeadLetterQuery, Store};

use crate::bulk::with_bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::sulky::Sulky;

/// An engine with one destination whose calls must not be repeated.
async fn letters(
    store: Arc<dyn Store>,
    script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
) -> (Engine, DestinationId) {
    letters_with(json!({ "once": true }), store, script).await
}

/// The same with these settings.
async fn letters_with(
    settings: Value,
    store: Arc<dyn Store>,
    script: impl Fn(&Sent) -> Answer + Send + Sync + 'static,
) -> (Engine, DestinationId) {
    let engine = Engine::over(store, with_bulk(), script).await;
    let letters = engine
        .destination("letters", |destination| {
            destination.connector = String::from("single");
            destination.settings = serde_json::from_value(settings).unwrap();
        })
        .await;
    (engine, letters)
}

/// The settings of letters that their vendor recognises for so long.
fn known_for(time: Duration) -> Value {
    json!({ "once": true, "known_for_s": time.as_secs() })
}

const MINUTE: Duration = Duration::from_mins(1);

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

async fn redrive(engine: &Engine) -> usize {
    let query =
        DeadLetterQuery { appspace: engine.house.appspace(), destination: None, reason: None, from: None, to: None };
    engine.house.store.redrive(query, engine.house.clock.now(), 100).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_is_not_sent_again_until_a_person_says_so() {
    for lost in [Answer::Breaks, Answer::Hangs] {
        let (engine, letters) = letters(memory(), move |sent| match sent.before {
            0 => lost.clone(),
            _ => Answer::Status(202),
        })
        .await;
        engine.clicks(0..1).await;
        engine.pass(100_000 * SECOND).await;
        let (summary, attempts) = engine.only(letters).await;
        let standing = summary.delivery.standing;
        assert_eq!((standing.state, standing.reason), (State::Dead, Some(FailureReason::UnknownOutcome)));
        assert_eq!(engine.wires.to(letters).len(), 1);
        let error = attempts[0].error.clone().unwrap();
        let id = summary.delivery.id;
        assert!(error.starts_with("it may have been sent, but "), "{error}");
        assert!(error.ends_with(&format!("send it again with `afterclick dead-letters redrive {id}`")), "{error}");

        assert_eq!(redrive(&engine).await, 1);
        engine.pass(60 * SECOND).await;
        let (summary, _) = engine.only(letters).await;
        assert_eq!((summary.delivery.standing.state, engine.wires.to(letters).len()), (State::Delivered, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_would_be_recognised_is_sent_again_by_itself_also_after_a_crash() {
    let script = |sent: &Sent| match sent.before {
        0 => Answer::Breaks,
        1 => Answer::Hangs,
        _ => Answer::Status(202),
    };
    let (mut engine, letters) = letters_with(known_for(60 * MINUTE), memory(), script).await;
    engine.clicks(0..1).await;
    engine.pass(20 * SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(60 * MINUTE).await;
    assert_eq!((engine.count(letters, State::Delivered).await, engine.wires.to(letters).len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_would_not_be_recognised_any_more_is_not_sent_again_whatever_came_in_between() {
    for between in [Answer::Status(429), Answer::Status(503), Answer::Fails(FailureReason::Connect), Answer::Breaks] {
        let script = move |sent: &Sent| match sent.before {
            0 => Answer::Breaks,
            _ => between.clone(),
        };
        let (engine, letters) = letters_with(known_for(10 * MINUTE), memory(), script).await;
        engine.clicks(0..1).await;
        engine.pass(10 * MINUTE).await;
        let sent = engine.wires.to(letters).len();
        assert!(sent > 2, "{sent}");
        engine.pass(100_000 * SECOND).await;
        let (summary, _) = engine.only(letters).await;
        let standing = summary.delivery.standing;
        assert_eq!((standing.state, standing.reason), (State::Dead, Some(FailureReason::UnknownOutcome)));
        assert_eq!(engine.wires.to(letters).len(), sent);
        redrive(&engine).await;
        engine.pass(SECOND).await;
        assert_eq!(engine.wires.to(letters).len(), sent + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_only_refused_is_sent_long_after_it_would_have_been_recognised() {
    let pauses = |sent: &Sent| match sent.before {
        0 => Answer::Says(json!({ "pause": "the quota is used up" })),
        _ => Answer::Status(202),
    };
    let (engine, letters) = letters_with(known_for(60 * MINUTE), memory(), pauses).await;
    engine.clicks(0..1).await;
    engine.pass(100_000 * SECOND).await;
    engine.house.registry.resume_destination(letters).await.unwrap();
    engine.pass(100 * SECOND).await;
    assert_eq!((engine.count(letters, State::Delivered).await, engine.wires.to(letters).len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_have_arrived_is_sent_again() {
    let (engine, letters) = letters(memory(), |sent| match sent.before {
        0 => Answer::Fails(FailureReason::Connect),
        1 => Answer::IsShort,
        _ => Answer::Status(202),
    })
    .await;
    engine.clicks(0..1).await;
    engine.pass(100 * SECOND).await;
    let (summary, attempts) = engine.only(letters).await;
    assert_eq!((summary.delivery.standing.state, attempts.len()), (State::Delivered, 2));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_refused_is_sent_again() {
    let (engine, letters) = letters(memory(), |sent| match sent.before {
        0 => Answer::Status(503),
        1 => Answer::Status(429),
        _ => Answer::Status(202),
    })
    .await;
    engine.clicks(0..1).await;
    engine.pass(1_000 * SECOND).await;
    assert_eq!((engine.count(letters, State::Delivered).await, engine.wires.to(letters).len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_message_is_on_its_way_is_no_second_message() {
    // The second one waits once for the vendor before, which spends no attempt.
    let (mut engine, letters) = letters(memory(), |sent| match (sent.tokens()[0].as_str(), sent.before) {
        ("t1", 0) => Answer::Status(429),
        _ => Answer::Hangs,
    })
    .await;
    engine.clicks(0..2).await;
    engine.pass(95 * SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    let sent = engine.wires.to(letters).len();
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(100_000 * SECOND).await;
    assert_eq!(engine.wires.to(letters).len(), sent);
    for summary in engine.house.deliveries(letters).await {
        assert_eq!(summary.delivery.standing.reason, Some(FailureReason::UnknownOutcome));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_entered_and_not_settled_is_used_after_a_crash() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let (mut engine, letters) = letters(Arc::clone(&sulky) as _, |_| Answer::Status(202)).await;
    sulky.sulk(true);
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    sulky.sulk(false);
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    assert_eq!((engine.count(letters, State::Delivered).await, engine.wires.to(letters).len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_cannot_be_entered_and_nothing_twice_whose_answer_cannot_be() {
    for (entries, sent, state) in [(0, 1, State::Delivered), (1, 1, State::Dead)] {
        let sulky = Arc::new(Sulky::new(MemoryStore::new()));
        let (mut engine, letters) = letters(Arc::clone(&sulky) as _, |_| Answer::Status(202)).await;
        sulky.remember_only(entries);
        engine.clicks(0..1).await;
        engine.pass(SECOND).await;
        assert_eq!(engine.wires.to(letters).len(), entries, "the entry comes first");
        sulky.remember_only(usize::MAX);
        engine.restart(DispatcherOptions::default()).await;
        engine.pass(200 * SECOND).await;
        let (summary, _) = engine.only(letters).await;
        assert_eq!((summary.delivery.standing.state, engine.wires.to(letters).len()), (state, sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_is_refused_by_the_store_is_not_sent_again() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    let script = |sent: &Sent| match (sent.url.ends_with("/more"), sent.before) {
        (true, _) => Answer::Status(429),
        (false, _) => Answer::Says(json!({ "more": true })),
    };
    let (engine, letters) = letters(Arc::clone(&sulky) as _, script).await;
    sulky.refuse_after(1);
    engine.clicks(0..1).await;
    engine.pass(1_000 * SECOND).await;
    let (summary, attempts) = engine.only(letters).await;
    let standing = summary.delivery.standing;
    assert_eq!((standing.state, standing.reason), (State::Dead, Some(FailureReason::UnknownOutcome)));
    assert_eq!((attempts.len(), engine.wires.to(letters).len()), (1, 1), "it ends before anything hangs on the answer");
    let error = attempts[0].error.clone().unwrap();
    assert!(error.starts_with("it may have been sent, but its answer could not be kept; see whether"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn resuming_a_destination_is_no_word_about_a_message_that_was_cut_off() {
    let fetches = AtomicUsize::new(0);
    let script = move |sent: &Sent| match sent.is_for_token() {
        true if fetches.fetch_add(1, Ordering::SeqCst) == 1 => Answer::Status(401),
        true => Answer::Says(json!({ "token": "t" })),
        false => Answer::Hangs,
    };
    let mut engine = Engine::over(memory(), with_bulk(), script).await;
    let letters = engine
        .destination("letters", |destination| {
            destination.connector = String::from("single");
            destination.settings = serde_json::from_value(json!({ "once": true, "token": true })).unwrap();
        })
        .await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    assert!(engine.house.registry.destination(letters).unwrap().destination.paused.is_some());
    engine.house.registry.resume_destination(letters).await.unwrap();
    engine.pass(200 * SECOND).await;
    let (summary, attempts) = engine.only(letters).await;
    assert_eq!(summary.delivery.standing.reason, Some(FailureReason::UnknownOutcome), "{attempts:?}");
    let sent = engine.wires.to(letters);
    assert_eq!(sent.iter().filter(|sent| !sent.is_for_token()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_is_judged_by_its_own_answer() {
    let sulky = Arc::new(Sulky::new(MemoryStore::new()));
    // Each answer speaks of its own item only.
    let script = |sent: &Sent| Answer::Says(json!({ "verdicts": { sent.tokens()[0].as_str(): "skip" } }));
    let mut engine = Engine::over(Arc::clone(&sulky) as _, with_bulk(), script).await;
    let letters = engine
        .destination("letters", |destination| {
            destination.connector = String::from("bulk");
            destination.settings = serde_json::from_value(json!({ "once": true })).unwrap();
            destination.batch.items = Some(1);
        })
        .await;
    // Neither outcome is stored.
    sulky.sulk(true);
    engine.clicks(0..2).await;
    engine.pass(10 * SECOND).await;
    engine.dispatcher.stop(SECOND / 10).await;
    assert_eq!(engine.wires.to(letters).len(), 2);
    sulky.sulk(false);
    let mut in_one = engine.house.registry.destination(letters).unwrap().destination.clone();
    in_one.batch.items = Some(2);
    engine.house.put(in_one).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.pass(200 * SECOND).await;
    assert_eq!((engine.count(letters, State::Skipped).await, engine.wires.to(letters).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_replay_skips_what_was_sent_and_a_resend_sends_it() {
    let (engine, letters) = letters(memory(), |_| Answer::Status(202)).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    let (summary, _) = engine.only(letters).await;
    let now = engine.house.clock.now();
    let replay = Replay {
        id: domain::ReplayId::mint(now, 9),
        appspace: engine.house.appspace(),
        destination: letters,
        from: crate::house::START,
        to: now,
        events: None,
        select: Select::All,
        per_second: None,
        state: ReplayState::Running,
        scanned: 0,
        created: 0,
        created_at: now,
        ended_at: None,
    };
    engine.house.replayer.create(replay).await.unwrap();
    let runner = Arc::clone(&engine.house.replayer);
    let running = tokio::spawn(async move { runner.run().await });
    engine.pass(10 * SECOND).await;
    running.abort();
    assert_eq!((engine.count(letters, State::Skipped).await, engine.wires.to(letters).len()), (1, 1));

    engine.house.store.resend(engine.house.appspace(), summary.delivery.id, engine.house.clock.now()).await.unwrap();
    engine.pass(10 * SECOND).await;
    assert_eq!((engine.count(letters, State::Delivered).await, engine.wires.to(letters).len()), (2, 2));
}
