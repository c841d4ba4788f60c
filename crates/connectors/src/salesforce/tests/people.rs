//! People become records: one each, whatever gets lost, comes twice, or is written by others meanwhile.

use super::*;

#[test]
fn a_new_person_is_made_with_placeholders_and_later_written_without() {
    let mut world = World::new(&json!({"match": "stub", "on_create": {"Status": "Working - Contacted"}}));
    let stub = person(&["install:i"]);
    assert_eq!(world.deliver(std::slice::from_ref(&stub)), ["delivered"]);
    assert_eq!(world.calls(), [UPSERT, UPSERT]);
    let names = ["FirstName", "LastName", "Company", "Status", "LeadSource", "Install_Date__c"];
    let time = "2026-03-04T14:32:08.441Z";
    assert_eq!(
        of(&world.leads()[0], names),
        ["Deep Link", "Unknown", "Unknown", "Working - Contacted", "Deep Link", time]
    );

    // The sales team found out more, and what we do not know better stays.
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Company", "Analytical Engines");
    world.org.write(&id, "LastName", "Byron");
    world.org.write(&id, "Status", "Closed - Not Converted");
    assert_eq!(world.deliver(&[said(&stub, "phone", "+44 1")]), ["delivered"]);
    assert_eq!(world.calls(), [CHANGE], "who is bound is written at once");
    let names = ["LastName", "Company", "Status", "Phone"];
    assert_eq!(of(&world.leads()[0], names), ["Byron", "Analytical Engines", "Closed - Not Converted", "+44 1"]);

    // The person says who it is.
    assert_eq!(world.deliver(&[said(&stub, "name", "Ada Lovelace")]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["FirstName", "LastName"]), ["Ada", "Lovelace"]);
    assert_eq!(world.leads().len(), 1);
}

#[test]
fn a_known_name_is_not_mixed_with_a_placeholder() {
    let mut world = World::new(&json!({"on_create": {"Company": "{{ person.email }}"}}));
    world.deliver(&[said(&person(&["user:1", "email:plato@example.org"]), "name", "Plato")]);
    assert_eq!(of(&world.leads()[0], ["FirstName", "LastName", "Company"]), ["-", "Plato", "plato@example.org"]);
}

#[test]
fn a_batch_of_people_takes_two_calls_and_several_events_of_one_are_one_record() {
    let mut world = World::new(&json!({}));
    let mut people: Vec<_> = (0..60).map(|n| person(&[&format!("user:{n}")])).collect();
    people.extend(people.clone());
    assert_eq!(world.deliver(&people), vec!["delivered"; 120]);
    assert_eq!((world.leads().len(), world.calls().len()), (60, 2));
    assert_eq!(world.deliver(&people), vec!["delivered"; 120]);
    assert_eq!((world.leads().len(), world.calls().len()), (60, 1));
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let mut world = World::new(&json!({}));
    world.org.validation = Some(|_, record| (record.get("Phone") == Some(&json!("666"))).then_some("no such number"));
    let people = [said(&person(&["user:1"]), "phone", "666"), person(&["user:2"])];
    let verdicts = world.deliver(&people);
    assert_eq!(verdicts, ["reject refused: FIELD_CUSTOM_VALIDATION_EXCEPTION: no such number", "delivered"]);
    assert_eq!(world.leads().len(), 1);
}

#[test]
fn what_is_no_address_is_left_out_and_refuses_nobody() {
    let mut world = World::new(&json!({}));
    for none in ["email:n/a".to_owned(), "email:ada@home".to_owned(), "email:".to_owned() + &"0a".repeat(32)] {
        let named = said(&person(&["user:1", &none]), "name", "Ada Lovelace");
        assert_eq!(world.deliver(&[named]), ["delivered"], "{none}");
        assert_eq!(of(&world.leads()[0], ["LastName", "Email"]), ["Lovelace", "-"], "{none}");
    }
}

#[test]
fn whom_salesforce_refuses_an_address_of_is_written_without_it_and_somebody_is_told() {
    let complaint =
        "reject refused: the record is written without `Email`, which Salesforce refuses: INVALID_EMAIL_ADDRESS";
    let zoe = || said(&person(&["user:2", "email:zoë@example.org"]), "name", "Zoë Byron");
    let mut world = World::new(&json!({}));
    for profile in [zoe(), said(&zoe(), "phone", "+44 1")] {
        let verdicts = world.deliver(&[profile, ada()]);
        assert!(verdicts[0].starts_with(complaint), "{verdicts:?}");
        assert_eq!(verdicts[1], "delivered");
    }
    assert_eq!(world.calls(), [UPSERT, UPSERT, UPSERT, CHANGE, CHANGE]);
    let names = ["LastName", "Phone", "Email"];
    assert_eq!(world.leads().len(), 2);
    assert!(world.leads().iter().any(|lead| of(lead, names) == ["Byron", "+44 1", "-"]));

    // An address that the settings put somewhere is one, too; and who was refused is still converted.
    let settings = json!({"conversion": "convert", "properties": {"Email": "{{ person.user_id }}"}});
    let mut world = World::new(&settings);
    let verdicts = world.deliver(&[converted(&ada())]);
    assert!(verdicts[0].starts_with(complaint), "{verdicts:?}");
    assert_eq!((world.leads().len(), world.org.conversions().len()), (1, 1));
}

#[test]
fn an_answer_that_is_lost_makes_no_second_record() {
    for lost in 1..=2 {
        let mut world = World::new(&json!({}));
        world.lost.insert(lost);
        assert_eq!(world.deliver(&[ada()]), Vec::<String>::new());
        assert_eq!(world.deliver(&[ada()]), ["delivered"], "lost {lost}");
        assert_eq!(world.leads().len(), 1);
        assert_eq!(of(&world.leads()[0], ["FirstName", "LastName"]), ["Ada", "Lovelace"], "lost {lost}");
    }
}

#[test]
fn a_record_whose_binding_is_lost_keeps_what_sales_wrote() {
    let mut world = World::new(&json!({"match": "stub"}));
    world.deliver(&[person(&["install:i"])]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "LastName", "Byron");
    world.bindings.clear();
    assert_eq!(world.deliver(&[person(&["install:i"])]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["LastName"]), ["Byron"]);
    assert_eq!(world.bound(&person(&["install:i"])), id);
}

#[test]
fn a_lead_that_somebody_deleted_is_made_anew() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.delete(&id);
    assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["LastName", "Company"]), ["Lovelace", "Unknown"]);
    assert_ne!(world.leads()[0]["Id"], *id);
}

#[test]
fn long_and_hostile_text_ends_in_its_field_and_nowhere_else() {
    let mut world = World::new(&json!({}));
    let hostile = "x' OR Name LIKE '%\u{0}</sessionId>🔗";
    let mut profile = said(&person(&["user:'; DROP TABLE x; --"]), "name", &format!("{hostile} {}", "é".repeat(90)));
    profile = said(&profile, "phone", &"9".repeat(60));
    profile.trace.referral_code = Some(Stamped { at: NOW, tie: 1, value: "🔗".repeat(200) });
    assert_eq!(world.deliver(std::slice::from_ref(&profile)), ["delivered"]);
    let lead = &world.leads()[0];
    let [key, last, phone, source] = of(lead, ["Afterclick_Key__c", "LastName", "Phone", "Referral_Source__c"]);
    assert_eq!(key, profile.subject.to_string());
    assert_eq!((last, phone.len()), ("é".repeat(80), 40));
    assert_eq!(source, "🔗".repeat(127));
    for call in &world.book.received {
        assert!(!call.request.target.contains("query"), "nothing is ever searched for");
    }
}

#[test]
fn contacts_can_be_what_people_are_kept_as() {
    let mut org = vendors::salesforce::Salesforce::new().with_key("Contact", "Afterclick_Key__c");
    org = COLUMNS.iter().fold(org, |org, column| match column.kind {
        super::super::fields::Kind::Time => org.with_field("Contact", column.name, Kind::DateTime),
        super::super::fields::Kind::Money => org.with_field("Contact", column.name, Kind::Currency),
        _ => org.with_field("Contact", column.name, Kind::Text(255)),
    });
    let mut world = World::of(org, &json!({"object": "Contact", "match": "stub"}));
    let stub = person(&["install:i"]);
    assert_eq!(world.deliver(&[stub.clone(), ada()]), ["delivered"; 2]);
    assert_eq!(world.deliver(&[absorbing(&ada(), &[&stub])]), ["delivered"]);
    let contacts = world.org.records("Contact");
    assert_eq!((contacts.len(), world.org.merges().len()), (1, 1));
    assert_eq!(of(&contacts[0], ["LastName", "Company"]), ["Lovelace", "-"]);
}

#[test]
fn an_event_whose_property_fails_is_refused_and_the_others_are_not() {
    let mut world = World::new(&json!({"properties": {"Rating": "{{ person.traits.plan + '!' }}", "Phone": ""}}));
    let people = [said(&ada(), "plan", "hot"), said(&person(&["user:2"]), "phone", "1")];
    let verdicts = world.deliver(&people);
    assert_eq!(verdicts[0], "delivered");
    assert_eq!(of(&world.leads()[0], ["Rating", "Phone"]), ["hot!", "-"]);
    assert!(verdicts[1].starts_with("reject template_error: setting `properties`"), "{verdicts:?}");
}

#[test]
fn what_sales_wrote_before_us_is_not_emptied_and_what_we_wrote_is() {
    let mut world = World::new(&json!({"duplicates": "adopt"}));
    world.deliver(&[ada()]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Afterclick_Key__c", Value::Null);
    world.org.write(&id, "Deep_Link_Campaign__c", "set by the old code");
    world.bindings.clear();
    world.org.duplicate_rule = Some(vendors::salesforce::DuplicateRule::Alert);
    let mut bare = ada();
    let touch = bare.trace.first_touch.as_mut().unwrap();
    (touch.value.campaign, touch.value.channel) = (None, Some("tv".to_owned()));
    let names = ["Deep_Link_Campaign__c", "Deep_Link_Channel__c", "FirstName"];
    assert_eq!(world.deliver(std::slice::from_ref(&bare)), ["delivered"]);
    assert_eq!(of(&world.leads()[0], names), ["set by the old code", "tv", "Ada"]);
    bare.trace.first_touch.as_mut().unwrap().value.channel = None;
    assert_eq!(world.deliver(std::slice::from_ref(&bare)), ["delivered"]);
    assert_eq!(of(&world.leads()[0], names), ["set by the old code", "-", "Ada"]);
    // What they write into it is theirs.
    world.org.write(&id, "Deep_Link_Channel__c", "fair");
    assert_eq!(world.deliver(&[converted(&bare)]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], names), ["set by the old code", "fair", "Ada"]);
    // A first name goes with the name that it was part of, unless sales gave it.
    assert_eq!(world.deliver(&[said(&bare, "name", "Lovelace")]), ["delivered"]);
    world.org.write(&id, "FirstName", "Augusta");
    assert_eq!(world.deliver(&[said(&bare, "name", "King")]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["FirstName", "LastName"]), ["Augusta", "King"]);
}

#[test]
fn what_may_have_been_written_though_nobody_heard_counts_as_ours() {
    let mut world = World::new(&json!({}));
    world.lost.insert(2);
    world.deliver(&[ada()]);
    let mut bare = ada();
    bare.trace.first_touch.as_mut().unwrap().value.channel = None;
    assert_eq!(world.deliver(&[bare]), ["delivered"]);
    assert_eq!(of(&world.leads()[0], ["Deep_Link_Channel__c"]), ["-"]);
}
