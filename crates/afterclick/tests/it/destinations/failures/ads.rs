//! Ad platforms, which want conversions of people who agreed and nothing else.

use serde_json::{Value, json};
use vendors::google_ads::GoogleAds;
use vendors::meta::Meta;
use vendors::{Faults, Simulator, Vendor as _};

use super::traffic::{self, Event};
use super::{AFTER, BEFORE, Trouble, check_with, set, tally};

/// How many types of events take turns, at most, until there is another conversion.
const TURN: usize = 20;

/// Purchases of people who agreed, each with its mark as its number.
fn purchases() -> Vec<Event> {
    let all = traffic::mixed((BEFORE + AFTER) * TURN).into_iter();
    let mut purchases: Vec<_> = all.filter(|event| event.kind == "ecommerce.purchase").collect();
    purchases.truncate(BEFORE + AFTER);
    assert_eq!(purchases.len(), BEFORE + AFTER);
    for Event { mark, envelope, .. } in &mut purchases {
        let more = json!({ "transaction_id": mark, "consent": true, "revenue": 10, "currency": "EUR" });
        envelope["data"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    purchases
}

#[test]
fn a_token_that_meta_has_ended_or_another_dataset_holds_everything() {
    let right = json!({ "dataset_id": "1001", "access_token": "EAAB" });
    for (wrong, reason, says) in [
        (
            json!({ "access_token": "ended" }),
            "unauthorized",
            ["Meta refused the access token (Invalid OAuth", "make a new one for this dataset in the Events Manager"],
        ),
        (
            json!({ "dataset_id": "2002" }),
            "misconfigured",
            ["Meta does not know the dataset", "mend `dataset_id` or `access_token`"],
        ),
    ] {
        let meta = Meta::new().start(Faults::none());
        let settings = merged(&[&json!({ "host": meta.url() }), &right, &wrong]);
        let trouble =
            Trouble { connector: "meta-conversions", settings, reason, says: [&says[..], &["resume"]].concat() };
        check_with(&purchases(), &trouble, set(right.clone()), tally(&meta));
    }
}

#[test]
fn a_service_account_that_google_has_closed_holds_everything() {
    let google: Simulator<GoogleAds> = GoogleAds::new().start(Faults::none());
    let right = google.service_account();
    let trouble = Trouble {
        connector: "google-ads",
        settings: json!({
            "host": google.url(), "customer_id": "123-456-7890", "conversion_action": "987654321",
            "service_account": right.replace("afterclick@acme", "closed@acme"),
        }),
        reason: "unauthorized",
        says: vec![
            "Google gave no token and answered 400 (invalid_grant",
            "have an owner of the Google Cloud project make a new key",
            "put the file into `service_account`",
            "resume",
        ],
    };
    check_with(&purchases(), &trouble, set(json!({ "service_account": right })), tally(&google));
}

fn merged(all: &[&Value]) -> Value {
    all.iter().flat_map(|object| object.as_object().unwrap().clone()).collect()
}
