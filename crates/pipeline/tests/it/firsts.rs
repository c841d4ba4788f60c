//! Firsts: which event of a day is sent when the first one turns out to be nothing for the destination.

use domain::delivery::State;
use domain::{Destination, DestinationId};
use serde_json::json;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent};
use crate::volume::{click_of, tokens};

/// One at a time, and only the first about a person on a day.
fn single(destination: &mut Destination) {
    destination.connector = String::from("single");
    destination.volume.first_per_subject_per_day = true;
}

/// The vendor says this of the token `a1`.
fn of_a1(verdict: &'static str) -> impl Fn(&Sent) -> Answer + Send + Sync {
    move |_| Answer::Says(json!({ "verdicts": { "a1": verdict } }))
}

/// How often each of these tokens was sent.
fn times<const N: usize>(engine: &Engine, lane: DestinationId, of: [&str; N]) -> [usize; N] {
    let sent = tokens(engine, lane).concat();
    of.map(|token| sent.iter().filter(|name| *name == token).count())
}

async fn counts(engine: &Engine, lane: DestinationId) -> [usize; 3] {
    [
        engine.count(lane, State::Delivered).await,
        engine.count(lane, State::Skipped).await,
        engine.count(lane, State::Dead).await,
    ]
}

/// Sends three events about Ada, each when the one before is over.
async fn one_after_the_other(engine: &Engine) {
    for token in ["a1", "a2", "a3"] {
        engine.house.send(&click_of("ada", token)).await.unwrap();
        engine.pass(300 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_nothing_for_the_destination_is_not_the_first_of_its_day() {
    for (verdict, expect) in [("skip", [1, 2, 0]), ("reject", [1, 1, 1])] {
        let (engine, lane) = bulk(of_a1(verdict), single).await;
        one_after_the_other(&engine).await;
        assert_eq!(times(&engine, lane, ["a1", "a2", "a3"]), [1, 1, 0], "{verdict}");
        assert_eq!(counts(&engine, lane).await, expect, "{verdict}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_first_is_being_tried_waits_to_see_what_becomes_of_it() {
    for slow in [SECOND / 10, 8 * SECOND] {
        let script = move |_: &Sent| Answer::SlowlySays(slow, json!({ "verdicts": { "a1": "skip" } }));
        let (engine, lane) = bulk(script, single).await;
        for token in ["a1", "a2", "a3"] {
            engine.house.send(&click_of("ada", token)).await.unwrap();
        }
        engine.pass(60 * SECOND).await;
        let sent = tokens(&engine, lane).concat();
        assert_eq!((sent.len(), sent[0].as_str()), (2, "a1"), "{sent:?}");
        assert_eq!(counts(&engine, lane).await, [1, 2, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_one_of_a_batch_is_judged_anew() {
    let script = |_: &Sent| Answer::Says(json!({ "verdicts": { "a1": "skip", "a2": "reject" } }));
    let (engine, lane) = bulk(script, |destination| destination.volume.first_per_subject_per_day = true).await;
    for (user, token) in [("ada", "a1"), ("ada", "a2"), ("bob", "b1"), ("ada", "a3"), ("bob", "b2"), ("ada", "a4")] {
        engine.house.send(&click_of(user, token)).await.unwrap();
    }
    engine.pass(60 * SECOND).await;
    assert_eq!(tokens(&engine, lane), [["a1", "b1"].as_slice(), &["a2"], &["a3"]]);
    assert_eq!(counts(&engine, lane).await, [2, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_with_its_batch_and_then_alone_gives_its_place_up() {
    let script = |sent: &Sent| {
        let is_poison = sent.tokens().contains(&"a1".to_owned());
        if is_poison { Answer::Says(json!({ "split": true })) } else { Answer::Status(200) }
    };
    let (engine, lane) = bulk(script, |destination| destination.volume.first_per_subject_per_day = true).await;
    for (user, token) in [("ada", "a1"), ("bob", "b1"), ("eve", "e1")] {
        engine.house.send(&click_of(user, token)).await.unwrap();
    }
    engine.pass(60 * SECOND).await;
    engine.house.send(&click_of("ada", "a2")).await.unwrap();
    engine.pass(60 * SECOND).await;
    assert_eq!(times(&engine, lane, ["a2"]), [1]);
    assert_eq!(counts(&engine, lane).await, [3, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_that_had_to_wait_and_is_then_nothing_gives_its_place_up() {
    let script = |sent: &Sent| match (sent.tokens()[0].as_str(), sent.before) {
        ("a1", 0) => Answer::Status(429),
        ("a1", _) => Answer::Says(json!({ "verdicts": { "a1": "reject" } })),
        _ => Answer::Status(200),
    };
    let (engine, lane) = bulk(script, single).await;
    one_after_the_other(&engine).await;
    assert_eq!(times(&engine, lane, ["a1", "a2", "a3"]), [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_may_have_gone_out_keeps_its_place() {
    let script = |sent: &Sent| match (sent.tokens()[0].as_str(), sent.before) {
        ("a1", 0) => Answer::Breaks,
        ("a1", _) => Answer::Says(json!({ "verdicts": { "a1": "reject" } })),
        _ => Answer::Status(200),
    };
    let (engine, lane) = bulk(script, single).await;
    one_after_the_other(&engine).await;
    assert_eq!(times(&engine, lane, ["a1", "a2", "a3"]), [2, 0, 0]);
    assert_eq!(counts(&engine, lane).await, [0, 2, 1]);
}
