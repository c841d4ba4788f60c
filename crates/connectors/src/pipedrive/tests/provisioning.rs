//! Making the fields.

use serde_json::{Value, json};
use vendors::pipedrive::{Entity, Pipedrive as Company};
use vendors::{Book, Vendor as _};

use super::trial::{Trial, outlet};
use crate::crm::trial::{self, person};
use crate::kit::{MEANS, answered, asked};

fn provision(company: &mut Company, settings: &Value) -> Result<Vec<String>, String> {
    let outlet = outlet(settings);
    trial::provision(outlet.as_ref(), &MEANS, |call| answered(company.answer(&asked(call), &mut Book::default())))
}

#[test]
fn what_is_missing_is_made_once_and_then_everything_works() {
    let settings = json!({"deal": "always", "properties": {"Plan": "pro", "owner_id": 1, "Deep link prefix": ""}});
    let mut trial = Trial::bare(&settings);
    trial.company.add_field(Entity::Person, "Install date", "varchar", &[]);
    let done = provision(&mut trial.company, &settings).unwrap();
    assert_eq!(done[0], "create field `Afterclick key` of people, as `varchar`");
    for made in [
        "create field `Conversion date` of people, as `date`",
        "create field `Conversion value` of people, as `double`",
        "create field `Plan` of people, as `varchar`",
        "create field `Afterclick key` of deals, as `varchar`",
    ] {
        assert!(done.iter().any(|reason| reason == made), "{made}: {done:#?}");
    }
    assert!(
        !done.iter().any(|reason| reason.contains("prefix") || reason.contains("owner") || reason.contains("Install"))
    );
    assert_eq!(provision(&mut trial.company, &settings), Ok(Vec::new()));
    assert_eq!(trial.deliver_one(&person(&["user:1"])), "delivered");
    assert_eq!(trial.says("Install date"), "2026-03-04T14:32:08.441Z", "a field of text holds the whole time");
}

#[test]
fn what_is_there_and_will_not_do_is_said_and_nothing_is_made() {
    let refused = |name: &str, kind: &str, settings: Value| {
        let mut company = Company::new().with_field(Entity::Person, name, kind);
        let error = provision(&mut company, &settings).unwrap_err();
        assert_eq!(company.fields(Entity::Person).len(), 1);
        error
    };
    assert_eq!(
        refused("Afterclick key", "enum", json!({})),
        "field `Afterclick key` of people is there already and of type `enum`, which cannot be searched; set `key_field` to another name"
    );
    assert_eq!(
        refused("Conversion value", "date", json!({})),
        "field `Conversion value` of people is of type `date` and a `double` is written; rename it, or leave it out by \
         `properties.\"Conversion value\" = \"\"` and fill another one in its place"
    );
    let mut company =
        Company::new().with_field(Entity::Person, "Plan", "varchar").with_field(Entity::Person, "Plan", "varchar");
    assert_eq!(
        provision(&mut company, &json!({"properties": {"Plan": "pro"}})).unwrap_err(),
        "there are 2 fields `Plan` of people, and nobody can tell which is meant; rename or delete all but one"
    );
    let mut company = Company::new().with_field(Entity::Person, "Conversion value", "date");
    let own = json!({"properties": {"Conversion value": "{{ person.converted_at }}"}});
    assert!(provision(&mut company, &own).is_ok(), "whoever fills it knows what it takes");
}

#[test]
fn who_may_not_make_fields_is_told_who_may() {
    let mut company = Company::new();
    company.is_admin = false;
    let error = provision(&mut company, &json!({})).unwrap_err();
    assert!(
        error.starts_with("the user of the API token may not make custom fields (Only admins can add custom fields)"),
        "{error}"
    );
    company.is_admin = true;
    company.custom_fields_max = 3;
    let error = provision(&mut company, &json!({})).unwrap_err();
    assert!(error.starts_with("the plan has no room for more custom fields"), "{error}");
    company.api_token = "another".to_owned();
    let error = provision(&mut company, &json!({})).unwrap_err();
    assert!(error.starts_with("Pipedrive refused the API token (unauthorized access)"), "{error}");
}
