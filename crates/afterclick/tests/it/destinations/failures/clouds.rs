//! Warehouses that are only reached by the APIs of their clouds.

use serde_json::{Value, json};
use vendors::redshift::{ACCESS_KEY_ID, REGION, Redshift, SECRET_ACCESS_KEY};
use vendors::snowflake::Snowflake;
use vendors::{Faults, Vendor as _};

use super::{Trouble, check, provision, set, tally};

/// Settings of Redshift's with the access key that the simulator knows.
fn of_redshift(url: &str) -> Value {
    json!({
        "url": url, "region": REGION, "workgroup": "links", "database": "dev",
        "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY,
    })
}

#[test]
fn a_refused_access_key_of_redshift_holds_everything() {
    let redshift = Redshift::new().start(Faults::none());
    let mut settings = of_redshift(&redshift.url());
    settings["secret_access_key"] = json!("mistyped");
    let trouble = Trouble {
        connector: "redshift",
        settings,
        reason: "unauthorized",
        says: vec![
            "Amazon refuses the access key (",
            "set `access_key_id`, `secret_access_key` and `region` right",
            "resume",
        ],
    };
    check(&trouble, set(json!({ "secret_access_key": SECRET_ACCESS_KEY })), tally(&redshift));
}

/// Amazon goes on saying that the statement has failed.
#[test]
fn a_table_that_redshift_does_not_have_holds_everything_until_it_is_made_and_no_longer() {
    let missing = Some(r#""public"."deep_link_events""#.to_owned());
    let redshift = Redshift::new().start(Faults::none());
    redshift.vendor(|redshift| redshift.missing = missing);
    let trouble = Trouble {
        connector: "redshift",
        settings: of_redshift(&redshift.url()),
        reason: "misconfigured",
        says: vec![
            "there is no table `public.deep_link_events`",
            "run `afterclick destinations provision troubled` to create it",
            "resume",
        ],
    };
    check(&trouble, provision, tally(&redshift));
}

/// Settings of Snowflake's with the user whose key pair the simulator knows.
fn of_snowflake(url: &str) -> Value {
    json!({
        "url": url, "account": "acme", "user": "afterclick", "private_key": vendors::private_key(), "database": "links",
    })
}

#[test]
fn a_table_that_snowflake_does_not_have_holds_everything() {
    let snowflake = Snowflake::new().start(Faults::none());
    let trouble = Trouble {
        connector: "snowflake",
        settings: of_snowflake(&snowflake.url()),
        reason: "misconfigured",
        says: vec![
            "there is no table `LINKS.PUBLIC.DEEP_LINK_EVENTS`",
            "run `afterclick destinations provision troubled` to create it",
            "resume",
        ],
    };
    check(&trouble, provision, tally(&snowflake));
}

#[test]
fn a_key_pair_that_snowflake_does_not_know_holds_everything() {
    let snowflake = Snowflake::new().with_table("LINKS.PUBLIC.DEEP_LINK_EVENTS", &[]).start(Faults::none());
    let know = |subject: &str| snowflake.vendor(|snowflake| snowflake.subject = subject.to_owned());
    know("ACME.SOMEBODY_ELSE");
    let trouble = Trouble {
        connector: "snowflake",
        settings: of_snowflake(&snowflake.url()),
        reason: "unauthorized",
        says: vec!["Snowflake refuses the key pair (", "see that the public key is set for the user", "resume"],
    };
    check(&trouble, |_| know("ACME.AFTERCLICK"), tally(&snowflake));
}
