//! Leads that are converted, by us or by sales, and the contacts that they become.

use super::*;

#[test]
fn a_lead_is_converted_once_and_its_contact_is_written_from_then_on() {
    let mut world = World::new(&json!({"conversion": "convert"}));
    world.org.fields.get_mut("Contact").unwrap().insert("Conversion_Date__c".to_owned(), FieldDef::new(Kind::DateTime));
    world.deliver(&[ada()]);
    assert_eq!(world.org.conversions().len(), 0);
    world.calls();
    assert_eq!(world.deliver(&[converted(&ada())]), ["delivered"]);
    assert_eq!(world.calls(), [CHANGE, "POST actions/standard/convertLead"]);
    assert_eq!(world.deliver(&[said(&converted(&ada()), "phone", "+44 1")]), ["delivered"]);
    assert_eq!(world.calls(), ["POST composite", "PATCH composite/sobjects"]);
    assert_eq!(world.org.conversions().len(), 1);
    let contacts = world.org.records("Contact");
    let names = ["LastName", "Phone", "Conversion_Date__c", "Deep_Link_Campaign__c"];
    assert_eq!(of(&contacts[0], names), ["Lovelace", "+44 1", "2026-03-04T14:50:08.441Z", "-"]);
}

#[test]
fn a_conversion_of_which_nobody_heard_is_not_made_twice() {
    let mut world = World::new(&json!({"conversion": "convert"}));
    world.deliver(&[ada()]);
    let next = world.calls.len();
    world.lost.insert(next + 1);
    assert_eq!(world.deliver(&[converted(&ada())]), Vec::<String>::new());
    assert_eq!(world.deliver(&[converted(&ada())]), ["delivered"]);
    assert_eq!((world.org.conversions().len(), world.org.records("Contact").len()), (1, 1));
    let lead = world.org.records("Lead")[0]["Id"].as_str().unwrap().to_owned();
    let contact = world.org.records("Contact")[0]["Id"].as_str().unwrap().to_owned();
    assert_eq!(world.bound(&ada()), format!("{lead}>{contact}"));
}

#[test]
fn a_status_is_never_written_for_a_conversion() {
    let mut world = World::new(&json!({}));
    world.deliver(&[converted(&ada())]);
    let names = ["Status", "Conversion_Date__c"];
    assert_eq!(of(&world.leads()[0], names), ["Open - Not Contacted", "2026-03-04T14:50:08.441Z"]);
}

#[test]
fn a_lead_that_sales_converted_is_followed_to_its_contact_or_refused() {
    for (setting, expect) in [("contact", "delivered"), ("reject", "reject refused: the lead of `sub_")] {
        let mut world = World::new(&json!({"converted": setting}));
        world.deliver(&[ada()]);
        let lead = world.leads()[0]["Id"].as_str().unwrap().to_owned();
        world.org.convert(&lead).unwrap();
        let verdicts = world.deliver(&[said(&ada(), "phone", "+44 1")]);
        assert!(verdicts[0].starts_with(expect), "{verdicts:?}");
        let phone = of(&world.org.records("Contact")[0], ["Phone"]);
        assert_eq!(phone, [if setting == "contact" { "+44 1" } else { "-" }]);
    }
}

#[test]
fn a_converted_lead_and_an_open_one_of_one_person_are_left_to_people_and_said_once() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(&[stub.clone(), ada()]);
    let lead = world.bound(&stub).to_owned();
    let contact = world.org.convert(&lead).unwrap();
    world.bind(&stub, &format!("{lead}>{contact}"), ORG);
    let known = absorbing(&ada(), &[&stub]);
    let verdicts = world.deliver(std::slice::from_ref(&known));
    assert!(verdicts[0].contains("Salesforce merges no lead with a contact"), "{verdicts:?}");
    assert_eq!(world.deliver(&[known]), ["delivered"]);
}

#[test]
fn more_than_one_exchange_can_do_is_put_off_and_done_by_the_next() {
    let mut world = World::new(&json!({}));
    let people: Vec<_> = (0..40).map(|n| person(&[&format!("user:{n}")])).collect();
    world.deliver(&people);
    for lead in world.leads() {
        world.org.convert(lead["Id"].as_str().unwrap());
    }
    world.calls();
    let news: Vec<_> = people.iter().map(|person| said(person, "phone", "+44 1")).collect();
    let mut rounds = 0;
    loop {
        let verdicts = world.deliver(&news);
        assert!(world.calls().len() <= 5);
        rounds += 1;
        if verdicts.iter().all(|verdict| verdict == "delivered") {
            break;
        }
        assert!(
            verdicts.iter().all(|verdict| verdict == "delivered" || verdict.starts_with("wait 1000 ms")),
            "{verdicts:?}"
        );
        assert!(rounds < 9);
    }
    let contacts = world.org.records("Contact");
    assert!(contacts.len() == 40 && contacts.iter().all(|contact| contact["Phone"] == "+44 1"));
}
