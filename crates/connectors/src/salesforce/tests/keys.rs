//! Whose a record is: keys that are lost, moved or taken, and records that sales made.

use super::*;

#[test]
fn a_record_that_is_known_stays_the_persons_whatever_its_key_says() {
    let mut world = World::new(&json!({}));
    world.org = world.org.clone().with_key("Lead", "Other_Key__c");
    assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    let key = ada().subject.to_string();

    // Somebody of the sales team empties the field.
    world.org.write(&id, "Afterclick_Key__c", Value::Null);
    assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    assert_eq!((world.leads().len(), &*of(&world.leads()[0], ["Afterclick_Key__c"])[0]), (1, &*key));

    // The settings name another field.
    world.settings.insert("key_field".to_owned(), json!("Other_Key__c"));
    assert_eq!(world.deliver(&[said(&ada(), "phone", "+44 1")]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["Id", "Other_Key__c", "Phone"]), [&*id, &key, "+44 1"]);
    assert_eq!(world.leads().len(), 1);

    // A lead that was converted before the field was another one is followed all the same.
    world.settings.insert("key_field".to_owned(), json!("Third_Key__c"));
    world.org = world.org.clone().with_key("Lead", "Third_Key__c");
    world.org.convert(&id).unwrap();
    assert_eq!(world.deliver(&[said(&ada(), "phone", "+44 2")]), ["delivered"]);
    assert_eq!(of(&world.org.records("Contact")[0], ["Phone"]), ["+44 2"]);
    assert_eq!(world.leads().len(), 1);
}

#[test]
fn a_key_that_another_record_has_meanwhile_says_whose_it_is() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada(), person(&["user:2"])]);
    let ids: Vec<_> = world.leads().iter().map(|lead| lead["Id"].as_str().unwrap().to_owned()).collect();
    // Somebody has moved the key.
    world.org.write(&ids[0], "Afterclick_Key__c", Value::Null);
    world.org.write(&ids[1], "Afterclick_Key__c", ada().subject.to_string());
    assert_eq!(world.deliver(&[said(&ada(), "phone", "+44 1")]), ["delivered"]);
    assert_eq!(world.leads().len(), 2);
    assert_eq!(of(&world.leads()[1], ["Phone"]), ["+44 1"]);
    assert_eq!(world.bound(&ada()), ids[1]);
}

#[test]
fn a_lead_is_no_contact_when_the_settings_change_their_mind() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    for column in &COLUMNS {
        let field = world.org.fields["Lead"][column.name].clone();
        world.org.fields.get_mut("Contact").unwrap().insert(column.name.to_owned(), field);
    }
    world.org = world.org.clone().with_key("Contact", "Afterclick_Key__c");
    world.settings.insert("object".to_owned(), json!("Contact"));
    for _ in 0..2 {
        assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    }
    assert_eq!(world.org.records("Contact").len(), 1);
    assert_eq!(world.calls().last().unwrap(), CHANGE);
}

#[test]
fn a_record_that_sales_made_is_refused_by_name_adopted_or_doubled_as_the_setting_says() {
    let theirs = |world: &mut World| {
        world.deliver(&[ada()]);
        let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
        world.org.write(&id, "Afterclick_Key__c", Value::Null);
        world.bindings.clear();
        world.org.duplicate_rule = Some(vendors::salesforce::DuplicateRule::Alert);
        id
    };
    for (setting, expect, records) in
        [("reject", "reject refused: a duplicate rule", 1), ("adopt", "delivered", 1), ("allow", "delivered", 2)]
    {
        let mut world = World::new(&json!({"duplicates": setting}));
        let id = theirs(&mut world);
        let verdicts = world.deliver(&[ada()]);
        assert!(verdicts[0].starts_with(expect), "{setting}: {verdicts:?}");
        assert!(setting != "reject" || verdicts[0].contains(&id), "{verdicts:?}");
        assert_eq!(world.leads().len(), records, "{setting}");
        let is_ours = world.leads()[0].contains_key("Afterclick_Key__c");
        assert_eq!(is_ours, setting == "adopt");
        assert!(setting != "adopt" || world.bound(&ada()) == id);
    }
}

#[test]
fn what_is_somebody_elses_already_is_not_adopted() {
    let mut world = World::new(&json!({"duplicates": "adopt"}));
    world.deliver(&[ada()]);
    world.org.duplicate_rule = Some(vendors::salesforce::DuplicateRule::Block);
    let other = person(&["user:2", "email:ada@example.org"]);
    let verdicts = world.deliver(&[other]);
    assert!(verdicts[0].starts_with("reject refused: a duplicate rule"), "{verdicts:?}");
    assert_eq!(world.leads().len(), 1);
}

#[test]
fn a_key_that_is_taken_in_the_same_moment_is_written_once_more() {
    let outlet = World::new(&json!({})).outlet();
    let taken =
        json!([{"success": false, "errors": [{"statusCode": "DUPLICATE_VALUE", "message": "duplicate value found"}]}]);
    let (step, progress) = with_items(&[ada()], 0, |items| {
        let batch = Batch { items, now: NOW, token: None, digest: None };
        let ask = |_: &HttpCall, _| Some(crate::kit::reply(200, &[], taken.to_string()));
        exchange(outlet.as_ref(), &batch, &mut BTreeMap::new(), ask).unwrap()
    });
    assert_eq!(described(&step), ["reject refused: DUPLICATE_VALUE: duplicate value found"]);
    assert_eq!(progress.replies, 2);
}
