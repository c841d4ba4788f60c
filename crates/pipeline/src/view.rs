//! Views: what a destination gets to see of an event, and of the person behind it.
//!
//! This is the one place where a destination's privacy is applied, for attempts and for previews alike. It is behind routing:
//! which events a destination wants is decided by what they say in full.

use std::borrow::Cow;

use domain::connector::Item;
use domain::identity::Profile;
use domain::{DeliveryId, Event, Privacy, Reading};

/// One event as a destination sees it. It follows from the event, the profile and the privacy, so a retry sees the same.
#[derive(Debug)]
pub struct View<'a> {
    event: Cow<'a, Event>,
    reading: Reading,
}

impl<'a> View<'a> {
    /// What is left of an event from the source of this name, and of what is known of the person.
    pub fn of(privacy: &Privacy, event: &'a Event, source: String, profile: Option<Profile>) -> Self {
        if privacy.is_open() {
            return Self { event: Cow::Borrowed(event), reading: Reading::new(source).about(profile) };
        }
        let profile = profile.map(|profile| privacy.profile(&profile));
        Self { event: Cow::Owned(privacy.event(event)), reading: Reading::new(source).about(profile) }
    }

    /// The same as an item of a batch.
    pub fn item(&self, delivery: DeliveryId, attempt: u32) -> Item<'_> {
        Item { event: &self.event, delivery, attempt, reading: &self.reading }
    }
}

#[cfg(test)]
mod tests {
    use domain::identity::{Fact, ReferralCreated};
    use serde_json::json;

    use super::*;
    use crate::specimen;

    #[test]
    fn a_destination_sees_of_event_and_person_what_it_may() {
        let data = json!({ "user_id": "42", "email": "ada@example.org", "ip": "192.0.2.77", "campaign": "a" });
        let body = json!({ "event": "install.tracked", "data": data }).to_string();
        let event = Event { body: body.into(), ..(*specimen::owned(1, 0).event).clone() };
        let profile =
            Fact::of(&event, &data, ReferralCreated::Shown).and_then(|fact| Profile::of(event.appspace, fact));
        let privacy = json!({ "drop": ["email"], "truncate": { "ip": 24 } });
        let privacy: Privacy = serde_json::from_value(privacy).unwrap();
        let delivery = DeliveryId { event: event.id, ordinal: 0 };

        let open = View::of(&Privacy::default(), &event, "tolinku".to_owned(), profile.clone());
        assert_eq!(open.item(delivery, 1).event.body, event.body);
        assert_eq!(open.item(delivery, 1).profile().and_then(Profile::email), Some("ada@example.org"));

        let view = View::of(&privacy, &event, "tolinku".to_owned(), profile);
        let item = view.item(delivery, 1);
        assert_eq!(item.data(), &json!({ "user_id": "42", "ip": "192.0.2.0", "campaign": "a" }));
        let person = item.profile().unwrap();
        assert_eq!((person.user_id(), person.email()), (Some("42"), None));
        assert!(!format!("{} {:?}", person.value(), item.event).contains("ada@"));
    }
}
