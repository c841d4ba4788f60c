//! Properties: all that an event says, where it comes from, and what the destination adds.

use domain::connector::Item;
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Refusal;

/// Most properties of one message.
const PROPERTIES_MAX: usize = 10_000;

/// The properties of an event.
pub(super) enum Properties<'a> {
    /// What the event says, and where it comes from.
    Passed { data: Option<&'a Map<String, Value>>, source: String, event_type: &'a str },
    /// The same with properties of the destination's own.
    Mapped(Map<String, Value>),
}

/// All that an event says, with `source` and `original_event_type` as in Tolinku's article, and the destination's own.
pub(super) fn properties<'a>(item: &Item<'a>, mapping: &Mapping) -> Result<Properties<'a>, Refusal> {
    let refused = |reason, message| Refusal { reason, message };
    let passed = Properties::Passed {
        data: item.data().as_object(),
        source: format!("{}_webhook", item.source()),
        event_type: item.event.event_type.as_str(),
    };
    let properties = if mapping.is_empty() {
        passed
    } else {
        let Ok(Value::Object(mut map)) = serde_json::to_value(&passed) else { return Ok(passed) };
        mapping
            .apply(item.value(), &mut map)
            .map_err(|error| refused(FailureReason::TemplateError, error.to_string()))?;
        Properties::Mapped(map)
    };
    if properties.count() > PROPERTIES_MAX {
        let message = format!("it has {} properties and Segment takes {PROPERTIES_MAX}", properties.count());
        return Err(refused(FailureReason::TooLarge, message));
    }
    Ok(properties)
}

const SOURCE: &str = "source";
const ORIGINAL_SOURCE: &str = "original_source";
const ORIGINAL_EVENT_TYPE: &str = "original_event_type";

impl Properties<'_> {
    const fn data(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Passed { data, .. } => *data,
            Self::Mapped(_) => None,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Passed { data, .. } => data.map_or(0, Map::len) + 2,
            Self::Mapped(map) => map.len(),
        }
    }
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (data, source, event_type) = match self {
            Self::Passed { data, source, event_type } => (data.iter().copied().flatten(), source, event_type),
            Self::Mapped(map) => return map.serialize(serializer),
        };
        // Ours stand in for theirs, as in the article; the source that the event names is kept under another name.
        let renames = self.data().is_some_and(|data| !data.contains_key(ORIGINAL_SOURCE));
        let passed = data.filter_map(|(name, value)| match name.as_str() {
            SOURCE => renames.then_some((ORIGINAL_SOURCE, value)),
            ORIGINAL_EVENT_TYPE => None,
            name => Some((name, value)),
        });
        let (source, event_type) = (Value::from(source.as_str()), Value::from(*event_type));
        let own = [(SOURCE, &source), (ORIGINAL_EVENT_TYPE, &event_type)];
        serializer.collect_map(passed.chain(own))
    }
}
