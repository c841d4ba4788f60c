//! Identifiers: what names one person or one device, and nothing that is shared.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

/// Longest value of an identifier, in bytes. What is longer is no identifier of anybody.
pub const IDENTIFIER_BYTES_MAX: usize = 200;
/// What applications write where nobody is signed in, in lower case.
const FILLERS: [&str; 16] = [
    "null",
    "(null)",
    "<null>",
    "nil",
    "none",
    "undefined",
    "nan",
    "n/a",
    "-1",
    "true",
    "false",
    "unknown",
    "anonymous",
    "guest",
    "not set",
    "[object object]",
];

/// The largest number that is told apart from its neighbours where it is written with a point or an exponent, or has more digits
/// than 64 bits.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// What a JSON value says as an identifier: a text is what it is, and a whole number its digits, so that `42`, `42.0`, `4.2e1` and
/// `"42"` are one. A number that is not whole names nobody, and one of so many digits that others would be read as the same does not
/// either.
pub fn said(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_f64() => whole(number.as_f64()?).map(Cow::Owned),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// The digits of a whole number that is written as a float.
pub fn whole(number: f64) -> Option<String> {
    // Zero has no sign.
    (number.fract() == 0.0 && number.abs() <= WHOLE_MAX).then(|| format!("{:.0}", number + 0.0))
}

/// What an identifier is made by. The order is how well it names a person, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// The account in the app: what the customer's own database calls the person.
    User,
    /// An address, in lower case.
    Email,
    /// One installation of the app.
    Install,
    /// One click on a link.
    Click,
    /// An id that an app or a site made for somebody who is not signed in.
    Anonymous,
    /// The code of a referral. Codes may be used by several people, so one joins only what it does not put together wrongly; see
    /// [`super::graph`].
    Referral,
}

impl IdentifierKind {
    /// Every kind, best first.
    pub const ALL: [Self; 6] = [Self::User, Self::Email, Self::Install, Self::Click, Self::Anonymous, Self::Referral];

    /// The stable code: `user`, `email` …
    pub const fn code(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Email => "email",
            Self::Install => "install",
            Self::Click => "click",
            Self::Anonymous => "anonymous",
            Self::Referral => "referral",
        }
    }

    /// The member of `data`, of a call to identify and of a call to unlink that holds one: `user_id`, `email` …
    pub const fn member(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Email => "email",
            Self::Install => "install_id",
            Self::Click => "click_id",
            Self::Anonymous => "anonymous_id",
            Self::Referral => "referral_code",
        }
    }

    /// Whether it names a person rather than a device or an occasion.
    pub const fn is_person(self) -> bool {
        matches!(self, Self::User | Self::Email)
    }
}

/// One name of one person or device, written `user:42`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    kind: IdentifierKind,
    value: Box<str>,
}

impl Identifier {
    /// An identifier with blanks at its ends removed, and an address in lower case, its accents composed (NFC). `None` for what names nobody: an empty
    /// text, one with control characters in it, or one longer than [`IDENTIFIER_BYTES_MAX`].
    pub fn new(kind: IdentifierKind, value: &str) -> Option<Self> {
        let value = value.trim();
        // Where an address is typed decides whether an accent is a character of its own, and nobody sees the difference.
        let value = if kind == IdentifierKind::Email { value.to_lowercase().nfc().collect() } else { value.to_owned() };
        let fits = (1..=IDENTIFIER_BYTES_MAX).contains(&value.len()) && !value.contains(char::is_control);
        fits.then(|| Self { kind, value: value.into() })
    }

    /// Whether it can be somebody's: it is no filler like `null`, zeros or invisible characters alone, which would make one person of all whom an
    /// application cannot name, and an address has something on both sides of its sign.
    pub fn names_somebody(&self) -> bool {
        if self.value.chars().all(is_invisible) {
            return false;
        }
        if self.kind == IdentifierKind::Email {
            let is_seen = |part: &str| !part.chars().all(is_invisible);
            return self.value.rsplit_once('@').is_some_and(|(name, host)| is_seen(name) && is_seen(host));
        }
        let is_filler = FILLERS.iter().any(|filler| self.value.eq_ignore_ascii_case(filler));
        !is_filler && !self.value.bytes().all(|byte| matches!(byte, b'0' | b'-'))
    }

    /// What it was made by.
    pub const fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The name itself, without its kind.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Whether nothing shows where this character is: blanks, and what Unicode says is ignorable by default.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.code(), self.value)
    }
}

/// Without the value, which is personal and must not come into a log.
impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.kind.code())
    }
}

/// A text that is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is no identifier; write its kind and its value, for example `user:42`: the kinds are user, email, install, click, \
     anonymous and referral"
)]
pub struct ParseIdentifierError;

impl FromStr for Identifier {
    type Err = ParseIdentifierError;

    fn from_str(text: &str) -> Result<Self, ParseIdentifierError> {
        let (code, value) = text.split_once(':').ok_or(ParseIdentifierError)?;
        let kind = IdentifierKind::ALL.into_iter().find(|kind| kind.code() == code).ok_or(ParseIdentifierError)?;
        Self::new(kind, value).ok_or(ParseIdentifierError)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_somebody_by_its_digits_however_it_is_written() {
        let said_by = |json: &str| said(&serde_json::from_str(json).unwrap()).map(Cow::into_owned);
        for json in ["42", "42.0", "42.00", "4.2e1", "420E-1", "\"42\""] {
            assert_eq!(said_by(json).as_deref(), Some("42"), "{json}");
        }
        for (json, digits) in [
            ("-7.0", "-7"),
            ("9007199254740991.0", "9007199254740991"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(said_by(json).as_deref(), Some(digits), "{json}");
        }
        // Each of these would be somebody else's too.
        for json in ["9007199254740992.0", "1e300", "18446744073709551616", "42.5", "true", "null", "\"\"", "[42]"] {
            assert_eq!(said_by(json), None, "{json}");
        }
        for json in ["0", "-0", "-0.0", "0e5"] {
            let zero = Identifier::new(IdentifierKind::User, &said_by(json).unwrap()).unwrap();
            assert_eq!((zero.value(), zero.names_somebody()), ("0", false), "{json}");
        }
    }

    #[test]
    fn an_identifier_has_one_spelling() {
        let email: Identifier = "email: Ada@Example.ORG ".parse().unwrap();
        assert_eq!(email.to_string(), "email:ada@example.org");
        let composed: Identifier = "email:zo\u{eb}@b\u{fc}cher.example".parse().unwrap();
        for text in ["email:zoe\u{308}@bu\u{308}cher.example", "email:ZOE\u{308}@B\u{dc}cher.example"] {
            assert_eq!(text.parse::<Identifier>().unwrap(), composed);
        }
        assert_eq!("user:a:b".parse::<Identifier>().unwrap().value(), "a:b");
        assert_eq!(format!("{email:?}"), "email:…");
    }

    #[test]
    fn what_stands_for_nobody_names_nobody() {
        for text in [
            "user:null",
            "user:Undefined",
            "user:0",
            "click:00000000-0000-0000-0000-000000000000",
            "email:n/a",
            "email:@b",
            "user:\u{200b}",
            "install:\u{feff}\u{2060} \u{200d}",
            "email:\u{200b}@b",
        ] {
            assert!(!text.parse::<Identifier>().unwrap().names_somebody(), "{text}");
        }
        for text in ["user:10", "user:nullo", "install:0-a", "email:a@b", "referral:AAA0000000", "user:a\u{200b}"] {
            assert!(text.parse::<Identifier>().unwrap().names_somebody(), "{text}");
        }
    }

    #[test]
    fn what_names_nobody_is_no_identifier() {
        let long = format!("user:{}", "x".repeat(IDENTIFIER_BYTES_MAX + 1));
        for text in ["", "user", "user:", "user:  ", "token:summer-promo", "user:a\nb", long.as_str()] {
            assert_eq!(text.parse::<Identifier>(), Err(ParseIdentifierError), "{text}");
        }
    }
}
