//! What is made, and what is only complained of.

use domain::connector::{Call, Outlet};
use serde_json::{Value, json};
use vendors::hubspot::{HubSpot as Account, Property};
use vendors::{Book, Vendor as _};

use super::super::HubSpot;
use super::trial::with_defaults;
use crate::crm::trial;
use crate::kit::{MEANS, answered, asked, open};

fn destination(settings: &Value) -> Box<dyn Outlet> {
    open(&HubSpot, &with_defaults(settings))
}

fn provision(outlet: &dyn Outlet, account: &mut Account) -> Result<Vec<String>, String> {
    trial::provision(outlet, &MEANS, |call| answered(account.answer(&asked(call), &mut Book::default())))
}

#[test]
fn everything_is_made_once_and_nothing_the_second_time() {
    let outlet = destination(
        &json!({"properties": {"app_user_id": "{{ person.user_id }}", "first_touch_channel": "", "company": "A"}}),
    );
    let mut account = Account::new().with_property("referral_source", "string");
    let made = provision(&*outlet, &mut account).unwrap();
    assert_eq!(made[0], "create property group `Deep Link Attribution`, under which the sales team finds all of them");
    assert!(made[1].starts_with("create contact properties `afterclick_person_key`, `deep_link_lead_source`"));
    assert!(made[1].contains("`app_user_id`") && !made[1].contains("referral_source") && !made[1].contains("company"));
    assert!(!account.properties.contains_key("first_touch_channel"));
    assert!(account.properties["afterclick_person_key"].is_unique);
    let date = &account.properties["install_date"];
    assert_eq!((&*date.kind, &*date.field_type, &*date.group), ("datetime", "date", "deep_link_attribution"));
    assert_eq!(provision(&*outlet, &mut account), Ok(Vec::new()));
}

#[test]
fn the_eight_properties_of_the_article_are_among_them() {
    let mut account = Account::new();
    provision(&*destination(&json!({})), &mut account).unwrap();
    for name in [
        "first_touch_campaign",
        "first_touch_platform",
        "install_date",
        "referral_source",
        "referral_date",
        "conversion_date",
        "deep_link_token",
        "deep_link_prefix",
    ] {
        assert_eq!(account.properties[name].group, "deep_link_attribution", "{name}");
    }
}

#[test]
fn properties_of_another_kind_are_told_with_what_to_do() {
    let with = |name: &str, property: Property| {
        let mut account = Account::new();
        account.properties.insert(name.to_owned(), property);
        provision(&*destination(&json!({})), &mut account).unwrap_err()
    };
    let date = with("install_date", Property::new("date"));
    assert!(date.starts_with("property `install_date` is a `date`; set `date_properties = \"date\"`"), "{date}");
    let key = with("afterclick_person_key", Property::new("string"));
    assert!(
        key.starts_with("property `afterclick_person_key` is there already and is no text with unique values"),
        "{key}"
    );
    let choice = with("first_touch_campaign", Property::new("enumeration"));
    assert!(choice.starts_with("property `first_touch_campaign` is of type `enumeration`"), "{choice}");

    let mut account = Account::new().with_property("install_date", "date");
    assert!(provision(&*destination(&json!({"date_properties": "date"})), &mut account).is_ok());
    assert_eq!(account.properties["conversion_date"].kind, "date");
}

#[test]
fn whoever_may_not_make_properties_is_told_what_is_missing() {
    let mut account = Account::new();
    account.scopes.remove("crm.schemas.contacts.read");
    let error = provision(&*destination(&json!({})), &mut account).unwrap_err();
    assert!(error.contains("give its service key the scopes `crm.schemas.contacts.read`"), "{error}");
    account.access_token = "rotated".to_owned();
    let error = provision(&*destination(&json!({})), &mut account).unwrap_err();
    assert!(error.starts_with("HubSpot refused the access token"), "{error}");
}

#[test]
fn what_somebody_else_made_meanwhile_is_as_good_as_made_once_it_was_looked_at_again() {
    let (outlet, mut account) = (destination(&json!({})), Account::new());
    let mut ask = |call: &Call| match call {
        Call::Http(call) => answered(account.answer(&asked(call), &mut Book::default())),
        call => panic!("{call:?}"),
    };
    let replies: Vec<_> = outlet.survey(&MEANS).unwrap().iter().map(&mut ask).collect();
    let actions = outlet.plan(&MEANS, &replies).unwrap();
    let [group, properties] = &actions[..] else { panic!("{}", actions.len()) };
    assert_eq!([group, properties].map(|action| outlet.is_done(&ask(&action.call))), [Ok(()), Ok(())]);
    let error = outlet.is_done(&ask(&group.call)).unwrap_err();
    assert!(
        error.starts_with("HubSpot says that something of this was made meanwhile (Property group named"),
        "{error}"
    );
    assert_eq!(outlet.is_done(&ask(&properties.call)), Ok(()), "each of them is told by itself");
    assert_eq!(provision(&*outlet, &mut account), Ok(Vec::new()));
}

#[test]
fn a_call_that_is_refused_because_one_property_is_there_has_not_made_the_others() {
    let outlet = destination(&json!({}));
    let body = json!({"status": "error", "message": "Property named install_date already exists.", "category": "OBJECT_ALREADY_EXISTS"});
    let error = outlet.is_done(&answered(vendors::Answer::json(409, &body))).unwrap_err();
    assert!(error.ends_with("run it again, which makes what is still missing"), "{error}");
}
