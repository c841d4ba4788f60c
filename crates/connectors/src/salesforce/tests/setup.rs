//! Provisioning, held against the simulator.

use super::*;
use crate::crm::trial;

pub(super) fn provision(world: &mut World) -> Result<Vec<String>, String> {
    let outlet = world.outlet();
    if world.token.is_none() {
        world.log_in(outlet.as_ref());
    }
    let token = world.token.clone();
    let means = Means { now: NOW, token: token.as_ref() };
    trial::provision(outlet.as_ref(), &means, |call| world.ask(call).unwrap())
}

#[test]
fn an_empty_organisation_gets_the_fields_and_the_access_and_the_next_time_nothing() {
    for object in ["Lead", "Contact"] {
        let mut world = World::of(vendors::salesforce::Salesforce::new(), &json!({"object": object, "match": "stub"}));
        let before = world.deliver(&[person(&["install:i"])]);
        assert!(before[0].contains("No such column 'Afterclick_Key__c'"), "{before:?}");
        let made = provision(&mut world).unwrap();
        assert_eq!(made.len(), 14, "{made:?}");
        assert_eq!(made[0], format!("create field `{object}.Afterclick_Key__c`"));
        assert!(made[13].starts_with(&format!("let the integration user see and write the fields of `{object}`")));
        assert_eq!(provision(&mut world), Ok(Vec::new()));
        assert_eq!(world.deliver(&[person(&["install:i"])]), ["delivered"]);
        let key = &world.org.fields[object]["Afterclick_Key__c"];
        assert!(key.is_unique && key.is_external_id);
    }
}

#[test]
fn what_the_document_had_made_by_hand_stays_and_only_the_rest_is_made() {
    let mut org = vendors::salesforce::Salesforce::new()
        .with_field("Lead", "Deep_Link_Campaign__c", Kind::Text(255))
        .with_field("Lead", "Deep_Link_Platform__c", Kind::Text(255))
        .with_field("Lead", "Install_Date__c", Kind::DateTime)
        .with_field("Lead", "Conversion_Date__c", Kind::DateTime);
    let token = FieldDef { is_external_id: true, ..FieldDef::new(Kind::Text(255)) };
    org.fields.get_mut("Lead").unwrap().insert("Deep_Link_Token__c".to_owned(), token);
    let mut world = World::of(org, &json!({"properties": {"Deep_Link_Prefix__c": ""}}));
    let made = provision(&mut world).unwrap();
    assert_eq!(made.len(), 8, "{made:?}");
    assert!(!made.iter().any(|reason| reason.contains("Prefix") || reason.contains("Token")));
    assert_eq!(provision(&mut world), Ok(Vec::new()));
    assert!(world.org.fields["Lead"]["Deep_Link_Token__c"].is_external_id, "nothing is changed that is there");
}

#[test]
fn a_field_that_is_there_and_cannot_be_seen_needs_access_and_nothing_else() {
    let mut world = World::new(&json!({}));
    world.org.fields.get_mut("Lead").unwrap().get_mut("Install_Date__c").unwrap().is_hidden = true;
    let verdicts = world.deliver(&[person(&["user:1"])]);
    assert!(verdicts[0].starts_with("pause misconfigured: a field is not there or, more often"), "{verdicts:?}");
    assert!(verdicts[0].contains("Install_Date__c"));
    assert_eq!(provision(&mut world).unwrap().len(), 1);
    assert_eq!(world.deliver(&[person(&["user:1"])]), ["delivered"]);
}

#[test]
fn fields_of_the_wrong_kind_are_named_and_nothing_is_made() {
    let mut world = World::new(&json!({}));
    let fields = world.org.fields.get_mut("Lead").unwrap();
    fields.get_mut("Afterclick_Key__c").unwrap().is_unique = false;
    fields.get_mut("Install_Date__c").unwrap().kind = Kind::Text(255);
    fields.get_mut("Deep_Link_Token__c").unwrap().is_unique = true;
    fields.get_mut("Deep_Link_Campaign__c").unwrap().kind = Kind::Text(80);
    fields.remove("Deep_Link_Channel__c");
    let error = provision(&mut world).unwrap_err();
    for part in [
        "`Afterclick_Key__c` should be an external id and unique",
        "`Install_Date__c` should be of the type Date/Time",
        "`Deep_Link_Token__c` should be not unique",
        "`Deep_Link_Campaign__c` should be 255 characters long",
        "nothing is changed that is there",
    ] {
        assert!(error.contains(part), "{error} does not say {part}");
    }
    assert!(!world.org.fields["Lead"].contains_key("Deep_Link_Channel__c"));
}

#[test]
fn somebody_who_may_not_set_things_up_is_told_in_salesforces_words() {
    let world = World::new(&json!({}));
    let outlet = world.outlet();
    let refused = crate::kit::reply(403, &[], r#"[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]"#);
    let means = Means { now: NOW, token: None };
    let error = outlet.plan(&means, &std::array::from_fn::<_, 6, _>(|_| refused.clone())).unwrap_err();
    assert_eq!(error, "Salesforce says: INSUFFICIENT_ACCESS: no");
    assert_eq!(outlet.is_done(&refused), Err(error));
    let there = crate::kit::reply(400, &[], r#"[{"errorCode":"DUPLICATE_DEVELOPER_NAME","message":"there"}]"#);
    assert_eq!(outlet.is_done(&there), Ok(()));
}

#[test]
fn every_query_is_a_constant() {
    let world = World::new(&json!({"key_field": "Injected__c"}));
    let calls = world.outlet().survey(&Means { now: NOW, token: None }).unwrap();
    let urls = calls.iter().map(|call| call.shown().url);
    let queries: Vec<_> = urls.filter(|url| url.contains("query?q=")).collect();
    assert!(queries.len() == 5 && !queries.iter().any(|url| url.contains("Injected")));
}
