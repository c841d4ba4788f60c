//! What of a record is ours to empty: the parts that we have written into it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a record that may turn out to be nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    FirstName,
    Campaign,
    Channel,
    Platform,
    Token,
    Prefix,
    LastCampaign,
    LastChannel,
    InstalledAt,
    ReferredAt,
    ReferralSource,
    ConvertedAt,
    Value,
    Currency,
}

impl Part {
    /// Stands for it where it is kept, so it stays what it is.
    const fn letter(self) -> char {
        match self {
            Self::FirstName => 'n',
            Self::Campaign => 'c',
            Self::Channel => 'h',
            Self::Platform => 'p',
            Self::Token => 't',
            Self::Prefix => 'x',
            Self::LastCampaign => 'd',
            Self::LastChannel => 'g',
            Self::InstalledAt => 'i',
            Self::ReferredAt => 'r',
            Self::ReferralSource => 's',
            Self::ConvertedAt => 'v',
            Self::Value => 'a',
            Self::Currency => 'u',
        }
    }
}

/// The parts of a record that have a value of ours, or may have one: what may have been written counts as written. Whatever else
/// is in the record is somebody else's, also in one that became ours only later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Given(BTreeSet<char>);

/// Stands for no parts at all.
const NOTHING: &str = "-";

impl Given {
    /// As it was kept. What cannot be read is nothing.
    pub(crate) fn read(text: &str) -> Self {
        Self(text.chars().filter(char::is_ascii_lowercase).collect())
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.0.contains(&part.letter())
    }

    /// Notes that a part has a value of ours, or has none any more.
    pub(crate) fn set(&mut self, part: Part, is_given: bool) {
        if is_given {
            self.0.insert(part.letter());
        } else {
            self.0.remove(&part.letter());
        }
    }

    /// What one of two has.
    pub(crate) fn or(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// What the other one has not.
    pub(crate) fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }
}

/// One word.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(NOTHING);
        }
        self.0.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Part; 14] = [
        Part::FirstName,
        Part::Campaign,
        Part::Channel,
        Part::Platform,
        Part::Token,
        Part::Prefix,
        Part::LastCampaign,
        Part::LastChannel,
        Part::InstalledAt,
        Part::ReferredAt,
        Part::ReferralSource,
        Part::ConvertedAt,
        Part::Value,
        Part::Currency,
    ];

    #[test]
    fn what_was_kept_is_read_again_and_no_two_parts_are_one() {
        let mut given = Given::default();
        assert_eq!((given.to_string().as_str(), Given::read("-")), ("-", given.clone()));
        for (number, part) in ALL.into_iter().enumerate() {
            assert!(!given.has(part));
            given.set(part, true);
            assert_eq!(Given::read(&given.to_string()), given);
            assert_eq!(given.to_string().len(), number + 1);
        }
        assert_eq!(given.to_string(), "acdghinprstuvx", "it is kept for years");
        given.set(Part::Channel, false);
        assert!(!given.has(Part::Channel) && given.has(Part::Campaign));
        assert_eq!(given.without(&Given::read("cad")).or(&Given::read("h")), Given::read("ghinprstuvx"));
    }
}
