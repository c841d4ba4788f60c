//! The table and its columns, made where they are missing. Nothing is ever changed that is there.

use domain::connector::{Action, Call, HttpCall, Means, Reply};
use serde::Deserialize;
use serde_json::json;

use super::reply::said;
use super::{Table, USER_AGENT, names};
use crate::warehouse::Kind;
use crate::warehouse::identifier::in_double_quotes;

/// How long Snowflake may take for a statement, in seconds.
const TIMEOUT_SECS: u32 = 20;

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    data: Vec<Vec<Option<String>>>,
}

/// One question, which takes no warehouse.
pub(super) fn survey(table: &Table, means: &Means<'_>) -> Vec<Call> {
    vec![statement(table, means, &format!("DESCRIBE TABLE {}", full_name(table)))]
}

pub(super) fn plan(table: &Table, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [reply] = replies else { return Err("Snowflake was not asked".to_owned()) };
    let there: Vec<_> = match serde_json::from_slice::<Rows>(&reply.body) {
        Ok(rows) if reply.status == 200 => {
            rows.data.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
        }
        _ if reply.status == 422 && said(reply).contains("does not exist") => Vec::new(),
        _ if reply.status == 202 => return Err("Snowflake is still at the question; try again".to_owned()),
        _ => return Err(format!("Snowflake says: {}", said(reply))),
    };
    if there.is_empty() {
        return Ok(vec![create_table(table, means)]);
    }
    let is_there = |name: &&String| there.contains(&names::stored(name));
    let missing: Vec<_> = table.layout.names.iter().filter(|name| !is_there(name)).collect();
    Ok(if missing.is_empty() { Vec::new() } else { vec![add_columns(table, means, &missing)] })
}

fn create_table(table: &Table, means: &Means<'_>) -> Action {
    let columns: Vec<_> = table.layout.names.iter().map(|name| definition(table, name, true)).collect();
    let name = full_name(table);
    // A column that comes later makes itself, instead of sending every row to the error table.
    let sql = format!("CREATE TABLE IF NOT EXISTS {name} ({}) ENABLE_SCHEMA_EVOLUTION = TRUE", columns.join(", "));
    Action { reason: format!("create table {name}"), call: statement(table, means, &sql) }
}

fn add_columns(table: &Table, means: &Means<'_>, missing: &[&String]) -> Action {
    let columns: Vec<_> = missing.iter().map(|name| definition(table, name, false)).collect();
    let quoted: Vec<_> = missing.iter().map(|name| in_double_quotes(&names::stored(name))).collect();
    let name = full_name(table);
    Action {
        reason: format!("add to table {name} the columns {}", quoted.join(", ")),
        call: statement(table, means, &format!("ALTER TABLE {name} ADD COLUMN {}", columns.join(", "))),
    }
}

fn full_name(table: &Table) -> String {
    [&table.database, &table.schema, &table.name].map(|name| in_double_quotes(name)).join(".")
}

/// What the destination fills itself, and what is added to rows that are there, may be empty.
fn definition(table: &Table, name: &str, is_new_table: bool) -> String {
    let column = table.layout.our(name);
    let is_required = column.is_some_and(|column| column.required && is_new_table && !table.layout.overrides(name));
    let type_of = match column.map(|column| column.kind) {
        Some(Kind::Id | Kind::Text | Kind::Word | Kind::Raw) | None => "VARCHAR",
        Some(Kind::Time) => "TIMESTAMP_TZ",
        Some(Kind::Number) => "FLOAT",
        Some(Kind::Money) => "NUMBER(18, 4)",
        Some(Kind::Flag) => "BOOLEAN",
        Some(Kind::Data) => "VARIANT",
    };
    let constraint = if is_required { " NOT NULL" } else { "" };
    format!("{} {type_of}{constraint}", in_double_quotes(&names::stored(name)))
}

/// A statement for the SQL API.
fn statement(table: &Table, means: &Means<'_>, sql: &str) -> Call {
    let body = json!({"statement": sql, "timeout": TIMEOUT_SECS}).to_string();
    let call = HttpCall::post_json(table.url_of("api/v2/statements"), body)
        .header("Accept", "application/json")
        .header("User-Agent", USER_AGENT)
        .header("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT")
        .header("Authorization", table.signed(means.now))
        .with_long_reply();
    Call::Http(call)
}
