//! The table and its columns, made where they are missing. Nothing is ever changed that is there.

use domain::connector::{Action, Means, Reply};
use serde_json::{Value, json};

use super::Table;
use super::reply::said;
use crate::warehouse::Kind;

impl Table {
    /// `project.dataset.table`.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}.{}", self.project, self.dataset, self.name)
    }
}

pub(super) fn plan(table: &Table, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [reply] = replies else { return Err("BigQuery was not asked".to_owned()) };
    let name = table.full_name();
    match reply.status {
        200..=299 => {
            let there = reply.json().ok_or("the answer of BigQuery cannot be read")?;
            Ok(add_columns(table, means, &there["schema"]["fields"]).into_iter().collect())
        }
        404 if said(reply).contains("Not found: Table") => Ok(vec![Action {
            reason: format!("create table `{name}`"),
            call: table.call("POST", &[], created(table).to_string(), means.token),
        }]),
        404 => Err(format!(
            "there is no dataset `{}.{}` ({}); create it in the region you want, which cannot be changed later",
            table.project,
            table.dataset,
            said(reply)
        )),
        _ => Err(format!("BigQuery says: {}", said(reply))),
    }
}

fn created(table: &Table) -> Value {
    let fields: Vec<_> = table.layout.names.iter().map(|name| field(table, name, true)).collect();
    let mut created = json!({
        "tableReference": {"projectId": table.project, "datasetId": table.dataset, "tableId": table.name},
        "description": "Deep-link events, one row each; the newest of each `event_id` counts.",
        "schema": {"fields": fields},
    });
    if table.layout.has("occurred_at") {
        created["timePartitioning"] = json!({"type": "DAY", "field": "occurred_at"});
    }
    if table.layout.has("event_type") {
        created["clustering"] = json!({"fields": ["event_type"]});
    }
    created
}

/// A patch has the whole schema: what is there, as it is, and what is missing.
fn add_columns(table: &Table, means: &Means<'_>, there: &Value) -> Option<Action> {
    let mut fields = there.as_array().cloned().unwrap_or_default();
    let is_there = |name: &&String| {
        fields.iter().any(|field| field["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    };
    let missing: Vec<_> = table.layout.names.iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return None;
    }
    let names = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    fields.extend(missing.into_iter().map(|name| field(table, name, false)));
    let body = json!({"schema": {"fields": fields}}).to_string();
    Some(Action {
        reason: format!("add to table `{}` the columns {names}", table.full_name()),
        call: table.call("PATCH", &[&table.name], body, means.token),
    })
}

/// What the destination fills itself, and what is added to rows that are there, may be empty.
fn field(table: &Table, name: &str, is_new_table: bool) -> Value {
    let column = table.layout.our(name);
    let is_required = column.is_some_and(|column| column.required && is_new_table && !table.layout.overrides(name));
    let type_of = match column.map(|column| column.kind) {
        Some(Kind::Id | Kind::Text | Kind::Word | Kind::Raw) | None => "STRING",
        Some(Kind::Time) => "TIMESTAMP",
        Some(Kind::Number) => "FLOAT",
        Some(Kind::Money) => "NUMERIC",
        Some(Kind::Flag) => "BOOLEAN",
        Some(Kind::Data) => "JSON",
    };
    json!({"name": name, "type": type_of, "mode": if is_required { "REQUIRED" } else { "NULLABLE" }})
}
