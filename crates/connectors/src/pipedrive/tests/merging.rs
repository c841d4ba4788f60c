//! Subjects that turn out to be one person: what there is of each becomes one record, and one deal.

use serde_json::json;
use vendors::Answer;
use vendors::pipedrive::Entity;

use super::trial::{ADA, Trial, completed, referred};
use crate::crm::trial::{absorbing, knowing, person};

#[test]
fn two_records_of_one_person_are_merged_and_the_survivor_keeps_its_key() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1", "email:ada@example.org"]), person(&["install:i-1"]));
    trial.deliver(&[&ada, &device]);
    assert_eq!(trial.company.people().count(), 2);
    let both = completed(&absorbing(&ada, &[&device]));
    assert_eq!(trial.deliver_one(&both), "delivered");
    let expect = ["GET persons/1", "PUT /api/v1/persons/2/merge", "GET persons/1", "PATCH persons/1"];
    assert_eq!(trial.calls, expect);
    assert_eq!(trial.sent[1].1, json!({"merge_with_id": 1}));
    assert_eq!(trial.only_person().id, 1);
    assert_eq!(trial.says("Afterclick key"), ada.subject.to_string());
    assert_eq!(trial.bound[&device.subject.to_string()], "");
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert!(trial.calls.is_empty());
}

#[test]
fn who_has_none_takes_over_what_there_is_of_another() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1"]), person(&["install:i-1"]));
    trial.deliver_one(&device);
    let both = absorbing(&ada, &[&device]);
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "PATCH persons/1"]);
    assert_eq!(trial.says("Afterclick key"), ada.subject.to_string());
    assert!(trial.bound[&ada.subject.to_string()].starts_with("1 "));
    assert_eq!(trial.bound[&device.subject.to_string()], "");
}

#[test]
fn a_record_that_may_be_there_of_another_is_looked_for_before_anything_is_made() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1"]), person(&["install:i-1"]));
    trial.answers.insert(2, (Answer::empty(502), true));
    trial.deliver_one(&device);
    let both = absorbing(&ada, &[&device]);
    assert!(trial.deliver_one(&both).starts_with("retry broken after 60"));
    assert_eq!(trial.calls, ["GET itemSearch/field"]);
    trial.wait(10);
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert_eq!(trial.only_person().id, 1);
    assert_eq!(trial.says("Afterclick key"), ada.subject.to_string());
}

#[test]
fn a_record_that_is_gone_needs_no_merging() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1"]), person(&["install:i-1"]));
    trial.deliver(&[&ada, &device]);
    trial.company.delete_by_hand(Entity::Person, 2, trial.at());
    assert_eq!(trial.deliver_one(&absorbing(&ada, &[&device])), "delivered");
    assert_eq!(trial.only_person().id, 1);
    assert_eq!(trial.bound[&device.subject.to_string()], "");
}

#[test]
fn where_the_survivor_is_gone_the_other_one_is_the_person_and_not_forgotten() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1"]), person(&["install:i-1"]));
    trial.deliver(&[&ada, &device]);
    // Somebody deletes it between the look and the merge.
    let there = trial.ask("GET", "/api/v2/persons/1", &json!({}));
    trial.answers.insert(0, (there, false));
    trial.company.delete_by_hand(Entity::Person, 1, trial.at());
    let both = completed(&absorbing(&ada, &[&device]));
    assert_eq!(trial.deliver_one(&both), "delivered");
    let expect = ["GET persons/1", "PUT /api/v1/persons/2/merge", "GET persons/1", "GET persons/2", "PATCH persons/2"];
    assert_eq!(trial.calls, expect);
    assert_eq!(trial.only_person().id, 2);
    assert_eq!(trial.says("Afterclick key"), ada.subject.to_string());
    assert!(trial.bound[&ada.subject.to_string()].starts_with("2 "));
    assert_eq!(trial.bound[&device.subject.to_string()], "");
}

#[test]
fn where_what_sales_made_is_gone_before_it_took_the_stub_in_the_stub_stays_the_person() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let device = person(&["install:i-1"]);
    trial.deliver_one(&device);
    let emails = json!([{"value": ADA, "primary": true, "label": "work"}]);
    trial.company.add_by_hand(Entity::Person, &json!({"name": "Ada", "emails": emails}), trial.at());
    trial.wait(60);
    let search = "/api/v2/persons/search?term=ada%40example.org&fields=email&exact_match=true";
    for (number, path) in [(1, search), (2, "/api/v2/persons/2")] {
        let there = trial.ask("GET", path, &json!({}));
        trial.answers.insert(number, (there, false));
    }
    trial.company.delete_by_hand(Entity::Person, 2, trial.at());
    let known = knowing(&device, "email:ada@example.org");
    assert_eq!(trial.deliver_one(&known), "delivered");
    let merge = ["PUT /api/v1/persons/1/merge", "GET persons/2", "GET persons/1", "PATCH persons/1"];
    assert_eq!(trial.calls[3..], merge);
    assert_eq!((trial.only_person().id, trial.company.people().count()), (1, 1));
    assert!(trial.only_person().entries("emails").iter().any(|entry| entry["value"] == ADA));
}

#[test]
fn what_pipedrive_does_not_merge_is_for_a_person_to_merge() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, device) = (person(&["user:1"]), person(&["install:i-1"]));
    trial.deliver(&[&ada, &device]);
    trial.answers.insert(1, (Answer::json(400, &json!({"success": false, "error": "no"})), false));
    assert_eq!(
        trial.deliver_one(&absorbing(&ada, &[&device])),
        "reject refused: there are two people of the same person and Pipedrive does not merge 2 into 1 (no); merge them there, then redrive"
    );
}

#[test]
fn their_deals_become_one_too() {
    let mut trial = Trial::new(&json!({"match": "stub", "deal": "referral"}));
    let (ada, device) = (referred(&person(&["user:1"])), referred(&person(&["install:i-1"])));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.deliver_one(&device), "delivered");
    assert_eq!(trial.company.deals().count(), 2);
    let both = completed(&absorbing(&ada, &[&device]));
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert_eq!(trial.calls.len(), 8, "{:?}", trial.calls);
    let (person, deal) = (trial.only_person(), trial.only_deal());
    assert_eq!((deal.member("status"), deal.member("person_id")), (&json!("won"), &json!(person.id)));
    assert_eq!(*trial.company.value(Entity::Deal, &deal, "Afterclick key"), ada.subject.to_string());
    assert_eq!(trial.deliver_one(&both), "delivered");
    assert!(trial.calls.is_empty());
}
