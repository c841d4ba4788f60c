//! What the guide says of wrong settings is what happens.

use vendors::hubspot::HubSpot;
use vendors::pipedrive::Pipedrive;
use vendors::salesforce::Salesforce;

use super::GUIDE;
use super::stage::{Stage, hubspot, pipedrive, salesforce};

/// Something that is wrong at a vendor, and what the guide says of it.
struct Wrong<V> {
    becomes: fn(&mut V),
    /// In the guide and in the message of the paused destination.
    says: &'static str,
    /// What somebody does at the vendor; fields are made again in any case.
    is_mended: fn(&mut V),
}

/// While it is wrong everything is held; once it is mended everything arrives.
fn holds_and_loses_nothing<V: Send + 'static>(
    stage: &Stage<V>,
    tell: fn(&Stage<V>, &str) -> String,
    wrongs: &[Wrong<V>],
) {
    let path = format!("/v1/destinations/{}", stage.name);
    for (number, wrong) in wrongs.iter().enumerate() {
        assert!(GUIDE.contains(wrong.says), "the guide does not say `{}`", wrong.says);
        stage.vendor.vendor(wrong.becomes);
        let first = tell(stage, &format!("first-{number}"));
        stage.server.delivery(&first, "held");
        let paused = stage.server.get(&path)["paused"].take();
        let message = paused["message"].as_str().unwrap_or_default();
        assert!(message.contains(wrong.says) && message.contains("then resume the destination"), "{paused}");
        let second = tell(stage, &format!("second-{number}"));
        stage.server.delivery(&second, "held");

        stage.vendor.vendor(wrong.is_mended);
        stage.server.run(&["destinations", "provision", stage.name, "--yes"]).ended(0);
        stage.server.run(&["destinations", "resume", stage.name]).ended(0);
        for event in [first, second] {
            stage.server.delivery(&event, "delivered");
        }
    }
}

#[test]
fn what_is_wrong_with_hubspot_holds_everything_until_it_is_mended() {
    let stage = hubspot();
    let wrongs: &[Wrong<HubSpot>] = &[
        Wrong { becomes: |_| {}, says: "contacts lack a property that is written", is_mended: |_| {} },
        Wrong {
            becomes: |account| "rotated".clone_into(&mut account.access_token),
            says: "HubSpot refused the access token",
            is_mended: |account| "access-token".clone_into(&mut account.access_token),
        },
        Wrong {
            becomes: |account| {
                account.scopes.remove("crm.objects.contacts.write");
            },
            says: "the access token may not write contacts",
            is_mended: |account| {
                account.scopes.insert("crm.objects.contacts.write".to_owned());
            },
        },
        Wrong {
            becomes: |account| "date".clone_into(&mut account.properties.get_mut("conversion_date").unwrap().kind),
            says: "is of another kind than is written",
            is_mended: |account| {
                "datetime".clone_into(&mut account.properties.get_mut("conversion_date").unwrap().kind);
            },
        },
        Wrong {
            becomes: |account| account.versions.retain(|version| version != "2026-09"),
            says: "there is no such API at HubSpot",
            is_mended: |account| account.versions.push("2026-09".to_owned()),
        },
    ];
    holds_and_loses_nothing(&stage, Stage::completion, wrongs);
    assert_eq!(stage.vendor.vendor(|account| account.contacts().len()), 2 * wrongs.len());
}

#[test]
fn what_is_wrong_with_salesforce_holds_everything_until_it_is_mended() {
    let stage = salesforce();
    let wrongs: &[Wrong<Salesforce>] = &[
        Wrong {
            becomes: |org| "rotated".clone_into(&mut org.client_secret),
            says: "Salesforce gave no token",
            is_mended: |org| "consumer-secret".clone_into(&mut org.client_secret),
        },
        Wrong {
            becomes: |org| {
                org.fields.get_mut("Lead").unwrap().remove("Conversion_Date__c");
            },
            says: "a field is not there or, more often, the integration user may not see or write it",
            is_mended: |_| {},
        },
        Wrong {
            becomes: |org| org.lead_sources = Some(vec!["Web".to_owned()]),
            says: "a restricted picklist lacks a value that every record has",
            is_mended: |org| org.lead_sources = None,
        },
    ];
    holds_and_loses_nothing(&stage, Stage::completion, wrongs);
    assert_eq!(stage.vendor.vendor(|org| org.records("Lead").len()), 2 * wrongs.len());
}

#[test]
fn what_is_wrong_with_pipedrive_holds_everything_until_it_is_mended() {
    let stage = pipedrive();
    let wrongs: &[Wrong<Pipedrive>] = &[
        Wrong { becomes: |_| {}, says: "in Pipedrive lack custom fields that are written", is_mended: |_| {} },
        Wrong {
            becomes: |company| "rotated".clone_into(&mut company.api_token),
            says: "Pipedrive refused the API token",
            is_mended: |company| "api-token".clone_into(&mut company.api_token),
        },
        Wrong {
            becomes: |company| company.open_deals_max = 0,
            says: "this Pipedrive account has reached a limit of its plan",
            is_mended: |company| company.open_deals_max = 3_000,
        },
    ];
    holds_and_loses_nothing(&stage, Stage::referral, wrongs);
    assert_eq!(stage.vendor.vendor(|company| company.people().count()), 2 * wrongs.len());
}
