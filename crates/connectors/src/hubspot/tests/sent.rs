//! Every kind of call as it is sent, for people to look at.

use domain::identity::IdentifierKind;
use serde_json::json;
use vendors::hubspot::HubSpot as Account;
use vendors::{Answer, Book, Vendor as _};

use super::super::HubSpot;
use super::trial::{Trial, with_defaults};
use crate::crm::trial::{self, absorbing, converted, knowing, person, said};
use crate::kit::{MEANS, answered, asked, assert_sent, open};

#[test]
fn somebody_new_news_and_what_turns_out_to_be_somebody_elses() {
    let mut trial = Trial::new(&json!({}));
    let ada = said(&said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace"), "phone", "+44 1");
    trial.deliver_one(&ada);
    trial.deliver_one(&converted(&ada));
    let mut unlinked = converted(&ada);
    unlinked.identifiers.retain(|identifier| identifier.kind() != IdentifierKind::Email);
    unlinked.lost.insert(IdentifierKind::Email);
    (unlinked.trace.installed_at, unlinked.trace.first_touch, unlinked.trace.last_touch) = (None, None, None);
    assert_eq!(trial.deliver_one(&unlinked), "delivered");
    assert_eq!(trial.all.len(), 4);
    assert_sent("hubspot-sent-life", &trial.all);
}

#[test]
fn two_people_of_whom_sales_knew_one() {
    let mut trial = Trial::new(&json!({"lifecycle": true}));
    trial.account.add_contact(&[("email", "ada@example.org"), ("lifecyclestage", "opportunity")]);
    let (ada, eve) = (person(&["user:1", "email:ada@example.org"]), converted(&person(&["user:2"])));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    assert_eq!(trial.calls, ["batch/read", "batch/upsert", "batch/read", "batch/read", "batch/update"]);
    assert_sent("hubspot-sent-adoption", &trial.all);
}

#[test]
fn a_stub_that_goes_into_the_contact_of_sales() {
    let mut trial = Trial::new(&json!({"match": "stub", "stub_name": "Deep Link"}));
    let device = person(&["install:1"]);
    trial.deliver_one(&device);
    trial.account.add_contact(&[("email", "ada@example.org")]);
    assert_eq!(trial.deliver_one(&knowing(&device, "email:ada@example.org")), "delivered");
    assert_eq!((trial.all.len(), trial.account.merges().len()), (6, 1));
    assert_sent("hubspot-sent-stub", &trial.all);
}

#[test]
fn two_devices_that_turn_out_to_be_one_person() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let (ada, phone, tablet) = (person(&["user:1"]), person(&["install:a"]), person(&["install:b"]));
    // The answer to the second one is lost: it may be there, and only its key is known.
    trial.deliver(&[&ada, &phone]);
    trial.answers.insert(0, (Answer::empty(503), true));
    trial.deliver_one(&tablet);
    trial.all.clear();
    assert_eq!(trial.deliver_one(&absorbing(&ada, &[&phone, &tablet])), "delivered");
    assert_eq!(trial.calls, ["batch/read", "batch/read", "merge", "merge", "batch/update"]);
    assert_sent("hubspot-sent-merging", &trial.all);
}

#[test]
fn an_account_is_set_up() {
    let outlet = open(&HubSpot, &with_defaults(&json!({"properties": {"app_user_id": "{{ person.user_id }}"}})));
    let (mut account, mut calls) = (Account::new(), Vec::new());
    let made = trial::provision(&*outlet, &MEANS, |call| {
        calls.push(call.clone());
        answered(account.answer(&asked(call), &mut Book::default()))
    });
    assert_eq!((made.unwrap().len(), calls.len()), (2, 4));
    assert_sent("hubspot-sent-provisioning", &calls);
}
