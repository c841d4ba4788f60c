//! Subjects that turn out to be one person: what there is of each becomes one record, and what may come to be is waited for.

use super::*;

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
    let id = |world: &World, profile: &Profile| world.bound(profile).to_owned();
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
    assert_eq!(world.bound(&stub), format!("?{}", NOW.as_millis()));
    world.calls();
    world.lost.clear();
    assert_eq!(world.deliver(&[absorbing(&ada(), &[&stub])]), ["delivered"]);
    assert_eq!(world.calls(), [UPSERT, UPSERT, "POST composite", "POST Soap/u/66.0"]);
    assert_eq!(world.leads().len(), 1);

    // And one that was never made is not missed, whatever the clock was when it was to be made.
    let days_ms = 3 * 86_400_000;
    for since_ms in [NOW.as_millis() - 600_000, NOW.as_millis() + days_ms] {
        let mut world = World::new(&json!({"match": "stub"}));
        world.bind(&stub, &format!("?{since_ms}"), ORG);
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
    world.bind(&stub, &format!("?{}", NOW.as_millis()), ORG);
    world.deliver(std::slice::from_ref(&stub));
    assert!(world.bound(&stub).starts_with('?'));

    // Nor is one of a call that was refused whole.
    let mut world = World::new(&json!({"match": "stub", "on_create": {"Nope__c": "x"}}));
    let verdicts = world.deliver(std::slice::from_ref(&stub));
    assert!(verdicts[0].starts_with("pause misconfigured"), "{verdicts:?}");
    assert_eq!(world.bindings[&stub.subject.to_string()], "");
}
