//! The table and its columns, made where they are missing. Nothing is ever changed that is there.

use std::collections::BTreeMap;

use domain::connector::{Action, Call, Reply};
use serde::Deserialize;

use super::reply::{Exception, Judgement, judge};
use super::{Server, in_backticks};
use crate::warehouse::{Column, Kind};

/// The first version, by year, whose types and settings the table is made with; older ones get plain types.
const MODERN_SINCE: u32 = 22;

/// The questions, in the order of [`plan`]'s answers.
pub(super) fn survey(server: &Server) -> Vec<Call> {
    let (database, table) = (&server.table.database, &server.table.name);
    // Names are checked when the settings are read: none can end a quote.
    let questions = [
        "SELECT version() AS version, timezone() AS zone FORMAT JSONEachRow".to_owned(),
        format!("SELECT name FROM system.databases WHERE name = '{database}' FORMAT JSONEachRow"),
        format!(
            "SELECT name, type FROM system.columns WHERE database = '{database}' AND table = '{table}' FORMAT JSONEachRow"
        ),
    ];
    questions.into_iter().map(|question| ask(server, question)).collect()
}

/// A statement goes into the body, so that it may be long.
fn ask(server: &Server, statement: String) -> Call {
    Call::Http(server.call(server.url_with(&[]), statement.into_bytes()).with_long_reply())
}

#[derive(Deserialize)]
struct Version {
    version: String,
    zone: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(rename = "type", default)]
    type_name: String,
}

pub(super) fn plan(server: &Server, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [version, databases, columns] = replies else { return Err("the server was not asked".to_owned()) };
    let version: Version = rows(server, version)?.pop().ok_or("the server does not say which version it is")?;
    let has_database = !rows::<Named>(server, databases)?.is_empty();
    let there: BTreeMap<_, _> =
        rows::<Named>(server, columns)?.into_iter().map(|column| (column.name, column.type_name)).collect();
    check_zone(server, &version.zone, &there)?;

    let year: u32 = version.version.split('.').next().and_then(|year| year.parse().ok()).unwrap_or(0);
    let is_modern = year >= MODERN_SINCE;
    let mut actions = Vec::new();
    if !has_database {
        let database = &server.table.database;
        actions.push(Action {
            reason: format!("create database `{database}`"),
            call: ask(server, format!("CREATE DATABASE IF NOT EXISTS {}", in_backticks(database))),
        });
    }
    if there.is_empty() {
        actions.push(create_table(server, is_modern));
    } else {
        actions.extend(add_columns(server, is_modern, &there));
    }
    Ok(actions)
}

/// A time without a zone would be taken for a local one.
fn check_zone(server: &Server, zone: &str, there: &BTreeMap<String, String>) -> Result<(), String> {
    if matches!(zone, "UTC" | "Etc/UTC" | "GMT" | "Universal" | "Zulu" | "Etc/UCT" | "UCT" | "Etc/GMT") {
        return Ok(());
    }
    let times = server.layout.names.iter().filter(|name| {
        let is_ours = server.layout.our(name).is_some_and(|column| column.kind == Kind::Time);
        is_ours && !server.layout.overrides(name)
    });
    for name in times {
        if there.get(name).is_some_and(|type_name| type_name.starts_with("DateTime") && !type_name.contains('\'')) {
            return Err(format!(
                "column `{name}` has no time zone and the server's is `{zone}`, so that our times, which are in UTC, would \
                 be taken for local ones; give the column the type `DateTime64(3, 'UTC')`, or fill it by \
                 `columns.{name} = \"{{{{ timestamp }}}}\"`, which carries its zone"
            ));
        }
    }
    Ok(())
}

fn create_table(server: &Server, is_modern: bool) -> Action {
    let table = server.table.quoted();
    let names = &server.layout.names;
    let has = |name: &str| server.layout.has(name);
    let columns: Vec<_> = names.iter().map(|name| definition(server, name, is_modern)).collect();
    let columns = columns.join(", ");
    let partition = if has("occurred_at") { " PARTITION BY toYYYYMM(occurred_at)" } else { "" };
    let order = if ["event_type", "occurred_at", "event_id"].into_iter().all(has) {
        "(event_type, toDate(occurred_at), event_id)"
    } else if has("event_id") {
        "event_id"
    } else {
        "tuple()"
    };
    let newest = if has("received_at") { "received_at" } else { "" };
    // Without a window a server that is alone forgets the tokens of inserts at once.
    let window = if is_modern { " SETTINGS non_replicated_deduplication_window = 1000" } else { "" };
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = ReplacingMergeTree({newest}){partition} ORDER BY \
         {order}{window}"
    );
    Action { reason: format!("create table {table}"), call: ask(server, statement) }
}

fn add_columns(server: &Server, is_modern: bool, there: &BTreeMap<String, String>) -> Option<Action> {
    let missing: Vec<_> = server.layout.names.iter().filter(|name| !there.contains_key(*name)).collect();
    if missing.is_empty() {
        return None;
    }
    let table = server.table.quoted();
    let definitions: Vec<_> =
        missing.iter().map(|name| format!("ADD COLUMN {}", definition(server, name, is_modern))).collect();
    let names: Vec<_> = missing.iter().map(|name| in_backticks(name)).collect();
    Some(Action {
        reason: format!("add to table {table} the columns {}", names.join(", ")),
        call: ask(server, format!("ALTER TABLE {table} {}", definitions.join(", "))),
    })
}

fn definition(server: &Server, name: &str, is_modern: bool) -> String {
    let type_name = server.layout.our(name).map_or("String", |column| type_of(column, is_modern));
    format!("{} {type_name}", in_backticks(name))
}

/// What may be missing is empty where it is a text, as is usual here, and null where a zero would be a statement.
fn type_of(column: &Column, is_modern: bool) -> &'static str {
    match (column.kind, is_modern) {
        (Kind::Word, true) => "LowCardinality(String)",
        (Kind::Raw | Kind::Data, true) => "String CODEC(ZSTD(3))",
        (Kind::Id | Kind::Text | Kind::Word | Kind::Raw | Kind::Data, _) => "String",
        (Kind::Time, true) => "DateTime64(3, 'UTC')",
        (Kind::Time, false) => "DateTime('UTC')",
        (Kind::Number, _) => "Nullable(Float64)",
        (Kind::Flag, _) => "Nullable(UInt8)",
        (Kind::Money, _) => "Nullable(Decimal(18, 4))",
    }
}

pub(super) fn is_done(server: &Server, reply: &Reply) -> Result<(), String> {
    match Exception::of(reply) {
        // The refusals of an insert speak of inserting.
        Some(exception) => Err(format!("ClickHouse says: {} (code {})", exception.text, exception.code)),
        None => match judge(reply, &server.table) {
            Judgement::Delivered => Ok(()),
            _ => {
                Err(format!("what answers under `url` is not ClickHouse, or is not well: it answered {}", reply.status))
            }
        },
    }
}

/// The rows of an answer.
fn rows<T: serde::de::DeserializeOwned>(server: &Server, reply: &Reply) -> Result<Vec<T>, String> {
    let text = reply.text();
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    match rows {
        Ok(rows) if reply.is_success() => Ok(rows),
        _ => match is_done(server, reply) {
            Err(message) => Err(message),
            Ok(()) => Err("the server's answer cannot be read".to_owned()),
        },
    }
}
