//! The one statement that carries a batch.

use domain::Settings;
use serde_json::{Map, Value};

use super::Table;
use crate::warehouse::Kind;
use crate::warehouse::written::{self, columns, without_nul};

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
        match (self, kind) {
            (Self::Redshift, _) => written::type_of(kind),
            (Self::Postgres, Some(Kind::Id | Kind::Text | Kind::Word | Kind::Raw) | None) => "text",
            (Self::Postgres, Some(Kind::Time)) => "timestamptz",
            (Self::Postgres, Some(Kind::Number)) => "double precision",
            (Self::Postgres, Some(Kind::Money)) => "numeric",
            (Self::Postgres, Some(Kind::Flag)) => "boolean",
            (Self::Postgres, Some(Kind::Data)) => "jsonb",
        }
    }
}

/// The statement that inserts rows, and its parameters.
pub(super) fn insert(table: &Table, rows: Vec<Map<String, Value>>) -> (String, Vec<Vec<Option<String>>>) {
    let rows = rows.into_iter().map(|row| row.into_iter().map(|(name, value)| (name, without_nul(value))).collect());
    match table.dialect {
        Dialect::Postgres => insert_of_records(table, rows),
        Dialect::Redshift => (written::insert(&table.quoted(), &table.layout, rows), Vec::new()),
    }
}

/// One parameter for any number of rows, each a JSON object: the server turns it into a row of the table, whatever the types
/// of its columns are.
fn insert_of_records(
    table: &Table,
    rows: impl Iterator<Item = Map<String, Value>>,
) -> (String, Vec<Vec<Option<String>>>) {
    let name = table.quoted();
    let statement = format!(
        "INSERT INTO {name} ({}) SELECT {} FROM UNNEST($1::text[]) AS e(event), \
         jsonb_populate_record(NULL::{name}, e.event::jsonb) AS r ON CONFLICT DO NOTHING",
        columns(&table.layout, ""),
        columns(&table.layout, "r.")
    );
    (statement, vec![rows.map(|row| Some(Value::from(row).to_string())).collect()])
}
