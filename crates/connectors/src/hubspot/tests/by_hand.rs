//! What a sales team does to contacts by hand: they stay the contacts of whoever they were, and the addresses in them stay as they are.

use domain::identity::IdentifierKind;
use serde_json::json;
use vendors::Answer;
use vendors::hubspot::Naming;

use super::trial::Trial;
use crate::crm::trial::{absorbing, converted, person};

const ADA: &str = "ada@example.org";
const WORK: &str = "ada@work.example";
const KEY: &str = "afterclick_person_key";

#[test]
fn whoever_has_lost_the_key_gets_it_back_and_no_second_contact() {
    let ways: [fn(&mut Trial); 4] = [
        |trial| trial.account.edit_contact(101, KEY, ""),
        |trial| trial.set(&json!({"key_property": "app_person"})),
        |trial| {
            let sales = trial.account.add_contact(&[("lastname", "Lovelace")]);
            trial.account.merge_contacts(sales, 101).unwrap();
        },
        |trial| {
            trial.account.merging_makes_ids = true;
            let sales = trial.account.add_contact(&[("lastname", "Lovelace")]);
            trial.account.merge_contacts(sales, 101).unwrap();
        },
    ];
    for (way, lose_key) in ways.into_iter().enumerate() {
        for settings in [json!({}), json!({"lifecycle": true})] {
            let mut trial = Trial::new(&settings);
            let ada = person(&["user:1"]);
            assert_eq!(trial.deliver_one(&ada), "delivered");
            lose_key(&mut trial);
            assert_eq!(trial.deliver_one(&converted(&ada)), "delivered");
            let contact = trial.only_contact();
            let key = if way == 1 { "app_person" } else { KEY };
            assert_eq!(contact[key], ada.subject.to_string(), "{way}");
            assert!(contact.contains_key("conversion_date"));
            assert_eq!(trial.id_of(&ada), trial.account.contacts()[0].id.to_string());
        }
    }
}

#[test]
fn a_contact_that_was_merged_by_hand_keeps_the_address_that_sales_put_first() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let sales = trial.account.add_contact(&[("email", WORK)]);
    trial.account.merge_contacts(sales, 101).unwrap();
    assert_eq!(trial.deliver_one(&converted(&ada)), "delivered");
    let contact = trial.only_contact();
    assert_eq!((&*contact["email"], &*contact["hs_additional_emails"]), (WORK, ADA));
    assert!(contact.contains_key("conversion_date"));
}

#[test]
fn a_contact_that_has_the_address_beside_its_first_one_keeps_both() {
    for settings in [json!({}), json!({"lifecycle": true})] {
        let mut trial = Trial::new(&settings);
        trial.account.add_contact(&[("email", WORK), ("hs_additional_emails", ADA)]);
        let ada = person(&["user:1", "email:ada@example.org"]);
        for profile in [&ada, &converted(&ada)] {
            assert_eq!(trial.deliver_one(profile), "delivered");
            let contact = trial.only_contact();
            assert_eq!((&*contact["email"], &*contact["hs_additional_emails"]), (WORK, ADA));
            assert_eq!(contact[KEY], ada.subject.to_string());
        }
        assert_eq!(trial.calls.last().map(String::as_str), Some("batch/update"));
    }
}

#[test]
fn an_address_that_changes_is_written_also_where_an_answer_was_lost() {
    let mut trial = Trial::new(&json!({}));
    let old = person(&["user:1", "email:ada@old.example"]);
    let new = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&old), "delivered");
    assert!(!trial.bound.values().any(|bound| bound.contains('@')), "addresses are no ids");
    trial.answers.insert(0, (Answer::empty(503), true));
    assert!(trial.deliver_one(&new).starts_with("retry"));
    assert_eq!(trial.only_contact()["email"], ADA);
    assert_eq!(trial.deliver_one(&old), "delivered");
    assert_eq!(trial.only_contact()["email"], "ada@old.example");
}

#[test]
fn contacts_of_two_people_that_were_merged_by_hand_are_no_reason_to_make_another() {
    let mut trial = Trial::new(&json!({}));
    let (ada, eve) = (person(&["user:1"]), person(&["user:2"]));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    trial.account.merge_contacts(101, 102).unwrap();
    for _ in 0..2 {
        assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
        trial.only_contact();
    }
    assert_eq!(trial.calls, ["batch/update", "batch/update"], "no call names a contact twice");
    assert_eq!((trial.id_of(&ada), trial.id_of(&eve)), ("101", "101"));
}

#[test]
fn what_turns_out_to_be_one_person_is_merged_also_where_a_key_was_lost_and_not_where_somebody_has_done_it() {
    for is_merged in [false, true] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        let (ada, phone, tablet) = (person(&["user:1"]), person(&["install:a"]), person(&["install:b"]));
        assert_eq!(trial.deliver(&[&ada, &phone, &tablet]), ["delivered"; 3]);
        trial.account.edit_contact(102, KEY, "");
        trial.account.merge_contacts(102, 103).unwrap();
        if is_merged {
            trial.account.merge_contacts(101, 102).unwrap();
        }
        let all = absorbing(&ada, &[&phone, &tablet]);
        assert_eq!(trial.deliver_one(&all), "delivered");
        let merge: &[&str] = if is_merged { &[] } else { &["merge"] };
        assert_eq!(trial.calls, [&["batch/read"], merge, &["batch/update"]].concat());
        assert_eq!(trial.only_contact()[KEY], ada.subject.to_string());
        assert_eq!([&phone, &tablet].map(|old| trial.id_of(old)), ["", ""]);
    }
}

#[test]
fn contacts_that_are_not_there_may_be_one_error() {
    let mut trial = Trial::new(&json!({}));
    let people: Vec<_> = (0..3).map(|n| person(&[&format!("user:{n}")])).collect();
    let people: Vec<_> = people.iter().collect();
    assert_eq!(trial.deliver(&people), ["delivered"; 3]);
    for id in [101, 103] {
        trial.account.delete_contact(id);
    }
    let result = json!({"id": "102", "properties": {KEY: people[1].subject.to_string()}});
    let error = json!({"category": "OBJECT_NOT_FOUND", "message": "not there", "context": {"ids": ["101", "103"]}});
    trial.answers.insert(0, (Answer::json(207, &json!({"results": [result], "errors": [error]})), false));
    assert_eq!(trial.deliver(&people), ["delivered"; 3]);
    assert_eq!(trial.calls, ["batch/update", "batch/upsert"]);
    assert_eq!(trial.account.contacts().len(), 3);
}

#[test]
fn one_contact_that_is_gone_takes_the_ids_of_no_others_when_the_whole_call_is_refused() {
    let mut trial = Trial::new(&json!({}));
    let (ada, eve) = (person(&["user:1"]), person(&["user:2"]));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    trial.account.delete_contact(101);
    trial.account.edit_contact(102, KEY, "");
    let body = json!({"status": "error", "message": "not there", "category": "OBJECT_NOT_FOUND"});
    trial.answers.insert(0, (Answer::json(404, &body), false));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    assert_eq!(trial.account.contacts().len(), 2);
    assert_eq!(trial.id_of(&eve), "102");
}

#[test]
fn an_address_that_hubspot_does_not_take_costs_nothing_but_itself() {
    for naming in [Naming::Trace, Naming::Id, Naming::Nothing] {
        let mut trial = Trial::new(&json!({}));
        trial.account.naming = naming;
        let ada = person(&["user:1", "email:ada<3@example.org"]);
        let eve = person(&["user:2", "email:eve@example.org"]);
        let complaint = "reject refused: HubSpot does not take the person's address (Email address ada<3@example.org is invalid); \
                         everything else is written; set the address right by a call to identify, or the rule in HubSpot, then redrive";
        assert_eq!(trial.deliver(&[&ada, &eve]), [complaint, "delivered"]);
        assert_eq!(trial.calls, ["batch/upsert", "batch/upsert"]);
        assert_eq!(trial.deliver_one(&converted(&ada)), complaint);
        let contact = trial.account.contact_with(KEY, &ada.subject.to_string()).unwrap();
        assert_eq!((contact.get("email"), contact.get("conversion_date").is_empty()), ("", false));
        assert_eq!(trial.account.contacts().len(), 2);
    }
}

#[test]
fn an_address_that_turns_out_to_be_anothers_is_taken_out_unless_sales_has_put_one_in_its_place() {
    for is_sales in [false, true] {
        let mut trial = Trial::new(&json!({}));
        let ada = person(&["user:1", "email:ada@example.org"]);
        let mut without = person(&["user:1"]);
        without.lost.insert(IdentifierKind::Email);
        assert_eq!(trial.deliver_one(&ada), "delivered");
        if is_sales {
            trial.account.edit_contact(101, "email", WORK);
        }
        assert_eq!(trial.deliver_one(&without), "delivered");
        assert_eq!(trial.only_contact().get("email").map(String::as_str), is_sales.then_some(WORK));
        assert_eq!(trial.calls, ["batch/read", "batch/update"]);
        assert_eq!(trial.deliver_one(&without), "delivered");
        assert_eq!(trial.calls, ["batch/update"], "it is known from then on");
    }
}

#[test]
fn what_is_no_address_at_all_is_not_even_sent() {
    let mut trial = Trial::new(&json!({}));
    assert_eq!(trial.deliver_one(&person(&["user:1", "email:0a1b2c3d4e5f"])), "delivered");
    assert!(!trial.only_contact().contains_key("email"));
}

#[test]
fn an_address_that_is_to_be_taken_out_is_taken_out_also_where_the_first_try_failed() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    let mut without = person(&["user:1"]);
    without.lost.insert(IdentifierKind::Email);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    // The look-up is answered, the write is not.
    trial.answers.insert(1, (Answer::empty(503), false));
    assert!(trial.deliver_one(&without).starts_with("retry"));
    assert_eq!(trial.deliver_one(&without), "delivered");
    assert!(trial.only_contact().get("email").is_none_or(String::is_empty));
}
