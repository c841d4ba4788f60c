use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::look::text;
use crate::probe;

/// A company at which one asks; every answer's status and JSON.
struct Asking {
    company: Pipedrive,
    book: Book,
    at: Duration,
}

impl Asking {
    fn new(company: Pipedrive) -> Self {
        Self { company, book: Book::default(), at: Duration::ZERO }
    }

    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::new(method, path, body.to_string()).with("x-api-token", "api-token").at(self.at);
        let answer = self.company.answer(&request, &mut self.book);
        (answer.status, answer.said_json())
    }

    fn found(&mut self, path: &str) -> usize {
        let (status, said) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{said}");
        said["data"].as_array().or_else(|| said["data"]["items"].as_array()).unwrap().len()
    }
}

fn with_key() -> (Asking, String) {
    let company = Pipedrive::new().without_limit().with_field(Entity::Person, "Afterclick key", "varchar");
    let code = company.code(Entity::Person, "Afterclick key").unwrap().to_owned();
    (Asking::new(company), code)
}

fn ada(code: &str) -> Value {
    let emails = json!([{"value": "Ada@Example.org", "primary": true, "label": "work"}]);
    json!({"name": "Ada", "emails": emails, "custom_fields": {code: "sub_A"}})
}

#[test]
fn a_person_is_made_over_http_and_read_back() {
    let (asking, code) = with_key();
    let simulator = asking.company.start(Faults::none());
    let request = Request::post("/api/v2/persons", &ada(&code)).with("x-api-token", "api-token");
    let reply = probe::send(simulator.address(), &request).unwrap();
    assert_eq!(
        (reply.status, serde_json::from_str::<Value>(&reply.body).unwrap()["data"]["id"].clone()),
        (200, json!(1))
    );
    simulator.book(|book| assert_eq!(book.stored_keys(), ["sub_A"]));
    simulator.vendor(|company| {
        let person = company.people().next().unwrap();
        assert_eq!(company.look(person), "Ada · <Ada@Example.org>");
    });
}

#[test]
fn nothing_is_unique_and_search_sees_what_was_written_a_while_ago() {
    let (mut asking, code) = with_key();
    for _ in 0..2 {
        assert_eq!(asking.ask("POST", "/api/v2/persons", &ada(&code)).0, 200);
    }
    let by_key =
        |term: &str| format!("/api/v2/itemSearch/field?term={term}&entity_type=person&match=exact&field={code}");
    let by_email = "/api/v2/persons/search?term=ada@example.org&fields=email&exact_match=true";
    assert_eq!((asking.found(&by_key("sub_A")), asking.found("/api/v2/persons")), (0, 2));
    asking.at = Duration::from_secs(5);
    assert_eq!((asking.found(&by_key("sub_A")), asking.found(&by_key("SUB_a")), asking.found(by_email)), (2, 0, 2));
    asking.ask("DELETE", "/api/v2/persons/1", &Value::Null);
    assert_eq!((asking.found(&by_key("sub_A")), asking.found("/api/v2/persons")), (2, 1));
    asking.at = Duration::from_secs(10);
    assert_eq!(asking.found(&by_key("sub_A")), 1);
}

#[test]
fn what_a_field_does_not_take_fails_the_whole_write() {
    let (mut asking, code) = with_key();
    let date = asking.company.add_field(Entity::Person, "Install date", "date", &[]);
    let choice = asking.company.add_field(Entity::Person, "Source", "enum", &["A", "B"]);
    for (body, words) in [
        (json!({"name": ""}), "name: is not valid"),
        (json!({"custom_fields": {}}), "name: is required"),
        (json!({"name": "x", code.clone(): "y"}), "is not allowed for this request"),
        (json!({"name": "x", "custom_fields": {"0000": "y"}}), "custom_fields: Parameter '0000' is not allowed"),
        (
            json!({"name": "x", "custom_fields": {date.clone(): "2026-03-04T00:00:00Z"}}),
            "another value for the date field",
        ),
        (json!({"name": "x", "custom_fields": {choice.clone(): "A"}}), "another value for the enum field"),
        (json!({"name": "x", "custom_fields": {code.clone(): "x".repeat(256)}}), "another value for the varchar field"),
        (json!({"name": "x", "emails": "a@b.c"}), "emails: is not valid"),
    ] {
        let (status, said) = asking.ask("POST", "/api/v2/persons", &body);
        assert_eq!(status, 400);
        assert!(text(&said["error"]).contains(words), "{said}");
    }
    let good = json!({"name": "x", "custom_fields": {date: "2026-03-04", choice: 2}});
    assert_eq!(asking.ask("POST", "/api/v2/persons", &good).0, 200);
}

#[test]
fn the_lists_of_addresses_are_replaced_and_other_members_stay() {
    let (mut asking, code) = with_key();
    asking.ask("POST", "/api/v2/persons", &ada(&code));
    let emails = json!([{"value": "new@example.org", "primary": true, "label": "work"}]);
    let (_, said) = asking.ask("PATCH", "/api/v2/persons/1", &json!({ "emails": emails }));
    assert_eq!((&said["data"]["emails"], &said["data"]["name"]), (&emails, &json!("Ada")));
    assert_eq!(asking.ask("PATCH", "/api/v2/persons/9", &json!({})).0, 404);
}

#[test]
fn what_is_merged_is_gone_and_fills_the_gaps_of_the_other() {
    let (mut asking, code) = with_key();
    asking.ask("POST", "/api/v2/persons", &ada(&code));
    asking.ask("POST", "/api/v2/persons", &json!({"name": "Ada L."}));
    asking.ask("POST", "/api/v2/deals", &json!({"title": "One", "person_id": 1}));
    assert_eq!(asking.ask("PUT", "/api/v1/persons/1/merge", &json!({"merge_with_id": 2})).0, 200);
    let (_, said) = asking.ask("GET", "/api/v2/persons/2", &Value::Null);
    let (name, key) = (&said["data"]["name"], &said["data"]["custom_fields"][&code]);
    assert_eq!((name, key), (&json!("Ada L."), &json!("sub_A")));
    assert_eq!(asking.ask("GET", "/api/v2/persons/1", &Value::Null).0, 404);
    assert_eq!(asking.found("/api/v2/deals?person_id=2"), 1);
    assert_eq!(asking.company.merges(), [(Entity::Person, 1, 2)]);
    assert_eq!(asking.ask("POST", "/api/v1/persons", &json!({"name": "x"})).0, 410);
}

#[test]
fn a_deal_wants_a_person_a_stage_of_its_pipeline_and_room() {
    let (mut asking, _) = with_key();
    asking.ask("POST", "/api/v2/persons", &json!({"name": "Ada"}));
    let mut make = |body: Value| asking.ask("POST", "/api/v2/deals", &body).0;
    assert_eq!(make(json!({"title": "x"})), 400);
    assert_eq!(make(json!({"title": "x", "person_id": 7})), 400);
    assert_eq!(make(json!({"title": "x", "person_id": 1, "stage_id": 7})), 400);
    assert_eq!(make(json!({"title": "x", "person_id": 1, "value": 9.5, "currency": "eur"})), 400);
    assert_eq!(make(json!({"title": "x", "person_id": 1, "value": 9.5, "currency": "USD", "stage_id": 2})), 200);
    asking.company.open_deals_max = 1;
    let (status, said) = asking.ask("POST", "/api/v2/deals", &json!({"title": "x", "person_id": 1}));
    assert_eq!((status, text(&said["code"])), (403, "feature_capping_deals_limit"));
    let won = json!({"title": "x", "person_id": 1, "status": "won"});
    assert_eq!(asking.ask("POST", "/api/v2/deals", &won).0, 200, "only open ones are counted");
}

#[test]
fn fields_have_codes_of_their_own_and_only_an_admin_makes_them() {
    let (mut asking, _) = with_key();
    let field = json!({"field_name": "Plan", "field_type": "varchar"});
    let code = |said: (u16, Value)| text(&said.1["data"]["field_code"]).to_owned();
    let codes = [0, 1].map(|_| code(asking.ask("POST", "/api/v2/personFields", &field)));
    assert!(codes[0] != codes[1] && codes[0].len() == 40, "{codes:?}");
    assert_eq!(asking.found("/api/v2/personFields"), 6);
    let (_, page) = asking.ask("GET", "/api/v2/personFields?limit=5", &Value::Null);
    assert_eq!(page["additional_data"]["next_cursor"], "5");
    assert_eq!(asking.found("/api/v2/personFields?limit=5&cursor=5"), 1);
    asking.company.is_admin = false;
    assert_eq!(asking.ask("POST", "/api/v2/personFields", &field).0, 403);
    asking.company.is_admin = true;
    asking.company.custom_fields_max = 3;
    let (status, said) = asking.ask("POST", "/api/v2/personFields", &field);
    assert_eq!((status, text(&said["code"])), (403, "feature_capping_custom_fields_limit"));
}

#[test]
fn calls_searches_and_the_tokens_of_a_day_are_counted_and_the_edge_loses_its_patience() {
    let mut asking = Asking::new(Pipedrive::new().with_field(Entity::Person, "Afterclick key", "varchar"));
    asking.at = Duration::from_secs(10);
    let search = "/api/v2/persons/search?term=a@b.c&fields=email&exact_match=true";
    let statuses: Vec<_> = (0..11).map(|_| asking.ask("GET", search, &Value::Null).0).collect();
    assert_eq!((statuses[9], statuses[10]), (200, 429));
    assert_eq!(asking.ask("GET", "/api/v2/persons/1", &Value::Null).0, 404, "only searches are used up");
    assert_eq!(asking.company.tokens_used(), 201);
    asking.at += Duration::from_secs(2);
    asking.company.tokens_per_day = Some(210);
    let request = Request::new("GET", search, "").with("x-api-token", "api-token").at(asking.at);
    let answer = asking.company.answer(&request, &mut Book::default());
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains(&("x-daily-ratelimit-token-remaining", "0".to_owned())), "{:?}", answer.headers);
    let statuses: Vec<_> = (0..25).map(|_| asking.ask("GET", search, &Value::Null).0).collect();
    assert_eq!((statuses[0], statuses[24]), (429, 403));
    asking.at += Duration::from_hours(24);
    assert_eq!(asking.ask("GET", search, &Value::Null).0, 200);
}

#[test]
fn a_token_that_is_no_good_is_said_in_words() {
    let mut company = Pipedrive::new();
    let answer = company.answer(&Request::new("GET", "/api/v2/persons", ""), &mut Book::default());
    assert_eq!((answer.status, text(&answer.said_json()["error"])), (401, "unauthorized access"));
}
