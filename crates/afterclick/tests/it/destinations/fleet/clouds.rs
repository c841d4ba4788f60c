//! Warehouses of which there are only look-alikes.

use std::collections::BTreeSet;

use vendors::redshift::{self, Redshift};
use vendors::snowflake::Snowflake;
use vendors::{Book, Fault, Vendor as _};

use super::super::tally::{Tally, count_marks};
use super::{ALL_IN_BATCHES, Member, Promise, section, seldom};

/// A repetition is taken again.
pub(super) fn snowflake(seed: u64) -> Member {
    let simulator = Snowflake::new().start(seldom(seed).with(Fault::TokenExpired, 30));
    let settings = [
        ("url", &*simulator.url()),
        ("account", "ACME"),
        ("user", "AFTERCLICK"),
        ("database", "LINKS"),
        ("private_key", vendors::private_key()),
    ];
    let config = section("snowflake", "snowflake", ALL_IN_BATCHES, &settings);
    let look = move || {
        let mut tally = Tally::of(&simulator);
        // Who was killed does not know how often it has asked.
        tally.flagged.retain(|flagged| !flagged.contains("retryCount"));
        tally
    };
    Member::new("snowflake", config, look).promises(Promise::AtLeastOnce).provisioned()
}

/// A statement is taken now and fails later, if it does.
pub(super) fn redshift(seed: u64) -> Member {
    let simulator = Redshift::new().start(seldom(seed).with(Fault::PartialFailure, 30));
    let settings = [
        ("url", &*simulator.url()),
        ("region", redshift::REGION),
        ("workgroup", "links"),
        ("database", "links"),
        ("access_key_id", redshift::ACCESS_KEY_ID),
        ("secret_access_key", redshift::SECRET_ACCESS_KEY),
    ];
    // Each batch is a hundred thousand bytes of SQL, so that some events must do.
    let config = section("redshift", "redshift", &ALL_IN_BATCHES.replace("[\"*\"]", "[\"link.*\"]"), &settings);
    let look = move || Tally { times: count_marks(simulator.book(inserted)), ..Tally::of(&simulator) };
    Member::new("redshift", config, look).gets(|event| event.kind.starts_with("link.")).provisioned()
}

/// The rows that the statements have left in the table: each says itself to leave out what is there already.
fn inserted(book: &Book) -> Vec<String> {
    let mut there = BTreeSet::new();
    let mut rows = Vec::new();
    for statement in book.stored.iter().filter_map(|entry| entry.item["Sql"].as_str()) {
        let asks = statement.ends_with("AS o WHERE o.\"event_id\" = n.\"event_id\")");
        let (_, written) = statement.split_once(" FROM (SELECT ").unwrap_or_default();
        for row in written.split(" UNION ALL SELECT ") {
            let is_new = there.insert(event_id(row));
            rows.extend((is_new || !asks).then(|| row.to_owned()));
        }
    }
    rows
}

fn event_id(row: &str) -> &str {
    row.split_once(" AS \"event_id\"").map_or(row, |(id, _)| id)
}
