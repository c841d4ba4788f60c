//! Ids of contacts mean something in their own account only.

use serde_json::json;

use super::trial::Trial;
use crate::crm::trial::{absorbing, converted, person};

const KEY: &str = "afterclick_person_key";

/// The same destination, which is led to an account where somebody else has the ids that are known.
fn moved(mut trial: Trial) -> Trial {
    let another = Trial::new(&json!({}));
    trial.account = another.account;
    trial.account.access_token = "production".to_owned();
    trial.set(&json!({"access_token": "production", "match": "stub"}));
    for name in ["Stranger", "Other"] {
        trial.account.add_contact(&[("lastname", name), ("install_date", "2020-01-01T00:00:00Z")]);
    }
    trial
}

#[test]
fn ids_of_another_account_are_not_taken_for_this_ones() {
    for naming_stage in [json!({}), json!({"lifecycle": true}), json!({"match": "stub", "stub_name": "Deep Link"})] {
        let mut trial = Trial::new(&naming_stage);
        let ada = person(&["user:1", "email:ada@example.org"]);
        assert_eq!(trial.deliver_one(&ada), "delivered");
        assert_eq!(trial.id_of(&ada), "101");
        let mut trial = moved(trial);
        assert_eq!(trial.deliver_one(&converted(&ada)), "delivered");
        assert_eq!(trial.calls, ["batch/read", "batch/upsert"]);
        let stranger = trial.account.contact(101).unwrap();
        assert_eq!((stranger.get("lastname"), stranger.get(KEY)), ("Stranger", ""));
        assert_eq!(stranger.get("install_date"), "2020-01-01T00:00:00Z");
        assert_eq!((trial.id_of(&ada), trial.account.contacts().len()), ("103", 3));
        assert_eq!(trial.deliver_one(&ada), "delivered");
        assert_eq!(trial.calls, ["batch/update"], "it is known from then on");
    }
}

#[test]
fn nobody_is_merged_by_an_id_of_another_account() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, phone) = (person(&["user:1"]), person(&["install:a"]));
    assert_eq!(trial.deliver(&[&ada, &phone]), ["delivered"; 2]);
    let mut trial = moved(trial);
    assert_eq!(trial.deliver_one(&absorbing(&ada, &[&phone])), "delivered");
    assert!(trial.account.merges().is_empty());
    assert_eq!((trial.account.contacts().len(), trial.id_of(&phone)), (3, ""));
}

#[test]
fn a_token_that_is_made_anew_costs_a_look_and_nothing_else() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    trial.account.edit_contact(101, "email", "ada@work.example");
    trial.account.edit_contact(101, "hs_additional_emails", "ada@example.org");
    trial.account.access_token = "anew".to_owned();
    trial.set(&json!({"access_token": "anew"}));
    let mut later = converted(&ada);
    later.trace.first_touch.as_mut().unwrap().value.channel = None;
    assert_eq!(trial.deliver_one(&later), "delivered");
    assert_eq!(trial.calls, ["batch/read", "batch/update"]);
    let contact = trial.only_contact();
    assert_eq!(contact["email"], "ada@work.example", "the address that sales put first");
    assert!(!contact.contains_key("first_touch_channel"), "what we gave is still ours");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["batch/update"]);
}
