use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::probe;

fn post(message: &Value) -> Request {
    Request::post(PATH, message)
}

/// What Slack says to one message on a fresh hook, and what it is flagged for.
fn check(message: &Value, status: u16, word: &str, flags: &[&str]) {
    let mut book = Book::default();
    let answer = Slack::new().answer(&post(message), &mut book);
    assert_eq!((answer.status, answer.said()), (status, word), "{message}");
    assert_eq!(book.stored.len(), usize::from(status == 200));
    assert_eq!(book.flagged.iter().map(|entry| entry.reason.as_str()).collect::<Vec<_>>(), flags);
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

#[test]
fn a_message_over_http_is_answered_with_the_plain_word_ok() {
    let simulator = Slack::new().start(Faults::none());
    let reply = probe::send(simulator.address(), &post(&json!({ "text": "New install" }))).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    assert!(simulator.hook_url().ends_with(PATH));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["New install"]));
}

#[test]
fn bad_messages_are_refused_with_slacks_words() {
    check(&json!({ "text": "" }), 400, "no_text", &[]);
    check(&json!({ "text": "x", "blocks": vec![section("y"); 51] }), 400, "invalid_blocks", &[]);
    check(&json!({ "text": "x", "blocks": [section(&"y".repeat(3001))] }), 400, "invalid_blocks", &[]);
    check(&json!({ "text": "x", "blocks": [section("")] }), 400, "invalid_blocks", &[]);
    check(&json!({ "text": "x", "blocks": [{ "type": "sectoin" }] }), 400, "invalid_blocks", &[]);
    let header = |text: &str| json!({ "type": "header", "text": { "type": "plain_text", "text": text } });
    check(&json!({ "text": "x", "blocks": [header(&"y".repeat(151))] }), 400, "invalid_blocks", &[]);
    check(&json!({ "text": "x", "blocks": [header("y"), section("z")] }), 200, "ok", &[]);
    check(&json!(["x"]), 400, "invalid_payload", &[]);
    let answer = Slack::new().answer(&Request::new("POST", PATH, "text=x"), &mut Book::default());
    assert_eq!((answer.status, answer.said()), (400, "invalid_payload"));
}

#[test]
fn unescaped_mentions_are_flagged_and_escaped_or_plain_ones_are_not() {
    check(&json!({ "text": "<!channel> sale" }), 200, "ok", &["pings with `<!channel`"]);
    check(&json!({ "text": "x", "blocks": [section("by <@U024BE7LH>")] }), 200, "ok", &["pings with `<@U`"]);
    let field = json!({ "type": "section", "fields": [{ "type": "mrkdwn", "text": "<!here|here>" }] });
    check(&json!({ "text": "x", "blocks": [field] }), 200, "ok", &["pings with `<!here`"]);
    check(&json!({ "text": "&lt;!channel&gt; sale" }), 200, "ok", &[]);
    let plain = json!({ "type": "section", "text": { "type": "plain_text", "text": "<!channel>" } });
    check(&json!({ "text": "x", "blocks": [plain] }), 200, "ok", &[]);
    check(&json!({ "blocks": [section("x")] }), 200, "ok", &["there is no `text` for notifications"]);
}

#[test]
fn more_than_one_message_a_second_is_rate_limited_after_a_burst() {
    let (mut slack, mut book) = (Slack::new(), Book::default());
    let mut said = |at_ms| {
        let request = post(&json!({ "text": "x" })).at(Duration::from_millis(at_ms));
        let answer = slack.answer(&request, &mut book);
        (answer.status, answer.said().to_owned(), answer.headers.last().unwrap().1.clone())
    };
    for _ in 0..3 {
        assert_eq!(said(0).0, 200);
    }
    assert_eq!(said(0), (429, "rate_limited".to_owned(), "1".to_owned()));
    assert_eq!([said(1000).0, said(1001).0], [200, 429]);
    let mut unlimited = Slack::without_limit();
    assert!((0..100).all(|_| unlimited.answer(&post(&json!({ "text": "x" })), &mut Book::default()).status == 200));
}

#[test]
fn a_dead_hook_says_how_it_died() {
    let cases = [
        (Hook::NoService, 404, "no_service"),
        (Hook::ChannelArchived, 410, "channel_is_archived"),
        (Hook::ActionProhibited, 403, "action_prohibited"),
    ];
    for (hook, status, word) in cases {
        let mut slack = Slack { hook, ..Slack::new() };
        let answer = slack.answer(&post(&json!({ "text": "x" })), &mut Book::default());
        assert_eq!((answer.status, answer.said()), (status, word));
    }
    let elsewhere = Slack::new().answer(&Request::post("/services/T/B/x", &json!({})), &mut Book::default());
    assert_eq!((elsewhere.status, elsewhere.said()), (404, "no_service"));
}
