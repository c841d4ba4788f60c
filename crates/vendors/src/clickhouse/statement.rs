//! As much SQL as a destination needs.

use serde_json::{Map, Value, json};

use super::exception::{Exception, syntax};
use super::select::{Rows, Select};

/// A statement and the format it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) kind: Kind,
    pub(super) format: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Insert { table: String, columns: Vec<String>, inline: String },
    Create { database: Option<String>, table: String, if_missing: bool, body: String },
    AddColumns { table: String, columns: String },
    CreateDatabase(String),
    Describe(String),
    Exists(String),
    Select(Select),
}

impl Statement {
    /// Whether a GET may carry it.
    pub(super) fn only_reads(query: &str) -> bool {
        let first = query.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        matches!(first.as_str(), "SELECT" | "DESCRIBE" | "DESC" | "EXISTS" | "SHOW")
    }

    pub(super) fn parse(query: &str) -> Result<Self, Exception> {
        let query = query.trim().trim_end_matches(';');
        if let Some(rest) = after(query, "INSERT INTO TABLE").or_else(|| after(query, "INSERT INTO")) {
            return insert(rest).ok_or_else(|| syntax(query))?;
        }
        let (query, format) = split_format(query);
        let kind = definition(query).or_else(|| question(query)).ok_or_else(|| syntax(query))?;
        Ok(Self { kind, format })
    }
}

fn insert(rest: &str) -> Option<Result<Statement, Exception>> {
    let upper = rest.to_ascii_uppercase();
    let at = upper.find("FORMAT ")?;
    let (target, rest) = (&rest[..at], rest[at + "FORMAT ".len()..].trim_start());
    let (format, inline) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if format != "JSONEachRow" {
        return Some(Err(Exception::new(73, &format!("Unknown format {format}"))));
    }
    let (table, columns) = target.split_once('(').unwrap_or((target, ""));
    let columns = columns.trim_end().trim_end_matches(')').split(',').map(bare).filter(|name| !name.is_empty());
    let kind = Kind::Insert { table: bare(table), columns: columns.collect(), inline: inline.trim().to_owned() };
    Some(Ok(Statement { kind, format: format.to_owned() }))
}

fn definition(query: &str) -> Option<Kind> {
    if let Some(rest) = after(query, "CREATE DATABASE") {
        return Some(Kind::CreateDatabase(bare(after(rest, "IF NOT EXISTS").unwrap_or(rest))));
    }
    if let Some(rest) = after(query, "CREATE TABLE") {
        let conditional = after(rest, "IF NOT EXISTS");
        let (name, body) = conditional.unwrap_or(rest).split_once('(')?;
        let database = name.split_once('.').map(|(database, _)| bare(database));
        let (if_missing, body) = (conditional.is_some(), body.to_owned());
        return Some(Kind::Create { database, table: bare(name), if_missing, body });
    }
    let (table, columns) = after(query, "ALTER TABLE")?.split_once(char::is_whitespace)?;
    let columns = columns.trim().to_owned();
    after(&columns, "ADD COLUMN")?;
    Some(Kind::AddColumns { table: bare(table), columns })
}

fn question(query: &str) -> Option<Kind> {
    let describe = ["DESCRIBE TABLE", "DESC TABLE", "DESCRIBE", "DESC"].iter().find_map(|verb| after(query, verb));
    if let Some(table) = describe {
        return Some(Kind::Describe(bare(table)));
    }
    if let Some(table) = after(query, "EXISTS TABLE").or_else(|| after(query, "EXISTS")) {
        return Some(Kind::Exists(bare(table)));
    }
    Select::parse(after(query, "SELECT")?).map(Kind::Select)
}

/// What follows these words, however they are spaced and cased.
pub(super) fn after<'a>(query: &'a str, words: &str) -> Option<&'a str> {
    let mut rest = query.trim();
    for word in words.split(' ') {
        let head = rest.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        rest = &rest[head.len()..];
        if !rest.is_empty() && !rest.starts_with(|next: char| next.is_whitespace() || "(`\"".contains(next)) {
            return None;
        }
        rest = rest.trim_start();
    }
    Some(rest)
}

fn split_format(query: &str) -> (&str, String) {
    match query.rsplit_once(" FORMAT ") {
        Some((query, format)) => (query.trim(), format.trim().to_owned()),
        None => (query, "TabSeparated".to_owned()),
    }
}

/// A name without its database and quotes.
pub(super) fn bare(name: &str) -> String {
    let name = name.trim().rsplit('.').next().unwrap_or_default();
    name.trim_matches(['`', '"']).to_owned()
}

/// Rows in the format that was asked for.
pub(super) fn render(rows: &Rows, format: &str) -> Result<String, Exception> {
    let tabs = |row: &Vec<(String, String)>| row.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("\t");
    let object = |row: &Vec<(String, String)>| {
        let fields: Map<String, Value> = row.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Value::Object(fields).to_string()
    };
    let lines: Vec<String> = match format {
        "TabSeparated" | "TSV" | "TabSeparatedRaw" | "TSVRaw" => rows.iter().map(tabs).collect(),
        "JSONEachRow" => rows.iter().map(object).collect(),
        other => return Err(Exception::new(73, &format!("Unknown format {other}"))),
    };
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}
