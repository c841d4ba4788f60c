//! The table and its columns, made where they are missing. Nothing is ever changed that is there.

use domain::connector::{Action, Call, Means, Reply};
use serde::Deserialize;

use super::reply::{kind, said};
use super::{Table, in_double_quotes};
use crate::warehouse::written::type_of;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    #[serde(default)]
    column_list: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// One question, the only one that is answered at once.
pub(super) fn survey(table: &Table, means: &Means<'_>) -> Vec<Call> {
    let mut body = table.whereabouts.clone();
    body.insert("Schema".to_owned(), table.schema.as_str().into());
    body.insert("Table".to_owned(), table.name.as_str().into());
    table.request("DescribeTable", &body.into(), means.now).into_iter().collect()
}

pub(super) fn plan(table: &Table, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [reply] = replies else {
        return Err("the question cannot be signed; look at `region` and the keys".to_owned());
    };
    let there: Vec<_> = match serde_json::from_slice::<Described>(&reply.body) {
        Ok(described) if reply.is_success() => described.column_list.into_iter().map(|column| column.name).collect(),
        _ if kind(reply) == "ResourceNotFoundException" => Vec::new(),
        _ => return Err(format!("Redshift says: {}", said(reply))),
    };
    if there.is_empty() {
        return Ok(vec![create_table(table, means)?]);
    }
    let is_there = |name: &&String| there.iter().any(|known| known.eq_ignore_ascii_case(name));
    let missing = table.layout.names.iter().filter(|name| !is_there(name));
    missing.map(|name| add_column(table, means, name)).collect()
}

fn create_table(table: &Table, means: &Means<'_>) -> Result<Action, String> {
    let columns: Vec<_> = table.layout.names.iter().map(|name| definition(table, name, true)).collect();
    let quoted = table.quoted();
    let order = if table.layout.has("occurred_at") { " SORTKEY (\"occurred_at\")" } else { "" };
    let statement = format!("CREATE TABLE IF NOT EXISTS {quoted} ({}){order}", columns.join(", "));
    let reason = format!("create table {quoted}; Redshift will have done it in a moment");
    Ok(Action { reason, call: table.execute(statement, None, means.now)? })
}

fn add_column(table: &Table, means: &Means<'_>, name: &str) -> Result<Action, String> {
    let quoted = table.quoted();
    let statement = format!("ALTER TABLE {quoted} ADD COLUMN {}", definition(table, name, false));
    let reason = format!("add column {} to table {quoted}", in_double_quotes(name));
    Ok(Action { reason, call: table.execute(statement, None, means.now)? })
}

/// What the destination fills itself, and what is added to rows that are there, may be empty.
fn definition(table: &Table, name: &str, is_new_table: bool) -> String {
    let column = table.layout.our(name);
    let is_required = column.is_some_and(|column| column.required && is_new_table && !table.layout.overrides(name));
    let constraint = if is_required { " NOT NULL" } else { "" };
    format!("{} {}{constraint}", in_double_quotes(name), type_of(column.map(|column| column.kind)))
}
