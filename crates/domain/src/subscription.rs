//! Subscriptions: which event types a destination gets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::catalogue;
use crate::event::EventType;

/// Most patterns in one list.
pub const PATTERNS_MAX: usize = 64;

/// One pattern: an exact type, `prefix.*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every type but `test` and `afterclick.*`.
    Every,
    /// Every type that starts with this text, which ends in a dot. `test` has no prefix; `afterclick.*` must be named.
    Prefix(Box<str>),
    /// This type, and any other name the catalogue has for it.
    Exact(EventType),
}

impl Pattern {
    /// Whether an event of this type is wanted.
    pub fn matches(&self, event_type: &EventType) -> bool {
        let text = event_type.as_str();
        match self {
            Self::Every => text != catalogue::TEST && !event_type.is_operational(),
            Self::Prefix(prefix) => names_of(text).any(|name| name.starts_with(&**prefix)),
            Self::Exact(exact) => names_of(text).any(|name| name == exact.as_str()),
        }
    }
}

/// A type and its alias, if it has one.
fn names_of(text: &str) -> impl Iterator<Item = &str> {
    [Some(text), catalogue::alias(text)].into_iter().flatten()
}

/// A text that is not a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event pattern; use an exact type like `link.clicked`, a prefix like `link.*`, or `*`")]
pub struct ParsePatternError(String);

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let error = || ParsePatternError(text.chars().take(160).collect());
        if text == "*" {
            return Ok(Self::Every);
        }
        match text.strip_suffix('*') {
            Some(prefix) if prefix.len() > 1 && prefix.ends_with('.') && prefix.parse::<EventType>().is_ok() => {
                Ok(Self::Prefix(prefix.into()))
            }
            Some(_) => Err(error()),
            None => text.parse().map(Self::Exact).map_err(|_| error()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Exact(exact) => fmt::Display::fmt(exact, f),
        }
    }
}

/// A list of patterns; an event is wanted if any of them matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriptions(Vec<Pattern>);

impl Subscriptions {
    /// A list of 1 to [`PATTERNS_MAX`] patterns.
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, SubscriptionsError> {
        match patterns.len() {
            0 => Err(SubscriptionsError::Empty),
            n if n > PATTERNS_MAX => Err(SubscriptionsError::TooMany),
            _ => Ok(Self(patterns)),
        }
    }

    /// Every type but `test` and `afterclick.*`.
    pub fn every() -> Self {
        Self(vec![Pattern::Every])
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// Whether an event of this type is wanted.
    pub fn matches(&self, event_type: &EventType) -> bool {
        self.0.iter().any(|pattern| pattern.matches(event_type))
    }
}

/// A list of patterns that is empty, too long or holds a malformed one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionsError {
    #[error("the list of events is empty; name a type like `link.clicked`, a prefix like `link.*`, or `*`")]
    Empty,
    #[error("more than {PATTERNS_MAX} event patterns; use a prefix like `link.*`")]
    TooMany,
    #[error(transparent)]
    Pattern(#[from] ParsePatternError),
}

impl Serialize for Subscriptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Subscriptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let patterns: Result<Vec<Pattern>, _> = texts.iter().map(|text| text.parse()).collect();
        patterns.map_err(SubscriptionsError::from).and_then(Self::new).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, wanted: &[&str], unwanted: &[&str]) {
        let subscriptions = Subscriptions::new(vec![pattern.parse().unwrap()]).unwrap();
        for text in wanted {
            assert!(subscriptions.matches(&text.parse().unwrap()), "{pattern} should match {text}");
        }
        for text in unwanted {
            assert!(!subscriptions.matches(&text.parse().unwrap()), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn a_star_is_every_type_but_test_and_our_own() {
        check("*", &["link.clicked", "anything"], &["test", "afterclick.delivery.dead"]);
    }

    #[test]
    fn a_prefix_matches_below_it_only() {
        check("link.*", &["link.clicked", "link.a.b"], &["link", "linked.x", "install.tracked"]);
        check("afterclick.*", &["afterclick.delivery.dead"], &["link.clicked"]);
    }

    #[test]
    fn an_exact_name_matches_itself_also_when_special() {
        check("test", &["test"], &["tests"]);
        check("link.clicked", &["link.clicked"], &["link.clicked.x"]);
    }

    #[test]
    fn an_alias_matches_both_names() {
        check("deferred_link.claimed", &["deferred_link.claimed", "link.deferred_install"], &[]);
        check("link.deferred_install", &["deferred_link.claimed", "link.deferred_install"], &[]);
        check("link.*", &["deferred_link.claimed"], &[]);
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for bad in ["", "link*", ".*", "*.clicked", "link.*.x", "a b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
