//! Volume: how much a destination wants, decided when an event comes in and when it is sent.

use domain::delivery::State;
use domain::{DestinationId, Volume};
use pipeline::dispatcher::DispatcherOptions;

use crate::batches::bulk;
use crate::engine::{Answer, Engine, SECOND, Sent, per_second};
use crate::house::click;

/// A click of somebody.
pub(crate) fn click_of(user: &str, token: &str) -> String {
    format!(
        r#"{{"event":"link.clicked","timestamp":"2026-03-04T14:32:08Z","data":{{"user_id":"{user}","token":"{token}"}}}}"#
    )
}

/// Wants one message a minute.
fn chatty(destination: &mut domain::Destination) {
    destination.connector = String::from("chatty");
    destination.volume.digest_ms = Some(60_000);
}

pub(crate) fn tokens(engine: &Engine, lane: DestinationId) -> Vec<Vec<String>> {
    engine.wires.to(lane).iter().map(Sent::tokens).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_in_the_sample_or_below_the_threshold_is_not_owed() {
    let (engine, lane) = bulk(
        |_| Answer::Status(200),
        |destination| {
            destination.volume = Volume { sample: Some(0.5), ..Volume::default() };
        },
    )
    .await;
    let rich = engine
        .destination("rich", |destination| {
            destination.volume = Volume { threshold: Some(100.0), ..Volume::default() };
        })
        .await;
    for (number, revenue) in [(0, 99), (1, 100), (2, 101)] {
        let body = format!(
            r#"{{"event":"link.clicked","timestamp":"2026-03-04T14:32:08Z","data":{{"token":"r{number}","revenue":{revenue}}}}}"#
        );
        engine.house.send(&body).await.unwrap();
    }
    engine.clicks(0..97).await;
    engine.pass(10 * SECOND).await;
    let owed = engine.house.deliveries(lane).await.len();
    assert!((30..70).contains(&owed), "{owed}");
    assert_eq!(engine.count(lane, State::Delivered).await, owed);
    assert_eq!(engine.house.deliveries(rich).await.len(), 99, "an event without a value is not below any");
}

#[tokio::test(start_paused = true)]
async fn only_the_first_of_a_subject_on_a_day_is_sent() {
    let script = |sent: &Sent| Answer::Status(if sent.at < SECOND { 503 } else { 200 });
    let (mut engine, lane) = bulk(script, |destination| {
        destination.connector = String::from("single");
        destination.volume.first_per_subject_per_day = true;
    })
    .await;
    for (user, token) in [("ada", "a1"), ("ada", "a2"), ("bob", "b1"), ("ada", "a3")] {
        engine.house.send(&click_of(user, token)).await.unwrap();
        engine.pass(SECOND / 10).await;
    }
    engine.clicks(0..2).await;
    engine.pass(10 * SECOND).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.house.send(&click_of("bob", "b2")).await.unwrap();
    engine.pass(100 * SECOND).await;
    let sent: Vec<String> = tokens(&engine, lane).concat();
    for (token, times) in [("a1", 2), ("b1", 2), ("t0", 2), ("t1", 2), ("a2", 0), ("a3", 0), ("b2", 0)] {
        assert_eq!(sent.iter().filter(|name| *name == token).count(), times, "{token}: a retry is still the first one");
    }
    assert_eq!((engine.count(lane, State::Delivered).await, engine.count(lane, State::Skipped).await), (4, 3));

    // The next day has a first one of its own.
    engine.pass(86_400 * SECOND).await;
    engine.house.send(&click_of("ada", "a4")).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.count(lane, State::Delivered).await, 5);
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_subject_is_found_within_a_batch() {
    let (engine, lane) = bulk(
        |_| Answer::Status(200),
        |destination| {
            destination.volume.first_per_subject_per_day = true;
        },
    )
    .await;
    for number in 0..10 {
        engine.house.send(&click_of(if number % 2 == 0 { "ada" } else { "bob" }, &format!("t{number}"))).await.unwrap();
    }
    engine.pass(SECOND).await;
    assert_eq!(tokens(&engine, lane), [["t0", "t1"]]);
    assert_eq!((engine.count(lane, State::Delivered).await, engine.count(lane, State::Skipped).await), (2, 8));
    // When nothing is left of a batch, nothing is sent.
    for number in 10..20 {
        engine.house.send(&click_of("ada", &format!("t{number}"))).await.unwrap();
    }
    engine.pass(SECOND).await;
    assert_eq!((tokens(&engine, lane).len(), engine.count(lane, State::Skipped).await), (1, 18));
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_one_message_about_everything_since_the_last_one() {
    let script = |sent: &Sent| Answer::Status(if sent.at.as_secs() == 112 { 503 } else { 200 });
    let (mut engine, lane) = bulk(script, chatty).await;
    // It is 14:32:08, so whole minutes are 52 s from now and every 60 s after that.
    engine.clicks(0..30).await;
    engine.pass(30 * SECOND).await;
    assert!(
        engine.house.deliveries(lane).await.iter().all(|summary| !summary.delivery.leased),
        "nothing is claimed yet"
    );
    engine.clicks(30..40).await;
    engine.pass(30 * SECOND).await;
    engine.clicks(40..41).await;
    engine.pass(10 * SECOND).await;
    assert_eq!(engine.wires.times_ms(lane), [52_000]);
    assert_eq!(tokens(&engine, lane)[0].len(), 40);
    let digest: serde_json::Value = serde_json::from_slice(&engine.wires.to(lane)[0].body).unwrap();
    assert_eq!(digest["digest"], 60);
    // The next one fails and is part of one of those after it; a restart in between changes nothing.
    engine.pass(50 * SECOND).await;
    engine.restart(DispatcherOptions::default()).await;
    engine.clicks(41..43).await;
    engine.pass(200 * SECOND).await;
    let times = engine.wires.times_ms(lane);
    assert!(times.iter().all(|at| at % 60_000 == 52_000), "{times:?}");
    assert_eq!(engine.count(lane, State::Delivered).await, 43);
    assert!(times.len() <= 4, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_digest_of_more_than_the_vendor_takes_is_several() {
    let (engine, lane) = bulk(|_| Answer::Status(200), chatty).await;
    engine.clicks(0..130).await;
    engine.pass(120 * SECOND).await;
    let sizes: Vec<usize> = tokens(&engine, lane).iter().map(Vec::len).collect();
    assert_eq!((sizes, engine.wires.times_ms(lane)), (vec![100, 30], vec![52_000, 52_000]));
}

#[tokio::test(start_paused = true)]
async fn a_digest_of_many_claims_is_one_message() {
    let terse = |destination: &mut domain::Destination| {
        chatty(destination);
        destination.connector = String::from("terse");
    };
    let (engine, lane) = bulk(|_| Answer::Status(200), terse).await;
    engine.clicks(0..2_500).await;
    engine.pass(120 * SECOND).await;
    assert_eq!(tokens(&engine, lane).iter().map(Vec::len).collect::<Vec<_>>(), [2_500]);
}

#[tokio::test(start_paused = true)]
async fn a_digest_for_a_chat_is_one_message_about_thousands() {
    let slack = |destination: &mut domain::Destination| {
        chatty(destination);
        destination.connector = String::from("slack");
        let settings = serde_json::json!({ "url": "https://hooks.slack.com/services/T0/B0/x" });
        destination.settings = serde_json::from_value(settings).unwrap();
    };
    let (engine, lane) = bulk(|_| Answer::Status(200), slack).await;
    engine.clicks(0..3_000).await;
    engine.pass(120 * SECOND).await;
    let [sent] = &engine.wires.to(lane)[..] else { panic!("{:?} instead of one message", engine.wires.times_ms(lane)) };
    let message: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.starts_with("*3000 events in 1 minute*"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_a_digest_goes_out_as_soon_as_the_rate_allows() {
    // Of 16 KiB in a message eight of these are within, and what is left over is in hand when the rate shuts the gates.
    let large = |number| click(number).replace("{\"token\"", &format!("{{\"pad\":\"{}\",\"token\"", "x".repeat(1_850)));
    for (rate, times_ms) in [(0.8, [52_000, 53_250, 54_500]), (0.1, [52_000, 62_000, 72_000])] {
        let slow = |destination: &mut domain::Destination| {
            chatty(destination);
            destination.rate = per_second(rate);
        };
        let (engine, lane) = bulk(|_| Answer::Status(200), slow).await;
        for number in 0..20 {
            engine.house.send(&large(number)).await.unwrap();
        }
        engine.pass(100 * SECOND).await;
        let sizes: Vec<usize> = tokens(&engine, lane).iter().map(Vec::len).collect();
        assert_eq!((sizes, engine.wires.times_ms(lane)), (vec![8, 8, 4], times_ms.to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_is_refused_is_sent_in_halves_until_the_one_to_blame_is_alone() {
    let script = |sent: &Sent| {
        let all: serde_json::Map<_, _> = sent.tokens().into_iter().map(|token| (token, "reject".into())).collect();
        if all.contains_key("t7") { Answer::Says(serde_json::json!({ "verdicts": all })) } else { Answer::Status(200) }
    };
    let (engine, lane) = bulk(script, chatty).await;
    engine.clicks(0..20).await;
    engine.pass(300 * SECOND).await;
    assert_eq!((engine.count(lane, State::Delivered).await, engine.count(lane, State::Dead).await), (19, 1));
}
