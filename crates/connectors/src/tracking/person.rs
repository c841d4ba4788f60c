//! Who did it, where nobody says so.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::fields::Fields;
use domain::identity::{Identifier, IdentifierKind};
use ring::hmac;

/// Help of the setting `salt`.
pub(crate) const SALT_HELP: &str =
    "what the ids of unknown people are made with, if they must stay the same under another key";
/// How much of a hash names somebody, in hexadecimal digits.
const HASH_DIGITS: usize = 32;
/// What people send when they have no id, beside what names nobody anywhere. Vendors refuse these, or make one person of
/// everybody who has them.
const JUNK: &[&str] = &["", "anon", "na", "<nil>", "[]", "{}", "not_set", "(not set)", "lmy47d"];

/// Whether an id is none.
fn is_junk(id: &str) -> bool {
    let names_nobody = |id: Identifier| !id.names_somebody();
    JUNK.contains(&id.trim().to_lowercase().as_str())
        || Identifier::new(IdentifierKind::Anonymous, id).is_some_and(names_nobody)
}

/// Whether an e-mail address can be one person's: `null` is none, and is not hashed as if it were.
fn is_address(email: &str) -> bool {
    Identifier::new(IdentifierKind::Email, email).is_some_and(|it| it.names_somebody())
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
        if let Some(email) = fields.email.as_deref().filter(|email| is_address(email)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_without_an_id_sends_is_no_id() {
        let zeros = "00000000-0000-0000-0000-000000000000";
        for id in ["", " ", "null", "NULL", "undefined", "unknown", "0", "-1", "n/a", "NaN", "(not set)", "{}", zeros] {
            assert!(is_junk(id), "{id}");
        }
        for id in ["42", "u", "10", "nullius", "00000000-0000-0000-0000-000000000001"] {
            assert!(!is_junk(id), "{id}");
        }
    }
}
