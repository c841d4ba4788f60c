//! People: found, made, adopted and brought up to date.

use domain::identity::IdentifierKind;
use serde_json::{Value, json};
use vendors::Answer;
use vendors::pipedrive::Entity;

use super::trial::{ADA, Trial, completed};
use crate::crm::trial::{knowing, person, said};

#[test]
fn somebody_new_is_looked_for_by_key_and_address_and_made_once() {
    let mut trial = Trial::new(&json!({}));
    let ada = said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace");
    assert_eq!(trial.deliver(&[&ada, &ada]), ["delivered", "delivered"]);
    assert_eq!(trial.calls, ["GET personFields", "GET itemSearch/field", "GET persons/search", "POST persons"]);
    let key = ada.subject.to_string();
    assert!(
        trial.sent[1].0.contains(&format!("?term={key}&entity_type=person&match=exact&field=")),
        "{}",
        trial.sent[1].0
    );
    assert_eq!(trial.sent[2].0, "GET persons/search?term=ada%40example.org&fields=email&exact_match=true");
    assert_eq!(trial.only_person().name(), "Ada Lovelace");
    assert_eq!(trial.only_person().entries("emails"), [json!({"value": ADA, "primary": true, "label": "work"})]);
    for (name, value) in [
        ("Afterclick key", &*key),
        ("Deep link lead source", "Deep Link"),
        ("Deep link campaign", "spring-sale"),
        ("Deep link platform", "ios"),
        ("Deep link token", "summer-promo"),
        ("Install date", "2026-03-04"),
    ] {
        assert_eq!(trial.says(name), value, "{name}");
    }
    assert!(trial.bound[&key].starts_with("1 "), "{}", trial.bound[&key]);
    // What was written already is not written again.
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert!(trial.calls.is_empty());
}

#[test]
fn what_becomes_known_later_is_written_into_the_same_person() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.deliver_one(&ada);
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "PATCH persons/1"]);
    let code = |name: &str| trial.company.code(Entity::Person, name).unwrap().to_owned();
    let expect = json!({"custom_fields": {code("Referral date"): "2026-03-04", code("Conversion date"): "2026-03-04"}});
    assert_eq!(*trial.last_body(), expect, "only what has changed is sent");
}

#[test]
fn somebody_whom_the_sales_team_knows_is_not_made_again_and_loses_nothing() {
    let mut trial = Trial::new(&json!({}));
    let emails = json!([{"value": "Ada@Example.org", "primary": true, "label": "home"}, {"value": "ada@work.example", "primary": false, "label": "work"}]);
    let id = trial.company.add_by_hand(Entity::Person, &json!({"name": "Ada (VIP)", "emails": emails}), trial.at());
    trial.wait(60);
    let ada = said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let there = trial.only_person();
    assert_eq!((there.id, there.name(), there.member("emails")), (id, "Ada (VIP)", &emails));
    assert_eq!(trial.says("Afterclick key"), ada.subject.to_string());
    assert_eq!(trial.says("Deep link campaign"), "spring-sale");
    // An address that is new is added to those that are there.
    let ada = said(&knowing(&ada, "email:ada@new.example"), "email", "ada@new.example");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let new = json!({"value": "ada@new.example", "primary": false, "label": "work"});
    assert_eq!(trial.only_person().entries("emails"), [emails[0].clone(), emails[1].clone(), new]);
}

#[test]
fn an_address_of_somebody_else_of_ours_is_left_alone() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.deliver_one(&ada);
    trial.wait(60);
    let eve = person(&["user:2", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&eve), "delivered");
    assert_eq!(trial.company.people().count(), 2);
    assert!(trial.company.merges().is_empty());
}

#[test]
fn a_stub_gets_its_name_when_it_is_known_unless_somebody_has_given_it_another_one() {
    // One that we give by default is nobody's choice, also where the link was not known when it was given.
    for (given, stays) in [(None, false), (Some("Deep Link Lead"), false), (Some("The one from the fair"), true)] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        let device = person(&["install:i-1"]);
        assert_eq!(trial.deliver_one(&device), "delivered");
        assert_eq!(trial.calls, ["GET personFields", "GET itemSearch/field", "POST persons"]);
        assert_eq!(trial.only_person().name(), "Deep Link Lead (summer-promo)");
        if let Some(given) = given {
            trial.company.add_by_hand(Entity::Person, &json!({}), trial.at());
            trial.company.delete_by_hand(Entity::Person, 2, trial.at());
            trial.ask("PATCH", "/api/v2/persons/1", &json!({ "name": given }));
        }
        let known = said(&knowing(&device, "user:1"), "name", "Ada Lovelace");
        assert_eq!(trial.deliver_one(&known), "delivered");
        let name = given.filter(|_| stays);
        assert_eq!(trial.only_person().name(), name.unwrap_or("Ada Lovelace"));
        // Also when the name changes once more.
        assert_eq!(trial.deliver_one(&said(&known, "name", "Ada King")), "delivered");
        assert_eq!(trial.only_person().name(), name.unwrap_or("Ada King"));
    }
}

#[test]
fn a_placeholder_is_what_the_settings_say() {
    let mut trial =
        Trial::new(&json!({"match": "stub", "placeholder_name": "App user of {{ person.first_touch.campaign }}"}));
    assert_eq!(trial.deliver_one(&person(&["install:i-1"])), "delivered");
    assert_eq!(trial.only_person().name(), "App user of spring-sale");
}

#[test]
fn what_sales_made_of_somebody_whom_we_had_as_a_stub_takes_the_stub_in() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let device = person(&["install:i-1"]);
    trial.deliver_one(&device);
    let emails = json!([{"value": ADA, "primary": true, "label": "work"}]);
    let id = trial.company.add_by_hand(Entity::Person, &json!({"name": "Ada", "emails": emails}), trial.at());
    trial.wait(60);
    let known = knowing(&knowing(&device, "user:1"), "email:ada@example.org");
    assert_eq!(trial.deliver_one(&known), "delivered");
    let expect =
        ["GET persons/1", "GET persons/search", "GET persons/2", "PUT /api/v1/persons/1/merge", "GET persons/2"];
    assert_eq!(trial.calls, expect);
    assert_eq!((trial.only_person().id, trial.only_person().name()), (id, "Ada"));
    assert_eq!(trial.says("Afterclick key"), device.subject.to_string());
    assert!(trial.bound[&device.subject.to_string()].starts_with("2 "));
    assert_eq!(trial.deliver_one(&known), "delivered");
    assert!(trial.calls.is_empty());
}

#[test]
fn whoever_was_deleted_is_looked_for_and_made_anew_when_there_is_news() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.deliver_one(&ada);
    trial.company.delete_by_hand(Entity::Person, 1, trial.at());
    trial.wait(60);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.company.people().count(), 0, "nothing is new");
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "GET itemSearch/field", "GET persons/search", "POST persons"]);
    assert_eq!(trial.only_person().id, 2);
}

#[test]
fn who_asks_for_it_again_has_it_looked_at() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.company.delete_by_hand(Entity::Person, 1, trial.at());
    trial.wait(60);
    trial.ordinal = 1;
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.only_person().id, 2);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET persons/2"], "it says already what it should");
}

#[test]
fn ids_of_another_company_are_not_taken_for_this_ones() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    trial.bound.insert(ada.subject.to_string(), "77 deadbeef".to_owned());
    trial.company.add_by_hand(Entity::Person, &json!({"name": "A stranger"}), trial.at());
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET personFields", "GET itemSearch/field", "POST persons"]);
}

#[test]
fn behind_one_host_the_token_says_which_company_it_is() {
    let settings = |token: &str| json!({"domain": null, "host": "https://proxy.example", "api_token": token});
    let mut trial = Trial::new(&json!({})).reopened(&settings("api-token"));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    // The same number is a stranger's in the company of another token.
    let mut other = Trial::new(&json!({}));
    other.company.api_token = "other-token".to_owned();
    other.company.add_by_hand(Entity::Person, &json!({"name": "A stranger"}), other.at());
    other.bound = trial.bound;
    other = other.reopened(&settings("other-token"));
    assert_eq!(other.deliver_one(&completed(&ada)), "delivered");
    assert_eq!(other.company.people().map(|person| person.name().to_owned()).next().unwrap(), "A stranger");
    assert_eq!(other.company.people().count(), 2);
}

#[test]
fn somebody_whose_record_is_anothers_by_now_is_looked_for() {
    let mut trial = Trial::new(&json!({}));
    let (ada, eve) = (person(&["user:1"]), person(&["user:2"]));
    trial.deliver(&[&ada, &eve]);
    let eves = trial.bound[&eve.subject.to_string()].clone();
    trial.bound.insert(ada.subject.to_string(), eves.replacen(&eves[2..], &eves[2..10], 1));
    trial.wait(60);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET persons/2", "GET itemSearch/field", "GET persons/1"]);
    assert_eq!(trial.company.people().count(), 2);
}

#[test]
fn properties_are_added_replaced_and_left_out() {
    let properties = json!({
        "Deep link channel": null,
        "Deep link campaign": "{{ person.first_touch.campaign | upper }}",
        "Lead source": "Deep Link",
        "Plan": "{{ person.traits.plan }}",
        "Signed up": "{{ person.installed_at }}",
        "owner_id": 12,
        "phone": "",
        "email": "{{ person.traits.work_email }}",
    });
    let mut trial = Trial::new(&json!({ "properties": properties }));
    trial.company.delete_field(Entity::Person, "Deep link channel");
    trial.company.add_field(Entity::Person, "Lead source", "enum", &["Inbound", "Deep Link"]);
    trial.company.add_field(Entity::Person, "Plan", "varchar", &[]);
    trial.company.add_field(Entity::Person, "Signed up", "text", &[]);
    let ada = said(&said(&person(&["user:1"]), "work_email", ADA), "phone", "+43 1 234");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let there = trial.only_person();
    assert_eq!((there.member("owner_id"), there.entries("phones")), (&json!(12), &[][..]));
    assert_eq!(there.entries("emails")[0]["value"], ADA);
    for (name, value) in [
        ("Deep link campaign", json!("SPRING-SALE")),
        ("Lead source", json!(2)),
        ("Plan", Value::Null),
        ("Signed up", json!("2026-03-04T14:32:08.441Z")),
    ] {
        assert_eq!(trial.says(name), value, "{name}");
    }
}

#[test]
fn what_one_person_cannot_be_written_for_does_not_hold_up_the_others() {
    let mut trial = Trial::new(&json!({"properties": {"Install date": "{{ person.traits.since }}"}}));
    let (ada, eve) = (person(&["user:1"]), said(&person(&["user:2"]), "since", "long ago"));
    let verdicts = trial.deliver(&[&eve, &ada]);
    assert_eq!(
        verdicts[0],
        "reject unprocessable: the field `Install date` of people is a date, and `long ago` is none; it is set by `properties`"
    );
    assert_eq!(verdicts[1], "delivered");
    let refusal = json!({"success": false, "error": "Validation failed: name: is profane", "code": "ERR_SCHEMA_VALIDATION_FAILED"});
    trial.answers.insert(1, (Answer::json(400, &refusal), false));
    let (bob, cy) = (person(&["user:3"]), person(&["user:4"]));
    assert_eq!(trial.deliver(&[&bob, &cy]), ["reject refused: Validation failed: name: is profane", "delivered"]);
    assert_eq!(trial.bound[&bob.subject.to_string()], "", "nobody was made");
}

#[test]
fn what_wants_to_break_out_stays_text() {
    let mut trial = Trial::new(&json!({}));
    let mut ada = said(&person(&["user:1"]), "name", "Ada\r\n\"}],\u{202e}<b>&term=x{{ 7 }}");
    ada.trace.first_touch.as_mut().unwrap().value.campaign = Some("a&b=c#d?e/../f'\"".to_owned() + &"x".repeat(400));
    ada = knowing(&ada, "email:x+y&fields=name@example.org");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.only_person().name(), "Ada \"}], <b>&term=x{{ 7 }}");
    let campaign = trial.says("Deep link campaign");
    assert_eq!(campaign.as_str().unwrap().chars().count(), 255);
    assert!(campaign.as_str().unwrap().starts_with("a&b=c#d?e/../f'\"xxx"));
    assert_eq!(
        trial.sent[2].0,
        "GET persons/search?term=x%2By%26fields%3Dname%40example.org&fields=email&exact_match=true"
    );
}

#[test]
fn what_sales_wrote_before_us_is_not_emptied_and_what_we_wrote_is() {
    let mut trial = Trial::new(&json!({}));
    let campaign = trial.company.code(Entity::Person, "Deep link campaign").unwrap().to_owned();
    let emails = json!([{"value": ADA, "primary": true, "label": "work"}]);
    let theirs = json!({"name": "Ada", "emails": emails, "custom_fields": {campaign.clone(): "set by the old code"}});
    trial.company.add_by_hand(Entity::Person, &theirs, trial.at());
    trial.wait(60);
    let mut bare = person(&["user:1", "email:ada@example.org"]);
    let touch = bare.trace.first_touch.as_mut().unwrap();
    (touch.value.campaign, touch.value.channel) = (None, Some("tv".to_owned()));
    assert_eq!(trial.deliver_one(&bare), "delivered");
    assert_eq!(
        (trial.says("Deep link campaign"), trial.says("Deep link channel")),
        (json!("set by the old code"), json!("tv"))
    );
    bare.trace.first_touch.as_mut().unwrap().value.channel = None;
    assert_eq!(trial.deliver_one(&bare), "delivered");
    assert_eq!(
        (trial.says("Deep link campaign"), trial.says("Deep link channel")),
        (json!("set by the old code"), Value::Null)
    );
    // What they write into it is theirs.
    let code = trial.company.code(Entity::Person, "Deep link channel").unwrap().to_owned();
    trial.ask("PATCH", "/api/v2/persons/1", &json!({"custom_fields": {code: "fair"}}));
    assert_eq!(trial.deliver_one(&completed(&bare)), "delivered");
    assert_eq!(trial.says("Deep link channel"), "fair");
}

#[test]
fn who_is_not_told_of_addresses_any_more_is_not_told_that_one_went() {
    let mut trial = Trial::new(&json!({}));
    let mut ada = person(&["user:1", "email:ada@example.org"]);
    trial.deliver_one(&ada);
    ada.lost.insert(IdentifierKind::Email);
    let privacy = domain::Privacy { drop: ["email".to_owned()].into(), ..domain::Privacy::default() };
    assert_eq!(trial.deliver_one(&privacy.profile(&completed(&ada))), "delivered");
    assert!(trial.only_person().entries("emails").iter().any(|entry| entry["value"] == ADA));
}
