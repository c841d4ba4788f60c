//! Addresses that turn out to be somebody else's, and ids that are another organisation's.

use domain::identity::IdentifierKind;

use super::*;

/// The same person without the address, which went to somebody else.
pub(super) fn unlinked(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.identifiers.retain(|identifier| !identifier.to_string().starts_with("email:"));
    profile.lost.insert(IdentifierKind::Email);
    profile
}

fn email(world: &World) -> String {
    let [email] = of(&world.leads()[0], ["Email"]);
    email
}

#[test]
fn an_address_that_went_to_somebody_else_is_taken_out_once_and_what_sales_type_in_stays() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    assert_eq!(email(&world), "ada@example.org");
    world.calls();
    assert_eq!(world.deliver(&[unlinked(&ada())]), ["delivered"]);
    assert_eq!(world.calls(), [CHANGE, "POST composite/sobjects/Lead", CHANGE]);
    assert_eq!(email(&world), "-");
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Email", "right@example.org");
    for phone in ["1", "2"] {
        assert_eq!(world.deliver(&[said(&unlinked(&ada()), "phone", phone)]), ["delivered"]);
        assert_eq!(email(&world), "right@example.org");
    }
    assert_eq!(world.calls(), [CHANGE, CHANGE]);
}

#[test]
fn an_address_that_sales_have_replaced_is_not_taken_out() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    let id = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.write(&id, "Email", "right@example.org");
    for _ in 0..2 {
        assert_eq!(world.deliver(&[unlinked(&ada())]), ["delivered"]);
        assert_eq!(email(&world), "right@example.org");
    }
}

#[test]
fn an_address_of_which_nobody_heard_that_it_was_written_is_taken_out_too() {
    let mut world = World::new(&json!({}));
    world.lost.insert(2);
    assert_eq!(world.deliver(&[ada()]), Vec::<String>::new());
    assert_eq!(email(&world), "ada@example.org");
    assert_eq!(world.deliver(&[unlinked(&ada())]), ["delivered"]);
    assert_eq!((world.leads().len(), email(&world).as_str()), (1, "-"));
}

#[test]
fn an_address_that_the_settings_give_is_no_concern_of_ours() {
    let mut world = World::new(&json!({"properties": {"Email": "{{ person.traits.work }}"}}));
    let profile = said(&ada(), "work", "ada@work.example");
    world.deliver(std::slice::from_ref(&profile));
    let mut bare = unlinked(&profile);
    bare.trace.traits.clear();
    assert_eq!(world.deliver(&[bare]), ["delivered"]);
    assert_eq!(email(&world), "ada@work.example");
}

#[test]
fn who_is_not_told_of_addresses_any_more_is_not_told_that_one_went() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    let mut two = unlinked(&ada());
    two.identifiers.extend(ada().identifiers);
    let privacy = domain::Privacy { drop: ["email".to_owned()].into(), ..domain::Privacy::default() };
    world.calls();
    assert_eq!(world.deliver(&[privacy.profile(&two)]), ["delivered"]);
    assert_eq!((world.calls(), email(&world).as_str()), (vec![CHANGE.to_owned()], "ada@example.org"));
}

#[test]
fn the_contact_that_a_lead_became_loses_an_address_in_the_same_way() {
    let mut world = World::new(&json!({}));
    world.deliver(&[ada()]);
    let lead = world.leads()[0]["Id"].as_str().unwrap().to_owned();
    world.org.convert(&lead).unwrap();
    let contact = |world: &World| of(&world.org.records("Contact")[0], ["Email"]);
    assert_eq!(contact(&world), ["ada@example.org"]);
    assert_eq!(world.deliver(&[unlinked(&ada())]), ["delivered"]);
    assert_eq!(contact(&world), ["-"]);
    world.calls();
    assert_eq!(world.deliver(&[unlinked(&ada())]), ["delivered"]);
    assert_eq!(world.calls(), ["POST composite", CHANGE]);
}

#[test]
fn an_id_of_another_organisation_is_not_taken_for_one_of_this() {
    let mut world = World::new(&json!({"match": "stub"}));
    let (ada, stub) = (ada(), person(&["install:i"]));
    world.deliver(&[ada.clone(), stub.clone()]);
    // The same numbers are given out in production, to somebody else.
    let strangers = ["Stranger", "Another"].map(|name| said(&person(&[&format!("user:{name}")]), "name", name));
    let mut other = World::new(&json!({"match": "stub"}));
    other.org.org_id = "00D9z00000ZzZzZEAV".to_owned();
    other.deliver(&strangers);
    let both: Vec<_> = [&world, &other].iter().map(|it| it.leads()[0]["Id"].clone()).collect();
    assert_eq!(both[0], both[1]);
    other.bindings = world.bindings;
    assert_eq!(other.deliver(&[absorbing(&ada, &[&stub])]), ["delivered"]);
    let names: Vec<_> = other.leads().iter().map(|lead| of(lead, ["LastName"])).collect();
    assert_eq!(names, [["Stranger"], ["Another"], ["Lovelace"]]);
    assert_eq!(other.org.merges().len(), 0);
    assert_eq!(other.deliver(&[ada]), ["delivered"]);
    assert_eq!(other.calls().last().unwrap(), CHANGE, "from now on the id is this organisation's");
}
