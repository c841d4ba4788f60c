//! Who did it, where nobody says so.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::fields::Fields;
use ring::hmac;

/// Help of the setting `salt`.
pub(crate) const SALT_HELP: &str =
    "what the ids of unknown people are made with, if they must stay the same under another key";
/// How much of a hash names somebody, in hexadecimal digits.
const HASH_DIGITS: usize = 32;
/// What people send when they have no id. Vendors refuse these, or make one person of everybody who has them.
const JUNK: &[&str] = &[
    "",
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
    "nan",
    "not_set",
    "(not set)",
    "lmy47d",
];

/// Whether an id is none.
fn is_junk(id: &str) -> bool {
    let id = id.trim().to_lowercase();
    JUNK.contains(&id.as_str())
}

/// Makes ids for people who have none. They are salted, because an address alone is guessed within minutes.
pub(crate) struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Salted with the setting `salt`, or else with the destination's key, which nobody else has.
    pub(crate) fn read(settings: &Settings, key: &str) -> Result<Self, SettingsError> {
        Self::salted_by(settings, "salt", key)
    }

    /// The same with another name for that setting.
    pub(crate) fn salted_by(settings: &Settings, setting: &str, key: &str) -> Result<Self, SettingsError> {
        let salt = settings.text(setting).unwrap_or(key);
        if salt.is_empty() {
            return Err(SettingsError::new(setting, "is empty; leave it out or give a long random text"));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes())))
    }

    /// An id of a device or person that is not signed in: a real one if the event has one, or else made of what it
    /// says.
    pub(crate) fn device(&self, item: &Item<'_>, fields: &Fields<'_>) -> String {
        real_device(fields).unwrap_or_else(|| self.guessed(item, fields))
    }

    /// An id made of what an event says about the device or person.
    pub(crate) fn guessed(&self, item: &Item<'_>, fields: &Fields<'_>) -> String {
        if let Some(email) = fields.email.as_deref() {
            return self.salted(&["email", email.trim().to_lowercase().as_str()]);
        }
        match fields.ip.as_deref() {
            Some(ip) => {
                let platform = fields.platform.as_deref().unwrap_or_default();
                let device_type = fields.device_type.as_deref().unwrap_or_default();
                self.salted(&["device", ip, platform, device_type])
            }
            // Without an address the rest is shared by half of mankind: better nobody's than everybody's.
            None => self.salted(&["event", item.event.id.to_string().as_str()]),
        }
    }

    fn salted(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        hex::encode(&context.sign().as_ref()[..HASH_DIGITS / 2])
    }
}

/// An id that an app or site made for this device or person alone.
pub(crate) fn real_device(fields: &Fields<'_>) -> Option<String> {
    let ids = [&fields.anonymous_id, &fields.install_id, &fields.click_id];
    ids.into_iter().flatten().find(|id| !is_junk(id)).map(ToString::to_string)
}

/// A user id that is one.
pub(crate) fn user_id(fields: &Fields<'_>) -> Option<String> {
    fields.user_id.as_deref().filter(|id| !is_junk(id)).map(str::to_owned)
}
