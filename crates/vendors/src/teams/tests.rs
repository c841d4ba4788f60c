use super::*;
use crate::faults::Faults;
use crate::probe;

fn message(card: &Value) -> Value {
    let kind = "application/vnd.microsoft.card.adaptive";
    json!({ "type": "message", "attachments": [{ "contentType": kind, "contentUrl": null, "content": card }] })
}

fn card(text: &str) -> Value {
    let block = json!({ "type": "TextBlock", "text": text, "wrap": true });
    json!({ "type": "AdaptiveCard", "version": "1.4", "body": [block] })
}

#[test]
fn a_card_is_accepted_with_an_empty_202() {
    let simulator = Teams::new().start(Faults::none());
    let request = Request::post(TARGET, &message(&card("New install")));
    let reply = probe::send(simulator.address(), &request).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["New install"]));
    assert!(simulator.hook_url().contains("&sig="));
}

#[test]
fn what_the_flow_cannot_post_vanishes_behind_the_same_202() {
    let old = json!({ "type": "AdaptiveCard", "version": "2.0", "body": [{ "type": "TextBlock", "text": "x" }] });
    let odd = json!({ "type": "AdaptiveCard", "version": "1.4", "body": [{ "type": "Text", "text": "x" }] });
    let cases = [
        (json!({ "text": "x" }), "`type` is not `message`"),
        (json!({ "type": "message" }), "the first attachment is no adaptive card"),
        (message(&old), "the card's `version` is not one that Teams renders"),
        (message(&odd), "an element of the card is unknown or lacks its content"),
        (message(&card(&"x".repeat(28 << 10))), "the message is larger than 28 KB"),
    ];
    for (message, reason) in cases {
        let mut book = Book::default();
        let answer = Teams::new().answer(&Request::post(TARGET, &message), &mut book);
        assert_eq!((answer.status, book.stored.len(), book.lost[0].reason.as_str()), (202, 0, reason));
    }
}

#[test]
fn a_flow_that_is_gone_or_a_query_that_was_touched_is_refused() {
    for (flow, status) in [(Flow::Disabled, 400), (Flow::Deleted, 404), (Flow::SignatureExpired, 401)] {
        let mut teams = Teams { flow, ..Teams::new() };
        let answer = teams.answer(&Request::post(TARGET, &message(&card("x"))), &mut Book::default());
        assert_eq!(answer.status, status);
    }
    let touched = TARGET.replace("%2F", "/");
    let answer = Teams::new().answer(&Request::post(&touched, &message(&card("x"))), &mut Book::default());
    assert_eq!(answer.status, 401);
}

#[test]
fn a_fifth_message_within_a_second_is_throttled() {
    let (mut teams, mut book) = (Teams::new(), Book::default());
    let request = Request::post(TARGET, &message(&card("x")));
    assert!((0..4).all(|_| teams.answer(&request, &mut book).status == 202));
    assert_eq!(teams.answer(&request, &mut book).status, 429);
}
