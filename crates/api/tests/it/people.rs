//! Who the events are about: identify, subjects, journeys.

use domain::key::Scope;
use serde_json::{Value, json};

use crate::desk::{Desk, text};

const CLICK: &str = "2026-03-04T14:00:00Z";

/// Publishes an event so many minutes after the click.
async fn publish(desk: &Desk, minutes: u32, event_type: &str, data: Value) -> String {
    let at = format!("2026-03-04T14:{minutes:02}:00Z");
    let event = json!({ "event": event_type, "timestamp": at, "data": data });
    text(&desk.post("/v1/events", event).expect(202).await, "id")
}

/// Somebody who clicked, installed four minutes later and completed a referral eighteen minutes after that.
async fn ada(desk: &Desk) -> String {
    let clicked =
        json!({ "click_id": "c-1", "campaign": "summer", "channel": "ads", "prefix": "go", "token": "promo" });
    publish(desk, 0, "link.clicked", clicked).await;
    publish(desk, 4, "install.tracked", json!({ "click_id": "c-1", "install_id": "i-1", "platform": "ios" })).await;
    publish(desk, 22, "referral.completed", json!({ "install_id": "i-1", "referral_code": "r-1" })).await;
    let said = json!({ "user_id": 42, "email": "Ada@Example.org", "install_id": "i-1", "name": "Ada" });
    text(&desk.post("/v1/identify", said).expect(200).await, "subject")
}

#[tokio::test(start_paused = true)]
async fn a_subject_is_found_by_whatever_it_is_known_by() {
    let desk = Desk::new().await;
    let subject = ada(&desk).await;
    for key in [&subject, "user:42", "42", "email:ada@example.org", "ADA%40example.org", "install:i-1", "click:c-1"] {
        let found = desk.get(&format!("/v1/subjects/{key}")).expect(200).await;
        assert_eq!(found["id"], json!(subject), "{key}");
    }
    let found = desk.get("/v1/subjects/42").expect(200).await;
    let known_by = json!(["user:42", "email:ada@example.org", "install:i-1", "click:c-1", "referral:r-1"]);
    assert_eq!((&found["identifiers"], &found["is_known"]), (&known_by, &json!(true)));
    assert_eq!((&found["stage"], &found["first_seen_at"]), (&json!("customer"), &json!("2026-03-04T14:00:00.000Z")));
    assert_eq!((&found["profile"]["name"], &found["profile"]["email"]), (&json!("Ada"), &json!("ada@example.org")));
    assert_eq!((&found["record"]["link"], &found["record"]["campaign"]), (&json!("go/promo"), &json!("summer")));
    for key in ["user:43", "43", "sub_none", "token:promo", "promo", "%20", &"x".repeat(5_000)] {
        desk.get(&format!("/v1/subjects/{key}")).problem(404, "subject_not_found").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journey_says_what_happened_when_and_how_long_it_took() {
    let desk = Desk::new().await;
    let subject = ada(&desk).await;
    let journey = desk.get("/v1/journeys/user:42").expect(200).await;
    assert_eq!((&journey["subject"], &journey["name"]), (&json!(subject), &json!("Ada")));
    let steps = journey["steps"].as_array().unwrap();
    let kinds: Vec<String> = steps.iter().map(|step| text(step, "kind")).collect();
    assert_eq!(kinds, ["click", "store", "install", "completion", "identified"]);
    assert_eq!(steps[0]["at"], CLICK.replace('Z', ".000Z"));
    assert_eq!(steps[3]["after_install"]["text"], "18 minutes");
    assert_eq!(journey["record"]["install_to_conversion"], json!({ "ms": 1_080_000, "text": "18 minutes" }));
    assert_eq!(journey["more"], false);

    let short = desk.get("/v1/journeys/user:42?limit=2").expect(200).await;
    assert_eq!((short["steps"].as_array().map(Vec::len), &short["more"]), (Some(2), &json!(true)));
    for bad in ["0", "2001"] {
        desk.get(&format!("/v1/journeys/user:42?limit={bad}")).problem(400, "query_invalid").await;
    }
    desk.get("/v1/journeys/nobody").problem(404, "subject_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn a_bare_key_of_two_people_is_asked_for_with_its_kind() {
    let desk = Desk::new().await;
    desk.post("/v1/identify", json!({ "user_id": "7" })).expect(200).await;
    desk.post("/v1/identify", json!({ "install_id": "7" })).expect(200).await;
    for path in ["/v1/subjects/7", "/v1/journeys/7"] {
        let problem = desk.get(path).problem(400, "key_ambiguous").await;
        assert!(text(&problem, "detail").contains("`user:`, `install:`"), "{problem}");
    }
    desk.get("/v1/subjects/install:7").expect(200).await;
}

#[tokio::test(start_paused = true)]
async fn a_number_is_the_same_however_it_is_written_in_a_call_and_in_an_event() {
    let desk = Desk::new().await;
    let first = desk.post("/v1/identify", json!({ "user_id": "42", "install_id": "i" })).expect(200).await;
    for number in ["42", "42.0", "4.2e1"] {
        let number: Value = serde_json::from_str(number).unwrap();
        let again = desk.post("/v1/identify", json!({ "user_id": number })).expect(200).await;
        assert_eq!((&again["subject"], &again["changed"]), (&first["subject"], &json!(false)), "{number}");
        publish(&desk, 1, "install.tracked", json!({ "user_id": number, "click_id": number })).await;
    }
    let found = desk.get("/v1/subjects/user:42").expect(200).await;
    assert_eq!(found["identifiers"], json!(["user:42", "install:i", "click:42"]));
    for number in [json!(42.5), json!(1e300), json!(9_007_199_254_740_992.0)] {
        desk.post("/v1/identify", json!({ "user_id": number })).problem(400, "body_invalid").await;
    }
    desk.post("/v1/identify", json!({ "user_id": -0.0 })).problem(422, "identifier_invalid").await;
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_new_is_not_stored() {
    let desk = Desk::new().await;
    let said = json!({ "user_id": "42", "email": "ada@example.org", "phone": "+44 1", "traits": { "plan": "pro" } });
    let first = desk.post("/v1/identify", said.clone()).expect(200).await;
    assert_eq!((&first["changed"], &first["is_known"]), (&json!(true), &json!(true)));
    let event = desk.get(&format!("/v1/events/{}", text(&first, "event"))).expect(200).await;
    assert_eq!((&event["type"], &event["source"]), (&json!("afterclick.identified"), &json!("api")));
    assert_eq!(event["envelope"]["data"]["traits"], json!({ "plan": "pro", "phone": "+44 1" }));

    let again = desk.post("/v1/identify", said).expect(200).await;
    assert_eq!((&again["changed"], &again["event"]), (&json!(false), &Value::Null));
    assert_eq!(again["subject"], first["subject"]);
    let changed = json!({ "user_id": "42", "traits": { "plan": "free" } });
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(desk.post("/v1/identify", changed).expect(200).await["changed"], true);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_makes_no_sense_says_what_to_mend() {
    let desk = Desk::new().await;
    let many: Value = (0..65).map(|number| (number.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    let long = "x".repeat(2_000);
    for (body, status, code, field) in [
        (json!({}), 422, "identifier_missing", ""),
        (json!({ "name": "Ada" }), 422, "identifier_missing", ""),
        (json!({ "user_id": "" }), 422, "identifier_invalid", "user_id"),
        (json!({ "user_id": "a\nb" }), 422, "identifier_invalid", "user_id"),
        (json!({ "install_id": "x".repeat(201) }), 422, "identifier_invalid", "install_id"),
        (json!({ "user_id": "null", "install_id": "i" }), 422, "identifier_invalid", "user_id"),
        (json!({ "user_id": 0, "install_id": "i" }), 422, "identifier_invalid", "user_id"),
        (json!({ "email": "ada" }), 422, "identifier_invalid", "email"),
        (json!({ "email": "@example.org" }), 422, "identifier_invalid", "email"),
        (json!({ "user_id": "1", "name": long.clone() }), 422, "trait_invalid", "name"),
        (json!({ "user_id": "1", "traits": { "plan": long } }), 422, "trait_invalid", "traits.plan"),
        (json!({ "user_id": "1", "traits": { "plan": ["a"] } }), 422, "trait_invalid", "traits.plan"),
        (json!({ "user_id": "1", "traits": { "plan": null } }), 422, "trait_invalid", "traits.plan"),
        (json!({ "user_id": "1", "traits": many }), 422, "limit_reached", "traits"),
        (json!({ "user_id": "1", "name": "a", "traits": { "name": "b" } }), 422, "value_invalid", "name"),
        (json!({ "user_id": true }), 400, "body_invalid", ""),
        (json!([]), 400, "body_invalid", ""),
    ] {
        let problem = desk.post("/v1/identify", body).problem(status, code).await;
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{problem}");
    }
    let hinted = desk.post("/v1/identify", json!({ "userid": "1" })).problem(400, "body_invalid").await;
    assert!(text(&hinted, "detail").contains("did you mean `user_id`?"), "{hinted}");
    assert_eq!(desk.get("/v1/events").expect(200).await["data"], json!([]), "nothing is stored");
}

#[tokio::test(start_paused = true)]
async fn two_known_people_are_never_made_one_and_the_problem_says_what_to_do() {
    let desk = Desk::new().await;
    desk.post("/v1/identify", json!({ "user_id": "1", "install_id": "i" })).expect(200).await;
    desk.post("/v1/identify", json!({ "user_id": "2" })).expect(200).await;
    let wanted = json!({ "user_id": "2", "install_id": "i" });
    let problem = desk.post("/v1/identify", wanted.clone()).problem(409, "identity_conflict").await;
    assert_eq!(problem["field"], "install_id");
    let detail = text(&problem, "detail");
    assert!(detail.contains("`POST /v1/subjects/install:i/unlink` with this `install_id`"), "{detail}");
    assert!(!detail.contains("user:1"), "{detail}");

    let unlinked = desk.post("/v1/subjects/install:i/unlink", json!({ "install_id": "i" })).expect(200).await;
    assert_eq!(unlinked["unlinked"][0]["was_linked"], true);
    assert_ne!(unlinked["unlinked"][0]["subject"], unlinked["subject"]);
    let identified = desk.post("/v1/identify", wanted).expect(200).await;
    assert_eq!(identified["identifiers"], json!(["user:2", "install:i"]));
    assert_eq!(desk.get("/v1/subjects/user:1").expect(200).await["identifiers"], json!(["user:1"]));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_a_friend_has_used_loses_neither_the_address_nor_the_name() {
    let desk = Desk::new().await;
    desk.post("/v1/identify", json!({ "user_id": "f1", "referral_code": "ADA-5" })).expect(200).await;
    let second = json!({ "user_id": "f2", "email": "f2@b.c", "name": "Second", "referral_code": "ADA-5" });
    let identified = desk.post("/v1/identify", second.clone()).expect(200).await;
    assert_eq!(identified["identifiers"], json!(["user:f2", "email:f2@b.c"]));
    assert_eq!(desk.post("/v1/identify", second).expect(200).await["changed"], false);
    let shown = desk.get("/v1/subjects/user:f2").expect(200).await;
    assert_eq!((&shown["profile"]["referral_code"], &shown["profile"]["name"]), (&json!("ADA-5"), &json!("Second")));
}

#[tokio::test(start_paused = true)]
async fn an_address_among_the_traits_is_an_address_and_a_blank_says_nothing() {
    let desk = Desk::new().await;
    let said = json!({ "user_id": "1", "name": "Ada", "traits": { "email": " Ada@b.C", "name": "", "plan": "pro" } });
    let identified = desk.post("/v1/identify", said).expect(200).await;
    assert_eq!(identified["identifiers"], json!(["user:1", "email:ada@b.c"]));
    let same = json!({ "user_id": "1", "name": "", "email": "ada@b.c", "traits": { "email": "ADA@b.c", "plan": "" } });
    assert_eq!(desk.post("/v1/identify", same).expect(200).await["changed"], false);
    let profile = desk.get("/v1/subjects/user:1").expect(200).await["profile"].clone();
    assert_eq!((&profile["name"], &profile["traits"]["plan"]), (&json!("Ada"), &json!("pro")));
    for (wrong, code, field) in [
        (json!({ "user_id": "1", "email": "a@b.c", "traits": { "email": "d@e.f" } }), "value_invalid", "email"),
        (json!({ "user_id": "1", "traits": { "email": 7 } }), "value_invalid", "traits.email"),
        (json!({ "user_id": "1", "traits": { "email": "nobody" } }), "identifier_invalid", "email"),
        (json!({ "user_id": "\u{200b}" }), "identifier_invalid", "user_id"),
    ] {
        assert_eq!(desk.post("/v1/identify", wrong).problem(422, code).await["field"], field);
    }
    let many: serde_json::Map<_, _> = (0..65).map(|number| (format!("a{number}"), json!(1))).collect();
    desk.post("/v1/identify", json!({ "user_id": "1", "traits": many })).problem(422, "limit_reached").await;
}

#[tokio::test(start_paused = true)]
async fn an_address_and_a_user_of_one_device_are_one_person_only_if_somebody_says_so() {
    let desk = Desk::new().await;
    desk.post("/v1/identify", json!({ "email": "a@b.c", "click_id": "c" })).expect(200).await;
    let wanted = json!({ "user_id": "1", "click_id": "c" });
    let problem = desk.post("/v1/identify", wanted).problem(409, "identity_conflict").await;
    assert!(text(&problem, "detail").ends_with("same person after all, say the `email` here too"), "{problem}");
    let wanted = json!({ "user_id": "1", "email": "a@b.c", "click_id": "c" });
    let one = desk.post("/v1/identify", wanted).expect(200).await;
    assert_eq!(one["identifiers"], json!(["user:1", "email:a@b.c", "click:c"]));
}

#[tokio::test(start_paused = true)]
async fn several_identifiers_are_unlinked_at_once_and_only_those_of_the_subject() {
    let desk = Desk::new().await;
    let all = json!({ "user_id": "1", "email": "a@b.c", "install_id": "i", "click_id": "c" });
    desk.post("/v1/identify", all).expect(200).await;
    desk.post("/v1/identify", json!({ "user_id": "2" })).expect(200).await;
    let unlink = |body: Value| desk.post("/v1/subjects/user:1/unlink", body);
    unlink(json!({})).problem(422, "identifier_missing").await;
    unlink(json!({ "instal_id": "i" })).problem(400, "body_invalid").await;
    let foreign = unlink(json!({ "install_id": "i", "user_id": "2" })).problem(422, "identifier_of_another").await;
    assert_eq!(foreign["field"], "user_id");
    assert_eq!(desk.get("/v1/subjects/user:1").expect(200).await["identifiers"].as_array().unwrap().len(), 4);

    // The id stays with the user, so the rest is another subject before the second one is cut.
    let cut = unlink(json!({ "user_id": "1", "install_id": "i" })).expect(200).await;
    let cut: Vec<_> = cut["unlinked"].as_array().unwrap().iter().map(|one| text(one, "identifier")).collect();
    assert_eq!(cut, ["user:1", "install:i"]);
    let known_by = async |key: &str| desk.get(&format!("/v1/subjects/{key}")).expect(200).await["identifiers"].clone();
    assert_eq!(known_by("user:1").await, json!(["user:1"]));
    assert_eq!(known_by("install:i").await, json!(["install:i"]));
    let alone = desk.post("/v1/subjects/user:1/unlink", json!({ "user_id": "1" })).expect(200).await;
    assert_eq!(alone["unlinked"][0]["was_linked"], false);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_together_only_by_what_is_unlinked_too_is_taken_apart_for_good() {
    let desk = Desk::new().await;
    publish(&desk, 0, "install.tracked", json!({ "install_id": "i", "click_id": "c" })).await;
    desk.post("/v1/identify", json!({ "user_id": "1", "install_id": "i" })).expect(200).await;
    let both = json!({ "install_id": "i", "click_id": "c" });
    let cut = desk.post("/v1/subjects/user:1/unlink", both).expect(200).await;
    for one in cut["unlinked"].as_array().unwrap() {
        assert_eq!(one["was_linked"], true, "{cut}");
    }
    // It happened before and comes late.
    publish(&desk, 1, "link.opened", json!({ "user_id": "2", "click_id": "c" })).await;
    desk.post("/v1/identify", json!({ "user_id": "2" })).expect(200).await;
    assert_eq!(desk.get("/v1/subjects/user:2").expect(200).await["identifiers"], json!(["user:2"]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_only_publish_reads_nothing_that_it_did_not_say() {
    let desk = Desk::new().await;
    let appspace = desk.pipeline.registry.default_appspace().id;
    desk.put_key("publisher", Scope::Publish, Some(appspace)).await;
    ada(&desk).await;
    let said = json!({ "install_id": "i-1" });
    let answer = desk.post("/v1/identify", said.clone()).key("publisher").expect(200).await;
    assert_eq!(answer["identifiers"], json!(["install:i-1"]));
    assert_eq!(desk.post("/v1/identify", said).expect(200).await["identifiers"].as_array().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_says_whom_the_event_is_about() {
    let desk = Desk::new().await;
    let clicked = publish(&desk, 0, "link.clicked", json!({ "click_id": "c-1" })).await;
    let shared = publish(&desk, 0, "link.clicked", json!({ "token": "promo" })).await;
    let explain =
        async |event: &str| desk.get(&format!("/v1/events/{event}/explain")).expect(200).await["about"].clone();
    assert_eq!(explain(&clicked).await["identifiers"], json!(["click:c-1"]));
    assert_eq!(explain(&shared).await, Value::Null);
    desk.post("/v1/identify", json!({ "user_id": "42", "click_id": "c-1" })).expect(200).await;
    let about = explain(&clicked).await;
    assert_eq!((&about["is_known"], &about["identifiers"]), (&json!(true), &json!(["user:42", "click:c-1"])));
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_is_forgotten_and_the_receipt_says_what_went() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    desk.network.answer(500);
    let clicked = publish(&desk, 0, "link.clicked", json!({ "click_id": "c-1", "email": "ada@example.org" })).await;
    let said = json!({ "user_id": "42", "email": "ada@example.org", "click_id": "c-1" });
    let subject = text(&desk.post("/v1/identify", said).expect(200).await, "subject");
    let receipt = desk.delete("/v1/subjects/user:42").expect(200).await;
    assert_eq!(receipt["subject"], json!(subject));
    assert_eq!((&receipt["removed"]["events"], &receipt["removed"]["identifiers"]), (&json!(2), &json!(3)));
    assert_eq!(receipt["held_elsewhere"], json!([]));
    for key in ["user:42", "email:ada@example.org", &subject] {
        desk.get(&format!("/v1/subjects/{key}")).problem(404, "subject_not_found").await;
        desk.delete(&format!("/v1/subjects/{key}")).problem(404, "subject_not_found").await;
    }
    let event = desk.get(&format!("/v1/events/{clicked}")).expect(200).await;
    assert!(!event.to_string().contains("ada@"), "{event}");
}
