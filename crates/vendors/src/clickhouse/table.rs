//! Tables and their columns.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use super::Release;
use super::exception::{Exception, syntax};
use super::select::Rows;
use super::settings::Settings;

/// A table with what was inserted into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<Column>,
    /// From `ENGINE` on, as it was given.
    pub engine: String,
    pub rows: Vec<Value>,
    pub(super) database: String,
    /// Deduplication tokens with the data that first came under each.
    pub(super) tokens: HashMap<String, Bytes>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The type in full: `LowCardinality(String)`.
    pub kind: String,
}

impl Table {
    /// Reads what follows the first parenthesis of a `CREATE TABLE`.
    pub(super) fn define(
        database: String,
        body: &str,
        release: Release,
        settings: &Settings,
    ) -> Result<Self, Exception> {
        let (columns, engine) = split_at_close(body).ok_or_else(|| syntax(body))?;
        let engine = engine.trim();
        if release == Release::Old && engine.to_ascii_uppercase().contains(" TTL ") {
            return Err(syntax(engine));
        }
        let columns = split_at_commas(columns).into_iter().map(|column| Column::read(column, release, settings));
        let (columns, engine) = (columns.collect::<Result<_, _>>()?, engine.to_owned());
        Ok(Self { columns, engine, rows: Vec::new(), database, tokens: HashMap::new() })
    }

    /// Carries out `ADD COLUMN …, ADD COLUMN …`.
    pub(super) fn add_columns(&mut self, all: &str, release: Release, settings: &Settings) -> Result<(), Exception> {
        let mut added = Vec::new();
        for clause in split_at_commas(all) {
            let clause = strip_words(clause, "ADD COLUMN").ok_or_else(|| syntax(clause))?;
            let conditional = strip_words(clause, "IF NOT EXISTS");
            if conditional.is_some() && release == Release::Old {
                return Err(syntax(clause));
            }
            let column = Column::read(conditional.unwrap_or(clause), release, settings)?;
            match self.columns.iter().any(|known| known.name == column.name) {
                true if conditional.is_some() => {}
                true => {
                    return Err(Exception::new(
                        44,
                        &format!("Cannot add column {}: column already exists", column.name),
                    ));
                }
                false => added.push(column),
            }
        }
        self.columns.extend(added);
        Ok(())
    }

    /// The rows of `DESCRIBE TABLE`.
    pub(super) fn describe(&self) -> Rows {
        let describe = |column: &Column| {
            let fields =
                [("name", &*column.name), ("type", &*column.kind), ("default_type", ""), ("default_expression", "")];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
        };
        self.columns.iter().map(describe).collect()
    }

    /// Whether tokens count: for replicated tables, and for others that were told so.
    pub(super) fn deduplicates(&self) -> bool {
        let window = self.engine.split_once("non_replicated_deduplication_window");
        let window = window.and_then(|(_, value)| value.trim_start_matches([' ', '=']).split([',', ' ']).next());
        self.engine.contains("Replicated") || window.is_some_and(|window| window != "0")
    }
}

impl Column {
    fn read(text: &str, release: Release, settings: &Settings) -> Result<Self, Exception> {
        let (name, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(|| syntax(text))?;
        let kind = without_modifiers(rest.trim());
        let column = Self { name: name.trim_matches(['`', '"']).to_owned(), kind: kind.to_owned() };
        if release == Release::Old {
            if rest.contains(" CODEC(") || rest.contains(" TTL ") {
                return Err(syntax(text));
            }
            if let Some(young) = YOUNG_TYPES.iter().find(|young| kind.contains(**young)) {
                return Err(Exception::new(50, &format!("Unknown data type family: {young}")));
            }
            if kind.contains("LowCardinality") && !settings.is_on("allow_experimental_low_cardinality_type", false) {
                return Err(Exception::new(44, "Set allow_experimental_low_cardinality_type = 1 in order to allow it"));
            }
        }
        Ok(column)
    }

    /// The type without what is wrapped around it, and whether it takes null.
    pub(super) fn core(&self) -> (&str, bool) {
        let (mut core, mut nullable) = (self.kind.as_str(), false);
        for wrapper in ["LowCardinality(", "Nullable(", "LowCardinality("] {
            if let Some(inner) = core.strip_prefix(wrapper).and_then(|inner| inner.strip_suffix(')')) {
                nullable |= wrapper == "Nullable(";
                core = inner;
            }
        }
        (core, nullable)
    }
}

fn without_modifiers(kind: &str) -> &str {
    let ends = [" DEFAULT ", " MATERIALIZED ", " CODEC(", " TTL ", " COMMENT ", " AFTER ", " FIRST"];
    let end = ends.iter().filter_map(|word| kind.find(word)).min().unwrap_or(kind.len());
    kind[..end].trim()
}

/// Splits `a Int, b Decimal(1, 2)) ENGINE…` at the parenthesis that closes what was open before.
fn split_at_close(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Splits at commas outside of parentheses.
fn split_at_commas(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn strip_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let head = text.get(..words.len()).filter(|head| head.eq_ignore_ascii_case(words))?;
    Some(text[head.len()..].trim_start())
}

/// Types that came after 18.16.
const YOUNG_TYPES: &[&str] = &["DateTime64", "Bool", "Map(", "IPv6", "JSON"];
