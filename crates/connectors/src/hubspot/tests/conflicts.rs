//! An address belongs to one contact. What there is with it already becomes the person's, if it is nobody else's.

use domain::identity::{IdentifierKind, Profile};
use serde_json::json;
use vendors::hubspot::Naming;

use super::trial::Trial;
use crate::crm::trial::{absorbing, person};

const ADA: &str = "ada@example.org";

#[test]
fn a_contact_that_sales_made_by_hand_becomes_the_persons() {
    let mut trial = Trial::new(&json!({}));
    let id = trial.account.add_contact(&[("email", "Ada@Example.org"), ("company", "Analytical Engines")]);
    let ada = person(&["user:1", "email:ada@example.org"]);
    let eve = person(&["user:2", "email:eve@example.org"]);
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered", "delivered"]);
    assert_eq!(trial.calls, ["batch/upsert", "batch/read", "batch/read", "batch/update"]);
    let contact = trial.account.contact(id).unwrap();
    assert_eq!(contact.get("afterclick_person_key"), ada.subject.to_string());
    assert_eq!((contact.get("company"), contact.get("first_touch_campaign")), ("Analytical Engines", "spring-sale"));
    assert_eq!(trial.account.contacts().len(), 2);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["batch/update"]);
}

#[test]
fn who_is_in_conflict_is_found_out_when_the_whole_batch_is_refused() {
    let mut trial = Trial::new(&json!({}));
    trial.account.add_contact(&[("email", ADA)]);
    let (ada, eve) = (person(&["user:1", "email:ada@example.org"]), person(&["user:2", "email:eve@example.org"]));
    let body =
        json!({"status": "error", "message": "Contact already exists. Existing ID: 101", "category": "CONFLICT"});
    trial.answers.insert(0, (vendors::Answer::json(409, &body), false));
    assert_eq!(trial.deliver(&[&eve, &ada]), ["delivered", "delivered"]);
    assert_eq!(trial.account.contacts().len(), 2);
    assert_eq!(trial.account.contact_with("email", ADA).unwrap().id, 101);
}

#[test]
fn a_stub_goes_into_the_contact_that_was_there() {
    for (naming, makes_ids) in [(Naming::Trace, false), (Naming::Nothing, true)] {
        let mut trial = Trial::new(&json!({"match": "stub"}));
        (trial.account.naming, trial.account.merging_makes_ids) = (naming, makes_ids);
        let device = person(&["install:i-1"]);
        assert_eq!(trial.deliver_one(&device), "delivered");
        trial.account.add_contact(&[("email", ADA), ("company", "Analytical Engines")]);
        let mut known = device.clone();
        known.identifiers.insert("email:ada@example.org".parse().unwrap());
        assert_eq!(trial.deliver_one(&known), "delivered");
        assert_eq!(trial.calls, ["batch/update", "batch/read", "batch/read", "merge", "batch/update"]);
        let contact = trial.only_contact();
        assert_eq!(contact["company"], "Analytical Engines");
        assert_eq!(contact["afterclick_person_key"], device.subject.to_string());
        assert_eq!(trial.deliver_one(&known), "delivered");
        trial.only_contact();
    }
}

#[test]
fn two_users_of_one_address_are_never_merged() {
    let mut trial = Trial::new(&json!({}));
    let (ada, eve) = (person(&["user:1", "email:ada@example.org"]), person(&["user:2", "email:ada@example.org"]));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let verdict = trial.deliver_one(&eve);
    let expected = format!(
        "retry client_error: contact 101 has the address `{ADA}` already and is another person's, who is `{}` here; everything but the",
        ada.subject
    );
    assert!(verdict.starts_with(&expected), "{verdict}");
    assert!(trial.account.merges().is_empty());
    let address = |trial: &Trial, of: &Profile| {
        let contact = trial.account.contact_with("afterclick_person_key", &of.subject.to_string()).expect("a contact");
        contact.properties.get("email").cloned().unwrap_or_default()
    };
    assert_eq!((address(&trial, &ada), address(&trial, &eve)), (ADA.to_owned(), String::new()));
    // It turns out that the address was never hers: she lets go of it, and the other one gets it.
    let mut without = person(&["user:1"]);
    without.lost.insert(IdentifierKind::Email);
    assert_eq!(trial.deliver_one(&without), "delivered");
    assert_eq!(trial.deliver_one(&eve), "delivered");
    assert_eq!((address(&trial, &ada), address(&trial, &eve)), (String::new(), ADA.to_owned()));
}

#[test]
fn two_contacts_with_addresses_of_their_own_are_for_a_person_to_merge() {
    let mut trial = Trial::new(&json!({}));
    let before = person(&["user:1", "email:ada@old.example"]);
    assert_eq!(trial.deliver_one(&before), "delivered");
    let id = trial.account.add_contact(&[("email", ADA)]);
    let mut after = person(&["user:1", "email:ada@example.org"]);
    after.trace.converted_at = after.trace.installed_at;
    let verdict = trial.deliver_one(&after);
    assert!(verdict.starts_with(&format!(
        "reject refused: contact {id} has the address `{ADA}`, and the person's own contact 101"
    )));
    let own = trial.account.contact(101).unwrap();
    assert_eq!((own.get("email"), own.get("conversion_date")), ("ada@old.example", "2026-03-04T14:32:08.441Z"));
    assert!(trial.account.merges().is_empty());
}

#[test]
fn the_address_may_be_that_of_a_subject_that_turned_out_to_be_the_same_person() {
    let mut trial = Trial::new(&json!({}));
    let (ada, other) = (person(&["user:1"]), person(&["email:ada@example.org"]));
    assert_eq!(trial.deliver(&[&ada, &other]), ["delivered", "delivered"]);
    // Nothing is bound: the data directory was lost, say.
    trial.bound.clear();
    let both = absorbing(&ada, &[&other]);
    assert_eq!(trial.deliver_one(&both), "delivered");
    let contact = trial.only_contact();
    assert_eq!((&*contact["email"], &*contact["afterclick_person_key"]), (ADA, &*ada.subject.to_string()));
}

#[test]
fn a_contact_that_is_gone_again_when_it_is_looked_for_is_no_obstacle() {
    let mut trial = Trial::new(&json!({}));
    let ada = person(&["user:1", "email:ada@example.org"]);
    let body = json!({"status": "error", "message": "Contact already exists. Existing ID: 9", "category": "CONFLICT"});
    trial.answers.insert(0, (vendors::Answer::json(409, &body), false));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    trial.answers.insert(0, (vendors::Answer::json(409, &body), false));
    trial.answers.insert(3, (vendors::Answer::json(409, &body), false));
    let verdict = trial.deliver_one(&ada);
    assert_eq!(
        verdict,
        "reject refused: another contact has a value that must be unique: Contact already exists. Existing ID: 9"
    );
}
