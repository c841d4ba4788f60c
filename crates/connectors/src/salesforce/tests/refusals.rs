//! Who is to blame for a refusal: one record never holds up the others, and what would be refused for everybody pauses.

use super::*;

fn with(settings: &Value) -> World {
    let mut world = World::new(settings);
    world.org.lead_sources = Some(vec!["Deep Link".to_owned(), "instagram".to_owned()]);
    world
}

fn by(channel: &str, profile: &Profile) -> Profile {
    said(profile, "channel", channel)
}

#[test]
fn a_value_of_an_event_that_a_picklist_lacks_refuses_the_record_and_one_of_the_settings_pauses() {
    let mut world = with(&json!({"properties": {"LeadSource": "{{ person.traits.channel }}"}}));
    let people = [by("tv", &ada()), by("instagram", &person(&["user:2"]))];
    let verdicts = world.deliver(&people);
    assert!(verdicts[0].starts_with("reject refused: INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"), "{verdicts:?}");
    assert_eq!(verdicts[1], "delivered");
    let alone = world.deliver(&people[..1]);
    assert!(alone[0].starts_with("reject refused"), "{alone:?}");

    let mut world = with(&json!({"properties": {"LeadSource": "TV"}}));
    let verdicts = world.deliver(&[ada()]);
    assert!(verdicts[0].starts_with(
        "pause misconfigured: a restricted picklist lacks a value that every record has by `properties.LeadSource` ("
    ));

    let mut world = with(&json!({}));
    world.org.lead_sources = Some(Vec::new());
    let verdicts = world.deliver(&[ada()]);
    assert!(
        verdicts[0].starts_with("pause misconfigured: a restricted picklist lacks a value that every record has"),
        "{verdicts:?}"
    );
}

#[test]
fn a_status_of_an_event_refuses_the_record_and_one_of_the_settings_pauses() {
    let mut world = World::new(&json!({"on_create": {"Status": "{{ person.traits.status }}"}}));
    let people =
        [said(&ada(), "status", "Closed - Converted"), said(&person(&["user:2"]), "status", "Working - Contacted")];
    let verdicts = world.deliver(&people);
    assert!(verdicts[0].starts_with("reject refused: INVALID_STATUS"), "{verdicts:?}");
    assert_eq!(verdicts[1], "delivered");

    let mut world = World::new(&json!({"on_create": {"Status": "Closed - Converted"}}));
    let verdicts = world.deliver(&[ada()]);
    assert!(verdicts[0].starts_with("pause misconfigured: Salesforce refuses every record for `on_create.Status` ("));

    let mut world = World::new(&json!({"conversion": "convert", "converted_status": "Working - Contacted"}));
    let verdicts = world.deliver(&[converted(&ada())]);
    assert!(verdicts[0].starts_with("pause misconfigured: `converted_status` is no status"), "{verdicts:?}");
}

#[test]
fn an_owner_of_the_settings_who_is_nobody_pauses_and_names_the_setting() {
    let (gone, left) = ("0055g00000NobodyAAV", "0055g00000RetiredAA");
    for (settings, named) in [
        (json!({"on_create": {"OwnerId": gone}}), "`on_create.OwnerId`"),
        (json!({"on_create": {"OwnerId": left}}), "`on_create.OwnerId`"),
        (json!({"properties": {"OwnerId": gone}}), "`properties.OwnerId`"),
        (json!({"on_create": {"RecordTypeId": "0125g00000NothingAA"}}), "`on_create.RecordTypeId`"),
        (
            json!({"on_create": {"OwnerId": gone, "RecordTypeId": "0125g00000SomethAAV"}}),
            "`on_create.OwnerId` or `on_create.RecordTypeId`",
        ),
    ] {
        let mut world = World::new(&settings);
        world.org.inactive_owners = vec![left.to_owned()];
        world.org.record_types = vec!["0125g00000SomethAAV".to_owned()];
        let verdicts = world.deliver(&[ada()]);
        let expect = format!("pause misconfigured: Salesforce refuses every record for {named} (");
        assert!(verdicts[0].starts_with(&expect), "{verdicts:?}");
        assert_eq!(world.bindings.get(&ada().subject.to_string()).map_or("", String::as_str), "");
    }
    let mut world = World::new(&json!({"on_create": {"OwnerId": "{{ person.traits.owner }}"}}));
    let people = [said(&ada(), "owner", gone), said(&person(&["user:2"]), "owner", vendors::salesforce::USER_ID)];
    let verdicts = world.deliver(&people);
    assert!(verdicts[0].starts_with("reject refused: INVALID_CROSS_REFERENCE_KEY"), "{verdicts:?}");
    assert_eq!(verdicts[1], "delivered");
}

#[test]
fn a_wrong_owner_makes_nobody_forget_the_record_that_there_is() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(std::slice::from_ref(&stub));
    let id = world.bound(&stub).to_owned();
    world.settings.insert("properties".to_owned(), json!({"OwnerId": "0055g00000NobodyAAV"}));
    let known = absorbing(&ada(), &[&stub]);
    let verdicts = world.deliver(std::slice::from_ref(&known));
    assert!(verdicts[0].starts_with("pause misconfigured: Salesforce refuses every record for `properties.OwnerId`"));
    assert_eq!(world.bound(&stub), id);
    world.settings.insert("properties".to_owned(), json!({"OwnerId": vendors::salesforce::USER_ID}));
    assert_eq!(world.deliver(&[known]), ["delivered"]);
    assert_eq!((world.leads().len(), world.leads()[0]["Id"].as_str()), (1, Some(&*id)));
}

#[test]
fn a_lead_that_we_may_not_write_refuses_itself_and_nobody_else() {
    let mut world = World::new(&json!({}));
    let people = [ada(), person(&["user:2"])];
    world.deliver(&people);
    let id = world.bound(&ada()).to_owned();
    world.org.private.insert(id);
    let expect = "reject refused: INSUFFICIENT_ACCESS_OR_READONLY: insufficient access rights on object id";
    assert_eq!(world.deliver(&[ada()]), [expect]);
    assert_eq!(world.deliver(&people), [expect, "delivered"]);
    // Several who are refused so are no coincidence.
    let other = world.bound(&people[1]).to_owned();
    world.org.private.insert(other);
    for verdict in world.deliver(&people) {
        assert!(
            verdict.starts_with("pause unauthorized: the integration user may not do this with `Lead`"),
            "{verdict}"
        );
    }
}

#[test]
fn who_may_not_merge_or_convert_at_all_pauses_and_one_private_record_does_not() {
    let mut world = World::new(&json!({"match": "stub"}));
    let stub = person(&["install:i"]);
    world.deliver(&[stub.clone(), ada()]);
    let victim = world.bound(&stub).to_owned();
    world.org.private.insert(victim);
    let verdicts = world.deliver(&[absorbing(&ada(), &[&stub])]);
    assert!(verdicts[0].starts_with("reject refused: INSUFFICIENT_ACCESS_OR_READONLY"), "{verdicts:?}");

    let mut world = World::new(&json!({"conversion": "convert"}));
    world.org.can_convert = false;
    let verdicts = world.deliver(&[converted(&ada())]);
    assert!(verdicts[0].starts_with("pause unauthorized: the integration user may not"), "{verdicts:?}");
}

#[test]
fn an_empty_answer_is_asked_for_once_more_and_doubles_nobody() {
    let mut rounds = 0;
    for every in [3, 4, 5] {
        let mut world = World::new(&json!({"conversion": "convert"}));
        world.org.hollow_every = Some(every);
        for profile in [ada(), person(&["user:2"]), converted(&ada())] {
            loop {
                let verdicts = world.deliver(std::slice::from_ref(&profile));
                if verdicts == ["delivered"] {
                    break;
                }
                assert_eq!(verdicts, ["retry broken: Salesforce's answer cannot be read"]);
                rounds += 1;
                assert!(rounds < 30, "it never ends");
            }
        }
        assert_eq!((world.leads().len(), world.org.conversions().len()), (2, 1));
    }
    assert!(rounds > 3, "{rounds}");
}
