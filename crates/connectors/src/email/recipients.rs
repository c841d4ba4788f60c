//! Whom a mail goes to: the person whom the event is about, or a fixed list.
//!
//! Events of links rarely carry an address. A third way, asking an identity for the address that it is known by,
//! belongs here as well.

use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, Template};
use domain::{Settings, Verdict};
use lettre::Address;
use serde_json::Value;

use super::Refusal;

/// Most addresses of a list: what Resend and Postmark take in one mail.
const RECIPIENTS_MAX: usize = 50;
/// Longest address that can be mailed to, in bytes.
const ADDRESS_BYTES_MAX: usize = 254;

/// Where addresses come from.
#[derive(Debug)]
pub(super) enum Recipients {
    /// The event, in any spelling of the field.
    Event,
    /// The event, as a template says.
    Template(Box<Template>),
    /// The settings.
    Fixed(Vec<Address>),
}

impl Recipients {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let list = settings.0.get("recipients").and_then(Value::as_array);
        match (settings.text("to"), list) {
            (None, None) => Ok(Self::Event),
            (Some(_), Some(_)) => Err(SettingsError::new("recipients", "stands beside `to`; keep one of the two")),
            (Some(to), None) => Template::compile(to, Escape::None)
                .map(|to| Self::Template(Box::new(to)))
                .map_err(|error| SettingsError::new("to", format!("does not compile: {error}"))),
            (None, Some(list)) => fixed(list).map(Self::Fixed).map_err(|it| SettingsError::new("recipients", it)),
        }
    }

    /// Whether every mail goes to the same people.
    pub(super) const fn are_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// The addresses for one event; an event that has none is skipped.
    pub(super) fn of(&self, item: &Item<'_>) -> Result<Vec<Address>, Verdict> {
        let text = match self {
            Self::Fixed(list) => return Ok(list.clone()),
            Self::Event => item.fields().email.map(String::from).unwrap_or_default(),
            Self::Template(template) => template.render(item.value()).map_err(|error| {
                Verdict::reject(domain::verdict::FailureReason::TemplateError, format!("setting `to`: {error}"))
            })?,
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(Verdict::skip("the event names no address to mail to"));
        }
        // One, not a list: who fills in a form must not choose how many people we write to.
        let address = address(text).map_err(|why| Refusal::unprocessable(format!("the address of the event {why}")))?;
        Ok(vec![address])
    }
}

fn fixed(list: &[Value]) -> Result<Vec<Address>, String> {
    if list.is_empty() || list.len() > RECIPIENTS_MAX {
        return Err(format!("must name 1 to {RECIPIENTS_MAX} addresses"));
    }
    let read = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        address(text).map_err(|why| format!("holds `{}`, which {why}", text.escape_debug()))
    };
    list.iter().map(read).collect()
}

/// Reads an address without a name, or how the sentence "the address …" ends.
pub(super) fn address(text: &str) -> Result<Address, &'static str> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err("is longer than an address can be");
    }
    // Quoted, nearly anything may stand before the @; what no provider gives out is refused, and line breaks above all.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || "\"<>(),;:\\".contains(c)) {
        return Err("holds a space, a line break or a character that has no place in it");
    }
    text.parse().map_err(|_| "is no e-mail address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_of_one_person_is_refused() {
        for text in ["ada@example.org", "Ada.L+x@sub.example.org", "jürgen@example.org", "o'brien@example.org"] {
            assert!(address(text).is_ok(), "{text}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a@example.org,b@example.org",
            "a@example.org b@example.org",
            "a@example.org\r\nBcc: b@example.org",
            "\"a\r\nb\"@example.org",
            "Ada <ada@example.org>",
            "a@exa\0mple.org",
            &long,
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }
}
