//! Messages as Segment's own libraries write them, and the limits of one and of a batch.

use domain::Timestamp;
use domain::connector::Item;
use domain::fields::Fields;
use domain::verdict::FailureReason;
use serde::Serialize;

use super::Refusal;
use super::context::Context;
use super::identity::Who;
use super::properties::Properties;

/// Most messages of a batch. Segment answers 200 to more and drops them.
pub(super) const MESSAGES_MAX: usize = 2_500;
/// A message of so many bytes is too large already.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Largest batch, in bytes: below the 500 KB that Segment takes, like its own libraries.
const BATCH_BYTES_MAX: usize = 480 * 1024;

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
        who: &Who,
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
        who: &Who,
        context: &Context<'_>,
        message_id: &str,
        traits: &Traits<'_>,
    ) {
        self.push(&Message::new(item, who, context, message_id, Content::Identify { traits }));
    }

    /// Keeps what was written since the mark, or takes all of it back because one message is too large.
    pub(super) fn keep_since(&mut self, mark: &Mark) -> Result<(), Refusal> {
        if self.largest_bytes < MESSAGE_BYTES_MAX {
            return Ok(());
        }
        self.messages.truncate(mark.bytes);
        self.count = mark.count;
        Err(Refusal {
            reason: FailureReason::TooLarge,
            message: format!(
                "the message is {} bytes and must be below {MESSAGE_BYTES_MAX}; leave properties out with `properties`",
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

/// Refuses an event whose time `timestamp` cannot say.
pub(super) fn check_time(item: &Item<'_>) -> Result<(), Refusal> {
    if (YEAR_0..=Timestamp::MAX).contains(&item.event.occurred_at) {
        return Ok(());
    }
    Err(Refusal {
        reason: FailureReason::Unprocessable,
        message: "its time is outside the years 0 to 9999, which `timestamp` cannot say in ISO 8601".to_owned(),
    })
}

/// 0000-01-01, the first day that ISO 8601 writes with four digits.
const YEAR_0: Timestamp = Timestamp::from_secs(-62_167_219_200);

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
    fn new(item: &Item<'_>, who: &'a Who, context: &'a Context<'_>, message_id: &'a str, content: Content<'a>) -> Self {
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
