//! Rows in a real `PostgreSQL`, over the SQL transport and its TLS.

use peers::Postgres;
use serde_json::{Value, json};

use crate::carrier::{Carrier, all_delivered, conversions, event, in_words, samples};
use crate::databases::postgres;

/// A server and a destination with a schema of its own there.
struct House {
    peer: &'static Postgres,
    carrier: Carrier,
    schema: &'static str,
}

async fn house(schema: &'static str) -> Option<House> {
    let peer = postgres().await?;
    let settings = json!({
        "host": "127.0.0.1",
        "port": peer.port(),
        "database": Postgres::DATABASE,
        "user": Postgres::USER,
        "password": Postgres::PASSWORD,
        "ca_certificate": peer.authority_pem(),
        "schema": schema,
    });
    let house = House { peer, carrier: Carrier::new("postgres", &settings), schema };
    house.query(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
    Some(house)
}

impl House {
    fn query(&self, sql: &str) -> String {
        let sql = format!("SET search_path TO {}; {sql}", self.schema);
        self.peer.query(&sql).unwrap().trim_end().to_owned()
    }

    fn count(&self) -> String {
        self.query("SELECT count(*) FROM deep_link_events")
    }
}

#[tokio::test]
async fn a_table_is_made_once_and_takes_every_event_as_it_is() {
    let Some(house) = house("made").await else { return };
    for (dialect, schema) in [("postgres", "made"), ("redshift", "like redshift")] {
        let carrier = house.carrier.with(&json!({"dialect": dialect, "schema": schema}));
        let made = carrier.provision().await.unwrap();
        assert_eq!(made.last(), Some(&format!("create table \"{schema}\".\"deep_link_events\"")));
        assert_eq!(carrier.provision().await, Ok(Vec::new()), "everything is there");

        let mut events = samples();
        let hostile =
            json!({"campaign": "x '); DROP TABLE x; -- \" \\ \\' \t\r\n\u{0}\u{202e}🔗", "a\u{0}b": [1, "\u{0}"]});
        events.push(event(99, &hostile));
        // A batch that is sent again changes nothing, also where some of it is new.
        all_delivered(&carrier.deliver(&events[2..]).await);
        all_delivered(&carrier.deliver(&events).await);
        let table = format!("\"{schema}\".deep_link_events");
        assert_eq!(house.query(&format!("SELECT count(*) FROM {table}")), events.len().to_string());

        let campaign = house.query(&format!("SELECT campaign FROM {table} WHERE campaign LIKE 'x %'"));
        assert_eq!(campaign, "x '); DROP TABLE x; -- \" \\ \\' \t\r\n\u{202e}🔗");
        let data = house.query(&format!("SELECT data::jsonb ->> 'ab' FROM {table} WHERE campaign LIKE 'x %'"));
        assert_eq!(data, r#"[1, ""]"#);
        let columns = "occurred_at AT TIME ZONE 'UTC', link_id, revenue::float8, currency, match_confidence IS NULL";
        let row = house.query(&format!(
            "SELECT {columns} FROM {table} WHERE event_type = 'link.conversion' AND link_id IS NOT NULL"
        ));
        assert_eq!(row, "2026-03-04 14:32:08.441|lnk_8xKp2mVq|49.99|USD|t");
    }
}

#[tokio::test]
async fn one_bad_row_does_not_take_its_neighbours_along() {
    let Some(house) = house("neighbours").await else { return };
    house.carrier.provision().await.unwrap();
    house.query("ALTER TABLE deep_link_events ADD CONSTRAINT sane CHECK (revenue < 1000)");
    let mut revenues = vec![json!(1); 9];
    revenues[4] = json!(1e30);
    let verdicts = house.carrier.deliver(&conversions(&revenues)).await;
    let words: Vec<_> = verdicts.iter().map(in_words).collect();
    assert!(words[4].starts_with("reject refused: ") && words[4].contains("\"sane\""), "{words:#?}");
    assert_eq!(words.iter().filter(|word| *word == "delivered").count(), 8, "{words:#?}");
    assert_eq!(house.count(), "8");
}

/// Brings nine conversions, of which the fifth is worth too much, to a table that was changed by this.
async fn with_poison(schema: &'static str, sql: &str, settings: &Value) -> Option<(House, Vec<String>)> {
    let house = house(schema).await?;
    house.carrier.provision().await.unwrap();
    house.query(sql);
    let mut revenues = vec![json!(1); 9];
    revenues[4] = json!(1e6);
    let verdicts = house.carrier.with(settings).deliver(&conversions(&revenues)).await;
    Some((house, verdicts.iter().map(in_words).collect()))
}

#[tokio::test]
async fn a_row_that_a_trigger_or_a_view_forbids_does_not_take_its_neighbours_along() {
    let function = |error: &str| {
        format!(
            "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.revenue > 1000 THEN {error}; END IF; \
             RETURN NEW; END $$; CREATE TRIGGER look BEFORE INSERT ON deep_link_events FOR EACH ROW EXECUTE FUNCTION look()"
        )
    };
    let view = "CREATE VIEW seen AS SELECT * FROM deep_link_events WHERE revenue < 1000 WITH CHECK OPTION".to_owned();
    for (schema, sql, settings, expect) in [
        ("raised", function("RAISE EXCEPTION 'no poison here'"), json!({}), "reject refused: no poison here"),
        ("raised_odd", function("RAISE 'odd' USING ERRCODE = '42P01'"), json!({}), "reject refused: odd"),
        ("raised_new", function("RAISE 'new' USING ERRCODE = 'ZZ123'"), json!({}), "reject refused: new"),
        ("raised_later", function("RAISE 'later' USING ERRCODE = '40001'"), json!({}), "retry server_error: later"),
        (
            "stumbled",
            function("EXECUTE 'SELECT nope'"),
            json!({}),
            "retry server_error: column \"nope\" does not exist",
        ),
        ("viewed", view, json!({"table": "seen"}), "reject refused: new row violates check option for view \"seen\""),
    ] {
        let Some((house, words)) = with_poison(schema, &sql, &settings).await else { return };
        assert!(words[4].starts_with(expect), "{schema}: {words:#?}");
        assert_eq!(words.iter().filter(|word| *word == "delivered").count(), 8, "{schema}: {words:#?}");
        assert_eq!(house.count(), "8", "{schema}");
    }
}

#[tokio::test]
async fn a_row_that_a_policy_forbids_does_not_take_its_neighbours_along() {
    let policy = "CREATE USER limited PASSWORD 'l'; GRANT USAGE ON SCHEMA policies TO limited; \
                  GRANT SELECT, INSERT ON deep_link_events TO limited; \
                  ALTER TABLE deep_link_events ENABLE ROW LEVEL SECURITY; \
                  CREATE POLICY seen ON deep_link_events FOR SELECT USING (true); \
                  CREATE POLICY sane ON deep_link_events FOR INSERT WITH CHECK (revenue < 1000)";
    let limited = json!({"user": "limited", "password": "l"});
    let Some((house, words)) = with_poison("policies", policy, &limited).await else { return };
    assert!(words[4].starts_with("reject refused: new row violates row-level security policy"), "{words:#?}");
    assert_eq!((words.iter().filter(|word| *word == "delivered").count(), &*house.count()), (8, "8"), "{words:#?}");
}

#[tokio::test]
async fn a_column_that_the_table_wants_and_nobody_fills_holds_every_row() {
    let sql = "ALTER TABLE deep_link_events ADD COLUMN tenant text NOT NULL";
    let Some((house, words)) = with_poison("unfilled", sql, &json!({})).await else { return };
    let expect = "pause misconfigured: table `unfilled.deep_link_events` wants something in column `tenant`, which nothing fills (";
    assert!(words.iter().all(|word| word.starts_with(expect)), "{words:#?}");
    let mended = house.carrier.with(&json!({"columns": {"tenant": "acme"}}));
    all_delivered(&mended.deliver(&conversions(&[json!(1)])).await);
}

#[tokio::test]
async fn a_missing_table_or_column_holds_the_events_until_it_is_provisioned() {
    let Some(house) = house("missing").await else { return };
    for dialect in ["postgres", "redshift"] {
        let carrier = house.carrier.with(&json!({"dialect": dialect, "table": dialect}));
        let events = conversions(&[json!(1)]);
        let missing = in_words(&carrier.deliver(&events).await[0]);
        let expect =
            format!("pause misconfigured: there is no table `missing.{dialect}` (relation \"missing.{dialect}\" does");
        assert!(missing.starts_with(&expect), "{missing}");

        carrier.provision().await.unwrap();
        let wider = carrier.with(&json!({"columns": {"tenant": "eu", "score": "{{ 40 + 2 }}"}}));
        let lacking = in_words(&wider.deliver(&events).await[0]);
        assert!(
            lacking.starts_with(&format!(
                "pause misconfigured: table `missing.{dialect}` lacks a column (column \"tenant\" of relation"
            )),
            "{lacking}"
        );
        assert!(lacking.contains("; run `afterclick destinations provision NAME` to add what is missing"), "{lacking}");

        let made = wider.provision().await.unwrap();
        assert_eq!(made[0], format!("add column \"tenant\" to table \"missing\".\"{dialect}\""));
        assert_eq!((made.len(), wider.provision().await), (2, Ok(Vec::new())));
        all_delivered(&wider.deliver(&events).await);
        assert_eq!(house.query(&format!("SELECT tenant, score FROM {dialect}")), "eu|42");
    }
}

#[tokio::test]
async fn a_table_of_the_users_own_gets_values_of_its_own_types() {
    let Some(house) = house("own").await else { return };
    house.query("CREATE TABLE clicks (id text UNIQUE, at timestamptz, n int, tags jsonb, kind varchar(40))");
    let carrier = house.carrier.with(&json!({"table": "clicks", "default_columns": false, "columns": {
        "id": "{{ id }}", "at": "{{ timestamp }}", "n": "{{ 40 + 2 }}", "tags": {"a": [1]}, "kind": "{{ type }}",
    }}));
    assert_eq!(carrier.provision().await, Ok(Vec::new()));
    for _ in 0..2 {
        all_delivered(&carrier.deliver(&conversions(&[json!(1)])).await);
    }
    let row = house.query("SELECT at AT TIME ZONE 'UTC', n, tags, kind FROM clicks");
    assert_eq!(row, r#"2026-03-04 14:32:08.441|42|{"a": [1]}|link.conversion"#);
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why() {
    let Some(house) = house("letting_in").await else { return };
    let events = conversions(&[json!(1)]);
    let told = async |changed| in_words(&house.carrier.with(&changed).deliver(&events).await[0]);

    let password = told(json!({"password": "nope"})).await;
    let expect =
        "pause unauthorized: PostgreSQL refuses the login of `afterclick` (password authentication failed for user";
    assert!(password.starts_with(expect), "{password}");
    let database = told(json!({"database": "nope"})).await;
    assert!(database.starts_with("pause misconfigured: there is no database `nope` ("), "{database}");

    house.carrier.provision().await.unwrap();
    house.query("CREATE USER reader PASSWORD 'r'; GRANT USAGE ON SCHEMA letting_in TO reader; GRANT SELECT ON deep_link_events TO reader");
    let reader = told(json!({"user": "reader", "password": "r"})).await;
    let expect =
        "pause unauthorized: user `reader` may not write to `letting_in.deep_link_events` (permission denied for table";
    assert!(reader.starts_with(expect), "{reader}");
    let refusal = house.carrier.with(&json!({"password": "nope"})).provision().await.unwrap_err();
    assert!(refusal.starts_with("PostgreSQL says: password authentication failed"), "{refusal}");
}

#[tokio::test]
async fn a_large_batch_gets_through() {
    let Some(house) = house("large").await else { return };
    house.carrier.provision().await.unwrap();
    let note = "x".repeat(1_000);
    let events: Vec<_> = (1..=3_000).map(|n| event(n, &json!({"campaign": "large", "note": note}))).collect();
    all_delivered(&house.carrier.deliver(&events).await);
    assert_eq!(house.count(), "3000");
}
