//! What is emptied: values of ours that turned out to be nothing, and never what somebody else wrote or what we may not see.

use domain::Privacy;
use domain::identity::{IdentifierKind, Profile, Touch};
use serde_json::json;
use vendors::Answer;

use super::trial::Trial;
use crate::crm::trial::{absorbing, converted, knowing, person, said};

const CHANNEL: &str = "first_touch_channel";

/// The same person, whose touches name no channel.
fn without_channel(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    for touch in [&mut profile.trace.first_touch, &mut profile.trace.last_touch] {
        touch.as_mut().unwrap().value.channel = None;
    }
    profile
}

/// The same person, of whom a device was seen and nothing else.
fn organic(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    for touch in [&mut profile.trace.first_touch, &mut profile.trace.last_touch] {
        touch.as_mut().unwrap().value = Touch { platform: Some("ios".to_owned()), ..Touch::default() };
    }
    profile
}

#[test]
fn an_adopted_contact_keeps_what_it_says() {
    let ada = said(&person(&["user:1", "email:ada@example.org"]), "name", "Lovelace");
    for profile in [organic(&ada), without_channel(&ada)] {
        let mut trial = Trial::new(&json!({}));
        let there = [
            ("email", "ada@example.org"),
            ("firstname", "Ada"),
            (CHANNEL, "set by the old code"),
            ("last_deep_link_channel", "set by the old code"),
            ("referral_source", "bob"),
        ];
        trial.account.add_contact(&there);
        for _ in 0..2 {
            assert_eq!(trial.deliver_one(&profile), "delivered");
            let contact = trial.only_contact();
            for (name, value) in there {
                assert_eq!(contact[name], value);
            }
            assert_eq!((&*contact["lastname"], &*contact["first_touch_platform"]), ("Lovelace", "ios"));
        }
        // What is ours by now is emptied, and the rest is still not ours.
        let mut lost = without_channel(&profile);
        lost.lost.insert(IdentifierKind::Install);
        lost.trace.installed_at = None;
        assert_eq!(trial.deliver_one(&lost), "delivered");
        let contact = trial.only_contact();
        assert!(!contact.contains_key("install_date"));
        assert_eq!((&*contact[CHANNEL], &*contact["referral_source"]), ("set by the old code", "bob"));
    }
}

#[test]
fn a_value_of_ours_that_turns_out_to_be_another_touchs_is_emptied_also_after_lost_answers() {
    let ada = person(&["user:1"]);
    for lost in [false, true] {
        let mut trial = Trial::new(&json!({}));
        if lost {
            trial.answers.insert(0, (Answer::empty(503), true));
        }
        let verdict = trial.deliver_one(&ada);
        assert_eq!(verdict == "delivered", !lost);
        assert_eq!(trial.deliver_one(&without_channel(&ada)), "delivered");
        assert!(!trial.only_contact().contains_key(CHANNEL));
        // Once it was emptied, it is whoever's who fills it.
        trial.account.edit_contact(101, CHANNEL, "radio");
        assert_eq!(trial.deliver_one(&without_channel(&ada)), "delivered");
        assert_eq!(trial.only_contact()[CHANNEL], "radio");
    }
}

#[test]
fn what_a_stub_brought_with_it_is_ours_also_where_the_answer_to_the_merging_was_lost() {
    for lost in [false, true] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        let (ada, phone) = (without_channel(&person(&["user:1"])), person(&["install:a"]));
        assert_eq!(trial.deliver(&[&ada, &phone]), ["delivered"; 2]);
        if lost {
            trial.answers.insert(1, (Answer::empty(503), true));
            assert!(trial.deliver_one(&absorbing(&ada, &[&phone])).starts_with("retry"));
        }
        assert_eq!(trial.deliver_one(&absorbing(&ada, &[&phone])), "delivered");
        assert!(!trial.only_contact().contains_key(CHANNEL), "{lost}");
    }
}

#[test]
fn what_a_stub_brings_into_the_contact_of_sales_takes_nothing_from_it() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let device = person(&["install:i-1"]);
    assert_eq!(trial.deliver_one(&device), "delivered");
    trial.account.add_contact(&[("email", "ada@example.org"), (CHANNEL, "radio")]);
    let known = without_channel(&knowing(&device, "email:ada@example.org"));
    for _ in 0..2 {
        assert_eq!(trial.deliver_one(&known), "delivered");
        let contact = trial.only_contact();
        assert_eq!(contact[CHANNEL], "radio", "it is the sales team's");
        assert!(!contact.contains_key("last_deep_link_channel"), "it was the stub's");
    }
}

#[test]
fn a_name_of_one_word_empties_a_first_name_of_ours_only() {
    let ada = person(&["user:1"]);
    let (whole, short) = (said(&ada, "name", "Ada Lovelace"), said(&ada, "name", "Lovelace"));
    let mut trial = Trial::new(&json!({}));
    assert_eq!(trial.deliver_one(&short), "delivered");
    trial.account.edit_contact(101, "firstname", "Augusta");
    assert_eq!(trial.deliver_one(&short), "delivered");
    assert_eq!(trial.only_contact()["firstname"], "Augusta");
    assert_eq!(trial.deliver_one(&whole), "delivered");
    assert_eq!(trial.deliver_one(&short), "delivered");
    assert!(!trial.only_contact().contains_key("firstname"));
}

#[test]
fn what_a_destination_is_not_to_see_is_left_as_it_is() {
    let fields = ["campaign", "channel", "token", "prefix", "first_name", "installed_at", "email", "revenue"];
    let drop = fields.iter().map(|name| (*name).to_owned()).collect();
    let privacy = Privacy { drop, ..Privacy::default() };
    let mut trial = Trial::new(&json!({}));
    let ada = said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let before = trial.only_contact();
    let mut later = said(&said(&converted(&ada), "first_name", "Ada"), "last_name", "Lovelace");
    later.lost.insert(IdentifierKind::Email);
    assert_eq!(trial.deliver_one(&privacy.profile(&later)), "delivered");
    let mut after = trial.only_contact();
    assert!(after.remove("conversion_date").is_some());
    assert_eq!(after, before);
}

#[test]
fn an_address_that_nobody_knows_to_be_ours_is_not_taken_out() {
    let mut trial = Trial::new(&json!({}));
    let mut ada = person(&["user:1"]);
    ada.lost.insert(IdentifierKind::Email);
    let key = ada.subject.to_string();
    trial.account.add_contact(&[("email", "ada@example.org"), ("afterclick_person_key", &key)]);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.only_contact()["email"], "ada@example.org");
}
