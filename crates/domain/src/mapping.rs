//! Mappings: properties that a destination adds to what its connector sends, or puts in place of them.
//!
//! Each is a value; a text in it may hold expressions. A text that is one expression and nothing else keeps the kind of
//! its value, so that `"{{ data.revenue }}"` is a number where the event has one. What comes out undefined or `none` takes
//! the property away.

use serde_json::{Map, Value};

use crate::expression::{Escape, EventValue, Expression, ExpressionError, OUTPUT_BYTES_MAX, Template};

/// Most properties of one mapping.
pub const PROPERTIES_MAX: usize = 256;
/// Most that the properties of one event may come to together, in bytes: each may hold the whole event.
pub const PROPERTIES_BYTES_MAX: usize = 4 * OUTPUT_BYTES_MAX;

/// Properties, compiled once.
#[derive(Debug, Default)]
pub struct Mapping(Vec<(String, Property)>);

#[derive(Debug)]
enum Property {
    Constant(Value),
    Expression(Expression),
    Text(Template),
}

impl Mapping {
    /// Compiles an object of values. The error continues "setting `…` ".
    pub fn compile(properties: &Map<String, Value>) -> Result<Self, String> {
        if properties.len() > PROPERTIES_MAX {
            return Err(format!("has more than {PROPERTIES_MAX} properties"));
        }
        let compile = |(name, value): (&String, &Value)| {
            let property =
                Property::compile(value).map_err(|error| format!("does not compile at `{name}`: {error}"))?;
            Ok((name.clone(), property))
        };
        properties.iter().map(compile).collect::<Result<_, String>>().map(Self)
    }

    /// Whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in the order in which they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Puts the properties of an event into `properties`.
    pub fn apply(&self, event: &EventValue, properties: &mut Map<String, Value>) -> Result<(), MappingError> {
        let mut bytes = 0;
        for (name, property) in &self.0 {
            let wrong = |error| MappingError { property: name.clone(), error };
            let value = property.of(event).map_err(wrong)?;
            bytes += weight(&value);
            if bytes > PROPERTIES_BYTES_MAX {
                let limit = format!("the properties are longer than {} KiB together", PROPERTIES_BYTES_MAX / 1024);
                return Err(wrong(ExpressionError::new(limit)));
            }
            match value {
                Value::Null => {
                    // The others keep their places.
                    properties.shift_remove(name);
                }
                value => {
                    properties.insert(name.clone(), value);
                }
            }
        }
        Ok(())
    }
}

/// A property that failed on an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("property `{property}`: {error}")]
pub struct MappingError {
    pub property: String,
    pub error: ExpressionError,
}

impl Property {
    fn compile(value: &Value) -> Result<Self, ExpressionError> {
        Ok(match value {
            Value::String(text) => match Expression::sole_in(text) {
                Some(source) => Self::Expression(Expression::compile(source)?),
                None if text.contains("{{") || text.contains("{%") || text.contains("{#") => {
                    Self::Text(Template::compile(text, Escape::None)?)
                }
                None => Self::Constant(value.clone()),
            },
            other => Self::Constant(other.clone()),
        })
    }

    fn of(&self, event: &EventValue) -> Result<Value, ExpressionError> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(event),
            Self::Text(template) => template.render(event).map(Value::String),
        }
    }
}

/// How many bytes a value takes as JSON, at least: without escapes, commas and all but the first digit.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => values.iter().map(weight).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 3 + weight(value)).sum::<usize>() + 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue;
    use crate::event::{DedupeKey, Event, TimeMark};
    use crate::{AppspaceId, EventId, SourceId, Timestamp};

    fn apply(mapping: &Value, before: Value) -> Result<Value, String> {
        let now = Timestamp::from_millis(1_772_634_728_441);
        let appspace = AppspaceId::mint(now, 1);
        let body = catalogue::sample("link.conversion", now, 1).unwrap();
        let event = Event {
            id: EventId::mint(now, 1),
            appspace,
            source: SourceId::API,
            event_type: "link.conversion".parse().unwrap(),
            occurred_at: now,
            received_at: now,
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
            body: body.into(),
        };
        let Value::Object(mut properties) = before else { panic!("an object") };
        let mapping = Mapping::compile(mapping.as_object().unwrap())?;
        mapping.apply(&EventValue::new(&event, "tolinku"), &mut properties).map_err(|error| error.to_string())?;
        Ok(Value::Object(properties))
    }

    #[test]
    fn an_expression_alone_keeps_its_kind_and_a_text_is_a_text() {
        let mapping = json!({
            "kind": "{{ type }}",
            "long": "{{ id | length > 3 }}",
            "list": "{{ 'a,b' | split(',') }}",
            "text": "from {{ source }}",
            "constant": {"a": [1]},
            "plain": "as it is",
        });
        let expect = json!({
            "kind": "link.conversion",
            "long": true,
            "list": ["a", "b"],
            "text": "from tolinku",
            "constant": {"a": [1]},
            "plain": "as it is",
        });
        assert_eq!(apply(&mapping, json!({})), Ok(expect));
    }

    #[test]
    fn a_property_is_replaced_added_or_taken_away() {
        let before = json!({"a": 1, "b": 2});
        assert_eq!(apply(&json!({"a": "{{ data.nope }}", "c": 3}), before), Ok(json!({"b": 2, "c": 3})));
    }

    #[test]
    fn what_does_not_compile_or_fails_is_named() {
        assert!(apply(&json!({"x": "{{ nope }}"}), json!({})).unwrap_err().starts_with("does not compile at `x`: "));
        assert!(apply(&json!({"x": "{{ data.a + 1 }}"}), json!({})).unwrap_err().starts_with("property `x`: "));
    }

    #[test]
    fn properties_that_each_hold_the_whole_event_have_an_end() {
        let constant = json!({ "text": "x".repeat(OUTPUT_BYTES_MAX) });
        let few: Map<_, _> = (0..3).map(|n| (n.to_string(), constant.clone())).collect();
        assert!(apply(&few.into(), json!({})).is_ok());
        let many: Map<_, _> = (0..PROPERTIES_MAX).map(|n| (n.to_string(), constant.clone())).collect();
        let error = apply(&many.into(), json!({})).unwrap_err();
        assert_eq!(error, "property `3`: the properties are longer than 1024 KiB together");
    }
}
