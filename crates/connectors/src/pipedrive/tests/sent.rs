//! Every kind of call as it is sent, for people to look at.

use domain::identity::{IdentifierKind, Money, Stamped};
use serde_json::{Value, json};
use vendors::Vendor as _;
use vendors::pipedrive::Entity;

use super::trial::{ADA, Trial, completed, outlet, referred};
use crate::crm::trial::{self, absorbing, person, said};
use crate::kit::{MEANS, NOW, answered, asked, assert_sent};

#[test]
fn somebody_new_news_and_an_address_that_is_taken_out() {
    let mut trial = Trial::new(&json!({}));
    let ada = said(&said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace"), "phone", "+44 1");
    trial.deliver_one(&ada);
    trial.deliver_one(&completed(&ada));
    let mut unlinked = completed(&ada);
    unlinked.identifiers.retain(|identifier| identifier.kind() != IdentifierKind::Email);
    unlinked.lost.insert(IdentifierKind::Email);
    assert_eq!(trial.deliver_one(&unlinked), "delivered");
    assert_eq!(trial.all.len(), 8);
    assert_sent("pipedrive-sent-life", &trial.all);
}

#[test]
fn somebody_whom_sales_knew_is_adopted_and_takes_in_what_was_ours() {
    let mut trial = Trial::new(&json!({"match": "stub"}));
    let device = person(&["install:1"]);
    trial.deliver_one(&device);
    let emails = json!([{"value": ADA, "primary": true, "label": "work"}]);
    trial.company.add_by_hand(Entity::Person, &json!({"name": "Ada", "emails": emails}), trial.at());
    trial.wait(60);
    trial.all.clear();
    let ada = person(&["user:1", "email:ada@example.org"]);
    assert_eq!(trial.deliver_one(&absorbing(&ada, &[&device])), "delivered");
    assert_eq!((trial.all.len(), trial.company.merges().len()), (6, 1));
    assert_sent("pipedrive-sent-adoption", &trial.all);
}

#[test]
fn a_deal_is_made_in_its_stage_and_won() {
    let settings = json!({"deal": "referral", "pipeline": "Referrals", "stage": "Fresh"});
    let mut trial = Trial::new(&settings);
    trial.company.pipelines.insert(7, "Referrals".to_owned());
    trial.company.stages.insert(9, (7, "Fresh".to_owned()));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.deliver_one(&referred(&ada));
    let mut done = completed(&ada);
    done.trace.money =
        Some(Stamped { at: NOW, tie: 0, value: Money { amount: 49.5, currency: Some("eur".to_owned()) } });
    assert_eq!(trial.deliver_one(&done), "delivered");
    assert_eq!(trial.only_deal().member("status"), "won");
    assert_sent("pipedrive-sent-deal", &trial.all);
}

#[test]
fn a_company_is_set_up() {
    let settings: Value = json!({"deal": "referral", "properties": {"Plan": "{{ person.traits.plan }}"}});
    let mut trial = Trial::bare(&settings);
    let mut calls = Vec::new();
    let made = trial::provision(outlet(&settings).as_ref(), &MEANS, |call| {
        calls.push(call.clone());
        answered(trial.company.answer(&asked(call), &mut trial.book))
    });
    assert_eq!(made.unwrap().len() + 2, calls.len());
    assert_sent("pipedrive-sent-provisioning", &calls);
}
