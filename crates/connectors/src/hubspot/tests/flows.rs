//! What happens on ordinary days and in ordinary trouble.

use domain::identity::Stamped;
use serde_json::json;
use vendors::Answer;
use vendors::hubspot::{Naming, Property};

use super::trial::Trial;
use crate::crm::trial::{absorbing, converted, person};
use crate::kit::NOW;

#[test]
fn a_person_is_one_contact_however_many_events_tell_of_them() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver(&[&ada, &ada, &ada]), ["delivered"; 3]);
    assert_eq!(trial.sent[0]["inputs"].as_array().unwrap().len(), 1);
    assert_eq!(trial.deliver_one(&converted(&ada)), "delivered");
    assert_eq!(trial.calls, ["batch/update"]);
    let contact = trial.only_contact();
    for (name, value) in [
        ("email", "ada@example.org"),
        ("first_touch_campaign", "spring-sale"),
        ("deep_link_token", "summer-promo"),
        ("install_date", "2026-03-04T14:32:08.441Z"),
        ("conversion_date", "2026-03-04T14:50:08.441Z"),
    ] {
        assert_eq!(contact[name], value);
    }
    assert_eq!(trial.id_of(&ada), "101");
}

#[test]
fn those_who_have_a_contact_and_those_who_have_none_are_a_call_each() {
    let mut trial = Trial::new(&json!({}));
    let (ada, eve, zoe) = (person(&["user:1"]), person(&["user:2"]), person(&["user:3"]));
    assert_eq!(trial.deliver(&[&ada, &zoe]), ["delivered"; 2]);
    assert_eq!(trial.deliver(&[&ada, &eve, &zoe]), ["delivered"; 3]);
    assert_eq!(trial.calls, ["batch/upsert", "batch/update"]);
    assert_eq!(trial.account.contacts().len(), 3);
}

#[test]
fn an_id_that_is_none_is_not_remembered() {
    for id in ["?", "? 1", "101 x", "1/2", "-1"] {
        let mut trial = Trial::new(&json!({}));
        let ada = person(&["user:1"]);
        let result = json!({"id": id, "properties": {"afterclick_person_key": ada.subject.to_string()}});
        trial.answers.insert(0, (Answer::json(200, &json!({"results": [result]})), false));
        assert_eq!(trial.deliver_one(&ada), "reject refused: HubSpot does not say what became of the contact");
        assert_eq!(trial.id_of(&ada), "?", "{id}");
    }
}

#[test]
fn an_answer_that_is_lost_costs_no_second_contact() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.answers.insert(0, (Answer::empty(503), true));
    assert!(trial.deliver_one(&ada).starts_with("retry server_error"));
    assert_eq!(trial.id_of(&ada), "?", "there may be a contact");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    trial.only_contact();
}

#[test]
fn one_bad_contact_does_not_hold_up_the_others_however_errors_are_named() {
    for naming in [Naming::Trace, Naming::Id, Naming::Nothing] {
        let mut trial = Trial::new(&json!({}));
        trial.account.naming = naming;
        let mut people: Vec<_> = (0..5).map(|n| person(&[&format!("user:{n}")])).collect();
        let rules = Property { chars_max: Some(12), ..Property::new("string") };
        trial.account.properties.insert("first_touch_campaign".to_owned(), rules);
        for bad in [1, 3] {
            let touch = &mut people[bad].trace.first_touch.as_mut().unwrap().value;
            touch.campaign = Some("x".repeat(12 + bad));
        }
        let verdicts = trial.deliver(&people.iter().collect::<Vec<_>>());
        let refused = "reject refused: first_touch_campaign must have at most 12 characters";
        assert_eq!(verdicts, ["delivered", refused, "delivered", refused, "delivered"], "{naming:?}");
        assert_eq!(trial.account.contacts().len(), 3);
        assert_eq!(trial.calls.len(), 1, "errors that are alike need no second call");
    }
}

#[test]
fn errors_that_differ_and_name_nobody_are_found_out_one_by_one() {
    let mut trial = Trial::new(&json!({"properties": {"plan": "{{ person.traits.plan }}"}}));
    trial.account.naming = Naming::Nothing;
    trial.account.properties.insert("plan".to_owned(), Property::new("number"));
    let mut people: Vec<_> = (0..4).map(|n| person(&[&format!("user:{n}")])).collect();
    for (bad, plan) in [(0, "gold"), (2, "silver")] {
        let said = Stamped { at: NOW, tie: 0, value: json!(plan) };
        people[bad].trace.traits.insert("plan".to_owned(), said);
    }
    let verdicts = trial.deliver(&people.iter().collect::<Vec<_>>());
    let refused = |plan: &str| format!("reject refused: {plan} was not a valid number.");
    assert_eq!(verdicts, [refused("gold").as_str(), "delivered", &refused("silver"), "delivered"]);
}

#[test]
fn a_stub_has_no_name_but_the_one_that_is_set_and_becomes_the_real_record() {
    let device = person(&["install:i-1"]);
    let mut plain = Trial::new(&json!({"match": "stub"}));
    assert_eq!(plain.deliver_one(&device), "delivered");
    assert!(!plain.only_contact().contains_key("lastname"));

    let mut named = Trial::new(&json!({"match": "stub", "stub_name": "Deep Link"}));
    assert_eq!(named.deliver_one(&device), "delivered");
    assert_eq!(named.only_contact()["lastname"], "Deep Link");
    assert_eq!(named.deliver_one(&device), "delivered");
    assert!(!named.sent[1].to_string().contains("lastname"), "a name is not put over what somebody wrote meanwhile");

    let mut known = device.clone();
    known.identifiers.extend(["user:1".parse().unwrap(), "email:ada@example.org".parse().unwrap()]);
    known.trace.traits.insert("name".to_owned(), Stamped { at: NOW, tie: 0, value: json!("Ada Lovelace") });
    assert_eq!(named.deliver_one(&known), "delivered");
    let contact = named.only_contact();
    assert_eq!(
        (&*contact["firstname"], &*contact["lastname"], &*contact["email"]),
        ("Ada", "Lovelace", "ada@example.org")
    );
}

#[test]
fn a_stub_whose_creation_is_in_doubt_is_looked_for_before_it_gets_a_name() {
    let device = person(&["install:i-1"]);
    for is_there in [false, true] {
        let mut trial = Trial::new(&json!({"match": "stub", "stub_name": "Deep Link"}));
        trial.answers.insert(0, (Answer::empty(502), is_there));
        assert!(trial.deliver_one(&device).starts_with("retry"));
        assert_eq!(trial.deliver_one(&device), "delivered");
        assert_eq!(trial.calls, ["batch/read", "batch/upsert"]);
        assert_eq!(trial.only_contact()["lastname"], "Deep Link");
        assert_eq!(trial.sent[2].to_string().contains("lastname"), !is_there);
    }
}

#[test]
fn a_stage_moves_forward_only_and_one_that_the_account_lacks_costs_nothing_else() {
    let ada = person(&["user:1", "email:ada@example.org"]);
    let mut trial = Trial::new(&json!({"lifecycle": true}));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["batch/read", "batch/upsert"]);
    assert_eq!(trial.only_contact()["lifecyclestage"], "lead");
    assert_eq!(trial.deliver_one(&converted(&ada)), "delivered");
    assert_eq!(trial.only_contact()["lifecyclestage"], "customer");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.only_contact()["lifecyclestage"], "customer");
    assert!(trial.book.flagged.is_empty(), "it is not even sent: {:?}", trial.book.flagged);

    trial.account.properties.get_mut("lifecyclestage").unwrap().options = vec!["8841".to_owned()];
    let eve = person(&["user:2"]);
    assert_eq!(trial.deliver(&[&eve, &ada]), ["delivered", "delivered"]);
    assert_eq!(trial.calls, ["batch/read", "batch/read", "batch/upsert", "batch/upsert", "batch/update"]);
    assert_eq!(trial.account.contacts().len(), 2);
}

#[test]
fn subjects_that_turn_out_to_be_one_person_are_one_contact_again() {
    for makes_ids in [false, true] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        trial.account.merging_makes_ids = makes_ids;
        let (ada, phone, tablet) = (person(&["user:1"]), person(&["install:a"]), person(&["install:b"]));
        assert_eq!(trial.deliver(&[&ada, &phone, &tablet]), ["delivered"; 3]);
        let all = absorbing(&ada, &[&phone, &tablet]);
        assert_eq!(trial.deliver_one(&all), "delivered");
        assert_eq!(trial.calls, ["batch/read", "merge", "merge", "batch/update"]);
        assert_eq!(trial.only_contact()["afterclick_person_key"], ada.subject.to_string());
        assert_eq!(trial.bound[&phone.subject.to_string()], "");
        let id = trial.account.contacts()[0].id.to_string();
        assert_eq!(trial.id_of(&ada), id, "the id that survives");
        assert_eq!(trial.deliver_one(&all), "delivered");
        assert_eq!(trial.calls, ["batch/update"]);
    }
}

#[test]
fn the_contact_of_a_stub_is_kept_when_its_subject_turns_out_to_be_another_one() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, phone) = (person(&["user:1", "email:ada@example.org"]), person(&["install:a"]));
    assert_eq!(trial.deliver_one(&phone), "delivered");
    // The answer to the renaming is lost, and the destination begins again.
    let both = absorbing(&ada, &[&phone]);
    trial.answers.insert(1, (Answer::empty(504), true));
    assert!(trial.deliver_one(&both).starts_with("retry"));
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert_eq!(trial.only_contact()["afterclick_person_key"], ada.subject.to_string());
    assert!(trial.account.merges().is_empty());
}

#[test]
fn more_contacts_than_fit_into_one_exchange_are_merged_in_the_next() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let ada = person(&["user:1"]);
    let devices: Vec<_> = (0..12).map(|n| person(&[&format!("install:{n}")])).collect();
    let devices: Vec<_> = devices.iter().collect();
    trial.deliver(&devices);
    let all = absorbing(&ada, &devices);
    let eve = person(&["user:2"]);
    let verdicts = trial.deliver(&[&eve, &all]);
    assert_eq!(verdicts[0], "delivered", "others are not held up");
    assert!(verdicts[1].starts_with("wait 1000 ms: there is more to be put right"), "{verdicts:?}");
    for _ in 0..3 {
        trial.deliver(&[&all]);
    }
    assert_eq!(trial.deliver_one(&all), "delivered");
    assert_eq!(trial.account.contacts().len(), 2);
}

#[test]
fn a_contact_that_somebody_deleted_is_made_again() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert!(trial.account.delete_contact(101));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["batch/update", "batch/upsert"]);
    assert_eq!(trial.only_contact()["email"], "ada@example.org");
}

#[test]
fn text_that_wants_to_break_out_stays_text() {
    let mut trial = Trial::new(&json!({}));
    let mut ada = person(&["user:1"]);
    let hostile = "x' OR Name LIKE '%\r\n\"}]},{\"id\":\"1\u{0}\u{202e}{{ contact.email }}=cmd()";
    let touch = &mut ada.trace.first_touch.as_mut().unwrap().value;
    touch.campaign = Some(hostile.to_owned());
    touch.token = Some("é".repeat(70_000));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let contact = trial.only_contact();
    assert_eq!(contact["first_touch_campaign"], "x' OR Name LIKE '% \"}]},{\"id\":\"1 {{ contact.email }}=cmd()");
    assert_eq!(contact["deep_link_token"].chars().count(), 65_536);
}

#[test]
fn days_are_sent_to_properties_that_hold_days() {
    let mut trial = Trial::new(&json!({"date_properties": "date"}));
    for name in ["install_date", "referral_date", "conversion_date"] {
        trial.account.properties.insert(name.to_owned(), Property::new("date"));
    }
    let ada = converted(&person(&["user:1"]));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.only_contact()["conversion_date"], "2026-03-04");

    let mut wrong = Trial::new(&json!({}));
    wrong.account.properties = trial.account.properties;
    let verdict = wrong.deliver_one(&ada);
    assert!(verdict.starts_with("pause misconfigured: property `install_date` is of another kind"), "{verdict}");
}

#[test]
fn a_look_up_that_fails_is_not_taken_for_nothing_being_there() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, phone) = (person(&["user:1"]), person(&["install:a"]));
    trial.deliver(&[&ada, &phone]);
    let body = json!({"status": "COMPLETE", "results": [], "errors": [{"category": "INTERNAL_ERROR", "message": "internal error"}]});
    trial.answers.insert(0, (Answer::json(207, &body), false));
    assert_eq!(trial.deliver_one(&absorbing(&ada, &[&phone])), "retry server_error: internal error");
    assert_eq!(trial.id_of(&phone), "102");
}

#[test]
fn the_headers_of_a_used_up_budget_hold_the_lane() {
    use domain::connector::Progress;

    let heeded = |headers: &[(&str, &str)]| {
        let mut progress = Progress::default();
        super::super::refusal::heed(&crate::kit::reply(200, headers, "{}"), &mut progress);
        progress.pause().map(|wait| wait.as_millis())
    };
    let interval = ("x-hubspot-ratelimit-interval-milliseconds", "5000");
    assert_eq!(heeded(&[("x-hubspot-ratelimit-remaining", "1"), interval]), None);
    assert_eq!(heeded(&[("x-hubspot-ratelimit-remaining", "0"), interval]), Some(5_000));
    assert_eq!(heeded(&[("x-hubspot-ratelimit-remaining", "0")]), Some(10_000));
    // It is 14:32:08.441; the next quarter begins at 14:45.
    assert_eq!(heeded(&[("x-hubspot-ratelimit-daily-remaining", "0")]), Some(771_559));
}
