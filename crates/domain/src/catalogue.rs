//! The catalogue of event types: what each means and what one looks like.
//!
//! It is a list to look things up in, not a gate: any well-formed type is accepted, stored and delivered. Two
//! vocabularies stand side by side, Tolinku's documented one and that of its articles, because users copy from both; a
//! type with an [`EventKind::alias`] is subscribed to under either name.
//!
//! Bodies that we render, samples first of all, are compact JSON which JavaScript's `JSON.parse`/`stringify` and Python's
//! `json.loads`/`dumps` write back unchanged, because receivers are known that verify what they have parsed and written
//! back: no space, no member twice, no member named like an integer, no whole number with `.0`, no exponent, ASCII only.

mod table;

use crate::time::Timestamp;

pub use table::ALL;

/// The type of a test event.
pub const TEST: &str = "test";

/// What the catalogue says of one event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    pub event_type: &'static str,
    /// The other name of the same thing.
    pub alias: Option<&'static str>,
    pub group: Group,
    /// For a person, in a list.
    pub title: &'static str,
    /// For a person: when it happens.
    pub description: &'static str,
    /// What its `data` may look like, each a compact JSON object; at least one.
    pub samples: &'static [&'static str],
}

/// Event types that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A link was followed, and what came of it.
    Links,
    Installs,
    Referrals,
    Ecommerce,
    /// Made by a person who tries something; never part of `*`.
    Test,
    /// Made by Afterclick about itself and about what it knows of people; never part of `*`, and refused from outside.
    Operational,
}

impl EventKind {
    /// A body of this type with one of its samples: fresh by its timestamp and, by `unique`, no duplicate of another.
    pub fn body(&self, sample: &str, now: Timestamp, unique: u64) -> Vec<u8> {
        let event_type = self.event_type;
        // None of the parts holds anything that JSON would escape.
        format!(r#"{{"event":"{event_type}","timestamp":"{now}","data":{sample},"id":"sample_{unique:016x}"}}"#)
            .into_bytes()
    }
}

/// The entry of an event type.
pub fn find(event_type: &str) -> Option<&'static EventKind> {
    ALL.iter().find(|kind| kind.event_type == event_type)
}

/// The other name of an event type, if it has one.
pub fn alias(event_type: &str) -> Option<&'static str> {
    // Asked for every event: a comparison of two names, not a search.
    match event_type {
        table::CLAIMED => Some(table::DEFERRED_INSTALL),
        table::DEFERRED_INSTALL => Some(table::CLAIMED),
        _ => None,
    }
}

/// The body of a sample event, fresh by its timestamp and, by `unique`, no duplicate of another.
pub fn sample(event_type: &str, now: Timestamp, unique: u64) -> Option<Vec<u8>> {
    let kind = find(event_type)?;
    Some(kind.body(kind.samples.first()?, now, unique))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::event::EventType;

    const NOW: Timestamp = Timestamp::from_millis(1_772_634_728_441);

    #[test]
    fn every_type_is_well_formed_and_stands_once() {
        let mut seen = HashSet::new();
        for kind in ALL {
            let event_type: EventType = kind.event_type.parse().unwrap();
            assert!(seen.insert(kind.event_type), "{event_type} stands twice");
            assert_eq!(event_type.is_operational(), kind.group == Group::Operational, "{event_type}");
            assert!(!kind.samples.is_empty(), "{event_type} has no sample");
            assert_eq!(find(kind.event_type), Some(kind));
        }
        assert_eq!(find("nope"), None);
    }

    #[test]
    fn aliases_go_both_ways_and_agree_with_the_table() {
        for kind in ALL {
            assert_eq!(alias(kind.event_type), kind.alias, "{}", kind.event_type);
            if let Some(other) = kind.alias {
                assert_eq!(alias(other), Some(kind.event_type));
            }
        }
    }

    #[test]
    fn a_sample_is_an_envelope_with_a_fresh_timestamp() {
        let body = sample("referral.completed", NOW, 0x2a).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"event":"referral.completed","timestamp":"2026-03-04T14:32:08.441Z","data":{"referral_code":"k7Qm2xP9aZ","referrer_id":"user_123","referred_user_id":"user_456","milestone":"first_purchase"},"id":"sample_000000000000002a"}"#
        );
        assert_eq!(sample("nope", NOW, 1), None);
    }

    #[test]
    fn every_sample_survives_a_round_trip_through_javascript_and_python() {
        for kind in ALL {
            for sample in kind.samples {
                let body = String::from_utf8(kind.body(sample, NOW, u64::MAX)).unwrap();
                let value: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{body}: {e}"));
                // Compact, no member twice, nothing escaped that need not be: written back, it is the same text.
                assert_eq!(serde_json::to_string(&value).unwrap(), body);
                assert!(body.is_ascii(), "{body}");
                assert!(value["data"].is_object(), "{body}");
                survives(&value, &body);
            }
        }
    }

    fn survives(value: &Value, body: &str) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    assert!(name.parse::<u64>().is_err(), "JavaScript would move `{name}` to the front: {body}");
                    survives(value, body);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| survives(item, body)),
            Value::Number(number) => {
                let text = number.to_string();
                let written_by_javascript = !text.contains(['e', 'E']) && !text.ends_with(".0");
                let exact = number.as_i64().is_none_or(|number| number.abs() < 1 << 53);
                assert!(written_by_javascript && exact && text != "-0", "`{text}` changes on the way: {body}");
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
}
