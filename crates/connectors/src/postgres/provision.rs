//! The table and its columns, made where they are missing. Nothing is ever changed that is there.

use domain::connector::{Action, Call, Reply};

use super::statement::Dialect;
use super::{Table, in_double_quotes, reply};
use crate::warehouse::Kind;

/// The questions, in the order of [`plan`]'s answers. Names are checked when the settings are read: none can end a quote.
pub(super) fn survey(table: &Table) -> Vec<Call> {
    let (schema, name) = (&table.schema, &table.name);
    let questions = [
        format!("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = '{schema}'"),
        format!(
            "SELECT a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN \
             pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relname = '{name}' AND \
             a.attnum > 0 AND NOT a.attisdropped"
        ),
    ];
    questions.into_iter().map(|question| table.call(question, Vec::new())).collect()
}

pub(super) fn plan(table: &Table, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [schemas, columns] = replies else { return Err("the server was not asked".to_owned()) };
    let has_schema = !names(schemas)?.is_empty();
    let there = names(columns)?;
    let mut actions = Vec::new();
    if !has_schema {
        let schema = in_double_quotes(&table.schema);
        let statement = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        actions.push(action(table, format!("create schema {schema}"), statement));
    }
    if there.is_empty() {
        actions.push(create_table(table));
    } else {
        let missing = table.layout.names.iter().filter(|name| !there.contains(name));
        actions.extend(missing.map(|name| add_column(table, name)));
    }
    Ok(actions)
}

pub(super) fn is_done(reply: &Reply) -> Result<(), String> {
    match &reply.code {
        Some(code) => Err(format!("PostgreSQL says: {} (SQLSTATE {code})", reply::said(reply))),
        None if reply.is_success() => Ok(()),
        None => Err("what answers is not PostgreSQL".to_owned()),
    }
}

fn create_table(table: &Table) -> Action {
    let columns: Vec<_> = table.layout.names.iter().map(|name| definition(table, name)).collect();
    let quoted = table.quoted();
    let statement = format!("CREATE TABLE IF NOT EXISTS {quoted} ({})", columns.join(", "));
    action(table, format!("create table {quoted}"), statement)
}

fn add_column(table: &Table, name: &str) -> Action {
    let quoted = table.quoted();
    // A row that is there has nothing for the column, so it cannot be required.
    let definition = format!("{} {}", in_double_quotes(name), type_of(table, name));
    let reason = format!("add column {} to table {quoted}", in_double_quotes(name));
    action(table, reason, format!("ALTER TABLE {quoted} ADD COLUMN {definition}"))
}

fn action(table: &Table, reason: String, statement: String) -> Action {
    Action { reason, call: table.call(statement, Vec::new()) }
}

fn definition(table: &Table, name: &str) -> String {
    let column = table.layout.our(name);
    let constraint = match column {
        Some(column) if column.kind == Kind::Id && table.dialect == Dialect::Postgres => " PRIMARY KEY",
        // What the destination fills itself may come out empty.
        Some(column) if column.required && !table.layout.overrides(name) => " NOT NULL",
        _ => "",
    };
    format!("{} {}{constraint}", in_double_quotes(name), type_of(table, name))
}

fn type_of(table: &Table, name: &str) -> &'static str {
    table.dialect.type_of(table.layout.our(name).map(|column| column.kind))
}

/// The first column of every row.
fn names(reply: &Reply) -> Result<Vec<String>, String> {
    is_done(reply)?;
    let rows: Vec<Vec<Option<String>>> =
        serde_json::from_slice(&reply.body).map_err(|_| "the server's answer cannot be read".to_owned())?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
