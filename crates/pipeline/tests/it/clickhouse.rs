//! Rows in real servers: `ClickHouse` of 2018 over its own HTTP interface, and the engine of today behind a bridge.

use domain::Event;
use peers::ClickHouse;
use serde_json::json;

use crate::carrier::{Carrier, all_delivered, conversions, event, in_words, samples};
use crate::databases::clickhouses;

/// A server and a destination with a table of its own there.
struct House {
    peer: &'static ClickHouse,
    carrier: Carrier,
    table: &'static str,
    is_old: bool,
}

async fn houses(table: &'static str) -> Vec<House> {
    let house = |(peer, is_old): (&'static ClickHouse, bool)| {
        let settings = json!({
            "url": peer.url(),
            "user": ClickHouse::USER,
            "password": ClickHouse::PASSWORD,
            "database": ClickHouse::DATABASE,
            "table": table,
        });
        House { peer, carrier: Carrier::new("clickhouse", &settings), table, is_old }
    };
    clickhouses().await.into_iter().map(house).collect()
}

impl House {
    /// Asks for something; `FROM TABLE` means the table.
    fn query(&self, sql: &str) -> String {
        let sql = sql.replace("FROM TABLE", &format!("FROM {}", self.table));
        self.peer.query(&sql).unwrap().trim_end().to_owned()
    }

    fn count(&self) -> String {
        self.query("SELECT count() FROM TABLE")
    }
}

#[tokio::test]
async fn a_table_is_made_once_and_takes_every_event_as_it_is() {
    for house in houses("made").await {
        let made = house.carrier.provision().await.unwrap();
        assert_eq!(made, ["create table `events`.`made`"]);
        assert_eq!(house.carrier.provision().await, Ok(Vec::new()), "everything is there");

        let events = samples();
        all_delivered(&house.carrier.deliver(&events).await);
        assert_eq!(house.count(), events.len().to_string());
        // Nothing of the event is lost on the way into the column, whatever is in it.
        let hostile = event(99, &json!({"campaign": "<!channel> '); DROP TABLE x; -- \" \\ \t\r\n\u{0}\u{202e}🔗"}));
        all_delivered(&house.carrier.deliver(std::slice::from_ref(&hostile)).await);
        let hex = |text: &[u8]| hex::encode_upper(text);
        let raw = house.query("SELECT hex(raw) FROM TABLE WHERE campaign LIKE '<!channel>%'");
        assert_eq!(raw, hex(&hostile.body));

        let columns = "toString(occurred_at), link_id, campaign, toFloat64(revenue), currency, match_confidence";
        let row =
            house.query(&format!("SELECT {columns} FROM TABLE WHERE event_type = 'link.conversion' AND link_id != ''"));
        let fraction = if house.is_old { "" } else { ".441" };
        assert!(
            row.starts_with(&format!("2026-03-04 14:32:08{fraction}\tlnk_8xKp2mVq\tspring-sale\t49.99\tUSD\t\\N")),
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_stored_once() {
    for house in houses("again").await {
        house.carrier.provision().await.unwrap();
        let events = conversions(&[json!(1), json!(2), json!(3)]);
        for _ in 0..3 {
            all_delivered(&house.carrier.deliver(&events).await);
        }
        // Servers that know no token merge the copies, or leave them out when asked to.
        let of = if house.is_old { " FINAL" } else { "" };
        assert_eq!(house.query(&format!("SELECT count(), uniq(event_id) FROM TABLE{of}")), "3\t3");
    }
}

#[tokio::test]
async fn one_bad_row_does_not_take_its_neighbours_along() {
    for house in houses("neighbours").await {
        house.carrier.provision().await.unwrap();
        let mut revenues = vec![json!(1); 9];
        revenues[4] = json!(1e30);
        let verdicts = house.carrier.deliver(&conversions(&revenues)).await;
        let words: Vec<_> = verdicts.iter().map(in_words).collect();
        assert!(words[4].starts_with("reject refused: "), "{words:#?}");
        assert_eq!(words.iter().filter(|word| *word == "delivered").count(), 8, "{words:#?}");
        assert_eq!(house.count(), "8");
    }
}

#[tokio::test]
async fn a_row_that_nobody_has_thought_of_does_not_take_its_neighbours_along() {
    for house in houses("odd").await {
        // An enumeration that lacks a value: every version has another code for it.
        house.query("CREATE TABLE odd (id String, platform Enum8('ios' = 1, 'android' = 2)) ENGINE = Log");
        let columns = json!({"id": "{{ id }}", "platform": "{{ data.campaign }}"});
        let carrier = house.carrier.with(&json!({"default_columns": false, "columns": columns}));
        let events: Vec<_> = (1..)
            .zip(["ios", "android", "web", "ios", "ios"])
            .map(|(n, on)| event(n, &json!({"campaign": on})))
            .collect();
        let words: Vec<_> = carrier.deliver(&events).await.iter().map(in_words).collect();
        assert!(words[2].starts_with("reject refused: "), "{words:#?}");
        assert_eq!((words.iter().filter(|word| *word == "delivered").count(), &*house.count()), (4, "4"), "{words:#?}");

        // A view that throws at one row, by a function for just that.
        house.query("CREATE TABLE looked_at (id String, n Float64) ENGINE = Log");
        house.query("CREATE TABLE seen (n UInt8) ENGINE = Log");
        house.query("CREATE MATERIALIZED VIEW look TO seen AS SELECT throwIf(n > 1000) AS n FROM looked_at");
        let columns = json!({"id": "{{ id }}", "n": "{{ data.revenue }}"});
        let carrier = carrier.with(&json!({"table": "looked_at", "columns": columns}));
        let events = conversions(&[json!(1), json!(1e6), json!(2)]);
        let words: Vec<_> = carrier.deliver(&events).await.iter().map(in_words).collect();
        assert!(words[1].starts_with("retry server_error: "), "{words:#?}");
        assert_eq!([&*words[0], &*words[2]], ["delivered"; 2], "{words:#?}");
    }
}

#[tokio::test]
async fn the_port_of_another_protocol_is_said_to_be_one() {
    for house in houses("port").await {
        let Some(native) = house.peer.native_url() else { continue };
        let verdicts = house.carrier.with(&json!({"url": native})).deliver(&conversions(&[json!(1), json!(2)])).await;
        let words = in_words(&verdicts[1]);
        let expect = "pause misconfigured: what answers under `url` does not seem to be ClickHouse (Port ";
        assert!(words.starts_with(expect) && words.contains("port 8123 or 8443"), "{words}");
    }
}

#[tokio::test]
async fn a_database_that_the_user_may_not_enter_holds_the_rows() {
    for house in houses("denied").await.into_iter().filter(|house| house.is_old) {
        let hidden = house.carrier.with(&json!({"user": "confined"}));
        let verdicts = hidden.deliver(&conversions(&[json!(1), json!(2)])).await;
        let words = in_words(&verdicts[1]);
        assert!(words.starts_with("pause unauthorized: the user may not insert into `events.denied` ("), "{words}");
    }
}

#[tokio::test]
async fn a_missing_table_or_column_holds_the_events_until_it_is_provisioned() {
    for house in houses("missing").await {
        let events = conversions(&[json!(1)]);
        let missing = in_words(&house.carrier.deliver(&events).await[0]);
        assert!(missing.starts_with("pause misconfigured: there is no table `events.missing` ("), "{missing}");

        house.carrier.provision().await.unwrap();
        let wider = house.carrier.with(&json!({"columns": {"tenant": "eu", "score": "{{ '7' }}"}}));
        let lacking = in_words(&wider.deliver(&events).await[0]);
        let expect = "pause misconfigured: table `events.missing` lacks a column (No such column tenant in table ";
        assert!(lacking.starts_with(expect), "{lacking}");
        assert!(lacking.contains("; run `afterclick destinations provision NAME` to add what is missing"), "{lacking}");

        let made = wider.provision().await.unwrap();
        assert_eq!(made, ["add to table `events`.`missing` the columns `tenant`, `score`"]);
        assert_eq!(wider.provision().await, Ok(Vec::new()));
        all_delivered(&wider.deliver(&events).await);
        assert_eq!(house.query("SELECT tenant, score FROM TABLE"), "eu\t7");
    }
}

#[tokio::test]
async fn a_missing_database_is_named_and_created() {
    for house in houses("elsewhere").await {
        let elsewhere = house.carrier.with(&json!({"database": "not-there"}));
        let missing = in_words(&elsewhere.deliver(&conversions(&[json!(1)])).await[0]);
        assert!(missing.starts_with("pause misconfigured: there is no database `not-there` ("), "{missing}");
        let made = elsewhere.provision().await.unwrap();
        assert_eq!(made[0], "create database `not-there`");
        assert_eq!(elsewhere.provision().await, Ok(Vec::new()));
        all_delivered(&elsewhere.deliver(&conversions(&[json!(1)])).await);
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one() {
    for house in houses("password").await {
        let stranger = house.carrier.with(&json!({"password": "nope"}));
        let verdict = in_words(&stranger.deliver(&conversions(&[json!(1)])).await[0]);
        assert!(verdict.starts_with("pause unauthorized: ClickHouse refuses the login ("), "{verdict}");
        let refusal = stranger.provision().await.unwrap_err();
        assert!(refusal.starts_with("ClickHouse says: ") && refusal.contains("assword"), "{refusal}");
    }
}

#[tokio::test]
async fn a_table_of_the_users_own_is_filled_by_its_own_names() {
    for house in houses("clicks").await {
        house.query("CREATE TABLE clicks (at DateTime('UTC'), kind String, campaign String) ENGINE = Log");
        let columns = json!({"at": "{{ timestamp }}", "kind": "{{ type }}", "campaign": "{{ data.campaign }}"});
        let carrier = house.carrier.with(&json!({"default_columns": false, "columns": columns}));
        assert_eq!(carrier.provision().await, Ok(Vec::new()));
        all_delivered(&carrier.deliver(&conversions(&[json!(1)])).await);
        assert_eq!(house.query("SELECT * FROM TABLE"), "2026-03-04 14:32:08\tlink.conversion\ta");
    }
}

#[tokio::test]
async fn each_dialect_does_alone_what_the_server_knows() {
    for house in houses("dialects").await {
        house.carrier.provision().await.unwrap();
        let events: Vec<Event> = conversions(&[json!(1)]);
        all_delivered(&house.carrier.with(&json!({"dialect": "legacy"})).deliver(&events).await);
        let modern = in_words(&house.carrier.with(&json!({"dialect": "modern"})).deliver(&events).await[0]);
        if house.is_old {
            assert!(modern.contains("set `dialect` to `auto` or `legacy`"), "{modern}");
        } else {
            assert_eq!(modern, "delivered");
        }
    }
}

#[tokio::test]
async fn a_large_batch_gets_through_whatever_the_server_is() {
    for house in houses("large").await {
        house.carrier.provision().await.unwrap();
        let note = "x".repeat(2_000);
        let events: Vec<_> = (1..=2_000).map(|n| event(n, &json!({"campaign": "large", "note": note}))).collect();
        all_delivered(&house.carrier.deliver(&events).await);
        assert_eq!(house.count(), "2000");
    }
}
