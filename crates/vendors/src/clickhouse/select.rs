//! Questions: constants, counts, and the system tables that say what there is.

use super::exception::{Exception, syntax, unknown_table};
use super::settings::Settings;
use super::statement::{after, bare};
use super::{ClickHouse, Release};

/// Rows of named values.
pub(super) type Rows = Vec<Vec<(String, String)>>;

/// `SELECT … [FROM … [FINAL]] [WHERE … AND …]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Select {
    /// Expressions, each with the name of its column.
    columns: Vec<(String, String)>,
    from: String,
    /// Columns, each with the values that it may have.
    conditions: Vec<(String, Vec<String>)>,
}

impl Select {
    /// Reads what follows `SELECT`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (columns, rest) = split_word(text, " FROM ");
        let (from, conditions) = split_word(rest, " WHERE ");
        let from = from.trim().trim_end_matches(" FINAL").to_owned();
        let columns = columns.split(',').map(|column| {
            let (expression, name) = split_word(column.trim(), " AS ");
            let name = if name.is_empty() { expression } else { name };
            (expression.trim().to_owned(), name.trim().to_owned())
        });
        let mut read = Vec::new();
        let mut rest = conditions;
        while !rest.is_empty() {
            let (condition, more) = split_word(rest, " AND ");
            read.push(equation(condition)?);
            rest = more;
        }
        Some(Self { columns: columns.collect(), from, conditions: read })
    }

    pub(super) fn run(&self, server: &ClickHouse) -> Result<Rows, Exception> {
        let found: Rows = match self.from.as_str() {
            "" => vec![Vec::new()],
            "system.settings" => Settings::all(server.release).map(|name| row(&[("name", name)])).collect(),
            "system.databases" => server.databases.iter().map(|name| row(&[("name", name)])).collect(),
            "system.tables" => server
                .tables
                .iter()
                .map(|(name, table)| row(&[("database", &table.database), ("name", name), ("engine", &table.engine)]))
                .collect(),
            "system.columns" => {
                let columns = server.tables.iter().flat_map(|(name, table)| {
                    let of_table = [("database", table.database.as_str()), ("table", name.as_str())];
                    table.columns.iter().map(move |column| {
                        row(&[of_table[0], of_table[1], ("name", &column.name), ("type", &column.kind)])
                    })
                });
                columns.collect()
            }
            name => {
                let table = server.tables.get(&bare(name)).ok_or_else(|| unknown_table(name))?;
                vec![row(&[("count()", &table.rows.len().to_string())])]
            }
        };
        let wanted = found.into_iter().filter(|row| {
            let fits =
                |(name, values): &(String, Vec<String>)| get(row, name).is_some_and(|value| values.contains(value));
            self.conditions.iter().all(fits)
        });
        wanted.map(|row| self.project(&row, server.release)).collect()
    }

    fn project(&self, row: &[(String, String)], release: Release) -> Result<Vec<(String, String)>, Exception> {
        let project = |(expression, name): &(String, String)| {
            let value = match expression.as_str() {
                "version()" => Some(release.version().to_owned()),
                "timezone()" => Some("UTC".to_owned()),
                "1" => Some("1".to_owned()),
                column => get(row, column).cloned(),
            };
            Ok((name.clone(), value.ok_or_else(|| syntax(expression))?))
        };
        self.columns.iter().map(project).collect()
    }
}

fn get<'a>(row: &'a [(String, String)], name: &str) -> Option<&'a String> {
    row.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn row(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `a = 'b'` or `a IN ('b', 'c')`
fn equation(text: &str) -> Option<(String, Vec<String>)> {
    let (column, rest) = text.trim().split_once(char::is_whitespace)?;
    let values = rest.trim().strip_prefix('=').or_else(|| after(rest, "IN"))?.trim();
    let values = values.trim_start_matches('(').trim_end_matches(')').split(',');
    let unquoted = |value: &str| value.trim().strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned);
    Some((bare(column), values.map(unquoted).collect::<Option<_>>()?))
}

/// Splits at the first such word, whatever its case; the second half is empty where there is none.
fn split_word<'a>(text: &'a str, word: &str) -> (&'a str, &'a str) {
    match text.to_ascii_uppercase().find(word) {
        Some(at) => (&text[..at], &text[at + word.len()..]),
        None => (text, ""),
    }
}
