//! Rows for the warehouses of the clouds, which cannot be reached from a test: over real HTTP to their look-alikes, which check
//! tokens and signatures.

use domain::Verdict;
use peers::Aws;
use serde_json::{Value, json};
use vendors::bigquery::BigQuery;
use vendors::redshift::{self, Redshift};
use vendors::snowflake::Snowflake;
use vendors::{Fault, Faults, Simulator, Vendor as _};

use crate::carrier::{Carrier, all_delivered, conversions, event, in_words, samples};

fn bigquery(simulator: &Simulator<BigQuery>) -> Carrier {
    Carrier::new(
        "bigquery",
        &json!({
            "project": "acme",
            "dataset": "links",
            "service_account": simulator.service_account(),
            "url": simulator.url(),
        }),
    )
}

#[tokio::test]
async fn bigquery_gets_a_table_and_every_event_in_it() {
    let simulator = BigQuery::new().start(Faults::none());
    let carrier = bigquery(&simulator);
    let made = carrier.provision().await.unwrap();
    assert_eq!(made, ["create table `acme.links.deep_link_events`"]);
    assert_eq!(carrier.provision().await, Ok(Vec::new()), "everything is there");

    // The table was made a moment ago, so its first rows find nothing.
    let events = samples();
    let early = carrier.deliver(&events).await;
    assert!(in_words(&early[0]).starts_with("retry client_error: there is no such table ("), "{early:?}");
    let early = carrier.try_to_deliver(&events, 2).await;
    assert!(matches!(early[0], Verdict::Retry { after: Some(_), .. }), "{early:?}");
    for attempt in 3..5 {
        all_delivered(&carrier.try_to_deliver(&events, attempt).await);
    }
    simulator.book(|book| {
        assert_eq!(book.stored.len(), events.len());
        assert!(book.lost.is_empty() && book.flagged.is_empty(), "{:?} {:?}", book.lost, book.flagged);
    });
}

#[tokio::test]
async fn a_row_that_bigquery_does_not_take_has_no_company() {
    let simulator = BigQuery::new().start(Faults::none());
    let carrier = bigquery(&simulator);
    carrier.provision().await.unwrap();
    simulator.vendor(|vendor| vendor.tables.values_mut().for_each(|table| table.not_found_yet = 0));
    let odd = carrier.with(&json!({"columns": {"revenue": "{{ data.revenue }}"}}));
    let words = |verdicts: Vec<Verdict>| verdicts.iter().map(in_words).collect::<Vec<_>>();
    let verdicts = words(odd.deliver(&conversions(&[json!(1), json!("much"), json!(3)])).await);
    let refusal = "reject refused: `revenue`: Cannot convert value to the type of the column";
    assert_eq!(verdicts, ["delivered", refusal, "delivered"]);

    simulator.set_faults(Faults::script([Some(Fault::PartialFailure)]));
    let verdicts = words(carrier.deliver(&conversions(&[json!(1), json!(2)])).await);
    assert_eq!(verdicts[1], "retry timeout: The insert has timed out.");
}

#[tokio::test]
async fn a_column_that_bigquery_lacks_holds_the_events_until_it_is_provisioned() {
    let simulator = BigQuery::new().with_table("acme.links.deep_link_events", &[("event_id", "STRING")]);
    let simulator = simulator.start(Faults::none());
    let carrier = bigquery(&simulator);
    let lacking = in_words(&carrier.deliver(&conversions(&[json!(1)])).await[0]);
    assert!(
        lacking.starts_with("pause misconfigured: table `acme.links.deep_link_events` lacks a column (`"),
        "{lacking}"
    );
    let made = carrier.provision().await.unwrap();
    assert!(made[0].starts_with("add to table `acme.links.deep_link_events` the columns `event_type`, "), "{made:?}");
    assert_eq!(carrier.provision().await, Ok(Vec::new()));
    all_delivered(&carrier.deliver(&conversions(&[json!(1)])).await);
}

#[tokio::test]
async fn whom_bigquery_refuses_is_told_what_to_do() {
    let simulator = BigQuery::new().start(Faults::none());
    let mut account: Value = serde_json::from_str(&simulator.service_account()).unwrap();
    account["client_email"] = json!("nobody@acme.iam.gserviceaccount.com");
    let stranger = bigquery(&simulator).with(&json!({"service_account": account.to_string()}));
    let refusal = in_words(&stranger.deliver(&conversions(&[json!(1)])).await[0]);
    assert!(
        refusal.starts_with("pause unauthorized: Google gave no token and answered 400 (invalid_grant: "),
        "{refusal}"
    );
    assert!(refusal.contains("`service_account`"), "{refusal}");

    let no_table = in_words(&bigquery(&simulator).try_to_deliver(&conversions(&[json!(1)]), 4).await[0]);
    assert!(no_table.contains("run `afterclick destinations provision NAME` to create it"), "{no_table}");
}

fn redshift(simulator: &Simulator<Redshift>) -> Carrier {
    Carrier::new(
        "redshift",
        &json!({
            "region": redshift::REGION,
            "workgroup": "links",
            "access_key_id": redshift::ACCESS_KEY_ID,
            "secret_access_key": redshift::SECRET_ACCESS_KEY,
            "database": "dev",
            "url": simulator.url(),
        }),
    )
}

#[tokio::test]
async fn redshift_executes_a_batch_once_however_often_it_is_asked() {
    let simulator = Redshift::new().start(Faults::none());
    simulator.vendor(|vendor| vendor.running_polls = 7);
    let carrier = redshift(&simulator);
    let events = samples();
    let running = carrier.deliver(&events).await;
    assert!(running.iter().all(|verdict| matches!(verdict, Verdict::Wait { .. })), "{running:?}");
    assert!(matches!(carrier.try_to_deliver(&events, 2).await[0], Verdict::Wait { .. }));
    all_delivered(&carrier.try_to_deliver(&events, 3).await);
    simulator.book(|book| {
        assert_eq!((book.stored.len(), book.duplicates.len()), (1, 2));
        let sql = book.stored[0].item["Sql"].as_str().unwrap();
        assert!(events.iter().all(|event| sql.contains(&format!("'{}'", event.id))), "{sql}");
    });
}

#[tokio::test]
async fn a_statement_that_fails_for_want_of_luck_gets_another_chance_at_once() {
    let simulator = Redshift::new().start(Faults::script([Some(Fault::PartialFailure)]));
    all_delivered(&redshift(&simulator).deliver(&conversions(&[json!(1)])).await);
    simulator.book(|book| assert_eq!((book.stored.len(), book.refused.len()), (1, 1)));
}

#[tokio::test]
async fn a_row_that_is_too_large_for_redshift_has_no_company() {
    let simulator = Redshift::new().start(Faults::none());
    let large = event(7, &json!({"note": "x".repeat(120_000)}));
    let mut events = conversions(&[json!(1), json!(2), json!(3)]);
    events[1] = large;
    let verdicts = redshift(&simulator).deliver(&events).await;
    let words: Vec<_> = verdicts.iter().map(in_words).collect();
    assert_eq!([&*words[0], &*words[2]], ["delivered"; 2]);
    assert!(words[1].starts_with("reject too_large: "), "{words:?}");
}

#[tokio::test]
async fn whom_amazon_refuses_is_told_what_to_do() {
    let simulator = Redshift::new().start(Faults::none());
    let stranger = redshift(&simulator).with(&json!({"secret_access_key": "nope"}));
    let refusal = in_words(&stranger.deliver(&conversions(&[json!(1)])).await[0]);
    assert!(refusal.starts_with("pause unauthorized: Amazon refuses the access key ("), "{refusal}");
    assert!(refusal.contains("set `access_key_id`, `secret_access_key` and `region` right"), "{refusal}");
}

/// The other mimic of Amazon's has nothing from us in it.
#[tokio::test]
async fn amazons_signatures_are_what_others_think_they_are() {
    let Some(aws) = tokio::task::spawn_blocking(Aws::start).await.unwrap() else { return };
    let settings = json!({
        "region": Aws::REGION,
        "workgroup": "links",
        "access_key_id": aws.access_key(),
        "secret_access_key": aws.secret_key(),
        "database": "dev",
        "url": aws.url(),
    });
    let carrier = Carrier::new("redshift", &settings);
    // It never gets around to executing a statement.
    let verdict = &carrier.deliver(&conversions(&[json!(1)])).await[0];
    assert!(matches!(verdict, Verdict::Wait { .. } | Verdict::Delivered), "{verdict:?}");
    let stranger = carrier.with(&json!({"secret_access_key": "nope"}));
    let refusal = in_words(&stranger.deliver(&conversions(&[json!(1)])).await[0]);
    assert!(refusal.starts_with("pause unauthorized: Amazon refuses the access key ("), "{refusal}");
}

fn snowflake(simulator: &Simulator<Snowflake>) -> Carrier {
    Carrier::new(
        "snowflake",
        &json!({
            "account": "acme",
            "user": "afterclick",
            "private_key": vendors::private_key(),
            "database": "links",
            "url": simulator.url(),
        }),
    )
}

#[tokio::test]
async fn snowflake_gets_a_table_and_every_event_in_it() {
    for bare_tokens in [false, true] {
        let simulator = Snowflake::new().start(Faults::none());
        simulator.vendor(|vendor| vendor.bare_tokens = bare_tokens);
        let asking = snowflake(&simulator);
        let knowing = asking.with(&json!({"ingest_host": simulator.address().to_string()}));
        let made = asking.provision().await.unwrap();
        assert_eq!(made, [r#"create table "LINKS"."PUBLIC"."DEEP_LINK_EVENTS""#]);
        let events = samples();
        all_delivered(&asking.deliver(&events).await);
        all_delivered(&knowing.try_to_deliver(&events, 2).await);
        simulator.book(|book| {
            assert_eq!(book.stored.len(), 2 * events.len());
            assert!(book.lost.is_empty() && book.flagged.is_empty(), "{:?} {:?}", book.lost, book.flagged);
        });
    }
}

#[tokio::test]
async fn whom_snowflake_refuses_is_told_what_to_do() {
    let simulator = Snowflake::new().start(Faults::none());
    let carrier = snowflake(&simulator);
    let missing = in_words(&carrier.deliver(&conversions(&[json!(1)])).await[0]);
    assert!(missing.starts_with("pause misconfigured: there is no table `LINKS.PUBLIC.DEEP_LINK_EVENTS`"), "{missing}");
    assert!(missing.contains("run `afterclick destinations provision NAME`"), "{missing}");
    for host in [json!(null), json!(simulator.address().to_string())] {
        let mut changed = json!({"user": "nobody"});
        if !host.is_null() {
            changed["ingest_host"] = host;
        }
        let refusal = in_words(&carrier.with(&changed).deliver(&conversions(&[json!(1)])).await[0]);
        assert!(refusal.starts_with("pause unauthorized: Snowflake refuses the key pair ("), "{refusal}");
    }
}
