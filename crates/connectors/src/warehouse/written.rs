//! Inserts with everything written out, for stores in the manner of Redshift: they know no arrays, no conflicts and no keys that
//! are kept.

use serde_json::{Map, Value};

use super::identifier::in_double_quotes;
use super::literal::literal;
use super::{Kind, Layout};

/// The type of a column of ours; `None` is one that the destination has added.
pub(crate) fn type_of(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Id | Kind::Word) => "varchar(256)",
        Some(Kind::Text | Kind::Raw | Kind::Data) | None => "varchar(65535)",
        Some(Kind::Money) => "decimal(18, 4)",
        Some(Kind::Time) => "timestamptz",
        Some(Kind::Number) => "double precision",
        Some(Kind::Flag) => "boolean",
    }
}

/// Inserts rows into the table of this quoted name. Those that are there already are left out by asking for them.
pub(crate) fn insert(table: &str, layout: &Layout, rows: impl Iterator<Item = Map<String, Value>>) -> String {
    let selects: Vec<_> = rows
        .map(|row| {
            let values = layout.names.iter().map(|name| {
                let type_of = type_of(layout.our(name).map(|column| column.kind));
                format!("CAST({} AS {type_of}) AS {}", literal(row.get(name)), in_double_quotes(name))
            });
            format!("SELECT {}", values.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let is_new = if layout.has("event_id") {
        format!(" WHERE NOT EXISTS (SELECT 1 FROM {table} AS o WHERE o.\"event_id\" = n.\"event_id\")")
    } else {
        String::new()
    };
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM ({}) AS n{is_new}",
        columns(layout, ""),
        columns(layout, "n."),
        selects.join(" UNION ALL ")
    )
}

/// The names of the columns, each with a prefix.
pub(crate) fn columns(layout: &Layout, prefix: &str) -> String {
    let names = layout.names.iter().map(|name| format!("{prefix}{}", in_double_quotes(name)));
    names.collect::<Vec<_>>().join(", ")
}

/// The same value without U+0000, which no text of these stores can hold.
pub(crate) fn without_nul(value: Value) -> Value {
    let cut = |text: String| if text.contains('\0') { text.replace('\0', "") } else { text };
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (cut(name), without_nul(value))).collect(),
        other => other,
    }
}
