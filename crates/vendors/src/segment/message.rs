//! What Segment swallows.

use serde_json::Value;

/// Why a message will not be seen again.
pub(super) fn check(message: &Value) -> Result<(), &'static str> {
    if !message.is_object() {
        return Err("a message is an object");
    }
    if !has_somebody(message) {
        return Err("neither `userId` nor `anonymousId` is a string with something in it");
    }
    if message["messageId"].as_str().is_some_and(|id| id.chars().count() > MESSAGE_ID_CHARS_MAX) {
        return Err("`messageId` is longer than 100 characters");
    }
    if !["timestamp", "originalTimestamp"].iter().all(|name| is_iso_8601(&message[*name])) {
        return Err("`timestamp` is not ISO 8601");
    }
    let properties = message["properties"].as_object();
    if properties.is_some_and(|properties| properties.len() > PROPERTIES_MAX) {
        return Err("there are more than 10,000 properties");
    }
    match message["type"].as_str() {
        Some("track") if message["event"].as_str().unwrap_or_default().is_empty() => Err("a track needs an `event`"),
        Some("track") if properties.is_none() => Err("a track needs `properties`"),
        Some("identify") if !message["traits"].is_object() => Err("an identify needs `traits`"),
        Some("group") if !message["groupId"].is_string() => Err("a group needs a `groupId`"),
        Some("alias") if !message["previousId"].is_string() => Err("an alias needs a `previousId`"),
        Some("track" | "identify" | "page" | "screen" | "group" | "alias") => Ok(()),
        _ => Err("the `type` is unknown"),
    }
}

/// Whether the message says whom it is about.
pub(super) fn has_somebody(message: &Value) -> bool {
    ["userId", "anonymousId"].iter().any(|name| message[*name].as_str().is_some_and(|id| !id.is_empty()))
}

/// `2026-03-04T14:32:08…`, or nothing at all.
fn is_iso_8601(timestamp: &Value) -> bool {
    let shape = |text: &str| {
        let marks = text.get(..19).unwrap_or_default().bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
        text.len() >= 19 && marks
    };
    timestamp.is_null() || timestamp.as_str().is_some_and(shape)
}

const MESSAGE_ID_CHARS_MAX: usize = 100;
const PROPERTIES_MAX: usize = 10_000;
