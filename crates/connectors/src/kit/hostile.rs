//! What every connector must bear from vendors that are broken, lie, or are somebody else.

use std::time::Duration;

use domain::connector::{Progress, REPLY_BYTES_MAX, Reply, Step};
use domain::{Connector, Event, Settings, Verdict, retry_after};

use super::{MEANS, batch_max, event, fixture, held, numbered, open, reply, with_batch};

/// Most calls of one exchange, as the engine has it.
const CALLS_MAX: u32 = 8;
/// Longest message that anybody needs, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// Statuses that connectors tell apart.
const STATUSES: [u16; 14] = [0, 100, 200, 201, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500];

/// Waits that nobody means.
const WAITS: [&str; 12] = [
    "NaN",
    "-1",
    "1e308",
    "-1e308",
    "inf",
    "0",
    "0.0000001",
    "99999999999999999999",
    "soon",
    "",
    "1e-320",
    "4294967296",
];

/// Values for what should be the place of an item.
const PLACES: [&str; 10] = [
    "-1",
    "0.5",
    "\"0\"",
    "null",
    "999",
    "18446744073709551615",
    "1e300",
    "[]",
    "{}",
    "[0,0,0,-1,7,99999999999,\"1\"]",
];

fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\0\0\0".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        b"[".repeat(10_000),
        [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
        br#"{"error":"#.repeat(1_000),
        "é".repeat(9_000).into_bytes(),
        b"Code: 99999999999999999999. DB::Exception: ".to_vec(),
        b"Code: ".to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"1e999".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
    ];
    for wait in WAITS {
        bodies.push(format!(r#"{{"retry_after":{wait},"retryAfter":"{wait}","error":{{"code":"{wait}"}}}}"#).into());
    }
    for place in PLACES {
        let named = format!(
            r#"[{{"index":{place},"errors":[{{"reason":{place},"message":{place}}}],"input_array":"events","type":{place},"message":{place}}}]"#
        );
        bodies.push(
            format!(
                r#"{{"code":{place},"failCount":{place},"successCount":{place},"insertErrors":{named},"failed_records":{named},
                "errors":{named},"events_with_invalid_fields":{{"x":{place}}},"events_with_missing_fields":{{"x":[{place}]}},
                "silenced_events":{place},"throttled_events":[{place}],"throttled_users":{place},"invalidEmails":{place},
                "access_token":{place},"expires_in":{place},"error":{place},"message":{place},"statementHandle":{place},
                "Id":{place},"Status":{place},"data":{place},"resultSetMetaData":{place}}}"#
            )
            .into(),
        );
    }
    bodies
}

/// Bodies that are as long as a reply can be.
fn long_bodies() -> [Vec<u8>; 3] {
    [
        (0..=255).cycle().take(REPLY_BYTES_MAX).collect(),
        br#"{"error":"#.repeat(REPLY_BYTES_MAX / 9),
        format!("{{\"message\": \"{}\"}}", "\u{202e}x".repeat(REPLY_BYTES_MAX / 5)).into(),
    ]
}

fn replies() -> Vec<Reply> {
    let mut replies = Vec::new();
    for status in STATUSES {
        for body in bodies() {
            replies.push(reply(status, &[("content-type", "application/json")], body));
        }
        for wait in WAITS {
            let names = [
                "retry-after",
                "x-ratelimit-reset",
                "x-ratelimit-reset-after",
                "x-clickhouse-exception-code",
                "x-amzn-errortype",
            ];
            let headers = [&[("x-ratelimit-remaining", "0")], &names.map(|name| (name, wait))[..]].concat();
            replies.push(reply(status, &headers, "{}"));
        }
    }
    for code in ["", "0", "00000", "99999", "4.7.0", "XX000", "é", "-1", "40001", "NaN"] {
        replies.push(Reply { code: Some(code.to_owned()), ..reply(0, &[], "garbage") });
    }
    replies
}

/// The longest wait that a step asks for.
fn wait(step: &Step) -> Option<Duration> {
    let of = |verdict: &Verdict| match verdict {
        Verdict::Retry { after, .. } => *after,
        Verdict::Wait { after, .. } => Some(*after),
        _ => None,
    };
    match step {
        Step::Settle(verdicts) => verdicts.iter().filter_map(of).max(),
        Step::Split { alone } => of(alone),
        _ => None,
    }
}

/// The longest message for a person.
fn message_chars(step: &Step) -> usize {
    let of = |verdict: &Verdict| match verdict {
        Verdict::Retry { message, .. } | Verdict::Wait { message, .. } | Verdict::Reject { message, .. } => {
            message.as_ref().map_or(0, |text| text.chars().count())
        }
        Verdict::Skip { message } | Verdict::Pause { message, .. } => message.chars().count(),
        Verdict::Delivered => 0,
    };
    match step {
        Step::Settle(verdicts) => verdicts.iter().map(of).max().unwrap_or(0),
        Step::Split { alone } => of(alone),
        Step::Reauthorize { message } => message.chars().count(),
        Step::Send(_) | Step::SendOnce { .. } => 0,
    }
}

#[test]
fn a_hostile_reply_costs_neither_the_count_nor_the_time_nor_the_memory() {
    let replies = replies();
    for connector in held() {
        let fixture = fixture(connector.manifest().name);
        for settings in std::iter::once(&fixture.default).chain(fixture.cases.values()) {
            bears(connector, settings, &replies);
        }
    }
}

#[test]
fn a_reply_of_the_largest_size_is_borne_by_everybody() {
    let replies: Vec<_> =
        [200, 400].iter().flat_map(|status| long_bodies().map(|body| reply(*status, &[], body))).collect();
    for connector in held() {
        bears(connector, &fixture(connector.manifest().name).default, &replies);
    }
}

fn bears(connector: &dyn Connector, settings: &Settings, replies: &[Reply]) {
    let name = connector.manifest().name;
    let outlet = open(connector, settings);
    let count = batch_max(connector).min(3);
    let events: Vec<Event> = (1..=count).map(|n| numbered(event("link.conversion"), n as u128)).collect();
    with_batch(&events, false, |batch| {
        let mut prepared = Progress::default();
        let _ = outlet.prepare(batch, &mut prepared);
        for reply in replies {
            let of = || {
                let body: String = reply.text().chars().take(200).collect();
                format!("{name}: {} {body} {:?}", reply.status, reply.headers)
            };
            let mut progress = prepared.clone();
            for replies in 1..=CALLS_MAX {
                progress.replies = replies;
                let step = outlet.advance(batch, &mut progress, reply);
                if let Step::Settle(verdicts) = &step {
                    assert_eq!(verdicts.len(), events.len(), "{}", of());
                    assert!(reply.status < 300 || !verdicts.contains(&Verdict::Delivered), "{}", of());
                }
                let waits = [wait(&step), progress.pause()];
                assert!(waits.into_iter().flatten().all(|wait| wait <= retry_after::RETRY_AFTER_MAX), "{}", of());
                assert!(message_chars(&step) < MESSAGE_CHARS_MAX, "{}", of());
                if !matches!(step, Step::Send(_) | Step::SendOnce { .. }) {
                    break;
                }
            }
            let _ = outlet.token(reply);
            let _ = outlet.plan(&MEANS, std::slice::from_ref(reply));
            let _ = outlet.is_done(reply);
        }
    });
}
