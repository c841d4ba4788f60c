use super::*;
use crate::faults::Faults;
use crate::probe;

fn post(query: &str, message: &Value) -> Request {
    Request::post(&format!("{PATH}{query}"), message)
}

/// Status, code of the error, and how many were stored and lost.
fn check_one(request: &Request) -> (u16, Value, usize, usize) {
    let mut book = Book::default();
    let answer = Discord::new().answer(request, &mut book);
    (answer.status, answer.said_json()["code"].clone(), book.stored.len(), book.lost.len())
}

#[test]
fn a_saved_message_comes_back_with_wait_and_a_204_without() {
    let simulator = Discord::new().start(Faults::none());
    let message = json!({ "content": "New install", "allowed_mentions": { "parse": [] } });
    let reply = probe::send(simulator.address(), &post("?wait=true", &message)).unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains(r#""content":"New install""#), "{}", reply.body);
    let reply = probe::send(simulator.address(), &post("", &message)).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["New install", "New install"]));
}

#[test]
fn a_bad_message_is_refused_with_wait_and_vanishes_without() {
    let embed = |embed: Value| json!({ "embeds": [embed] });
    let field = json!({ "name": "", "value": "x" });
    let cases = [
        (json!({ "content": "" }), 50006),
        (json!({ "content": "x".repeat(2001) }), 50035),
        (embed(json!({ "title": "x".repeat(257) })), 50035),
        (embed(json!({ "title": "x", "fields": [field] })), 50035),
        (json!({ "embeds": vec![json!({ "description": "x".repeat(3001) }); 2] }), 50035),
        (json!({ "embeds": vec![json!({ "title": "x" }); 11] }), 50035),
    ];
    for (message, code) in cases {
        assert_eq!(check_one(&post("?wait=true", &message)), (400, json!(code), 0, 0));
        assert_eq!(check_one(&post("", &message)), (204, Value::Null, 0, 1));
    }
    assert_eq!(check_one(&post("?wait=true", &embed(json!({ "title": "x" })))), (200, Value::Null, 1, 0));
}

#[test]
fn a_message_that_could_not_be_saved_is_an_error_only_for_those_who_wait() {
    let unsaved = |query| Request { partial_failure: true, ..post(query, &json!({ "content": "x" })) };
    assert_eq!(check_one(&unsaved("?wait=true")), (500, json!(0), 0, 0));
    assert_eq!(check_one(&unsaved("")), (204, Value::Null, 0, 1));
}

#[test]
fn a_forum_wants_a_thread() {
    let mut forum = Discord { is_forum: true, ..Discord::new() };
    let mut code = |query: &str| {
        let answer = forum.answer(&post(query, &json!({ "content": "x" })), &mut Book::default());
        (answer.status, answer.said_json()["code"].clone())
    };
    assert_eq!(code("?wait=true"), (400, json!(220_001)));
    assert_eq!(code("?wait=true&thread_id=1"), (200, Value::Null));
}

#[test]
fn mentions_are_flagged_unless_they_are_disarmed() {
    let flags = |message: &Value| {
        let mut book = Book::default();
        Discord::new().answer(&post("?wait=true", message), &mut book);
        book.flagged.len()
    };
    assert_eq!(flags(&json!({ "content": "@everyone" })), 1);
    assert_eq!(flags(&json!({ "content": "<@80351110224678912>", "allowed_mentions": { "parse": ["users"] } })), 1);
    assert_eq!(flags(&json!({ "content": "@everyone", "allowed_mentions": { "parse": [] } })), 0);
}

#[test]
fn the_sixth_message_at_once_is_told_to_wait_a_fraction_of_a_second() {
    let (mut discord, mut book) = (Discord::new(), Book::default());
    let request = post("?wait=true", &json!({ "content": "x" }));
    assert!((0..5).all(|_| discord.answer(&request, &mut book).status == 200));
    let answer = discord.answer(&request, &mut book);
    assert_eq!((answer.status, answer.said_json()["retry_after"].as_f64()), (429, Some(0.4)));
    assert_eq!(answer.headers[1], ("retry-after", "1".to_owned()));
    assert_eq!(discord.answer(&request.clone().at(Duration::from_millis(400)), &mut book).status, 200);
}

#[test]
fn a_dead_webhook_is_unknown_and_hammering_it_shuts_the_door() {
    let request = post("?wait=true", &json!({ "content": "x" }));
    let mut discord = Discord { exists: false, ..Discord::new() };
    let answer = discord.answer(&request, &mut Book::default());
    assert_eq!((answer.status, answer.said_json()["code"].clone()), (404, json!(10015)));
    let elsewhere = Request::post("/api/webhooks/1180000000000000001/wrong", &json!({ "content": "x" }));
    assert_eq!(check_one(&elsewhere), (401, json!(50027), 0, 0));
    discord.invalid_requests = INVALID_REQUESTS_MAX;
    assert_eq!(discord.answer(&request, &mut Book::default()).said(), "error code: 1015");
}
