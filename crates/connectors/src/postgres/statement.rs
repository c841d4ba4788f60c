//! The one statement that carries a batch.

use domain::Settings;
use serde_json::{Map, Value};

use super::Table;
use super::literal::literal;
use crate::warehouse::Kind;
use crate::warehouse::identifier::in_double_quotes;

/// What the store understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Redshift,
}

impl Dialect {
    pub(super) fn read(settings: &Settings) -> Self {
        if settings.text("dialect") == Some("redshift") { Self::Redshift } else { Self::Postgres }
    }

    /// The type of a column of ours; `None` is one that the destination has added.
    pub(super) fn type_of(self, kind: Option<Kind>) -> &'static str {
        match (kind, self) {
            (Some(Kind::Id | Kind::Text | Kind::Word | Kind::Raw) | None, Self::Postgres) => "text",
            (Some(Kind::Data), Self::Postgres) => "jsonb",
            (Some(Kind::Money), Self::Postgres) => "numeric",
            (Some(Kind::Id | Kind::Word), Self::Redshift) => "varchar(256)",
            (Some(Kind::Text | Kind::Raw | Kind::Data) | None, Self::Redshift) => "varchar(65535)",
            (Some(Kind::Money), Self::Redshift) => "decimal(18, 4)",
            (Some(Kind::Time), _) => "timestamptz",
            (Some(Kind::Number), _) => "double precision",
            (Some(Kind::Flag), _) => "boolean",
        }
    }
}

/// The statement that inserts rows, and its parameters.
pub(super) fn insert(table: &Table, rows: Vec<Map<String, Value>>) -> (String, Vec<Vec<Option<String>>>) {
    let rows = rows.into_iter().map(|row| row.into_iter().map(|(name, value)| (name, without_nul(value))).collect());
    match table.dialect {
        Dialect::Postgres => insert_of_records(table, rows),
        Dialect::Redshift => (insert_of_literals(table, rows), Vec::new()),
    }
}

/// One parameter for any number of rows, each a JSON object: the server turns it into a row of the table, whatever the types
/// of its columns are.
fn insert_of_records(
    table: &Table,
    rows: impl Iterator<Item = Map<String, Value>>,
) -> (String, Vec<Vec<Option<String>>>) {
    let name = table.quoted();
    let columns = columns(table, "");
    let of_record = self::columns(table, "r.");
    let statement = format!(
        "INSERT INTO {name} ({columns}) SELECT {of_record} FROM UNNEST($1::text[]) AS e(event), \
         jsonb_populate_record(NULL::{name}, e.event::jsonb) AS r ON CONFLICT DO NOTHING"
    );
    (statement, vec![rows.map(|row| Some(Value::from(row).to_string())).collect()])
}

/// Everything written out, and rows that are there already left out by asking for them: for stores that know no arrays, no
/// conflicts and no keys that are kept.
fn insert_of_literals(table: &Table, rows: impl Iterator<Item = Map<String, Value>>) -> String {
    let name = table.quoted();
    let selects: Vec<_> = rows
        .map(|row| {
            let values = table.layout.names.iter().map(|name| {
                let type_of = table.dialect.type_of(table.layout.our(name).map(|column| column.kind));
                format!("CAST({} AS {type_of}) AS {}", literal(row.get(name)), in_double_quotes(name))
            });
            format!("SELECT {}", values.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let is_new = if table.layout.has("event_id") {
        format!(" WHERE NOT EXISTS (SELECT 1 FROM {name} AS o WHERE o.\"event_id\" = n.\"event_id\")")
    } else {
        String::new()
    };
    format!(
        "INSERT INTO {name} ({}) SELECT {} FROM ({}) AS n{is_new}",
        columns(table, ""),
        columns(table, "n."),
        selects.join(" UNION ALL ")
    )
}

fn columns(table: &Table, prefix: &str) -> String {
    let names = table.layout.names.iter().map(|name| format!("{prefix}{}", in_double_quotes(name)));
    names.collect::<Vec<_>>().join(", ")
}

/// The same without U+0000, which no text of this database can hold.
fn without_nul(value: Value) -> Value {
    let cut = |text: String| if text.contains('\0') { text.replace('\0', "") } else { text };
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (cut(name), without_nul(value))).collect(),
        other => other,
    }
}
