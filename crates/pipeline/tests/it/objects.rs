//! Files in a bucket, by a mimic of S3 that checks signatures.

use std::io::Read as _;
use std::time::Duration;

use domain::Verdict;
use domain::verdict::{FailureReason, PauseReason};
use peers::{Aws, ClickHouse, Object};
use pipeline::transport::Guard;
use serde_json::{Value, json};

use crate::outlet::{Destination, later, sample};

fn settings(aws: &Aws, changes: Value) -> Value {
    let mut settings = json!({
        "endpoint": aws.url(),
        "region": Aws::REGION,
        "bucket": Aws::BUCKET,
        "prefix": "deep/links",
        "access_key_id": aws.access_key(),
        "secret_access_key": aws.secret_key(),
    });
    if let (Value::Object(settings), Value::Object(changes)) = (&mut settings, changes) {
        settings.extend(changes);
    }
    settings
}

/// The lines of a file.
fn lines(object: &Object) -> Vec<Value> {
    let mut text = String::new();
    match object.content_type.as_str() {
        "application/gzip" => flate2::read::GzDecoder::new(&object.body[..]).read_to_string(&mut text).unwrap(),
        _ => (&object.body[..]).read_to_string(&mut text).unwrap(),
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_batch_becomes_one_file_per_hour_and_a_retry_replaces_it() {
    let Some(aws) = Aws::start() else { return };
    let destination = Destination::new("s3", settings(&aws, json!({})));
    let events = [
        sample("link.clicked", 1),
        later(sample("link.conversion", 2), Duration::from_hours(1)),
        sample("install.tracked", 3),
    ];
    for _ in 0..2 {
        assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 3]);
    }
    let objects = aws.objects().unwrap();
    let folders: Vec<_> = objects.iter().map(|object| object.key.rsplit_once('/').unwrap().0).collect();
    assert_eq!(folders, ["deep/links/dt=2026-03-04/hour=14", "deep/links/dt=2026-03-04/hour=15"]);
    assert!(
        objects
            .iter()
            .all(|object| object.content_encoding.is_none() && object.key.strip_suffix(".jsonl.gz").is_some())
    );
    let ids = |object| -> Vec<_> { lines(object).iter().map(|line| line["event_id"].clone()).collect() };
    assert_eq!(ids(&objects[0]), [json!(events[0].id.to_string()), json!(events[2].id.to_string())]);
    assert_eq!(ids(&objects[1]), [json!(events[1].id.to_string())]);
}

#[tokio::test]
async fn files_may_be_plain() {
    let Some(aws) = Aws::start() else { return };
    let destination = Destination::new("s3", settings(&aws, json!({"compression": "none", "prefix": ""})));
    assert_eq!(destination.verdicts(&[sample("link.clicked", 1)]).await, [Verdict::Delivered]);
    let objects = aws.objects().unwrap();
    assert_eq!(objects[0].content_type, "application/x-ndjson");
    let key = objects[0].key.strip_prefix("dt=2026-03-04/").and_then(|key| key.strip_suffix(".jsonl"));
    assert!(key.is_some(), "{}", objects[0].key);
    assert_eq!(lines(&objects[0])[0]["platform"], "ios");
}

#[tokio::test]
async fn what_is_wrong_with_a_store_is_said_to_the_one_who_can_mend_it() {
    let Some(aws) = Aws::start() else { return };
    for (changes, reason, words) in [
        (json!({"bucket": "no-such-bucket"}), PauseReason::Misconfigured, "there is no bucket `no-such-bucket`"),
        (json!({"secret_access_key": "wrong"}), PauseReason::Unauthorized, "check `secret_access_key`"),
        (json!({"access_key_id": "AKIANOBODY"}), PauseReason::Unauthorized, "knows no access key `AKIANOBODY`"),
    ] {
        let destination = Destination::new("s3", settings(&aws, changes.clone()));
        match &destination.verdicts(&[sample("link.clicked", 1)]).await[..] {
            [Verdict::Pause { reason: said, message }] => {
                assert_eq!(*said, reason, "{changes}");
                assert!(message.contains(words), "{message}");
            }
            verdicts => panic!("{changes}: {verdicts:?}"),
        }
    }
    assert_eq!(aws.objects().unwrap(), []);
}

#[tokio::test]
async fn a_store_inside_is_not_reached_from_outside() {
    let settings = json!({
        "endpoint": "https://127.0.0.1:9443", "bucket": "events", "access_key_id": "a", "secret_access_key": "b",
    });
    let destination = Destination::behind(Guard::new(false, Vec::new()), "s3", settings);
    let refused = destination.deliver(&[sample("link.clicked", 1)]).await.unwrap_err();
    assert_eq!(refused.reason, FailureReason::AddressRefused);
}

/// What a warehouse of today sees in the bucket.
fn warehouse(aws: &Aws, ask: &str, format: &str) -> Option<String> {
    let clickhouse = ClickHouse::start_current()?;
    let bucket = format!(
        "s3('{}/{}/deep/links/**', '{}', '{}', '{format}')",
        aws.url(),
        Aws::BUCKET,
        aws.access_key(),
        aws.secret_key()
    );
    Some(clickhouse.query(&ask.replace("BUCKET", &bucket)).unwrap())
}

#[tokio::test]
async fn a_warehouse_reads_files_of_columns_with_their_types() {
    let Some(aws) = Aws::start() else { return };
    let destination = Destination::new("s3", settings(&aws, json!({"format": "parquet", "columns": {"tenant": "eu"}})));
    let events = [sample("link.clicked", 1), later(sample("link.conversion", 2), Duration::from_hours(1))];
    for _ in 0..2 {
        assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 2]);
    }
    let Some(types) = warehouse(&aws, "DESCRIBE TABLE BUCKET", "Parquet") else { return };
    let type_of = |name: &str| {
        let line = types.lines().find(|line| line.split('\t').next() == Some(name)).unwrap_or_default();
        line.split('\t').nth(1).unwrap_or_default().replace('\\', "")
    };
    assert_eq!(type_of("received_at"), "Nullable(DateTime64(3, 'UTC'))", "{types}");
    assert_eq!(type_of("revenue"), "Nullable(Float64)");
    assert_eq!(type_of("is_deferred"), "Nullable(Bool)");
    assert_eq!(type_of("campaign"), "Nullable(String)");
    let ask = "SELECT event_type, received_at, revenue, tenant, hour FROM BUCKET ORDER BY event_type";
    let rows = warehouse(&aws, ask, "Parquet").unwrap();
    assert_eq!(
        rows,
        "link.clicked\t2026-03-04 14:32:08.000\t\\N\teu\t14\nlink.conversion\t2026-03-04 15:32:08.000\t49.99\teu\t15\n"
    );
}

#[tokio::test]
async fn a_warehouse_reads_files_of_lines() {
    let Some(aws) = Aws::start() else { return };
    let destination = Destination::new("s3", settings(&aws, json!({})));
    let events = [sample("link.clicked", 1), sample("link.conversion", 2)];
    assert_eq!(destination.verdicts(&events).await, vec![Verdict::Delivered; 2]);
    let ask = "SELECT event_type, received_at, revenue, data.user_id FROM BUCKET ORDER BY event_type";
    let Some(rows) = warehouse(&aws, ask, "JSONEachRow") else { return };
    assert_eq!(
        rows,
        "link.clicked\t2026-03-04 14:32:08.000000000\t\\N\t\\N\n\
         link.conversion\t2026-03-04 14:32:08.000000000\t49.99\tuser_456\n"
    );
}
