//! How the values in a template are written, so that none of them can break out of its place.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use minijinja::{Error, ErrorKind, Output, Value};
use serde::Serialize as _;

/// Where the text of a template goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Plain text: values as they are.
    None,
    /// JSON: every value becomes a whole JSON value, a text with its quotes.
    Json,
    /// Part of a URL: everything but letters, digits, `-`, `.`, `_` and `~` is percent-encoded.
    Url,
    /// HTML, inside an element or a quoted attribute.
    Html,
    /// Plain text that people read between words of ours: a value stays on its line and turns nothing around.
    Line,
    /// Slack's markup, the same: without `<`, `>` and `&` there are no mentions and no links.
    Slack,
    /// Markdown as Discord and Teams read it, the same: what could open a link, a mention or an emphasis gets a backslash.
    Markdown,
}

impl Escape {
    pub(super) fn write(self, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
        let escaped: Cow<'_, str> = match self {
            Self::Json => json(value)?.into(),
            // What is not there leaves no trace in a text.
            _ if value.is_undefined() || value.is_none() => return Ok(()),
            Self::None => shown(value),
            _ => self.apply(&shown(value)).into(),
        };
        out.write_str(&escaped).map_err(|_| Error::from(ErrorKind::WriteFailure))
    }
}

fn shown(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

fn html_entity(c: char) -> Option<&'static str> {
    match c {
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => slack_entity(c),
    }
}

fn slack_entity(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn replaced(text: &str, entity: fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match entity(c) {
            Some(entity) => escaped.push_str(entity),
            None => escaped.push(c),
        }
    }
    escaped
}

impl Escape {
    /// A text as a value of it would be written: for places that are not made from a template.
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Json => serde_json::Value::from(text).to_string(),
            Self::Url => percent_encoded(text),
            Self::Html => replaced(text, html_entity),
            Self::Line => on_its_line(text),
            Self::Slack => replaced(&on_its_line(text), slack_entity),
            Self::Markdown => with_backslashes(&on_its_line(text)),
        }
    }
}

/// A text without what would begin a line that looks like one of ours, or turn ours around: line breaks become blanks,
/// and control characters and marks that reorder text are left out.
fn on_its_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut last = None;
    for c in text.chars() {
        match c {
            '\n' if last == Some('\r') => {}
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => line.push(' '),
            _ if c.is_control() || reorders(c) => {}
            _ => line.push(c),
        }
        last = Some(c);
    }
    line
}

/// Marks that reorder the text around them.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn with_backslashes(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if "\\*_~`[]()<>|#@".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Compact JSON that JavaScript and Python would write back unchanged as far as numbers go: no exponents, and whole
/// numbers without `.0`, whatever they were computed from.
pub(super) fn json(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Ok("null".to_owned());
    }
    let failed = |message: String| Error::new(ErrorKind::BadSerialization, message);
    let mut bytes = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, PlainNumbers))
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

struct PlainNumbers;

impl serde_json::ser::Formatter for PlainNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write!(writer, "{value}")
    }
}
