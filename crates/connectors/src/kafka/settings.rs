//! The settings of a cluster, read once.

use domain::connector::{Broker, Item, Sasl, SaslMechanism, SettingsError};
use domain::expression::Template;
use domain::{Secret, Settings};

use crate::bus;
use crate::common::tls;

/// The topic, unless the destination says otherwise.
pub(super) const TOPIC_DEFAULT: &str = "deep_link_events";
/// What `key` can be.
pub(super) const KEYS: &[&str] = &["subject", "link", "event"];
/// What `mechanism` can be.
pub(super) const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Longest name of a topic.
const TOPIC_CHARS_MAX: usize = 249;

/// The topics of one cluster.
pub(super) struct Topics {
    pub(super) broker: Broker,
    topic: Template,
    key: Key,
}

enum Key {
    Subject,
    Link,
    Event,
}

impl Topics {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let servers = bus::servers(settings, "brokers", 9_092)?;
        let key = match settings.text("key") {
            Some("link") => Key::Link,
            Some("event") => Key::Event,
            _ => Key::Subject,
        };
        let text = settings.text("topic").unwrap_or(TOPIC_DEFAULT);
        // An event may choose among topics that are meant for it, and no other.
        if text.is_empty() || text.starts_with('{') {
            return Err(SettingsError::new("topic", "must begin with a fixed text, like `events-{{ type }}`"));
        }
        let topic = bus::template(settings, "topic", TOPIC_DEFAULT)?;
        Ok(Self { broker: Broker::Kafka { servers, tls: tls::read(settings)?, login: login(settings)? }, topic, key })
    }

    /// The topic of an event, or why it has none.
    pub(super) fn topic(&self, item: &Item<'_>) -> Result<String, String> {
        let text = self.topic.render(item.value()).map_err(|error| format!("topic: {error}"))?;
        Ok(as_name(&text))
    }

    /// The key of an event.
    pub(super) fn key(&self, item: &Item<'_>) -> String {
        let fields = item.fields();
        let own = || item.event.id.to_string();
        match self.key {
            Key::Subject => fields.subject().map_or_else(own, |subject| subject.to_string()),
            Key::Link => fields.link_id.or(fields.route).map_or_else(own, std::borrow::Cow::into_owned),
            Key::Event => own(),
        }
    }
}

/// The text as the name of a topic.
fn as_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    text.trim().chars().take(TOPIC_CHARS_MAX).map(plain).collect()
}

fn login(settings: &Settings) -> Result<Option<Sasl>, SettingsError> {
    let user = settings.text("user").filter(|user| !user.is_empty());
    let password = settings.text("password").filter(|password| !password.is_empty());
    let mechanism = settings.text("mechanism").and_then(SaslMechanism::from_name);
    match (user, password, mechanism) {
        (Some(user), Some(password), mechanism) => {
            let mechanism = mechanism.unwrap_or(SaslMechanism::Plain);
            Ok(Some(Sasl { mechanism, user: user.to_owned(), password: Secret::from(password) }))
        }
        (Some(_), None, _) => Err(SettingsError::new("password", "is missing; a login has both")),
        (None, Some(_), _) => Err(SettingsError::new("user", "is missing; a login has both")),
        (None, None, Some(_)) => Err(SettingsError::new("mechanism", "is of no use without `user` and `password`")),
        (None, None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_the_name_of_a_topic() {
        assert_eq!(as_name("events-link.clicked"), "events-link.clicked");
        assert_eq!(as_name("events/spring sale\r\n"), "events_spring_sale");
        assert_eq!(as_name(&"x".repeat(300)).len(), TOPIC_CHARS_MAX);
    }
}
