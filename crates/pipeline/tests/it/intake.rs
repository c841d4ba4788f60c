//! What the intake takes, refuses and owes.

use domain::delivery::State;
use domain::event::{FUTURE_SKEW_MAX_MS, PUBLISH_EVENTS_MAX, TimeMark};
use domain::signature::Scheme;
use domain::verdict::FailureReason;
use pipeline::intake::Rejection;
use storage::PageRequest;

use crate::house::{House, click, signed};

#[tokio::test(start_paused = true)]
async fn a_signed_event_is_stored_byte_for_byte_and_owed_to_each_match() {
    let house = House::new().await;
    let wants = house.put(house.destination("wants", &["link.*"])).await;
    let does_not = house.put(house.destination("does-not", &["install.tracked"])).await;
    let body = "{ \"event\" : \"link.clicked\", \"timestamp\": \"2026-03-04T14:32:08.441Z\", \"data\": {\"x\": 1.0} }";

    let receipt = house.send(body).await.unwrap();

    let events = house.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].id, &*events[0].body), (receipt.id, body.as_bytes()));
    assert_eq!(house.deliveries(wants).await.len(), 1);
    assert_eq!(house.deliveries(does_not).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_answered_like_the_first_and_owed_to_nobody() {
    let house = House::new().await;
    let destination = house.put(house.destination("orders", &["*"])).await;
    let first = house.send(&click(1)).await.unwrap();
    let again = house.send(&click(1)).await.unwrap();
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    assert_eq!(first.id, again.id);
    assert_eq!(house.deliveries(destination).await.len(), 1);
    let record = house.store.event(house.appspace(), first.id).await.unwrap();
    assert_eq!(record.duplicates, 1);
}

#[tokio::test(start_paused = true)]
async fn with_standard_webhooks_the_signed_id_decides_what_is_a_duplicate() {
    let house = House::new().await;
    house.registry.put_source(house.source("standard", Scheme::StandardWebhooks)).await.unwrap();
    let mut receipts = Vec::new();
    for body in [click(1), click(2)] {
        let headers = signed(Scheme::StandardWebhooks, &body);
        receipts.push(house.intake.receive("standard", headers, body.into()).await.unwrap());
    }
    assert!(receipts[1].duplicate, "the same webhook-id is the same event, whatever its body says");
}

#[tokio::test(start_paused = true)]
async fn a_bad_signature_names_its_check_and_stores_nothing() {
    let house = House::new().await;
    let mut forged = signed(Scheme::BodyHex, &click(2));
    let refused = house.intake.receive("tolinku", forged.clone(), click(1).into()).await.unwrap_err();
    assert_eq!(refused.code(), "signature_mismatch");
    forged.clear();
    let refused = house.intake.receive("tolinku", forged.clone(), click(1).into()).await.unwrap_err();
    assert_eq!(refused.code(), "signature_missing");
    assert!(matches!(house.intake.receive("nobody", forged, click(1).into()).await, Err(Rejection::UnknownSource)));
    assert_eq!(house.events().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_signed_body_that_is_no_event_is_kept_once_in_the_quarantine() {
    let house = House::new().await;
    for _ in 0..3 {
        let refused = house.send("[1, 2]").await.unwrap_err();
        assert_eq!(refused.code(), "body_not_an_object");
    }
    let source = house.registry.source(house.appspace(), "tolinku").unwrap().source.id;
    let kept = house.store.quarantined(house.appspace(), source, PageRequest::first(10)).await.unwrap();
    assert_eq!(kept.items.len(), 1);
    assert_eq!(&*kept.items[0].body, b"[1, 2]");
}

#[tokio::test(start_paused = true)]
async fn an_odd_time_is_marked_and_delivered_all_the_same() {
    let house = House::new().await;
    let destination = house.put(house.destination("orders", &["*"])).await;
    let ahead = house.clock.now() + std::time::Duration::from_millis(FUTURE_SKEW_MAX_MS.unsigned_abs() + 60_000);
    for timestamp in ["1999-01-01T00:00:00Z".to_owned(), ahead.to_string(), "soon".to_owned()] {
        house.send(&format!(r#"{{"event":"a.b","timestamp":"{timestamp}","data":{{}}}}"#)).await.unwrap();
    }
    let marks: Vec<TimeMark> = house.events().await.iter().rev().map(|event| event.time_mark).collect();
    assert_eq!(marks, [TimeMark::Old, TimeMark::Future, TimeMark::Defaulted]);
    assert_eq!(house.deliveries(destination).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_filter_decides_and_one_that_fails_owes_a_dead_letter() {
    let house = House::new().await;
    let mut picky = house.destination("picky", &["*"]);
    picky.when = Some("data.token == 't1'".to_owned());
    let picky = house.put(picky).await;
    let mut broken = house.destination("broken", &["*"]);
    broken.when = Some("data.token + 1 > 2".to_owned());
    let broken = house.put(broken).await;

    house.send(&click(1)).await.unwrap();
    house.send(&click(2)).await.unwrap();

    assert_eq!(house.deliveries(picky).await.len(), 1);
    for summary in house.deliveries(broken).await {
        assert_eq!(summary.delivery.standing.state, State::Dead);
        assert_eq!(summary.delivery.standing.reason, Some(FailureReason::FilterError));
        assert!(summary.delivery.note.is_some());
    }
    assert_eq!(house.deliveries(broken).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_reported_once_an_hour_and_to_whoever_asked() {
    let house = House::new().await;
    let asked = house.put(house.destination("asked", &["afterclick.source.failing"])).await;
    let every = house.put(house.destination("every", &["*"])).await;
    for _ in 0..30 {
        house.intake.receive("tolinku", signed(Scheme::BodyHex, "x"), click(1).into()).await.unwrap_err();
    }
    assert_eq!(house.deliveries(asked).await.len(), 1);
    assert_eq!(house.deliveries(every).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn pausing_and_resuming_tell_others_but_not_the_destination_itself() {
    let house = House::new().await;
    let watcher = house.put(house.destination("watcher", &["afterclick.*"])).await;
    let watched = house.put(house.destination("watched", &["afterclick.*"])).await;
    for _ in 0..2 {
        let manual = domain::verdict::PauseReason::Manual;
        house.registry.pause_destination(watched, manual, "maintenance").await.unwrap();
    }
    house.registry.resume_destination(watched).await.unwrap();
    let told: Vec<String> =
        house.deliveries(watcher).await.iter().rev().map(|told| told.delivery.event_type.to_string()).collect();
    assert_eq!(told, ["afterclick.destination.paused", "afterclick.destination.recovered"]);
    assert_eq!(house.deliveries(watched).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_published_batch_is_all_or_nothing() {
    let house = House::new().await;
    let good = format!("[{},{}]", click(1), click(2));
    assert_eq!(house.intake.publish(house.appspace(), None, good.into()).await.unwrap().len(), 2);
    let half = format!("[{},{}]", click(3), r#"{"data":{}}"#);
    let refused = house.intake.publish(house.appspace(), None, half.into()).await.unwrap_err();
    assert!(matches!(refused, Rejection::UnreadableAt { index: 1, .. }));
    assert_eq!(house.events().await.len(), 2);
    let many = format!("[{}]", vec!["1"; PUBLISH_EVENTS_MAX + 1].join(","));
    assert!(matches!(house.intake.publish(house.appspace(), None, many.into()).await, Err(Rejection::EventCount)));
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_gives_the_first_answer_again_or_refuses() {
    let house = House::new().await;
    let publish = |body: String| house.intake.publish(house.appspace(), Some("order-7"), body.into());
    let both = format!("[{},{}]", click(1), click(2));
    let first = publish(both.clone()).await.unwrap();
    let again = publish(both).await.unwrap();
    let ids = |receipts: &[pipeline::intake::Receipt]| receipts.iter().map(|receipt| receipt.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    assert!(again.iter().all(|receipt| receipt.duplicate));
    for other in [
        click(1),
        format!("[{}]", click(1)),
        format!("[{},{}]", click(2), click(1)),
        format!("[{},{},{}]", click(1), click(2), click(3)),
    ] {
        assert_eq!(publish(other).await.unwrap_err().code(), "idempotency_mismatch");
    }
    assert_eq!(house.events().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn our_own_types_cannot_be_sent_by_others() {
    let house = House::new().await;
    let body = r#"{"event":"afterclick.delivery.dead","timestamp":"2026-03-04T14:32:08.441Z","data":{}}"#;
    assert_eq!(house.send(body).await.unwrap_err().code(), "event_type_reserved");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_and_taken_shows_in_the_metrics() {
    let house = House::new().await;
    house.send(&click(1)).await.unwrap();
    house.send(&click(1)).await.unwrap();
    house.intake.receive("nobody", signed(Scheme::BodyHex, "x"), "x".into()).await.unwrap_err();
    let text = house.metrics.render(pipeline::metrics::Snapshot::default());
    for line in [
        "afterclick_events_ingested_total 1",
        "afterclick_events_duplicate_total 1",
        "afterclick_requests_rejected_total{reason=\"source_not_found\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_can_be_tried_with_a_sample_in_any_scheme() {
    let house = House::new().await;
    let destination = house.put(house.destination("orders", &["*"])).await;
    for scheme in Scheme::ALL {
        let live = house.registry.put_source(house.source(scheme.name(), scheme)).await.unwrap();
        assert!(!house.intake.test(&live, "link.clicked").await.unwrap().unwrap().duplicate);
        assert!(house.intake.test(&live, "no.such").await.is_none());
    }
    assert_eq!(house.deliveries(destination).await.len(), 4);
}
