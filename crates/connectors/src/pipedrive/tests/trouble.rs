//! Lost answers, slow search, limits, and what was changed behind our backs.

use serde_json::{Value, json};
use vendors::Answer;
use vendors::pipedrive::Entity;

use super::trial::{ADA, Trial, completed};
use crate::crm::trial::{knowing, person, said};

fn lost() -> (Answer, bool) {
    (Answer::empty(502), true)
}

#[test]
fn a_lost_answer_neither_loses_the_person_nor_makes_a_second_one() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.answers.insert(3, lost());
    assert_eq!(trial.deliver_one(&ada), "retry server_error");
    assert!(trial.bound[&ada.subject.to_string()].starts_with("? "), "there may be a person");
    // Search does not know of it yet.
    trial.wait(2);
    let verdict = trial.deliver_one(&ada);
    assert!(verdict.starts_with("retry broken after 58"), "{verdict}");
    assert_eq!(trial.calls, ["GET itemSearch/field"]);
    trial.wait(10);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET itemSearch/field", "GET persons/1"]);
    assert_eq!(trial.only_person().id, 1);
}

#[test]
fn a_call_about_one_that_fails_costs_nobody_else_a_try() {
    let mut trial = Trial::new(&json!({}));
    let people = ["user:1", "user:2", "user:3"].map(|identifier| person(&[identifier]));
    let people = people.each_ref();
    trial.answers.insert(0, (Answer::empty(502), false));
    assert_eq!(trial.deliver(&people), ["retry server_error"; 3], "nothing is known of the vendor yet");
    trial.answers.insert(4, (Answer::empty(502), false));
    let verdicts = trial.deliver(&people);
    assert_eq!(verdicts[..2], ["delivered", "retry server_error"], "{:?}", trial.calls);
    assert!(verdicts[2].starts_with("wait 20 ms"), "{verdicts:?}");
}

#[test]
fn a_person_who_was_not_made_after_all_is_made_once_search_must_know() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    trial.answers.insert(2, (Answer::empty(502), false));
    assert_eq!(trial.deliver_one(&ada), "retry server_error");
    trial.wait(30);
    assert!(trial.deliver_one(&ada).starts_with("retry broken after 30"));
    trial.wait(30);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET itemSearch/field", "POST persons"]);
    trial.only_person();
}

#[test]
fn two_of_one_key_are_made_one() {
    let mut trial = Trial::new(&json!({"search_lag_seconds": 1}));
    let ada = person(&["user:1"]);
    trial.company.search_lag = std::time::Duration::from_mins(10);
    trial.answers.insert(2, lost());
    trial.deliver_one(&ada);
    trial.wait(5);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.company.people().count(), 2, "search was slower than anybody has said it would be");
    trial.bound.remove(&ada.subject.to_string());
    trial.wait(3_600);
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    let expect =
        ["GET itemSearch/field", "GET persons", "PUT /api/v1/persons/2/merge", "GET persons/1", "PATCH persons/1"];
    assert_eq!(trial.calls, expect);
    trial.only_person();
}

#[test]
fn a_search_is_understood_in_either_shape() {
    for has_items in [true, false] {
        let mut trial = Trial::new(&json!({}));
        trial.company.has_items = has_items;
        let ada = person(&["user:1"]);
        trial.deliver_one(&ada);
        trial.bound.clear();
        trial.wait(60);
        assert_eq!(trial.deliver_one(&ada), "delivered");
        assert_eq!(trial.only_person().id, 1);
    }
}

#[test]
fn what_is_refused_for_everybody_was_not_made() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    for (status, verdict) in [(429, "wait 2000 ms"), (401, "pause unauthorized"), (403, "pause unauthorized")] {
        let number = if trial.bound.is_empty() { 2 } else { 1 };
        trial.answers.insert(number, (Answer::json(status, &json!({"success": false, "error": "no"})), false));
        let got = trial.deliver_one(&ada);
        assert!(got.starts_with(verdict), "{got}");
        assert_eq!(trial.bound[&ada.subject.to_string()], "");
    }
    assert_eq!(trial.deliver_one(&ada), "delivered");
}

#[test]
fn a_person_whom_the_user_may_not_write_refuses_itself_and_two_are_no_coincidence() {
    let mut trial = Trial::new(&json!({}));
    let people = ["user:1", "user:2", "user:3"].map(|identifier| person(&[identifier]));
    for person in &people {
        trial.deliver_one(person);
    }
    let done = people.each_ref().map(completed);
    let no = || (Answer::json(403, &json!({"success": false, "error": "Forbidden"})), false);
    trial.answers.insert(0, no());
    let verdict = trial.deliver_one(&done[0]);
    assert!(
        verdict.starts_with("reject refused: the user of the API token may not see or write this record (Forbidden)")
    );
    trial.answers.insert(1, no());
    let verdicts = trial.deliver(&done.each_ref());
    assert!(verdicts[0].starts_with("reject refused: the user of the API token"), "{verdicts:?}");
    assert_eq!(verdicts[1..], ["delivered", "delivered"]);
    let done = done.each_ref().map(|person| said(person, "name", "Ada"));
    trial.answers.extend([(1, no()), (2, no())]);
    let verdicts = trial.deliver(&done.each_ref());
    assert!(verdicts[1].starts_with("pause unauthorized: the user of the API token may not do this"), "{verdicts:?}");
}

#[test]
fn an_owner_of_the_settings_who_is_nobody_pauses_and_names_the_setting() {
    let (ada, eve) = (person(&["user:1"]), person(&["user:2"]));
    let mut trial = Trial::new(&json!({"properties": {"owner_id": "nobody"}}));
    let expect = "pause misconfigured: Pipedrive refuses every record for `properties.owner_id` (Validation failed: owner_id: is not valid); \
                  correct it in the settings or have an admin correct what it names in Pipedrive, then resume the destination";
    assert_eq!(trial.deliver(&[&ada, &eve]), [expect; 2]);
    assert_eq!(trial.company.people().count(), 0);
    trial = trial.reopened(&json!({"properties": {"owner_id": 12}}));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    // One who left is refused when somebody's record is changed too.
    let left = json!({"success": false, "error": "Validation failed: owner_id: there is no such user"});
    trial.answers.insert(1, (Answer::json(400, &left), false));
    let verdict = trial.deliver_one(&completed(&ada));
    assert!(verdict.starts_with("pause misconfigured: Pipedrive refuses every record for `properties.owner_id` ("));

    let mut trial = Trial::new(&json!({"deal": "always", "deal_properties": {"owner_id": "nobody"}}));
    let verdict = trial.deliver_one(&ada);
    assert!(
        verdict.starts_with("pause misconfigured: Pipedrive refuses every record for `deal_properties.owner_id` (")
    );
    trial.only_person();
}

#[test]
fn an_owner_of_one_person_who_is_nobody_refuses_that_person() {
    let mut trial = Trial::new(&json!({"properties": {"owner_id": "{{ person.traits.owner }}"}}));
    let people = [said(&person(&["user:1"]), "owner", "nobody"), person(&["user:2"])];
    let verdicts = trial.deliver(&people.each_ref());
    assert_eq!(verdicts, ["reject refused: Validation failed: owner_id: is not valid", "delivered"]);
}

#[test]
fn fields_that_are_missing_pause_the_destination_and_nobody_is_made() {
    let mut trial = Trial::bare(&json!({"properties": {"Plan": "pro"}}));
    trial.company.add_field(Entity::Person, "Afterclick key", "varchar", &[]);
    let verdict = trial.deliver_one(&person(&["user:1"]));
    let beginning =
        "pause misconfigured: people in Pipedrive lack custom fields that are written (`Deep link lead source`, ";
    assert!(verdict.starts_with(beginning), "{verdict}");
    let end = "`Plan`); run `afterclick destinations provision NAME` to make what is missing, or leave it out by `properties.\"…\" = \"\"`, then \
               resume the destination";
    assert!(verdict.ends_with(end), "{verdict}");
    assert_eq!(trial.company.people().count(), 0);
    assert!(trial.bound.is_empty());
}

#[test]
fn a_key_field_that_cannot_be_searched_pauses() {
    let mut trial = Trial::new(&json!({}));
    trial.company.delete_field(Entity::Person, "Afterclick key");
    trial.company.add_field(Entity::Person, "Afterclick key", "date", &[]);
    let verdict = trial.deliver_one(&person(&["user:1"]));
    assert!(
        verdict.starts_with("pause misconfigured: the field `Afterclick key` of people is of type `date`"),
        "{verdict}"
    );
}

#[test]
fn a_field_that_was_made_anew_is_looked_up_once_more() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.company.delete_field(Entity::Person, "Conversion date");
    let code = trial.company.add_field(Entity::Person, "Conversion date", "date", &[]);
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    let expect = ["GET persons/1", "PATCH persons/1", "GET personFields", "PATCH persons/1"];
    assert_eq!(trial.calls, expect);
    assert_eq!(trial.last_body()["custom_fields"][code], "2026-03-04");
    trial.company.delete_field(Entity::Person, "Conversion date");
    let verdict = trial.deliver_one(&person(&["user:1", "email:ada@example.org"]));
    assert_eq!(verdict, "delivered", "it is not among what is written of this person");
    let verdict = trial.deliver_one(&completed(&person(&["user:2"])));
    assert!(verdict.contains("lack custom fields that are written (`Conversion date`)"), "{verdict}");
}

#[test]
fn other_settings_have_the_fields_looked_up_again() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.company.add_field(Entity::Person, "Plan", "varchar", &[]);
    trial = trial.reopened(&json!({"properties": {"Plan": "pro"}}));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET personFields", "GET persons/1", "PATCH persons/1"]);
    assert_eq!(trial.says("Plan"), "pro");
}

#[test]
fn fields_are_read_page_by_page() {
    let mut trial = Trial::bare(&json!({}));
    for n in 0..600 {
        trial.company.add_field(Entity::Person, &format!("Other {n}"), "varchar", &[]);
    }
    let whole = Trial::new(&json!({}));
    for field in whole.company.fields(Entity::Person) {
        trial.company.add_field(Entity::Person, &field.name, &field.kind, &[]);
    }
    assert_eq!(trial.deliver_one(&person(&["user:1"])), "delivered");
    assert_eq!(trial.calls[..2], ["GET personFields", "GET personFields"]);
    assert_eq!(trial.sent[1].0, "GET personFields?limit=500&cursor=500");
}

#[test]
fn a_batch_of_many_people_is_gone_on_with_until_all_are_there() {
    let mut trial = Trial::new(&json!({}));
    let people: Vec<_> = (0..7).map(|n| person(&[&format!("user:{n}"), &format!("email:{n}@example.org")])).collect();
    let mut left: Vec<_> = people.iter().collect();
    let mut rounds = 0;
    while !left.is_empty() {
        let verdicts = trial.deliver(&left);
        let is_left = |verdict: &String| verdict.starts_with("wait 20 ms: there is more to be written");
        assert!(verdicts.iter().all(|verdict| verdict == "delivered" || is_left(verdict)), "{verdicts:?}");
        assert_eq!(verdicts[0], "delivered", "each exchange brings somebody further");
        left =
            left.into_iter().zip(&verdicts).filter(|(_, verdict)| is_left(verdict)).map(|(person, _)| person).collect();
        rounds += 1;
    }
    assert!(rounds <= 4, "{rounds}");
    assert_eq!(trial.company.people().count(), 7);
    assert_eq!(trial.deliver(&people.iter().collect::<Vec<_>>()), ["delivered"; 7]);
    assert!(trial.calls.is_empty());
}

#[test]
fn the_limits_of_the_company_are_heeded() {
    let mut trial = Trial::new(&json!({}));
    (trial.company.per_two_seconds, trial.company.tokens_per_day) = (Some(3), Some(30_000));
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&ada), "wait 2000 ms: request over limit");
    assert_eq!(trial.pause.map(|pause| pause.as_secs()), Some(2));
    trial.wait(2);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    // Another integration has used the day up.
    trial.company.per_two_seconds = None;
    trial.company.tokens_per_day = Some(trial.company.tokens_used() + 2);
    trial.wait(60);
    let verdict = trial.deliver_one(&completed(&ada));
    assert!(
        verdict.starts_with("wait 1609559 ms: the API tokens that this company has in a day are used up"),
        "{verdict}"
    );
}

#[test]
fn who_is_blocked_by_the_edge_stays_away() {
    let mut trial = Trial::new(&json!({}));
    trial.answers.insert(0, (Answer::page(403, "<html>Attention Required!</html>"), false));
    let verdict = trial.deliver_one(&person(&["user:1"]));
    assert!(verdict.starts_with("wait 900000 ms: Pipedrive's edge blocks this server for a while"), "{verdict}");
}

#[test]
fn a_day_of_three_thousand_people_fits_the_calls_and_costs_what_is_written_in_the_notes() {
    let mut trial = Trial::new(&json!({}));
    trial.company.per_two_seconds = Some(20);
    let ada = person(&["user:1", "email:ada@example.org"]);
    trial.deliver_one(&person(&["user:0"]));
    let tokens = |trial: &Trial| trial.company.tokens_used();
    let before = tokens(&trial);
    trial.deliver_one(&ada);
    assert_eq!(tokens(&trial) - before, 45, "two searches and a create");
    trial.deliver_one(&ada);
    assert_eq!(tokens(&trial) - before, 45, "nothing new costs nothing");
    trial.deliver_one(&completed(&ada));
    assert_eq!(tokens(&trial) - before, 51, "a look and a change");
    assert_eq!(trial.only_person_with(ADA), 2);
}

impl Trial {
    fn only_person_with(&self, email: &str) -> u64 {
        let mut people =
            self.company.people().filter(|person| person.entries("emails").iter().any(|it| it["value"] == email));
        people.next().unwrap().id
    }
}

#[test]
fn what_a_lost_answer_may_have_written_is_emptied_when_it_is_another_touchs() {
    let channel = "Deep link channel";
    let ada = person(&["user:1"]);
    let mut without = ada.clone();
    without.trace.first_touch.as_mut().unwrap().value.channel = None;
    // The answer to the call that makes the person is lost, the one that changes it, or none.
    for lost in [None, Some(false), Some(true)] {
        let mut trial = Trial::new(&json!({}));
        match lost {
            None => assert_eq!(trial.deliver_one(&ada), "delivered"),
            Some(is_made) => {
                if is_made {
                    assert_eq!(trial.deliver_one(&without), "delivered");
                    trial.answers.insert(1, (Answer::empty(503), true));
                } else {
                    trial.answers.insert(2, (Answer::empty(503), true));
                }
                assert!(trial.deliver_one(&ada).starts_with("retry"), "{lost:?} {:?}", trial.calls);
            }
        }
        trial.wait(100);
        assert_eq!(trial.says(channel), "instagram");
        trial.ordinal = 1;
        assert_eq!(trial.deliver_one(&without), "delivered");
        assert_eq!(trial.says(channel), Value::Null, "{lost:?}");
    }
}

#[test]
fn what_a_stub_brought_with_it_is_ours_unless_sales_had_said_it() {
    let channel = "Deep link channel";
    for theirs in [Value::Null, json!("radio")] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        let device = person(&["install:1"]);
        trial.deliver_one(&device);
        let emails = json!([{"value": ADA, "primary": true, "label": "work"}]);
        let code = trial.company.code(Entity::Person, channel).unwrap().to_owned();
        let by_hand = json!({"name": "Ada", "emails": emails, "custom_fields": {code: theirs}});
        trial.company.add_by_hand(Entity::Person, &by_hand, trial.at());
        trial.wait(60);
        let mut known = knowing(&device, &format!("email:{ADA}"));
        known.trace.first_touch.as_mut().unwrap().value.channel = None;
        assert_eq!(trial.deliver_one(&known), "delivered");
        assert_eq!(trial.says(channel), theirs);
    }
}
