use super::*;
use crate::faults::Faults;
use crate::probe;

fn event(who: &str) -> Value {
    json!({ "external_id": who, "name": "Install Tracked", "time": "2026-03-04T14:32:08Z", "properties": {} })
}

fn track(body: &Value) -> Request {
    Request::post("/users/track", body).with("authorization", "Bearer rest-key")
}

fn check_one(request: &Request) -> (u16, Value, usize) {
    let mut book = Book::default();
    let answer = Braze::new().answer(request, &mut book);
    (answer.status, answer.said_json()["errors"].clone(), book.stored.len())
}

#[test]
fn a_repetition_over_http_counts_twice() {
    let simulator = Braze::new().start(Faults::none());
    for _ in 0..2 {
        let reply = probe::send(simulator.address(), &track(&json!({ "events": [event("u")] }))).unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (201, r#"{"message":"success","events_processed":1}"#));
    }
    simulator.book(|book| assert_eq!(book.times_stored("u/Install Tracked/2026-03-04T14:32:08Z"), 2));
}

#[test]
fn a_201_may_carry_errors_for_single_objects() {
    let alias = json!({ "user_alias": { "alias_name": "click-1", "alias_label": "click" }, "x": 1 });
    let body = json!({ "events": [event("u"), event("")], "attributes": [alias, {}] });
    let (status, errors, stored) = check_one(&track(&body));
    assert_eq!((status, stored), (201, 2));
    assert_eq!([&errors[0]["input_array"], &errors[1]["input_array"]], ["events", "attributes"]);
    assert_eq!([&errors[0]["index"], &errors[1]["index"]], [1, 1]);
    let struck = Request { partial_failure: true, ..track(&json!({ "events": [event("u"), event("v")] })) };
    assert_eq!(check_one(&struck).2, 1);
}

#[test]
fn seventy_five_objects_of_all_kinds_are_the_most() {
    let body = |events: usize| json!({ "events": vec![event("u"); events], "attributes": [{ "external_id": "u" }] });
    assert_eq!(check_one(&track(&body(74))).0, 201);
    assert_eq!(check_one(&track(&body(75))).0, 400);
    assert_eq!(check_one(&Request::post("/users/track", &body(1))).0, 401);
}
