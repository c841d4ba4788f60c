//! Readings: an event's body, parsed once and not before somebody asks.

use std::sync::OnceLock;

use serde_json::Value;

use crate::body;
use crate::event::Event;
use crate::expression::EventValue;
use crate::identity::Profile;

/// What has been read of one event. It belongs to that event and is asked about no other.
#[derive(Debug)]
pub struct Reading {
    source: String,
    profile: Option<Profile>,
    data: OnceLock<Value>,
    value: OnceLock<EventValue>,
}

impl Reading {
    /// An event from the source of this name, of which nothing has been read yet.
    pub const fn new(source: String) -> Self {
        Self { source, profile: None, data: OnceLock::new(), value: OnceLock::new() }
    }

    /// The same with what is known of the person that the event is about.
    #[must_use]
    pub fn about(self, profile: Option<Profile>) -> Self {
        Self { profile, ..self }
    }

    /// The same event, of which nothing has been read yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.source.clone()).about(self.profile.clone())
    }

    /// The name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What is known of the person that the event is about, for destinations that ask for it.
    pub const fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// The `data` object of the body or, for a sender whose envelope has none, the whole body. `null` if the body cannot
    /// be read, which intake rules out.
    pub fn data(&self, event: &Event) -> &Value {
        self.data.get_or_init(|| match body::read(&event.body) {
            Ok(Value::Object(mut body)) => match body.get_mut("data") {
                Some(data @ Value::Object(_)) => data.take(),
                _ => Value::Object(body),
            },
            Ok(other) => other,
            Err(_) => Value::Null,
        })
    }

    /// The event for filters and templates.
    pub fn value(&self, event: &Event) -> &EventValue {
        self.value.get_or_init(|| EventValue::about(event, &self.source, self.profile.as_ref()))
    }
}
