//! Messages as Segment's own libraries write them, and the limits of one and of a batch.

use std::borrow::Cow;

use domain::Timestamp;
use domain::connector::Item;
use domain::fields::Fields;
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Refusal;
use super::identity::Who;

/// Most messages of a batch. Segment answers 200 to more and drops them.
pub(super) const MESSAGES_MAX: usize = 2_500;
/// Largest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Largest batch, in bytes: below the 500 KB that Segment takes, like its own libraries.
const BATCH_BYTES_MAX: usize = 480 * 1024;
/// Most properties of one message.
const PROPERTIES_MAX: usize = 10_000;

/// The messages of a batch, written one after the other.
#[derive(Default)]
pub(super) struct Envelope {
    messages: Vec<u8>,
    count: usize,
    largest_bytes: usize,
}

/// Where an envelope ended before the messages of an event were written.
pub(super) struct Mark {
    bytes: usize,
    count: usize,
}

impl Envelope {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) const fn mark(&mut self) -> Mark {
        self.largest_bytes = 0;
        Mark { bytes: self.messages.len(), count: self.count }
    }

    pub(super) fn track(
        &mut self,
        item: &Item<'_>,
        who: &Who<'_>,
        context: &Context<'_>,
        message_id: &str,
        event: &str,
        properties: &Properties<'_>,
    ) {
        let content = Content::Track { event, properties };
        self.push(&Message::new(item, who, context, message_id, content));
    }

    pub(super) fn identify(
        &mut self,
        item: &Item<'_>,
        who: &Who<'_>,
        context: &Context<'_>,
        message_id: &str,
        traits: &Traits<'_>,
    ) {
        self.push(&Message::new(item, who, context, message_id, Content::Identify { traits }));
    }

    /// Keeps what was written since the mark, or takes all of it back because one message is too large.
    pub(super) fn keep_since(&mut self, mark: &Mark) -> Result<(), Refusal> {
        if self.largest_bytes <= MESSAGE_BYTES_MAX {
            return Ok(());
        }
        self.messages.truncate(mark.bytes);
        self.count = mark.count;
        Err(Refusal {
            reason: FailureReason::TooLarge,
            message: format!(
                "the message is {} bytes and Segment takes {MESSAGE_BYTES_MAX}; leave properties out with `properties`",
                self.largest_bytes
            ),
        })
    }

    /// The body of the call; `None` if it is more than Segment takes.
    pub(super) fn seal(self, write_key: Option<&str>, sent_at: Timestamp) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.messages.len() + 160);
        body.extend_from_slice(b"{\"batch\":[");
        body.extend_from_slice(&self.messages);
        body.push(b']');
        if let Some(write_key) = write_key {
            body.extend_from_slice(b",\"writeKey\":");
            append(&mut body, &write_key);
        }
        // The time of sending, not of the event: Segment takes the difference for the error of our clock.
        body.extend_from_slice(b",\"sentAt\":");
        append(&mut body, &sent_at);
        body.push(b'}');
        (body.len() <= BATCH_BYTES_MAX && self.count <= MESSAGES_MAX).then_some(body)
    }

    fn push(&mut self, message: &Message<'_>) {
        if self.count > 0 {
            self.messages.push(b',');
        }
        let begin = self.messages.len();
        append(&mut self.messages, message);
        self.largest_bytes = self.largest_bytes.max(self.messages.len() - begin);
        self.count += 1;
    }
}

fn append(body: &mut Vec<u8>, value: &impl Serialize) {
    // Neither writing to a vector nor any of these types can fail.
    let _ = serde_json::to_writer(body, value);
}

/// A message, its members in the order of Segment's own libraries.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    timestamp: Timestamp,
    integrations: Integrations,
    #[serde(flatten)]
    content: Content<'a>,
    context: &'a Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<&'a str>,
    #[serde(rename = "messageId")]
    id: &'a str,
}

/// All of them.
#[derive(Serialize)]
struct Integrations {}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Content<'a> {
    Track { event: &'a str, properties: &'a Properties<'a> },
    Identify { traits: &'a Traits<'a> },
}

impl<'a> Message<'a> {
    fn new(
        item: &Item<'_>,
        who: &'a Who<'_>,
        context: &'a Context<'_>,
        message_id: &'a str,
        content: Content<'a>,
    ) -> Self {
        Self {
            timestamp: item.event.occurred_at,
            integrations: Integrations {},
            content,
            context,
            user_id: who.user_id.as_deref(),
            anonymous_id: who.anonymous_id.as_deref(),
            id: message_id,
        }
    }
}

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
    if item.event.occurred_at > Timestamp::MAX || item.event.occurred_at < YEAR_0 {
        let message = "its time is outside the years 0 to 9999, which `timestamp` cannot say in ISO 8601".to_owned();
        return Err(refused(FailureReason::Unprocessable, message));
    }
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

/// 0000-01-01, the first day that ISO 8601 writes with four digits.
const YEAR_0: Timestamp = Timestamp::from_secs(-62_167_219_200);
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

/// What is known of a person.
#[derive(Serialize)]
pub(super) struct Traits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
}

impl<'a> Traits<'a> {
    pub(super) fn of(fields: &'a Fields<'_>) -> Self {
        Self { email: fields.email.as_deref(), name: fields.name.as_deref(), phone: fields.phone.as_deref() }
    }
}

/// Where and with what.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    campaign: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    os: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    device: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    app: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    page: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    location: Members<'a>,
    library: Library,
}

impl<'a> Context<'a> {
    pub(super) fn of(fields: &'a Fields<'_>) -> Self {
        let platform = fields.platform.as_deref();
        let os = fields.os.as_deref().or_else(|| platform.and_then(os_of_platform));
        Self {
            ip: fields.ip.as_deref(),
            user_agent: fields.user_agent.as_deref(),
            campaign: Members::of([
                ("name", &fields.campaign),
                ("source", &fields.channel),
                ("medium", &fields.medium),
                ("term", &fields.term),
                ("content", &fields.content),
            ]),
            os: Members(vec![("name", os), ("version", fields.os_version.as_deref())]),
            device: Members::of([("type", &fields.device_type)]),
            app: Members::of([("version", &fields.app_version)]),
            page: Members::of([("referrer", &fields.referrer)]),
            location: Members::of([("country", &fields.country), ("region", &fields.region)]),
            library: Library { name: "afterclick", version: env!("CARGO_PKG_VERSION") },
        }
    }
}

fn os_of_platform(platform: &str) -> Option<&'static str> {
    match platform {
        "ios" => Some("iOS"),
        "android" => Some("Android"),
        _ => None,
    }
}

#[derive(Serialize)]
struct Library {
    name: &'static str,
    version: &'static str,
}

/// An object of those members that are known.
struct Members<'a>(Vec<(&'static str, Option<&'a str>)>);

impl<'a> Members<'a> {
    fn of<const N: usize>(members: [(&'static str, &'a Option<Cow<'_, str>>); N]) -> Self {
        Self(members.iter().map(|(name, text)| (*name, text.as_deref())).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, text)| text.is_none())
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, text)| text.map(|text| (name, text))))
    }
}
