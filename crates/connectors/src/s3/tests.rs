//! What only files in buckets do.

use domain::connector::{Call, Progress, Step};
use domain::{Event, Settings, Verdict};
use serde_json::json;

use super::*;
use crate::kit::{Variant, event, event_with, fixture, numbered, open, refusal, reply, with_batch};

const HOUR_MS: i64 = 3_600_000;

/// Events that were received so many hours after the first one.
fn events(hours: &[i64]) -> Vec<Event> {
    let later = |(n, hours): (u128, &i64)| {
        let event = numbered(event("link.clicked"), n);
        let received_at = domain::Timestamp::from_millis(event.received_at.as_millis() + hours * HOUR_MS);
        Event { received_at, ..event }
    };
    (1..).zip(hours).map(later).collect()
}

fn with(changes: serde_json::Value) -> Settings {
    fixture("s3").with(changes)
}

fn key(step: &Step) -> String {
    match step {
        Step::Send(Call::Object(call)) => call.key.clone(),
        step => panic!("no object: {step:?}"),
    }
}

#[test]
fn the_same_events_make_the_same_key_and_other_events_another() {
    let store = open(&S3, &fixture("s3").default);
    let key_of = |events: &[Event]| key(&with_batch(events, false, |it| store.prepare(it, &mut Progress::default())));
    let both = events(&[0, 0]);
    assert_eq!(key_of(&both), key_of(&both.clone()));
    assert_ne!(key_of(&both), key_of(&both[..1]));
    assert!(key_of(&both).starts_with("clicks/dt=2026-03-04/hour=14/1772634728441-"), "{}", key_of(&both));
    assert!(key_of(&both).ends_with(".jsonl.gz"));
}

#[test]
fn each_hour_has_a_file_of_its_own_and_what_is_there_is_not_lost_again() {
    let store = open(&S3, &fixture("s3").default);
    let events = events(&[0, 1, 0]);
    with_batch(&events, false, |batch| {
        let mut progress = Progress::default();
        let first = key(&store.prepare(batch, &mut progress));
        let second = key(&store.advance(batch, &mut progress, &reply(200, &[], "")));
        assert!(first.contains("hour=14") && second.contains("hour=15"), "{first}, {second}");
        let Step::Settle(verdicts) = store.advance(batch, &mut progress, &reply(500, &[], "")) else {
            panic!("settled")
        };
        assert_eq!(verdicts[0], Verdict::Delivered);
        assert!(matches!(verdicts[1], Verdict::Retry { .. }), "{verdicts:?}");
        assert_eq!(verdicts[2], Verdict::Delivered);
        // The retry of what is left goes into the file that it was meant for.
        let again = with_batch(&events[1..2], false, |batch| key(&store.prepare(batch, &mut Progress::default())));
        assert_eq!(again, second);
    });
}

#[test]
fn a_batch_of_more_hours_than_an_exchange_has_calls_is_made_smaller_first() {
    let store = open(&S3, &fixture("s3").default);
    let prepared = |hours: i64| {
        let events = events(&(0..hours).collect::<Vec<_>>());
        with_batch(&events, false, |batch| store.prepare(batch, &mut Progress::default()))
    };
    assert!(matches!(prepared(8), Step::Send(_)));
    assert!(matches!(prepared(9), Step::Split { .. }));
}

#[test]
fn a_file_that_is_mostly_what_the_destination_writes_is_made_smaller_before_it_fills_the_memory() {
    let store = open(&S3, &with(json!({"columns": {"page": "x".repeat(1_000_000)}})));
    let step = with_batch(&events(&[0; 100]), false, |batch| store.prepare(batch, &mut Progress::default()));
    assert!(matches!(step, Step::Split { .. }));
}

#[test]
fn a_bucket_is_part_of_the_host_or_of_the_path() {
    let url = |changes| Store::read(&with(changes)).unwrap().bucket.url();
    assert_eq!(url(json!({})), "https://acme-events.s3.eu-west-1.amazonaws.com");
    assert_eq!(url(json!({"region": "cn-north-1"})), "https://acme-events.s3.cn-north-1.amazonaws.com.cn");
    assert_eq!(url(json!({"bucket": "acme.events"})), "https://s3.eu-west-1.amazonaws.com/acme.events");
    assert_eq!(url(json!({"endpoint": "https://minio.example/"})), "https://minio.example/acme-events");
    let hosted = json!({"endpoint": "https://eu.r2.example", "path_style": false});
    assert_eq!(url(hosted), "https://acme-events.eu.r2.example");
}

#[test]
fn settings_that_would_lead_elsewhere_are_refused() {
    for (changes, field) in [
        (json!({"bucket": "s3://acme"}), "bucket"),
        (json!({"bucket": "a/b/c"}), "bucket"),
        (json!({"bucket": "Acme"}), "bucket"),
        (json!({"bucket": "a..b"}), "bucket"),
        (json!({"region": "eu-west-1.example.com/"}), "region"),
        (json!({"endpoint": "https://minio.example/?x"}), "endpoint"),
        (json!({"endpoint": "minio.example"}), "endpoint"),
        (json!({"prefix": "a/../b"}), "prefix"),
        (json!({"prefix": "a//b"}), "prefix"),
        (json!({"prefix": "a b"}), "prefix"),
        (json!({"secret_access_key": "a\nb"}), "secret_access_key"),
        (json!({"access_key_id": ""}), "access_key_id"),
    ] {
        let error = refusal(&S3, &with(changes.clone()));
        assert!(error.starts_with(&format!("setting `{field}` ")), "{changes}: {error}");
    }
}

#[test]
fn every_line_is_one_object_whatever_is_in_the_event() {
    let store = open(&S3, &fixture("s3").default);
    let events = [numbered(event_with("link.conversion", Variant::Hostile), 1), numbered(event("link.conversion"), 2)];
    let Step::Send(Call::Object(call)) = with_batch(&events, false, |it| store.prepare(it, &mut Progress::default()))
    else {
        panic!("an object")
    };
    let lines: Vec<serde_json::Value> =
        call.body.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [events[0].id.to_string(), events[1].id.to_string()]);
}

#[test]
fn an_event_that_makes_no_row_is_refused_and_its_neighbours_are_not() {
    let settings = with(json!({"columns": {"share": "{{ data.user_id | split('_') | last | float }}"}}));
    let store = open(&S3, &settings);
    let events = [numbered(event("link.conversion"), 1), numbered(event("link.clicked"), 2)];
    with_batch(&events, false, |batch| {
        let mut progress = Progress::default();
        let Step::Send(Call::Object(call)) = store.prepare(batch, &mut progress) else { panic!("an object") };
        assert_eq!(String::from_utf8_lossy(&call.body).lines().count(), 1);
        let Step::Settle(verdicts) = store.advance(batch, &mut progress, &reply(200, &[], "")) else {
            panic!("settled")
        };
        assert_eq!(verdicts[0], Verdict::Delivered);
        assert!(matches!(verdicts[1], Verdict::Reject { reason: FailureReason::TemplateError, .. }), "{verdicts:?}");
    });
}
