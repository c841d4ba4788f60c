//! The file as a tree: every value with its line, environment variables put in.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};

/// Looks up an environment variable.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// One value of the file.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    /// Where it stands, counted from 1.
    pub(crate) line: usize,
    /// The text as written, when a variable was put into it.
    pub(crate) written: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Value>),
    Table(BTreeMap<String, Value>),
}

impl Value {
    /// Parses a file. Problems with variables are collected; one with the syntax is the only one.
    pub(crate) fn parse(text: &str, environment: Environment<'_>, problems: &mut Problems) -> Option<Self> {
        let lines = Lines::new(text);
        match DeTable::parse(text) {
            Ok(table) => {
                let mut reading = Reading { lines, environment, problems };
                Some(Self { kind: Kind::Table(reading.table(table.get_ref(), "")), line: 1, written: None })
            }
            Err(error) => {
                let line = error.span().map(|span| lines.of(span.start));
                problems.push(Problem::new(line, format!("this is not TOML: {}", error.message())));
                None
            }
        }
    }

    /// What it is, for a message.
    pub(crate) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a text",
            Kind::Integer(_) | Kind::Float(_) => "a number",
            Kind::Boolean(_) => "true or false",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.render(&|text, _| text.to_owned())
    }

    /// As JSON, with each variable standing where its value would: what may be shown of a value that may be secret.
    pub(crate) fn to_json_as_written(&self) -> serde_json::Value {
        self.render(&|text, written| written.unwrap_or(text).to_owned())
    }

    fn render(&self, text_of: &dyn Fn(&str, Option<&str>) -> String) -> serde_json::Value {
        match &self.kind {
            Kind::Text(text) => text_of(text, self.written.as_deref()).into(),
            Kind::Integer(number) => (*number).into(),
            Kind::Float(number) => (*number).into(),
            Kind::Boolean(truth) => (*truth).into(),
            Kind::List(items) => items.iter().map(|item| item.render(text_of)).collect(),
            Kind::Table(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, value)| (key.clone(), value.render(text_of))).collect(),
            ),
        }
    }
}

/// Turns what the parser gives into values.
struct Reading<'r> {
    lines: Lines,
    environment: Environment<'r>,
    problems: &'r mut Problems,
}

impl Reading<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> BTreeMap<String, Value> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
            let mut value = self.value(value, &path);
            value.line = self.lines.of(key.span().start);
            entries.insert(key.get_ref().to_string(), value);
        }
        entries
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let line = self.lines.of(value.span().start);
        let mut written = None;
        let kind = match value.get_ref() {
            DeValue::String(text) => {
                let replaced = self.put_in(text, path, line);
                written = (replaced != **text).then(|| text.to_string());
                Kind::Text(replaced)
            }
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Kind::Integer(number),
                Err(_) => self.unusable(line, format!("`{path}` is larger than a number may be")),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Kind::Float(number),
                // TOML has `nan` and `inf`. As a limit they would be none, and JSON cannot say them.
                _ => {
                    let message = format!("`{path}` is `{}`; write a finite number", number.as_str());
                    self.unusable(line, message);
                    // A number, so that nobody complains of its kind as well.
                    Kind::Float(1.0)
                }
            },
            DeValue::Boolean(truth) => Kind::Boolean(*truth),
            DeValue::Datetime(_) => self.unusable(line, format!("`{path}` is a date; write it as a text, in quotes")),
            DeValue::Array(items) => Kind::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.value(item, &format!("{path}.{}", segment(item.get_ref(), index))))
                    .collect(),
            ),
            DeValue::Table(table) => Kind::Table(self.table(table, path)),
        };
        Value { kind, line, written }
    }

    fn unusable(&mut self, line: usize, message: String) -> Kind {
        self.problems.push(Problem::new(Some(line), message));
        Kind::Boolean(false)
    }

    /// Replaces each `${NAME}` by the variable of that name; `$${` stands for `${` itself.
    fn put_in(&mut self, text: &str, path: &str, line: usize) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                result.push_str(before);
                result.push_str("${");
                rest = &from[2..];
                continue;
            }
            result.push_str(before);
            let name = from[2..].split_once('}').map(|(name, _)| name).filter(|name| is_variable(name));
            let Some(name) = name else {
                let message = format!(
                    "`{path}` holds `${{` without a variable's name and `}}`; write `$${{` for the text itself"
                );
                self.problems.push(Problem::new(Some(line), message));
                return result;
            };
            match (self.environment)(name) {
                Some(value) => result.push_str(&value),
                None => self.problems.push(Problem::new(
                    Some(line),
                    format!("the environment variable `{name}` is not set; `{path}` needs it"),
                )),
            }
            rest = &from[name.len() + 3..];
        }
        result.push_str(rest);
        result
    }
}

/// How an element of a list is called in a path: by its name if it has one.
fn segment(value: &DeValue<'_>, index: usize) -> String {
    let name = value.as_table().and_then(|table| table.get("name")).and_then(|name| name.get_ref().as_str());
    name.map_or_else(|| (index + 1).to_string(), str::to_owned)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Finds the line of an offset.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { starts }
    }

    fn of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(written: &str) -> Result<String, String> {
        let mut problems = Problems::default();
        let environment = |name: &str| (name == "WHO").then(|| "me".to_owned());
        let value = Value::parse(&format!("a.b = '{written}'"), &environment, &mut problems).unwrap();
        if let Some(problem) = problems.first() {
            return Err(problem.message.clone());
        }
        Ok(value.to_json()["a"]["b"].as_str().unwrap().to_owned())
    }

    #[test]
    fn variables_are_put_in_and_can_be_escaped() {
        assert_eq!(text_of("x${WHO}y${WHO}").unwrap(), "xmeyme");
        assert_eq!(text_of("$${WHO} $ {WHO} $WHO {{ a }}").unwrap(), "${WHO} $ {WHO} $WHO {{ a }}");
    }

    #[test]
    fn a_missing_variable_is_named_with_the_key_that_needs_it() {
        let message = text_of("${NOBODY}").unwrap_err();
        assert_eq!(message, "the environment variable `NOBODY` is not set; `a.b` needs it");
        assert!(text_of("${").unwrap_err().contains("`$${`"));
        assert!(text_of("${1A}").is_err());
    }

    #[test]
    fn lines_count_from_one() {
        let mut problems = Problems::default();
        let value = Value::parse("a = 1\n\n[b]\nc = 2\n[[d]]\nname = 'x'\n", &|_| None, &mut problems).unwrap();
        let Kind::Table(entries) = value.kind else { panic!("a file is a table") };
        assert_eq!((entries["a"].line, entries["b"].line, entries["d"].line), (1, 3, 5));
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line() {
        let mut problems = Problems::default();
        assert!(Value::parse("a = 1\nb = = 2\n", &|_| None, &mut problems).is_none());
        assert_eq!(problems.first().unwrap().line, Some(2));
    }
}
