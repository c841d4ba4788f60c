//! One `insertAll`.

use std::time::Duration;

use serde_json::{Value, json};

use super::tables::Table;
use crate::answer::Answer;
use crate::book::Book;
use crate::google::error;
use crate::look::{list, text};
use crate::request::Request;

pub(super) fn insert_all(table: &Table, request: &Request, book: &mut Book) -> Answer {
    if request.body.len() > BYTES_MAX {
        return error(
            413,
            "requestTooLarge",
            "FAILED_PRECONDITION",
            "Request payload size exceeds the limit: 10485760 bytes.",
        );
    }
    let body = match request.json() {
        Ok(body) => body,
        Err(message) => return error(400, "parseError", "INVALID_ARGUMENT", &message),
    };
    let rows = list(&body["rows"]);
    if rows.is_empty() || rows.len() > ROWS_MAX || rows.iter().any(|row| text(&row["insertId"]).len() > ID_BYTES_MAX) {
        return error(400, "invalid", "INVALID_ARGUMENT", "1 to 50,000 rows, and an insertId of up to 128 characters");
    }
    let ignore_unknown = body["ignoreUnknownValues"] == true;
    let mut flaws: Vec<Option<Flaw>> = rows.iter().map(|row| check(table, &row["json"], ignore_unknown)).collect();
    if let Some(last) = flaws.last_mut().filter(|_| request.partial_failure) {
        *last = Some(Flaw { reason: "timeout", location: String::new(), message: "The insert has timed out." });
    }
    let stops = body["skipInvalidRows"] != true && flaws.iter().any(Option::is_some);
    let mut errors = Vec::new();
    for (index, (row, flaw)) in rows.iter().zip(flaws).enumerate() {
        let key = text(&row["insertId"]);
        let stopped = || Flaw { reason: "stopped", location: String::new(), message: "" };
        if let Some(flaw) = flaw.or_else(|| stops.then(stopped)) {
            let Flaw { reason, location, message } = flaw;
            let error = json!({ "reason": reason, "location": location, "debugInfo": "", "message": message });
            errors.push(json!({ "index": index, "errors": [error] }));
            book.refuse(key, row["json"].clone(), reason);
        } else {
            keep(key, table, &row["json"], request.at, book);
        }
    }
    let kind = "bigquery#tableDataInsertAllResponse";
    Answer::json(
        200,
        &if errors.is_empty() { json!({ "kind": kind }) } else { json!({ "kind": kind, "insertErrors": errors }) },
    )
}

fn keep(key: &str, table: &Table, row: &Value, at: Duration, book: &mut Book) {
    if let Some(unknown) = unknown_field(table, row) {
        book.flag(key, row.clone(), format!("`{unknown}` has no column and was left out"));
    }
    if key.is_empty() {
        book.flag(key, row.clone(), "without an insertId a repetition is another row");
        book.store(key, row.clone());
    } else {
        book.store_once(key, row.clone(), at, REMEMBERED);
    }
}

struct Flaw {
    reason: &'static str,
    location: String,
    message: &'static str,
}

/// What is wrong with a row. A table without columns takes everything.
fn check(table: &Table, row: &Value, ignore_unknown: bool) -> Option<Flaw> {
    let invalid = |location: &str, message| Some(Flaw { reason: "invalid", location: location.to_owned(), message });
    if !row.is_object() {
        return invalid("", "the row is not an object");
    }
    if let Some(unknown) = unknown_field(table, row).filter(|_| !ignore_unknown) {
        return invalid(unknown, "no such field");
    }
    for column in &table.columns {
        let (name, value) = (text(&column["name"]), &row[text(&column["name"])]);
        if value.is_null() {
            if column["mode"] == "REQUIRED" {
                return invalid(name, "Missing required field");
            }
        } else if !fits(text(&column["type"]), value) {
            return invalid(name, "Cannot convert value to the type of the column");
        }
    }
    None
}

fn unknown_field<'a>(table: &Table, row: &'a Value) -> Option<&'a str> {
    let is_known = |name: &str| table.columns.iter().any(|column| column["name"] == name);
    let fields = row.as_object()?;
    fields.keys().map(String::as_str).find(|name| !table.columns.is_empty() && !is_known(name))
}

fn fits(kind: &str, value: &Value) -> bool {
    let reads_as_number = |text: &str| text.parse::<f64>().is_ok();
    match kind {
        // JSON goes in as the text of it.
        "STRING" | "JSON" | "BYTES" => !value.is_object() && !value.is_array(),
        "BOOLEAN" | "BOOL" => value.is_boolean() || matches!(value.as_str(), Some("true" | "false")),
        "INTEGER" | "INT64" => value.is_i64() || value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
        "FLOAT" | "FLOAT64" | "NUMERIC" | "BIGNUMERIC" => {
            value.is_number() || value.as_str().is_some_and(reads_as_number)
        }
        "TIMESTAMP" | "DATETIME" | "DATE" => value.is_number() || text(value).len() >= "2026-03-04".len(),
        _ => true,
    }
}

const BYTES_MAX: usize = 10 << 20;
const ROWS_MAX: usize = 50_000;
const ID_BYTES_MAX: usize = 128;
const REMEMBERED: Duration = Duration::from_mins(1);
