//! What becomes of a delivery: retried, dead, paused, held back, and tried again.

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Manifest, Outlet, Progress, Reply, SettingsError, Step,
};
use domain::delivery::State;
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Timestamp};
use pipeline::Plugins;
use serde_json::json;
use std::sync::Arc;
use storage::memory::MemoryStore;

use crate::engine::{Answer, Engine, SECOND, after_start};
use crate::house::plugins;

#[tokio::test(start_paused = true)]
async fn a_down_vendor_is_retried_until_it_answers() {
    let engine = Engine::new(|sent| match sent.before {
        0 => Answer::Fails(FailureReason::Connect),
        1 => Answer::Status(503),
        2 => Answer::Hangs,
        _ => Answer::Status(204),
    })
    .await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(3_600 * SECOND).await;

    let (summary, attempts) = engine.only(orders).await;
    assert_eq!(summary.delivery.standing.state, State::Delivered);
    let reasons: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.status, attempt.reason)).collect();
    assert_eq!(
        reasons,
        [
            (1, None, Some(FailureReason::Connect)),
            (2, Some(503), Some(FailureReason::ServerError)),
            (3, None, Some(FailureReason::Timeout)),
            (4, Some(204), None),
        ]
    );
    assert_eq!(attempts[1].error.as_deref(), Some("it answered 503"));
    assert_eq!(attempts[2].duration_ms, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_becomes_a_dead_letter_after_exactly_four_tries() {
    let engine = Engine::new(|_| Answer::Status(500)).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(100_000 * SECOND).await;

    assert_eq!(engine.wires.times_ms(orders), [0, 60_000, 360_000, 2_160_000]);
    let (summary, attempts) = engine.only(orders).await;
    assert_eq!(attempts.len(), 4);
    assert_eq!(summary.delivery.standing.state, State::Dead);
    assert_eq!(summary.delivery.standing.reason, Some(FailureReason::ServerError));
    assert_eq!(summary.delivery.ended_at, Some(after_start(2_160 * SECOND)));
    assert_eq!(engine.told().await, ["afterclick.delivery.dead"]);
}

#[tokio::test(start_paused = true)]
async fn the_stored_bytes_are_what_is_sent() {
    let engine = Engine::new(|_| Answer::Status(200)).await;
    let orders = engine.destination("orders", |_| {}).await;
    let body = "{\"event\" : \"link.clicked\",\n \"timestamp\":\"2026-03-04T14:32:08Z\", \"data\":{\"n\":1.0, \"ä\":\"\\u00e4\"}}";
    engine.house.send(body).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.wires.to(orders)[0].body, body.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_paused_destination_holds_and_then_delivers() {
    let engine = Engine::new(|_| Answer::Status(200)).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.house.registry.pause_destination(orders, PauseReason::Manual, "on holiday").await.unwrap();
    engine.clicks(0..20).await;
    engine.pass(86_400 * SECOND).await;
    assert!(engine.wires.to(orders).is_empty());
    assert_eq!(engine.count(orders, State::Pending).await, 20);

    engine.house.registry.resume_destination(orders).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 20);
    assert_eq!(engine.told().await, ["afterclick.destination.paused", "afterclick.destination.recovered"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_takes_back_what_was_claimed_ahead() {
    let engine = Engine::new(|_| Answer::Slowly(200, SECOND)).await;
    let orders = engine.destination("orders", |destination| destination.concurrency = 2).await;
    engine.clicks(0..50).await;
    engine.pass(5 * SECOND + SECOND / 2).await;
    engine.house.registry.pause_destination(orders, PauseReason::Manual, "enough").await.unwrap();
    engine.pass(60 * SECOND).await;
    assert_eq!(engine.wires.to(orders).len(), 12, "what is on the wire is finished, nothing new is begun");
    assert_eq!(engine.count(orders, State::Delivered).await, 12);
    let deliveries = engine.house.deliveries(orders).await;
    assert!(deliveries.iter().all(|summary| !summary.delivery.leased), "nothing stays leased in a paused lane");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_pauses_its_destination_and_loses_nothing() {
    let engine =
        Engine::new(|sent| if sent.at < 100 * SECOND { Answer::Status(410) } else { Answer::Status(200) }).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..20).await;
    engine.pass(3_600 * SECOND).await;

    let live = engine.house.registry.destination(orders).unwrap();
    let pause = live.destination.paused.as_ref().unwrap();
    assert_eq!(pause.reason, PauseReason::Gone);
    assert!(engine.wires.to(orders).len() <= 8, "only what was on the wire with the first 410");
    assert_eq!(engine.count(orders, State::Pending).await, 20);
    assert_eq!(engine.told().await, ["afterclick.destination.paused"]);

    engine.house.registry.resume_destination(orders).await.unwrap();
    engine.pass(SECOND).await;
    assert_eq!(engine.count(orders, State::Delivered).await, 20);
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_the_whole_destination_and_no_other() {
    for (value, held_until_ms) in [("120".to_owned(), 120_000), ("Wed, 04 Mar 2026 14:34:08 GMT".to_owned(), 120_000)] {
        assert_eq!(after_start(120 * SECOND), "2026-03-04T14:34:08Z".parse::<Timestamp>().unwrap());
        let engine = Engine::new(move |sent| match sent.at.as_secs() {
            0 => Answer::Headed(429, "retry-after", value.clone()),
            _ => Answer::Status(200),
        })
        .await;
        let asked = engine.destination("asked", |destination| destination.concurrency = 1).await;
        engine.clicks(0..1).await;
        engine.pass(10 * SECOND).await;
        let other = engine.destination("other", |_| {}).await;
        engine.clicks(1..11).await;
        engine.pass(SECOND).await;
        assert_eq!(engine.count(other, State::Delivered).await, 10);
        assert_eq!(engine.wires.times_ms(asked), [0]);

        engine.pass(600 * SECOND).await;
        let times = engine.wires.times_ms(asked);
        assert_eq!(times.len(), 12);
        assert!(times[1..].iter().all(|&at| at == held_until_ms), "{times:?}");
        assert_eq!(engine.count(asked, State::Delivered).await, 11);
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_is_one_day() {
    let engine = Engine::new(|sent| match sent.before {
        0 => Answer::Headed(503, "retry-after", "9".repeat(40)),
        _ => Answer::Status(200),
    })
    .await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(90_000 * SECOND).await;
    assert_eq!(engine.wires.times_ms(orders), [0, 86_400_000]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_retried_by_hand_goes_out_at_once() {
    let engine = Engine::new(|sent| Answer::Status(if sent.before == 0 { 500 } else { 200 })).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    let (summary, _) = engine.only(orders).await;
    engine.house.store.retry(engine.house.appspace(), summary.delivery.id, engine.house.clock.now()).await.unwrap();
    engine.pass(SECOND / 10).await;
    assert_eq!(engine.wires.times_ms(orders), [0, 1_000]);
    assert_eq!(engine.count(orders, State::Delivered).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_counts_from_the_next_attempt_on() {
    let engine = Engine::new(|sent| Answer::Status(if sent.at < 60 * SECOND { 500 } else { 200 })).await;
    let orders = engine.destination("orders", |_| {}).await;
    engine.clicks(0..1).await;
    engine.pass(SECOND).await;
    let live = engine.house.registry.destination(orders).unwrap();
    let mut changed = live.destination.clone();
    changed.settings.0.insert("headers".to_owned(), serde_json::json!({ "X-New": "yes" }));
    engine.house.put(changed).await;
    engine.pass(60 * SECOND).await;
    assert_eq!(engine.wires.times_ms(orders), [0, 60_000]);
    assert_eq!(engine.count(orders, State::Delivered).await, 1);
}

// ---------------------------------------------------------------------------------------------------------------------

/// A connector that panics on some events, never ends on others, and is `webhook` for the rest.
struct Moody;

static MOODY: Manifest = Manifest {
    name: "moody",
    title: "Moody",
    summary: "Fails in ways that a connector should not.",
    category: Category::Webhook,
    notes: "",
    fields: &[],
    events: &["*"],
    batch: BatchLimits::ONE,
    rate: None,
    provisions: false,
    recognises: None,
};

impl Connector for Moody {
    fn manifest(&self) -> &'static Manifest {
        &MOODY
    }

    fn open(&self, _: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        connectors::by_name("webhook").unwrap().open(&settings()).map(|webhook| Box::new(Mood(webhook)) as _)
    }
}

struct Mood(Box<dyn Outlet>);

impl Outlet for Mood {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        assert!(!is_about(batch, "t3"), "prepare is not in the mood");
        self.0.prepare(batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        assert!(!is_about(batch, "t5"), "advance is not in the mood");
        if is_about(batch, "t7") { self.prepare(batch, progress) } else { self.0.advance(batch, progress, reply) }
    }
}

fn is_about(batch: &Batch<'_>, token: &str) -> bool {
    batch.items.iter().any(|item| String::from_utf8_lossy(&item.event.body).contains(&format!("\"{token}\"")))
}

fn settings() -> Settings {
    serde_json::from_value(serde_json::json!({ "url": "https://example.com/", "secret": crate::house::SECRET }))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_or_never_ends_harms_only_its_own_event() {
    let mut all: Vec<&'static dyn Connector> = connectors::ALL.to_vec();
    all.push(&Moody);
    let plugins = Plugins { connectors: all.leak(), ..plugins() };
    let engine = Engine::over(Arc::new(MemoryStore::new()), plugins, |_| Answer::Status(200)).await;
    let moody = engine
        .destination("moody", |destination| {
            destination.connector = "moody".to_owned();
            destination.settings = Settings::default();
            destination.retry = serde_json::from_str(r#"["1s"]"#).unwrap();
        })
        .await;
    engine.clicks(0..20).await;
    engine.pass(60 * SECOND).await;

    assert_eq!(engine.count(moody, State::Delivered).await, 17);
    let dead: Vec<_> = engine.house.deliveries(moody).await;
    let dead: Vec<_> = dead.into_iter().filter(|summary| summary.delivery.standing.state == State::Dead).collect();
    assert_eq!(dead.len(), 3);
    for summary in dead {
        assert_eq!(summary.delivery.standing.reason, Some(FailureReason::Unprocessable));
        assert_eq!(summary.delivery.standing.attempts, 2);
    }
    assert_eq!(engine.wires.to(moody).len(), 17 + 2 + 2 * 8, "eight calls are the most of one attempt");
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_repeats_of_a_secret_is_neither_kept_nor_told() {
    let engine = Engine::new(|sent| {
        let said = format!("no such hook: {} with {}", sent.url, sent.authorization.as_deref().unwrap_or_default());
        Answer::Refuses(500, json!({ "ok": false, "error": said }))
    })
    .await;
    let hook = engine
        .destination("hook", |hook| {
            let settings = json!({
                "url": "https://example.com/h?key=canary-in-the-query",
                "secret": "canary-that-signs",
                "headers": { "Authorization": "Bearer canary-in-a-header" },
            });
            hook.settings = serde_json::from_value(settings).unwrap();
        })
        .await;
    let chat = engine
        .destination("chat", |chat| {
            chat.connector = "zapier".to_owned();
            chat.settings =
                serde_json::from_value(json!({ "url": "https://hooks.zapier.com/hooks/catch/1/canary/" })).unwrap();
        })
        .await;
    engine.clicks(0..1).await;
    engine.pass(100_000 * SECOND).await;

    for destination in [hook, chat] {
        let (_, attempts) = engine.only(destination).await;
        assert!(attempts.iter().any(|attempt| attempt.reply.is_some()), "{attempts:?}");
        assert!(!format!("{attempts:?}").contains("canary"), "{attempts:?}");
    }
    for event in engine.house.events().await {
        assert!(!String::from_utf8_lossy(&event.body).contains("canary"), "{event:?}");
    }
}
