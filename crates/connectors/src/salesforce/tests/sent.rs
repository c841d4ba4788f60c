//! Every kind of call as it is sent, for people to look at.

use super::addresses::unlinked;
use super::setup::provision;
use super::*;
use crate::kit::assert_sent;

/// What is sent after this.
fn sent(world: &mut World, live: impl FnOnce(&mut World)) -> Vec<HttpCall> {
    world.sent.clear();
    live(world);
    std::mem::take(&mut world.sent)
}

#[test]
fn a_token_a_new_lead_news_of_it_and_an_address_that_is_taken_out() {
    let mut world = World::new(&json!({"duplicates": "allow", "on_create": {"Status": "Working - Contacted"}}));
    let calls = sent(&mut world, |world| {
        world.deliver(&[ada(), said(&person(&["user:2"]), "company", "Analytical Engines")]);
        world.deliver(&[said(&ada(), "phone", "+44 1")]);
        world.deliver(&[unlinked(&ada())]);
    });
    assert_eq!(calls.len(), 7);
    assert_sent("salesforce-sent-life", &calls);
}

#[test]
fn a_lead_that_sales_made_is_looked_at_and_adopted() {
    let mut world = World::new(&json!({"duplicates": "adopt"}));
    world.deliver(&[ada()]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Afterclick_Key__c", Value::Null);
    world.bindings.clear();
    world.org.duplicate_rule = Some(vendors::salesforce::DuplicateRule::Alert);
    let calls = sent(&mut world, |world| assert_eq!(world.deliver(&[ada()]), ["delivered"]));
    assert_eq!(calls.len(), 4);
    assert_sent("salesforce-sent-adoption", &calls);
}

#[test]
fn leads_of_one_person_are_found_by_their_keys_and_merged() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stubs = [person(&["install:1"]), person(&["install:2"])];
    world.deliver(&stubs[..1]);
    world.lost.insert(world.calls.len() + 1);
    assert_eq!(world.deliver(&stubs[1..]), Vec::<String>::new());
    world.deliver(&[ada()]);
    let known = absorbing(&ada(), &stubs.each_ref());
    let calls = sent(&mut world, |world| assert_eq!(world.deliver(&[known]), ["delivered"]));
    assert_eq!((calls.len(), world.org.merges().len()), (3, 2));
    assert_sent("salesforce-sent-merging", &calls);
}

#[test]
fn a_lead_is_converted_and_its_contact_written() {
    let mut world = World::new(&json!({"conversion": "convert"}));
    world.deliver(&[ada()]);
    let calls = sent(&mut world, |world| {
        world.deliver(&[converted(&ada())]);
        world.deliver(&[said(&converted(&ada()), "phone", "+44 1")]);
        // And one that sales converted, of which nobody has told us.
        let other = person(&["user:2"]);
        world.deliver(std::slice::from_ref(&other));
        let lead = world.bound(&other).to_owned();
        world.org.convert(&lead).unwrap();
        world.deliver(&[said(&other, "phone", "+44 2")]);
    });
    assert_eq!(calls.len(), 9);
    assert_sent("salesforce-sent-conversion", &calls);
}

#[test]
fn an_organisation_is_set_up() {
    let mut world = World::of(vendors::salesforce::Salesforce::new(), &json!({}));
    let calls = sent(&mut world, |world| assert_eq!(provision(world).unwrap().len(), 14));
    assert_sent("salesforce-sent-provisioning", &calls);
}
