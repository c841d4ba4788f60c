//! Reading one table of the file: known keys only, each of its type, every problem kept with its line.

use std::collections::BTreeMap;

use domain::hint::hint;
use serde::de::DeserializeOwned;

use super::problem::{Problem, Problems};
use super::show::{Line, Origin};
use super::value::{Kind, Value};

/// One table, and where to put what is wrong with it and what it says.
pub(crate) struct Section<'s> {
    /// Where it is, for messages: `destination.orders-backend`.
    path: String,
    line: usize,
    entries: BTreeMap<String, Value>,
    problems: &'s mut Problems,
    shown: Vec<Line>,
}

impl<'s> Section<'s> {
    /// Opens a table that may hold the keys `known` and no others.
    pub(crate) fn open(value: &Value, path: String, known: &[&str], problems: &'s mut Problems) -> Option<Self> {
        let Kind::Table(entries) = &value.kind else {
            problems.push(Problem::new(Some(value.line), format!("`{path}` must be a table, not {}", value.noun())));
            return None;
        };
        for (key, value) in entries {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown key `{}`; {}", dotted(&path, key), hint(key, known));
                problems.push(Problem::new(Some(value.line), message));
            }
        }
        Some(Self { path, line: value.line, entries: entries.clone(), problems, shown: Vec::new() })
    }

    /// Opens the table at a key and lets `read` read it; one that is not there is empty.
    pub(crate) fn nested<T>(
        &mut self,
        key: &str,
        known: &[&str],
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let empty = || Value { kind: Kind::Table(BTreeMap::new()), line: self.line, written: None };
        let value = self.entries.get(key).cloned().unwrap_or_else(empty);
        let mut inner = Section::open(&value, dotted(&self.path, key), known, self.problems)?;
        let read = read(&mut inner);
        let shown = inner.into_shown();
        self.shown.extend(shown);
        read
    }

    /// The value of a key, if it is there.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Reads a key that may be left out.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, key: &str, default: T, shown_default: &str) -> Option<T> {
        if let Some(value) = self.entries.get(key) {
            let value = value.clone();
            self.show(key, display(&value.to_json()), Origin::Line(value.line));
            self.convert(key, &value)
        } else {
            self.show(key, shown_default.to_owned(), Origin::Default);
            Some(default)
        }
    }

    /// Reads a key that must be there; `help` says what to write.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, key: &str, help: &str) -> Option<T> {
        if let Some(value) = self.entries.get(key) {
            let value = value.clone();
            self.show(key, display(&value.to_json()), Origin::Line(value.line));
            self.convert(key, &value)
        } else {
            self.fail(None, format!("`{}` is missing; {help}", dotted(&self.path, key)));
            None
        }
    }

    /// Tells a problem; at the line of `key` if there is one, else at that of the table.
    pub(crate) fn fail(&mut self, key: Option<&str>, message: String) {
        let line = key.and_then(|key| self.entries.get(key)).map_or(self.line, |value| value.line);
        self.problems.push(Problem::new(Some(line), message));
    }

    /// Tells a problem at a line that the caller knows.
    pub(crate) fn fail_at(&mut self, line: usize, message: String) {
        self.problems.push(Problem::new(Some(line), message));
    }

    /// How a key of this table is called in messages.
    pub(crate) fn name_of(&self, key: &str) -> String {
        dotted(&self.path, key)
    }

    /// Adds a line to what `config show` prints.
    pub(crate) fn show(&mut self, key: &str, value: String, origin: Origin) {
        self.shown.push(Line { key: dotted(&self.path, key), value, origin });
    }

    /// What was read, for `config show`.
    pub(crate) fn into_shown(self) -> Vec<Line> {
        self.shown
    }

    fn convert<T: DeserializeOwned>(&mut self, key: &str, value: &Value) -> Option<T> {
        match serde_json::from_value(value.to_json()) {
            Ok(read) => Some(read),
            Err(error) => {
                self.fail(Some(key), format!("`{}`{}", dotted(&self.path, key), plainly(&error.to_string())));
                None
            }
        }
    }
}

/// What does not fit a type, in words for whoever wrote it; continues the name of the key.
fn plainly(error: &str) -> String {
    if let Some((found, expected)) =
        error.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let brackets = if expected == "a sequence" { "; put it into brackets, `[…]`" } else { "" };
        return format!(" must be {}, not {}{brackets}", noun(expected), noun(found));
    }
    if let Some((found, _)) = error.strip_prefix("invalid value: ").and_then(|rest| rest.split_once(", expected ")) {
        return format!(" is {}, which it cannot be", found.split_once(' ').map_or(found, |(_, value)| value));
    }
    if let Some((found, expected)) =
        error.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!(" cannot be {found}; use {expected}");
    }
    format!(": {error}")
}

/// A type as a person calls it.
fn noun(of_serde: &str) -> &str {
    let word = of_serde.strip_prefix("a ").unwrap_or(of_serde).split(' ').next();
    match word.unwrap_or_default() {
        "string" => "a text",
        "integer" | "floating" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "boolean" => "`true` or `false`",
        "sequence" => "a list",
        "map" => "a table",
        _ => of_serde,
    }
}

/// A value in the form a person would write it.
pub(crate) fn display(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The elements of `[[noun]]`, each with its path.
pub(super) fn elements<'v>(value: &'v Value, noun: &str, problems: &mut Problems) -> Vec<(String, &'v Value)> {
    let Kind::List(items) = &value.kind else {
        problems
            .push(Problem::new(Some(value.line), format!("`{noun}` is a list; write `[[{noun}]]`, with two brackets")));
        return Vec::new();
    };
    let path = |(index, element): (usize, &'v Value)| {
        let name = match &element.kind {
            Kind::Table(entries) => entries.get("name").map(|name| display(&name.to_json())),
            _ => None,
        };
        (format!("{noun}.{}", name.unwrap_or_else(|| (index + 1).to_string())), element)
    };
    items.iter().enumerate().map(path).collect()
}
