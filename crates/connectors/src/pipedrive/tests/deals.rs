//! Deals: one per person, for those who get one.

use domain::identity::{Money, Stamped};
use serde_json::json;
use vendors::Answer;
use vendors::pipedrive::Entity;

use super::trial::{Trial, completed, referred};
use crate::crm::trial::{person, said};
use crate::kit::NOW;

#[test]
fn only_a_referral_makes_a_deal_and_its_completion_wins_it() {
    let mut trial = Trial::new(&json!({"deal": "referral"}));
    let ada = person(&["user:1"]);
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.company.deals().count(), 0);
    assert_eq!(trial.deliver_one(&referred(&ada)), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "PATCH persons/1", "GET deals", "POST deals"]);
    let deal = trial.only_deal();
    assert_eq!((deal.name(), deal.member("status")), ("Referral: summer-promo", &json!("open")));
    assert_eq!(deal.member("person_id"), &json!(1));
    assert_eq!(*trial.company.value(Entity::Deal, &deal, "Afterclick key"), ada.subject.to_string());
    let mut done = completed(&ada);
    let money = Money { amount: 49.5, currency: Some("usd".to_owned()) };
    done.trace.money = Some(Stamped { at: NOW, tie: 0, value: money });
    assert_eq!(trial.deliver_one(&done), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "PATCH persons/1", "GET deals/2", "PATCH deals/2"]);
    assert_eq!(*trial.last_body(), json!({"value": 49.5, "currency": "USD", "status": "won"}));
    assert_eq!(trial.deliver_one(&done), "delivered");
    assert!(trial.calls.is_empty());
}

#[test]
fn somebody_new_gets_person_and_deal_in_one_exchange() {
    let mut trial = Trial::new(&json!({"deal": "always"}));
    let ada = said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let expect = [
        "GET personFields",
        "GET dealFields",
        "GET itemSearch/field",
        "GET persons/search",
        "POST persons",
        "POST deals",
    ];
    assert_eq!(trial.calls, expect);
    assert_eq!(trial.only_deal().name(), "Deep link: summer-promo");
}

#[test]
fn pipeline_and_stage_are_found_by_their_names() {
    let mut trial = Trial::new(
        &json!({"deal": "referral", "pipeline": "Referrals", "stage": "Fresh", "deal_title": "{{ person.name }} came",
        "deal_properties": {"Origin": "{{ person.first_touch.channel }}", "owner_id": 5}}),
    );
    trial.company.pipelines.insert(7, "Referrals".to_owned());
    trial.company.stages.insert(3, (1, "Fresh".to_owned()));
    trial.company.stages.insert(9, (7, "Fresh".to_owned()));
    trial.company.add_field(Entity::Deal, "Origin", "varchar", &[]);
    let ada = referred(&said(&person(&["user:1"]), "name", "Ada"));
    assert_eq!(trial.deliver_one(&ada), "delivered");
    let deal = trial.only_deal();
    assert_eq!((deal.member("pipeline_id"), deal.member("stage_id")), (&json!(7), &json!(9)));
    assert_eq!((deal.name(), deal.member("owner_id")), ("Ada came", &json!(5)));
    assert_eq!(*trial.company.value(Entity::Deal, &deal, "Origin"), "instagram");
}

#[test]
fn a_pipeline_or_stage_that_is_not_there_pauses() {
    for (settings, message) in [
        (json!({"pipeline": "Nope"}), "there is no pipeline `Nope` in Pipedrive, only `Pipeline`; mend `pipeline`"),
        (json!({"stage": "Nope"}), "there is no stage `Nope` in Pipedrive, only `Qualified`, `Won soon`; mend `stage`"),
        (
            json!({"pipeline": "Pipeline", "stage": "Nope"}),
            "there is no stage `Nope` in Pipedrive in pipeline `Pipeline`, only `Qualified`, `Won soon`; mend `stage`",
        ),
    ] {
        let mut all = json!({"deal": "always"});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let mut trial = Trial::new(&all);
        let verdict = trial.deliver_one(&person(&["user:1"]));
        assert_eq!(verdict, format!("pause misconfigured: {message}, then resume the destination"));
    }
}

#[test]
fn a_lost_answer_makes_no_second_deal() {
    let mut trial = Trial::new(&json!({"deal": "always"}));
    let ada = person(&["user:1"]);
    trial.answers.insert(4, (Answer::empty(502), true));
    assert_eq!(trial.deliver_one(&ada), "retry server_error");
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET deals"], "it says already what it should");
    trial.only_person();
    assert_eq!(trial.only_deal().id, 2);
    // And one that was not made is made after a while.
    let eve = person(&["user:2"]);
    trial.answers.insert(2, (Answer::empty(502), false));
    assert_eq!(trial.deliver_one(&eve), "retry server_error");
    assert!(trial.deliver_one(&eve).starts_with("retry broken after 60"));
    trial.wait(60);
    assert_eq!(trial.deliver_one(&eve), "delivered");
    assert_eq!(trial.company.deals().count(), 2);
}

#[test]
fn what_the_sales_team_has_decided_of_a_deal_stays() {
    let mut trial = Trial::new(&json!({"deal": "always"}));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.ask("PATCH", "/api/v2/deals/2", &json!({"status": "lost", "title": "Mine"}));
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    let deal = trial.only_deal();
    assert_eq!((deal.name(), deal.member("status")), ("Mine", &json!("lost")));
}

#[test]
fn an_archived_deal_is_not_written_and_not_made_again() {
    let mut trial = Trial::new(&json!({"deal": "always"}));
    let ada = person(&["user:1"]);
    trial.deliver_one(&ada);
    trial.ask("PATCH", "/api/v2/deals/2", &json!({"is_archived": true}));
    assert_eq!(trial.deliver_one(&completed(&ada)), "delivered");
    assert_eq!(trial.calls, ["GET persons/1", "PATCH persons/1", "GET deals/2"]);
}

#[test]
fn a_plan_without_room_for_deals_pauses_and_the_person_is_there() {
    let mut trial = Trial::new(&json!({"deal": "always"}));
    trial.company.open_deals_max = 0;
    let ada = person(&["user:1"]);
    let verdict = trial.deliver_one(&ada);
    let beginning = "pause quota: this Pipedrive account has reached a limit of its plan (Couldn't add the deal. Open deals limit reached.)";
    assert!(verdict.starts_with(beginning), "{verdict}");
    trial.only_person();
    trial.company.open_deals_max = 9;
    assert_eq!(trial.deliver_one(&ada), "delivered");
    assert_eq!(trial.calls, ["GET deals", "POST deals"]);
}
