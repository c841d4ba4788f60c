use super::*;
use crate::faults::Faults;
use crate::google::tests::{ask, claims};
use crate::jwt::tests::signed;
use crate::probe;

fn event(id: &str) -> Value {
    json!({
        "transactionId": id, "eventTimestamp": "2026-03-04T14:32:08Z", "eventSource": "WEB", "currency": "EUR",
        "conversionValue": 9.5, "adIdentifiers": { "gclid": "click" },
    })
}

fn body(events: &[Value]) -> Value {
    let account = json!({ "accountType": "GOOGLE_ADS", "accountId": "123" });
    let destinations = [json!({ "operatingAccount": account, "productDestinationId": "7" })];
    json!({ "destinations": destinations, "events": events, "encoding": "HEX", "validateOnly": false })
}

fn ingest(ads: &mut GoogleAds, body: &Value, book: &mut Book) -> Answer {
    let token = ads.answer(&ask(&signed(&json!({ "alg": "RS256" }), &claims(SCOPES[0]))), book);
    let bearer = format!("Bearer {}", text(&token.said_json()["access_token"]));
    ads.answer(&Request::post("/v1/events:ingest", body).with("authorization", &bearer), book)
}

#[test]
fn conversions_are_accepted_once_per_transaction() {
    let (mut ads, mut book) = (GoogleAds::new(), Book::default());
    for _ in 0..2 {
        let answer = ingest(&mut ads, &body(&[event("evt_1")]), &mut book);
        assert_eq!((answer.status, text(&answer.said_json()["requestId"])), (200, "r-1"));
    }
    assert_eq!((book.stored_keys(), book.duplicates.len()), (vec!["evt_1"], 1));
    let mut trial = body(&[event("evt_2")]);
    trial["validateOnly"] = json!(true);
    assert_eq!((ingest(&mut ads, &trial, &mut book).status, book.stored.len()), (200, 1));
}

#[test]
fn one_invalid_event_fails_the_request_and_is_named() {
    let with = |name: &str, value: Value| {
        let mut event = event("bad");
        event[name] = value;
        event
    };
    let people = json!({ "userIdentifiers": [{ "emailAddress": "ada@example.org" }] });
    let bad = [
        (with("adIdentifiers", json!({})), "ad_identifiers"),
        (with("eventTimestamp", json!(1_772_634_728)), "event_timestamp"),
        (with("currency", Value::Null), "currency"),
        (with("currency", json!("QQQ")), "currency"),
        (with("userData", people), "user_data"),
        (with("eventSource", json!("DEEP_LINK")), "event_source"),
    ];
    for (bad, field) in bad {
        let mut book = Book::default();
        let answer = ingest(&mut GoogleAds::new(), &body(&[event("a"), bad]), &mut book);
        let named = answer.said_json()["error"]["details"][0]["fieldViolations"][0]["field"].clone();
        assert_eq!((answer.status, named), (400, json!(format!("events.events[1].{field}"))));
        assert_eq!((book.stored.len(), book.refused.len()), (0, 1));
    }
}

#[test]
fn without_a_token_over_http_nothing_is_taken() {
    let simulator = GoogleAds::new().start(Faults::none());
    let request = Request::post("/v1/events:ingest", &body(&[event("a")]));
    assert_eq!(probe::send(simulator.address(), &request).unwrap().status, 401);
    assert!(simulator.service_account().contains("/token"));
    simulator.book(|book| assert!(book.stored.is_empty()));
}

#[test]
fn the_301st_request_at_once_exhausts_the_quota() {
    let (mut ads, mut book) = (GoogleAds::new(), Book::default());
    let full = body(&[event("a")]);
    assert!((0..300).all(|_| ingest(&mut ads, &full, &mut book).status == 200));
    assert_eq!(ingest(&mut ads, &full, &mut book).status, 429);
}
