//! Making, showing and changing tables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::google::error;
use crate::look::{list, text};
use crate::request::Request;

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The fields of the schema: `name`, `type` and `mode`.
    pub columns: Vec<Value>,
    /// How many inserts are still told that there is no such table, as after its creation.
    pub not_found_yet: u32,
}

pub(super) fn create(tables: &mut BTreeMap<String, Table>, project: &str, dataset: &str, request: &Request) -> Answer {
    let Ok(wanted) = request.json() else { return error(400, "invalid", "INVALID_ARGUMENT", "Invalid JSON payload") };
    let table = text(&wanted["tableReference"]["tableId"]);
    if table.is_empty() {
        return error(400, "required", "INVALID_ARGUMENT", "Required parameter is missing: tableId");
    }
    let name = format!("{project}.{dataset}.{table}");
    if tables.contains_key(&name) {
        return error(409, "duplicate", "ALREADY_EXISTS", &format!("Already Exists: Table {name}"));
    }
    let columns = list(&wanted["schema"]["fields"]).to_vec();
    tables.insert(name.clone(), Table { columns, not_found_yet: NOT_FOUND_AT_FIRST });
    show(tables, &name)
}

pub(super) fn show(tables: &BTreeMap<String, Table>, name: &str) -> Answer {
    let Some(table) = tables.get(name) else { return not_found(name) };
    Answer::json(200, &json!({ "kind": "bigquery#table", "id": name, "schema": { "fields": table.columns } }))
}

/// Takes a schema that has all the columns of the old one; there is no dropping columns this way.
pub(super) fn patch(tables: &mut BTreeMap<String, Table>, name: &str, request: &Request) -> Answer {
    let Some(table) = tables.get_mut(name) else { return not_found(name) };
    let wanted = request.json().unwrap_or_default();
    let columns = list(&wanted["schema"]["fields"]).to_vec();
    let kept = table.columns.iter().all(|old| columns.iter().any(|new| new["name"] == old["name"]));
    if !kept {
        return error(400, "invalid", "INVALID_ARGUMENT", "Provided Schema does not match: a field is missing");
    }
    table.columns = columns;
    show(tables, name)
}

pub(super) fn not_found(name: &str) -> Answer {
    error(404, "notFound", "NOT_FOUND", &format!("Not found: Table {name}"))
}

/// How many inserts a new table misses.
const NOT_FOUND_AT_FIRST: u32 = 2;
