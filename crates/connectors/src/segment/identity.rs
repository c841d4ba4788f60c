//! Who did it: user ids, anonymous ids and message ids.

use std::borrow::Cow;

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::fields::Fields;
use ring::digest;
use serde_json::Value;

use crate::tracking::{self, Pseudonyms};

/// Longest prefix of a message id, in characters: with the event's id and a suffix it stays below Segment's 100.
const PREFIX_CHARS_MAX: usize = 64;
/// How much of a hash names somebody, in hexadecimal digits. As many as in Tolinku's article.
const HASH_DIGITS: usize = 32;

/// How people and messages are named.
pub(super) struct Identity {
    pseudonyms: Pseudonyms,
    is_plain: bool,
    prefix: String,
}

/// The person or device of an event; at least one of the two.
pub(super) struct Who {
    pub(super) user_id: Option<String>,
    pub(super) anonymous_id: Option<String>,
}

/// What the messages of one event are called: the same on every try.
pub(super) struct MessageIds {
    pub(super) track: String,
    pub(super) identify: String,
}

impl Identity {
    pub(super) fn read(write_key: &str, settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            pseudonyms: Pseudonyms::salted_by(settings, "anonymous_salt", write_key)?,
            is_plain: settings.text("anonymous_id") == Some("plain"),
            prefix: prefix(write_key, settings)?,
        })
    }

    /// A user id if one is known, and an anonymous id that belongs to this person or device alone. What is only guessed
    /// from an address is never sent next to a user id, because that would make one person of everybody behind it.
    /// The same goes for an id like `null`: Segment takes it for a person and tells every tool behind it so.
    pub(super) fn of(&self, item: &Item<'_>, fields: &Fields<'_>) -> Who {
        let user_id = tracking::user_id(fields);
        let anonymous_id = match (&user_id, tracking::real_device(fields)) {
            (_, Some(real)) => Some(real),
            (Some(_), None) => None,
            (None, None) => Some(self.guessed(item, fields)),
        };
        Who { user_id, anonymous_id }
    }

    pub(super) fn message_ids(&self, item: &Item<'_>) -> MessageIds {
        let track = format!("{}{}", self.prefix, item.event.id);
        MessageIds { identify: format!("{track}-i"), track }
    }

    fn guessed(&self, item: &Item<'_>, fields: &Fields<'_>) -> String {
        if self.is_plain && fields.email.is_none() { plain(item.data()) } else { self.pseudonyms.guessed(item, fields) }
    }
}

/// What message ids begin with. All customers of Segment share one space of message ids, and so do the sources of one
/// customer: the same event for two sources must have two ids, or the second is taken for a repetition.
fn prefix(write_key: &str, settings: &Settings) -> Result<String, SettingsError> {
    let Some(prefix) = settings.text("message_id_prefix") else {
        let key = digest::digest(&digest::SHA256, write_key.as_bytes());
        return Ok(format!("ac-{}-", hex::encode(&key.as_ref()[..6])));
    };
    if prefix.chars().count() > PREFIX_CHARS_MAX || prefix.chars().any(char::is_control) {
        let message = format!("is longer than {PREFIX_CHARS_MAX} characters or holds a control character");
        return Err(SettingsError::new("message_id_prefix", message));
    }
    Ok(prefix.to_owned())
}

/// The hash of Tolinku's article, in which what is not there is written `undefined`.
fn plain(data: &Value) -> String {
    let text = |name| match data.get(name) {
        None => Cow::Borrowed("undefined"),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(other) => other.to_string().into(),
    };
    let seed = format!("{}-{}-{}", text("ip"), text("platform"), text("device_type"));
    hex::encode(&digest::digest(&digest::SHA256, seed.as_bytes()).as_ref()[..HASH_DIGITS / 2])
}
