//! What somebody writes into an event is never taken for what is wrong with the account, nor one contact's trouble for all others'.

use domain::identity::Stamped;
use serde_json::json;
use vendors::Answer;
use vendors::hubspot::{Naming, Property};

use super::trial::Trial;
use crate::crm::trial::{converted, knowing, person, said};
use crate::kit::NOW;

/// What refusals of an account are known by.
const WORDS: [&str; 7] = [
    "non-unique",
    "PROPERTY_DOESNT_EXIST",
    "CONTACT_EXISTS",
    "CONFLICT",
    "lifecyclestage",
    "INVALID_DATE",
    r#"[{"error":"PROPERTY_DOESNT_EXIST","name":"install_date"}]"#,
];

#[test]
fn no_address_looks_like_something_that_is_wrong_with_the_account() {
    for (word, naming) in WORDS.iter().flat_map(|word| [(word, Naming::Trace), (word, Naming::Nothing)]) {
        let mut trial = Trial::new(&json!({}));
        trial.account.naming = naming;
        let email = format!("email:{}<@example.org", word.to_lowercase());
        let (ada, eve) = (knowing(&person(&["user:1"]), &email), person(&["user:2"]));
        let verdicts = trial.deliver(&[&ada, &eve]);
        let refused = "reject refused: HubSpot does not take the person's address (Email address ";
        assert!(verdicts[0].starts_with(refused), "{word}: {verdicts:?}");
        assert_eq!((&*verdicts[1], trial.account.contacts().len()), ("delivered", 2), "{word}");
    }
}

#[test]
fn no_text_looks_like_something_that_is_wrong_with_the_account() {
    for word in WORDS {
        let mut trial = Trial::new(&json!({"properties": {"plan": "{{ person.traits.plan }}"}}));
        trial.account.properties.insert("plan".to_owned(), Property::new("number"));
        let (ada, eve) = (said(&person(&["user:1"]), "plan", word), person(&["user:2"]));
        let refused = format!("reject refused: {word} was not a valid number.");
        assert_eq!(trial.deliver(&[&ada, &eve]), [refused.as_str(), "delivered"]);
        // The same in words alone, with the text at the end, where it could be taken for faults.
        let message = format!("Unable to write the contact with {word}");
        let body = json!({"status": "error", "message": message, "category": "VALIDATION_ERROR"});
        trial.answers.insert(0, (Answer::json(400, &body), false));
        assert_eq!(trial.deliver_one(&eve), format!("reject refused: {message}"));
    }
}

#[test]
fn a_date_that_the_settings_take_from_somewhere_is_wrong_for_one_contact_only() {
    let mut trial = Trial::new(&json!({"properties": {"install_date": "{{ person.traits.since }}"}}));
    let ada = said(&person(&["user:1"]), "since", "n/a");
    let eve = said(&person(&["user:2"]), "since", "2026-03-04");
    assert_eq!(trial.deliver(&[&ada, &eve]), ["reject refused: n/a was not a valid date.", "delivered"]);
}

#[test]
fn whoever_may_not_go_to_a_stage_takes_it_from_nobody_else() {
    for naming in [Naming::Trace, Naming::Nothing] {
        let properties = json!({"lifecyclestage": "{{ person.traits.stage or 'customer' }}"});
        let mut trial = Trial::new(&json!({"lifecycle": true, "properties": properties}));
        trial.account.naming = naming;
        let (eve, zoe) = (person(&["user:2"]), person(&["user:3"]));
        let stage = Stamped { at: NOW, tie: 0, value: json!("regular") };
        let mut ada = person(&["user:1"]);
        ada.trace.traits.insert("stage".to_owned(), stage);
        assert_eq!(trial.deliver_one(&zoe), "delivered");
        trial.account.edit_contact(101, "lifecyclestage", "lead");
        assert_eq!(trial.deliver(&[&ada, &eve, &converted(&zoe)]), ["delivered"; 3]);
        let stages = [&ada, &eve, &zoe].map(|profile| {
            let contact = trial.account.contact_with("afterclick_person_key", &profile.subject.to_string()).unwrap();
            contact.get("lifecyclestage").to_owned()
        });
        assert_eq!(stages, ["", "customer", "customer"]);
    }
}

#[test]
fn a_whole_call_that_is_refused_for_a_stage_is_taken_apart() {
    let mut trial = Trial::new(&json!({"lifecycle": true}));
    let (ada, eve) = (person(&["user:1"]), person(&["user:2"]));
    let fault = json!({"code": "INVALID_OPTION", "message": "no", "context": {"propertyName": ["lifecyclestage"]}});
    let body = json!({"status": "error", "message": "no", "category": "VALIDATION_ERROR", "errors": [fault]});
    trial.answers.insert(1, (Answer::json(400, &body), false));
    assert_eq!(trial.deliver(&[&ada, &eve]), ["delivered"; 2]);
    assert!(trial.account.contacts().iter().all(|contact| contact.get("lifecyclestage") == "lead"));
}
