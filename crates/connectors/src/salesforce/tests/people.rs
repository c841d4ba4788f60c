//! People become records: one each, whatever gets lost, comes twice, or is written by others meanwhile.

use super::*;

const UPSERT: &str = "PATCH composite/sobjects/Lead/Afterclick_Key__c";
const CHANGE: &str = "PATCH composite/sobjects";

fn ada() -> Profile {
    said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace")
}

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
    assert_eq!(world.bindings.values().collect::<Vec<_>>(), [&id]);
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
fn a_subject_that_becomes_another_one_takes_its_record_along() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(std::slice::from_ref(&stub));
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Status", "Working - Contacted");
    world.calls();
    let known = absorbing(&ada(), &[&stub]);
    for _ in 0..2 {
        assert_eq!(world.deliver(std::slice::from_ref(&known)), ["delivered"]);
    }
    assert_eq!(world.calls(), [CHANGE, CHANGE]);
    let leads = world.leads();
    let key = known.subject.to_string();
    assert_eq!(
        of(&leads[0], ["Id", "Afterclick_Key__c", "LastName", "Status"]),
        [&*id, &key, "Lovelace", "Working - Contacted"]
    );
    assert_eq!((leads.len(), world.org.merges().len()), (1, 0));
    assert_eq!(world.bindings[&stub.subject.to_string()], "");
}

#[test]
fn records_of_one_person_are_made_one_of_which_the_survivors_stays() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stubs: Vec<_> = (0..3).map(|n| person(&[&format!("install:{n}")])).collect();
    world.deliver(&stubs);
    world.deliver(&[ada()]);
    assert_eq!(world.leads().len(), 4);
    world.calls();
    let known = absorbing(&ada(), &stubs.iter().collect::<Vec<_>>());
    // The answer is lost: the same is asked again, and what is merged is not merged twice.
    world.lost.insert(1);
    assert_eq!(world.deliver(std::slice::from_ref(&known)), Vec::<String>::new());
    for _ in 0..2 {
        assert_eq!(world.deliver(std::slice::from_ref(&known)), ["delivered"]);
    }
    assert_eq!(world.calls(), [CHANGE, "POST Soap/u/66.0", CHANGE, "POST Soap/u/66.0", CHANGE]);
    assert_eq!((world.leads().len(), world.org.merges().len()), (1, 3));
    assert_eq!(of(&world.leads()[0], ["LastName"]), ["Lovelace"]);
}

#[test]
fn one_that_is_gone_or_converted_keeps_no_other_from_being_merged() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stubs: Vec<_> = (0..4).map(|n| person(&[&format!("install:{n}")])).collect();
    world.deliver(&stubs);
    world.deliver(&[ada()]);
    let id = |world: &World, profile: &Profile| world.bindings[&profile.subject.to_string()].clone();
    let [deleted, lead] = [&stubs[0], &stubs[1]].map(|stub| id(&world, stub));
    world.org.delete(&deleted);
    world.org.convert(&lead).unwrap();
    let known = absorbing(&ada(), &stubs.iter().collect::<Vec<_>>());
    let verdicts = world.deliver(std::slice::from_ref(&known));
    let expect = format!("and the converted lead `{lead}` are the same person");
    assert!(verdicts[0].contains(&expect), "{verdicts:?}");
    assert_eq!(world.deliver(&[known]), ["delivered"], "it is said once");
    assert_eq!(world.org.merges().len(), 2);
    assert!(stubs.iter().all(|stub| id(&world, stub).is_empty()));
}

#[test]
fn a_record_of_an_absorbed_subject_that_nobody_heard_of_is_found_and_merged() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.lost.insert(2);
    assert_eq!(world.deliver(std::slice::from_ref(&stub)), Vec::<String>::new());
    assert_eq!(world.bindings[&stub.subject.to_string()], format!("? {}", NOW.as_millis()));
    world.calls();
    world.lost.clear();
    assert_eq!(world.deliver(&[absorbing(&ada(), &[&stub])]), ["delivered"]);
    assert_eq!(world.calls(), [UPSERT, UPSERT, "POST composite", "POST Soap/u/66.0"]);
    assert_eq!(world.leads().len(), 1);

    // And one that was never made is not missed, whatever the clock was when it was to be made.
    let days_ms = 3 * 86_400_000;
    for since_ms in [NOW.as_millis() - 600_000, NOW.as_millis() + days_ms] {
        let mut world = World::new(&json!({"match": "stub"}));
        world.bindings.insert(stub.subject.to_string(), format!("? {since_ms}"));
        assert_eq!(world.deliver(&[absorbing(&ada(), &[&stub])]), ["delivered"]);
        assert_eq!((world.leads().len(), world.org.merges().len()), (1, 0));
        assert_eq!(world.bindings[&stub.subject.to_string()], "");
    }
}

#[test]
fn a_record_that_is_made_after_its_answer_was_lost_is_waited_for_and_merged() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.slow.insert(2);
    assert_eq!(world.deliver(std::slice::from_ref(&stub)), Vec::<String>::new());
    world.now = Timestamp::from_millis(NOW.as_millis() + 60_000);
    let known = absorbing(&ada(), &[&stub]);
    let verdicts = world.deliver(std::slice::from_ref(&known));
    assert!(verdicts[0].starts_with("retry broken after 540000 ms"), "{verdicts:?}");
    assert_eq!(of(&world.leads()[0], ["LastName"]), ["Lovelace"], "nobody's record waits for that");
    world.arrive();
    assert_eq!(world.leads().len(), 2);
    world.now = Timestamp::from_millis(NOW.as_millis() + 600_000);
    assert_eq!(world.deliver(&[known]), ["delivered"]);
    assert_eq!((world.leads().len(), world.org.merges().len()), (1, 1));
}

#[test]
fn a_record_that_was_refused_is_not_waited_for() {
    let refuse: fn(&str, &Map<String, Value>) -> Option<&'static str> =
        |_, record| (record.get("LastName") == Some(&json!("Unknown"))).then_some("say who it is");
    let mut world = World::new(&json!({"match": "stub"}));
    world.org.validation = Some(refuse);
    let stub = person(&["install:i"]);
    let verdicts = world.deliver(std::slice::from_ref(&stub));
    assert!(verdicts[0].starts_with("reject refused"), "{verdicts:?}");
    assert_eq!(world.bindings[&stub.subject.to_string()], "");
    assert_eq!(world.deliver(&[absorbing(&ada(), &[&stub])]), ["delivered"]);

    // But one that may have been under way before stays so.
    world.bindings.insert(stub.subject.to_string(), format!("? {}", NOW.as_millis()));
    world.deliver(std::slice::from_ref(&stub));
    assert!(world.bindings[&stub.subject.to_string()].starts_with("? "));

    // Nor is one of a call that was refused whole.
    let mut world = World::new(&json!({"match": "stub", "on_create": {"Nope__c": "x"}}));
    let verdicts = world.deliver(std::slice::from_ref(&stub));
    assert!(verdicts[0].starts_with("pause misconfigured"), "{verdicts:?}");
    assert_eq!(world.bindings[&stub.subject.to_string()], "");
}

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
    assert_eq!(world.bindings[&ada().subject.to_string()], ids[1]);
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
    assert_eq!(world.bindings.values().collect::<Vec<_>>(), [&format!("{lead}>{contact}")]);
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
    let lead = world.bindings[&stub.subject.to_string()].clone();
    let contact = world.org.convert(&lead).unwrap();
    world.bindings.insert(stub.subject.to_string(), format!("{lead}>{contact}"));
    let known = absorbing(&ada(), &[&stub]);
    let verdicts = world.deliver(std::slice::from_ref(&known));
    assert!(verdicts[0].contains("Salesforce merges no lead with a contact"), "{verdicts:?}");
    assert_eq!(world.deliver(&[known]), ["delivered"]);
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
        assert!(setting != "adopt" || world.bindings.values().any(|bound| *bound == id));
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

#[test]
fn a_session_that_ended_is_begun_anew_and_nothing_is_doubled() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    world.org.session = Duration::from_hours(2);
    let spoilt = world.org.words(vendors::Fault::TokenExpired, &Request::new("GET", "/", "")).unwrap();
    assert_eq!(spoilt.status, 401);
    assert_eq!(world.deliver(&[ada(), person(&["user:2"])]), ["delivered"; 2]);
    assert_eq!((world.org.tokens_issued(), world.leads().len()), (2, 2));
}

#[test]
fn a_session_that_ends_before_a_merge_is_begun_anew() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(&[stub.clone(), ada()]);
    let (outlet, token, mut bindings) = (world.outlet(), world.token.clone(), world.bindings.clone());
    let known = absorbing(&ada(), &[&stub]);
    let mut status = 0;
    let (step, progress) = with_items(&[known], 0, |items| {
        let batch = Batch { items, now: NOW, token: token.as_ref(), digest: None };
        let ask = |call: &HttpCall, number| {
            if number == 1 {
                world.org.words(vendors::Fault::TokenExpired, &Request::new("GET", "/", ""));
            }
            let reply = world.ask(call)?;
            status = reply.status;
            Some(reply)
        };
        exchange(outlet.as_ref(), &batch, &mut bindings, ask).unwrap()
    });
    assert_eq!((progress.replies, status), (2, 500), "the merge is refused");
    assert!(matches!(step, Step::Reauthorize { .. }));
}

#[test]
fn the_days_calls_are_left_to_others_before_they_are_used_up() {
    let mut world = World::new(&json!({"api_share": 50}));
    world.org.api_limit = 10;
    world.deliver(&[ada()]);
    assert_eq!(world.pause, None);
    world.org.api_used = 4;
    assert_eq!(world.deliver(&[ada()]), ["delivered"]);
    assert_eq!(world.pause, Some(Duration::from_mins(15)));
    world.org.api_used = 10;
    let verdicts = world.deliver(&[ada()]);
    assert!(verdicts[0].starts_with("wait 900000 ms"), "{verdicts:?}");
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
