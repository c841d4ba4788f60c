use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::probe;

fn resend(mail: &Value) -> Request {
    Request::post("/emails", mail).with("authorization", "Bearer re_afterclick")
}

fn welcome(to: &str) -> Value {
    json!({ "from": "Acme <hi@acme.example>", "to": [to], "subject": "Welcome", "html": "<p>Hi</p>" })
}

fn postmark(path: &str, body: &Value) -> Request {
    Request::post(path, body).with("x-postmark-server-token", "postmark-token")
}

fn send_grid(body: &Value) -> Request {
    Request::post("/v3/mail/send", body).with("authorization", "Bearer SG.afterclick")
}

#[test]
fn the_three_answer_over_http_each_in_its_way() {
    let simulator = MailApi::new().start(Faults::none());
    let send = |request: &Request| probe::send(simulator.address(), request).unwrap();
    let reply = send(&resend(&welcome("ada@example.org")));
    assert_eq!((reply.status, reply.body.starts_with(r#"{"id":""#)), (200, true));
    let mail = json!({ "From": "hi@acme.example", "To": "bob@example.org", "TextBody": "Hi" });
    let reply = send(&postmark("/email", &mail));
    assert!(reply.status == 200 && reply.body.contains(r#""ErrorCode":0"#), "{}", reply.body);
    let reply = send(&send_grid(&json!({
        "personalizations": [{ "to": [{ "email": "Cy@example.org" }], "dynamic_template_data": {} }],
        "from": { "email": "hi@acme.example" }, "template_id": "d-1",
    })));
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["ada@example.org", "bob@example.org", "cy@example.org"]));
}

/// What Resend answers to each request, one after the other.
fn converse(api: &mut MailApi, requests: &[Request]) -> (Vec<(u16, Value)>, Book) {
    let mut book = Book::default();
    let answer = |request| {
        let answer = api.answer(request, &mut book);
        (answer.status, answer.said_json()["name"].clone())
    };
    (requests.iter().map(answer).collect(), book)
}

#[test]
fn resend_sends_once_per_key_for_a_day() {
    let keyed = |to: &str, at| resend(&welcome(to)).with("idempotency-key", "ac/evt_1").at(at);
    let day = Duration::from_hours(24);
    let requests =
        [keyed("a@x.org", Duration::ZERO), keyed("a@x.org", day / 2), keyed("b@x.org", day / 2), keyed("b@x.org", day)];
    let (answers, book) = converse(&mut MailApi::new(), &requests);
    let other = (409, json!("invalid_idempotent_request"));
    assert_eq!(answers, [(200, Value::Null), (200, Value::Null), other, (200, Value::Null)]);
    assert_eq!((book.stored_keys(), book.duplicates.len()), (vec!["a@x.org", "b@x.org"], 1));
}

#[test]
fn resend_names_concurrency_rate_quota_and_keys() {
    let mut slow = MailApi::without_limit();
    slow.resend.in_progress = Duration::from_secs(1);
    let keyed = || resend(&welcome("a@x.org")).with("idempotency-key", "k");
    let (answers, _) = converse(&mut slow, &[keyed(), keyed(), keyed().at(Duration::from_secs(1))]);
    assert_eq!(answers[1], (409, json!("concurrent_idempotent_requests")));
    assert_eq!(answers[2].0, 200);

    let (answers, _) = converse(&mut MailApi::new(), &[resend(&welcome("a@x.org")), keyed(), keyed()]);
    assert_eq!(answers[2], (429, json!("rate_limit_exceeded")));

    let mut poor = MailApi::without_limit();
    poor.resend.daily_quota = Some(1);
    let (answers, book) = converse(&mut poor, &[resend(&welcome("a@x.org")), resend(&welcome("b@x.org"))]);
    assert_eq!((answers[1].clone(), book.stored.len()), ((429, json!("daily_quota_exceeded")), 1));

    let anonymous = Request::post("/emails", &welcome("a@x.org"));
    let wrong = anonymous.clone().with("authorization", "Bearer nope");
    let long = resend(&welcome("a@x.org")).with("idempotency-key", &"k".repeat(257));
    let (answers, _) = converse(&mut MailApi::without_limit(), &[anonymous, wrong, long]);
    let names = ["missing_api_key", "invalid_api_key", "invalid_idempotency_key"].map(|name| json!(name));
    assert_eq!(answers, [401, 403, 400].into_iter().zip(names).collect::<Vec<_>>());
}

#[test]
fn resend_refuses_mails_that_are_none_and_injected_headers() {
    let with = |name: &str, value: Value| {
        let mut mail = welcome("a@x.org");
        mail[name] = value;
        resend(&mail)
    };
    let requests = [
        with("subject", Value::Null),
        with("to", json!(["a@x.org\r\nBcc: b@x.org"])),
        with("subject", json!("Hi\nBcc: b@x.org")),
        with("template", json!({ "id": "welcome" })),
        with("html", Value::Null),
        with("headers", json!({ "X-Campaign": "a\r\nBcc: b@x.org" })),
        with("tags", json!([{ "name": "campaign", "value": "spring sale" }])),
    ];
    let (answers, book) = converse(&mut MailApi::without_limit(), &requests);
    let (missing, invalid) = (json!("missing_required_field"), json!("invalid_parameter"));
    let names = [&missing, &invalid, &invalid, &invalid, &missing, &invalid, &invalid];
    assert_eq!(answers, names.map(|name| (422, name.clone())));
    assert_eq!((book.stored.len(), book.refused.len()), (0, 7));
}

#[test]
fn a_batch_of_postmark_is_200_whatever_became_of_each() {
    let mut api = MailApi::new();
    api.postmark.inactive = vec!["gone@x.org".to_owned()];
    api.postmark.templates = vec!["welcome".to_owned()];
    let mail = |to: &str, alias: &str| {
        json!({
            "From": "hi@acme.example", "To": to, "TemplateAlias": alias, "TemplateModel": {},
        })
    };
    let all =
        [mail("a@x.org", "welcome"), mail("gone@x.org", "welcome"), mail("a", "welcome"), mail("b@x.org", "nope")];
    let mut book = Book::default();
    let answer = api.answer(&postmark("/email/batchWithTemplates", &json!({ "Messages": all })), &mut book);
    let codes: Vec<_> = (0..4).map(|index| answer.said_json()[index]["ErrorCode"].clone()).collect();
    assert_eq!((answer.status, codes), (200, vec![json!(0), json!(406), json!(300), json!(1101)]));
    assert_eq!((book.stored_keys(), book.refused.len()), (vec!["a@x.org"], 3));

    let single = api.answer(&postmark("/email/withTemplate", &mail("gone@x.org", "welcome")), &mut book);
    assert_eq!((single.status, single.said_json()["ErrorCode"].clone()), (422, json!(406)));
    let stranger = api.answer(&Request::post("/email", &json!({})), &mut book);
    assert_eq!((stranger.status, stranger.said_json()["ErrorCode"].clone()), (401, json!(10)));
}

#[test]
fn postmark_sends_a_repetition_again() {
    let mail = json!({ "From": "hi@acme.example", "To": "a@x.org", "TextBody": "Hi" });
    let (_, book) = converse(&mut MailApi::new(), &[postmark("/email", &mail), postmark("/email", &mail)]);
    assert_eq!(book.times_stored("a@x.org"), 2);
}

#[test]
fn send_grid_swallows_what_is_suppressed_and_refuses_what_is_malformed() {
    let mail = |to: &str| {
        json!({
            "personalizations": [{ "to": [{ "email": to }] }], "from": { "email": "hi@acme.example" },
            "subject": "Hi", "content": [{ "type": "text/plain", "value": "Hi" }],
        })
    };
    let mut api = MailApi::new();
    api.send_grid.suppressed = vec!["gone@x.org".to_owned()];
    let mut reversed = mail("a@x.org");
    let parts = ["text/html", "text/plain"].map(|kind| json!({ "type": kind, "value": "Hi" }));
    reversed["content"] = json!(parts);
    let mails = [mail("gone@x.org"), mail("a@x.org"), mail("a"), json!({}), reversed];
    let requests = mails.map(|mail| send_grid(&mail));
    let (answers, book) = converse(&mut api, &requests);
    assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [202, 202, 400, 400, 400]);
    assert_eq!((book.stored_keys(), book.lost.len(), book.refused.len()), (vec!["a@x.org"], 1, 3));
    let answer = api.answer(&Request::post("/v3/mail/send", &mail("a@x.org")), &mut Book::default());
    assert_eq!(answer.status, 401);
}
