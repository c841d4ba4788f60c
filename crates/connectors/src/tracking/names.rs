//! What an event is called: by the destination, by a vendor's table, or by the catalogue.

use std::borrow::Cow;

use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, Template};
use domain::verdict::FailureReason;
use domain::{Settings, Verdict, catalogue};
use serde_json::Value;

/// Help of the setting `names`.
pub(crate) const NAMES_HELP: &str =
    "names of events by type, like `\"link.opened\" = \"Deep Link Opened\"`; `*` names those that have no name";
/// Names that read well next to those of other sources; they are the ones that Segment gets too.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("link.clicked", "Deep Link Clicked"),
    ("link.opened", "Deep Link Opened"),
    ("link.conversion", "Deep Link Conversion"),
    ("deferred_link.claimed", "Deferred Link Claimed"),
    ("install.tracked", "Install Tracked"),
    ("referral.created", "Referral Created"),
    ("referral.completed", "Referral Completed"),
];
/// Stands for every type without a name.
const ANY: &str = "*";

/// The names of a destination: those of its own before those of the table.
#[derive(Debug)]
pub(crate) struct Names {
    own: Vec<(String, Template)>,
    table: &'static [(&'static str, &'static str)],
}

impl Names {
    /// Reads the setting `names`; the rest is [`TITLES`].
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Self::with_table(settings, TITLES)
    }

    /// The same with another table.
    pub(crate) fn with_table(
        settings: &Settings,
        table: &'static [(&'static str, &'static str)],
    ) -> Result<Self, SettingsError> {
        let compile = |(event_type, name): (&String, &Value)| {
            let wrong = |message: String| SettingsError::new("names", message);
            let text = name.as_str().filter(|text| !text.trim().is_empty());
            let text = text.ok_or_else(|| wrong(format!("holds no text under `{event_type}`; write a name there")))?;
            let template = Template::compile(text, Escape::None)
                .map_err(|error| wrong(format!("does not compile under `{event_type}`: {error}")))?;
            Ok((event_type.clone(), template))
        };
        let own = settings.object("names").into_iter().flatten().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { own, table })
    }

    /// The name that the destination or the table has for an event; an alias is the same event.
    pub(crate) fn known(&self, item: &Item<'_>) -> Result<Option<Cow<'static, str>>, Nameless> {
        let event_type = item.event.event_type.as_str();
        let alias = catalogue::alias(event_type);
        let own = |name: &str| self.own.iter().find(|(key, _)| key == name).map(|(_, template)| template);
        let in_table = |name: &str| self.table.iter().find(|(key, _)| *key == name).map(|(_, name)| *name);
        if let Some(template) = own(event_type).or_else(|| alias.and_then(own)) {
            return rendered(template, item).map(Some);
        }
        if let Some(name) = in_table(event_type).or_else(|| alias.and_then(in_table)) {
            return Ok(Some(name.into()));
        }
        own(ANY).map(|template| rendered(template, item)).transpose()
    }

    /// The same, or else the title of the catalogue, or else the type.
    pub(crate) fn of<'i>(&self, item: &Item<'i>) -> Result<Cow<'i, str>, Nameless> {
        let event_type = item.event.event_type.as_str();
        let otherwise = || catalogue::find(event_type).map_or(event_type, |kind| kind.title);
        Ok(self.known(item)?.unwrap_or_else(|| otherwise().into()))
    }
}

/// Why an event has no name, for a person.
#[derive(Debug)]
pub(crate) struct Nameless(pub(crate) String);

impl From<Nameless> for Verdict {
    fn from(nameless: Nameless) -> Self {
        Self::reject(FailureReason::TemplateError, nameless.0)
    }
}

fn rendered(template: &Template, item: &Item<'_>) -> Result<Cow<'static, str>, Nameless> {
    let name = template.render(item.value()).map_err(|error| Nameless(format!("setting `names`: {error}")))?;
    if name.trim().is_empty() {
        return Err(Nameless("setting `names` gives this event no name".to_owned()));
    }
    Ok(name.into())
}
