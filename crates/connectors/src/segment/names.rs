//! What an event is called at Segment: an object and a verb in the past tense.

use std::borrow::Cow;

use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, Template};
use domain::verdict::FailureReason;
use domain::{Settings, catalogue};
use serde_json::Value;

use super::Refusal;

/// The table of Tolinku's article. An alias is the same event, so it has the same name.
const TABLE: &[(&str, &str)] = &[
    ("link.clicked", "Deep Link Clicked"),
    ("deferred_link.claimed", "Deferred Link Claimed"),
    ("link.deferred_install", "Deferred Link Claimed"),
    ("install.tracked", "Install Tracked"),
    ("referral.created", "Referral Created"),
    ("referral.completed", "Referral Completed"),
];
/// Stands for every type without a name.
const ANY: &str = "*";

/// The names of a destination: those of its own before those of the table.
pub(super) struct Names(Vec<(String, Template)>);

impl Names {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let compile = |(event_type, name): (&String, &Value)| {
            let wrong = |message: String| SettingsError::new("names", message);
            let text = name.as_str().filter(|text| !text.trim().is_empty());
            let text = text.ok_or_else(|| wrong(format!("holds no text under `{event_type}`; write a name there")))?;
            let template = Template::compile(text, Escape::None)
                .map_err(|error| wrong(format!("does not compile under `{event_type}`: {error}")))?;
            Ok((event_type.clone(), template))
        };
        settings.object("names").into_iter().flatten().map(compile).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn of(&self, item: &Item<'_>) -> Result<Cow<'static, str>, Refusal> {
        let event_type = item.event.event_type.as_str();
        let own = |name: &str| self.0.iter().find(|(key, _)| key == name).map(|(_, template)| template);
        let in_table = TABLE.iter().find(|(key, _)| *key == event_type);
        if let Some(template) = own(event_type).or_else(|| catalogue::alias(event_type).and_then(own)) {
            return rendered(template, item);
        }
        match (in_table, own(ANY)) {
            (Some((_, name)), _) => Ok(Cow::Borrowed(name)),
            (None, Some(template)) => rendered(template, item),
            (None, None) => Ok(format!("Webhook {event_type}").into()),
        }
    }
}

fn rendered(template: &Template, item: &Item<'_>) -> Result<Cow<'static, str>, Refusal> {
    let name = template.render(item.value()).map_err(|error| Refusal {
        reason: FailureReason::TemplateError,
        message: format!("setting `names`: {error}"),
    })?;
    if name.trim().is_empty() {
        return Err(Refusal {
            reason: FailureReason::TemplateError,
            message: "setting `names` gives this event no name, and a track call needs an `event`".to_owned(),
        });
    }
    Ok(name.into())
}
