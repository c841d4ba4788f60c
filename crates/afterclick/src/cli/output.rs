//! What goes to stdout: aligned tables, JSON, and colour only where a person looks.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// Longest cell before it is cut, in characters.
const CELL_CHARS_MAX: usize = 60;
/// The same for the last cell of a row, which pushes nothing aside.
const LAST_CELL_CHARS_MAX: usize = 160;

/// Rows under headings.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let last = self.headings.len().saturating_sub(1);
        let chars_max = |index| if index == last { LAST_CELL_CHARS_MAX } else { CELL_CHARS_MAX };
        self.rows.push(cells.into_iter().enumerate().map(|(index, cell)| one_line(&cell, chars_max(index))).collect());
    }

    /// Prints to stdout; says `nothing` on stderr if there are no rows.
    pub(crate) fn print(&self, nothing: &str) {
        if self.rows.is_empty() {
            eprintln!("{nothing}");
            return;
        }
        let paint = Paint::for_stdout();
        let widths: Vec<usize> = (0..self.headings.len()).map(|column| self.width(column)).collect();
        let headings = self.headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>();
        say(&paint.dim(&line(&headings, &widths, std::borrow::ToOwned::to_owned)));
        for row in &self.rows {
            say(&line(row, &widths, |text| paint.state(text)));
        }
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([self.headings[column].chars().count()]).max().unwrap_or(0)
    }
}

/// Whether a text is cut where it stands in a table.
pub(crate) fn is_cut(text: &str) -> bool {
    text.chars().count() > CELL_CHARS_MAX
}

/// Prints JSON to stdout, readable.
pub(crate) fn print_json(value: &Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a line to stdout. A reader that has gone away (`| head`) is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The member at a dotted path as a cell: empty if it is not there or null.
pub(crate) fn cell(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

/// Prints the members of an object, one per line, names aligned.
pub(crate) fn print_members(value: &Value) {
    let mut lines = Vec::new();
    flatten("", value, &mut lines);
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let paint = Paint::for_stdout();
    for (name, text) in lines {
        say(&format!("{}  {}", paint.dim(&format!("{name:width$}")), paint.state(&text)));
    }
}

/// Members of members get a dotted name; what is null is left out.
fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}.{}", index + 1), item, lines);
            }
        }
        other => {
            let text = cell(&serde_json::json!({ "value": other }), "value");
            lines.push((path.to_owned(), text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()));
        }
    }
}

/// A text without control characters of a stranger, for a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

/// Asks the person at the terminal; anything but yes is no.
pub(crate) fn confirmed(question: &str) -> std::io::Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A number with its noun: `1 source`, `2 sources`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours if stdout is a terminal and `NO_COLOR` is not set.
    pub(crate) fn for_stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// None, whatever stdout is.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { on: false }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn odd(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A cell that is a state in the colour of that state; any other as it is.
    pub(crate) fn state(self, text: &str) -> String {
        match text.trim_end() {
            "delivered" | "done" | "running" | "create" | "matched" => self.good(text),
            "pending" | "held" | "leased" | "update" | "paused" => self.odd(text),
            "dead" | "failed" | "delete" => self.bad(text),
            "cancelled" | "skipped" | "unchanged" | "planned" | "not tried" => self.dim(text),
            _ => text.to_owned(),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn line(cells: &[String], widths: &[usize], paint: impl Fn(&str) -> String) -> String {
    let last = cells.len().saturating_sub(1);
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(&paint(cell));
        if index < last {
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// A cell never breaks its row, and never carries control characters of a stranger to a terminal.
fn one_line(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= chars_max {
        return text.chars().map(clean).collect();
    }
    text.chars().take(chars_max - 1).map(clean).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_found_by_their_path_and_fit_one_line() {
        let value = json!({ "a": { "b": 1, "c": null }, "d": ["x", "y"], "e": "one\ntwo" });
        assert_eq!(cell(&value, "a.b"), "1");
        assert_eq!(cell(&value, "a.c"), "");
        assert_eq!(cell(&value, "a.z.y"), "");
        assert_eq!(cell(&value, "d"), "x, y");
        assert_eq!(one_line(&cell(&value, "e"), 60), "one two");
        assert_eq!(one_line(&"x".repeat(61), 60).chars().count(), 60);
    }

    #[test]
    fn columns_are_aligned_and_the_last_has_no_padding() {
        let widths = [4, 3];
        let cells = ["ab".to_owned(), "c".to_owned()];
        assert_eq!(line(&cells, &widths, str::to_owned), "ab    c");
    }
}
