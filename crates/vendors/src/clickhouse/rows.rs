//! One insert of `JSONEachRow`.

use bytes::Bytes;
use serde_json::Value;

use super::Release;
use super::exception::Exception;
use super::settings::Settings;
use super::table::{Column, Table};
use crate::book::Book;
use crate::look::text;

/// Takes all rows or none, except for those that `input_format_allow_errors_num` lets fall silently.
pub(super) fn insert(
    table: &mut Table,
    columns: &[String],
    data: &[u8],
    settings: &Settings,
    release: Release,
    book: &mut Book,
) -> Result<(), Exception> {
    let is_known = |name: &str| table.columns.iter().any(|column| column.name == name);
    if let Some(unknown) = columns.iter().find(|name| !is_known(name)) {
        return Err(Exception::new(16, &format!("No such column {unknown} in table")));
    }
    let blind =
        settings.is_on("async_insert", release == Release::Current) && !settings.is_on("wait_for_async_insert", true);
    let mut allowed: usize = settings.get("input_format_allow_errors_num").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for row in serde_json::Deserializer::from_slice(data).into_iter::<Value>() {
        let checked = row
            .map_err(|error| (Value::Null, Exception::new(27, &format!("Cannot parse input: {error}"))))
            .and_then(|row| match check(table, &row, settings, release) {
                Ok(()) => Ok(row),
                Err(exception) => Err((row, exception)),
            });
        match checked {
            Ok(row) => good.push(row),
            Err((row, _)) if allowed > 0 => {
                allowed -= 1;
                bad.push(row);
            }
            // Answered before anything was parsed.
            Err((row, exception)) if blind => {
                book.lose(text(&row["event_id"]), row.clone(), exception.message);
                return Ok(());
            }
            Err((row, exception)) => {
                book.refuse(text(&row["event_id"]), row.clone(), exception.message.as_str());
                return Err(exception);
            }
        }
    }
    for row in bad {
        book.lose(text(&row["event_id"]), row.clone(), "skipped by input_format_allow_errors_num");
    }
    if let Some(token) = settings.get("insert_deduplication_token").filter(|_| table.deduplicates()) {
        if let Some(first) = table.tokens.get(token) {
            drop_repetition(good, data == &first[..], book);
            return Ok(());
        }
        table.tokens.insert(token.to_owned(), Bytes::copy_from_slice(data));
    }
    for row in good {
        if let Some(reason) = saturates(table, &row) {
            book.flag(text(&row["event_id"]), row.clone(), reason);
        }
        book.store(text(&row["event_id"]), row.clone());
        table.rows.push(row);
    }
    Ok(())
}

/// A token that was seen before drops whatever comes with it, the same rows or not.
fn drop_repetition(rows: Vec<Value>, same: bool, book: &mut Book) {
    for row in rows {
        let key = text(&row["event_id"]).to_owned();
        if same {
            let reason = "the token was seen before".to_owned();
            book.duplicates.push(crate::Entry { key, item: row, reason });
        } else {
            book.lose(key, row, "the token was seen before, with other rows");
        }
    }
}

fn check(table: &Table, row: &Value, settings: &Settings, release: Release) -> Result<(), Exception> {
    let Some(fields) = row.as_object() else { return Err(Exception::new(27, "Cannot parse input: expected '{'")) };
    for (name, value) in fields {
        match table.columns.iter().find(|column| column.name == *name) {
            Some(column) => fits(column, value, settings, release)?,
            None if settings.is_on("input_format_skip_unknown_fields", release == Release::Current) => {}
            None => {
                return Err(Exception::new(
                    117,
                    &format!("Unknown field found while parsing JSONEachRow format: {name}"),
                ));
            }
        }
    }
    Ok(())
}

fn fits(column: &Column, value: &Value, settings: &Settings, release: Release) -> Result<(), Exception> {
    let (kind, nullable) = column.core();
    let is_lenient = release == Release::Current;
    let refuse =
        |code| Err(Exception::new(code, &format!("Cannot parse {value} into {kind} of column {}", column.name)));
    if value.is_null() {
        return if nullable || is_lenient { Ok(()) } else { refuse(26) };
    }
    let quoted = value.as_str();
    let fine = match kind.split('(').next().unwrap_or_default() {
        "String" | "FixedString" => {
            return if quoted.is_some() || is_lenient { Ok(()) } else { refuse(26) };
        }
        "DateTime" | "DateTime64" => {
            let format =
                settings.get("date_time_input_format").unwrap_or(if is_lenient { "best_effort" } else { "basic" });
            let fraction = kind.starts_with("DateTime64") || format == "best_effort";
            value.is_u64() || quoted.is_some_and(|time| is_time(time, format == "best_effort", fraction))
        }
        "Bool" => value.is_boolean() || value.is_u64(),
        "UUID" => quoted.is_some_and(|uuid| uuid.len() == 36),
        name if name.contains("Int") => {
            value.is_i64()
                || value.is_u64()
                || value.is_boolean()
                || quoted.is_some_and(|text| text.parse::<i128>().is_ok())
        }
        name if name.starts_with("Float") || name.starts_with("Decimal") => {
            value.is_number() || quoted.is_some_and(|text| text.parse::<f64>().is_ok())
        }
        _ => true,
    };
    if fine { Ok(()) } else { refuse(27) }
}

/// `2026-03-04 14:32:08`, with a fraction or in ISO 8601 where that is understood.
fn is_time(time: &str, best_effort: bool, fraction: bool) -> bool {
    let bytes = time.as_bytes();
    let separated = bytes.get(10).is_some_and(|byte| *byte == b' ' || (best_effort && *byte == b'T'));
    let rest = bytes.get(19..).unwrap_or_default();
    let tail = match rest {
        [] => true,
        [b'.', digits @ ..] if fraction => best_effort || digits.iter().all(u8::is_ascii_digit),
        _ => best_effort,
    };
    bytes.len() >= 19 && bytes[4] == b'-' && bytes[13] == b':' && separated && tail
}

/// A bare number of milliseconds is read as seconds, and ends at the end of time without a word.
fn saturates(table: &Table, row: &Value) -> Option<String> {
    let is_time = |column: &&Column| column.core().0.starts_with("DateTime");
    let too_large = |column: &&Column| row[column.name.as_str()].as_u64().is_some_and(|number| number > SECONDS_MAX);
    let column = table.columns.iter().filter(is_time).find(too_large)?;
    Some(format!("`{}` is a number that is not seconds", column.name))
}

/// The last second of a `DateTime`.
const SECONDS_MAX: u64 = u32::MAX as u64;
