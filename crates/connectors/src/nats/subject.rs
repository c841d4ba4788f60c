//! Subjects: words with dots between them.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::expression::Template;

use crate::bus;

/// The subject, unless the destination says otherwise.
pub(super) const DEFAULT: &str = "events.{{ type }}";
/// Longest subject, in characters. Servers read some kilobytes, streams are bound to far less.
const CHARS_MAX: usize = 256;

/// What each message is published on.
pub(super) struct Subject(Template);

impl Subject {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let text = settings.text("subject").unwrap_or(DEFAULT);
        // What is sent is trimmed, so it is judged trimmed.
        let fixed = text.split('{').next().unwrap_or_default().trim_start();
        // An event must not choose to speak to the server itself: `$JS.API.STREAM.DELETE.…`.
        if fixed.split_once('.').map_or(text, |(word, _)| word).contains('{') || fixed.is_empty() {
            return Err(SettingsError::new(
                "subject",
                "must begin with a fixed word and a dot, like `events.{{ type }}`",
            ));
        }
        if fixed.starts_with('$') || fixed.starts_with("_INBOX") {
            return Err(SettingsError::new(
                "subject",
                "begins like the server's own subjects; choose another first word",
            ));
        }
        bus::template(settings, "subject", DEFAULT).map(Self)
    }

    /// The subject of an event, or why it has none.
    pub(super) fn of(&self, item: &Item<'_>) -> Result<String, String> {
        let text = self.0.render(item.value()).map_err(|error| format!("subject: {error}"))?;
        Ok(in_words(&text))
    }
}

/// The text as a subject: every word has something in it, and nothing that means something to the server.
fn in_words(text: &str) -> String {
    let plain = |c: char| if c.is_whitespace() || c.is_control() || matches!(c, '*' | '>') { '_' } else { c };
    let text: String = text.trim().chars().take(CHARS_MAX).map(plain).collect();
    let words: Vec<_> = text.split('.').map(|word| if word.is_empty() { "_" } else { word }).collect();
    words.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_the_servers_own_is_refused_however_it_is_written() {
        for text in
            ["$JS.API.STREAM.DELETE.x", " $JS.API.{{ data.x }}", "\n_INBOX.x", "{{ data.x }}", " {{ data.x }}.y"]
        {
            let settings = Settings([("subject".to_owned(), text.into())].into_iter().collect());
            assert!(Subject::read(&settings).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_text_becomes_a_subject() {
        for (text, expect) in [
            ("events.link.clicked", "events.link.clicked"),
            ("events.spring sale\r\nPUB x", "events.spring_sale__PUB_x"),
            ("events.*.>", "events._._"),
            ("events..x.", "events._.x._"),
        ] {
            assert_eq!(in_words(text), expect);
        }
        assert_eq!(in_words(&"x".repeat(300)).len(), CHARS_MAX);
    }
}
