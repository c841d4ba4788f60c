//! What a record should say, given what is known of a person.

use std::collections::BTreeMap;

use domain::Verdict;
use domain::verdict::FailureReason;
use serde_json::{Map, Value, json};

use super::answer::{Record, is_same};
use super::bound::Seen;
use super::calls::Entity;
use super::fields::{CURRENCY, EMAIL, NAME, PHONE, VALUE};
use super::lookup::Schema;
use super::settings::{Account, Whose, is_something};
use crate::common::on_one_line;
use crate::crm::{self, Given, Part, Person, fingerprint, mark};

/// Longest name or title, in characters.
const NAME_CHARS_MAX: usize = 254;
/// Longest address and number, in characters.
const ENTRY_CHARS_MAX: usize = 254;
/// What somebody unknown is called, unless the settings say otherwise.
const PLACEHOLDER: &str = "Deep Link Lead";
const STATUS: &str = "status";
const WON: &str = "won";

/// A record as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    entity: Entity,
    /// What the person is called, if that is known.
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    /// The address that we gave turned out to be somebody else's.
    has_lost_email: bool,
    phone: Option<String>,
    members: Map<String, Value>,
    /// By code, the key among them.
    custom: Map<String, Value>,
    /// Of those that may turn out to be nothing, what of the record they are. Such a one is emptied if what it holds is ours.
    parts: BTreeMap<String, Part>,
}

impl Account {
    pub(super) fn wanted_person(&self, schema: &Schema, person: &Person<'_>) -> Result<Wanted, Verdict> {
        let mut wanted = self.wanted(schema, Entity::Person, person)?;
        let mut text = |name: &str, chars_max: usize| {
            let text = wanted.members.shift_remove(name)?.as_str().map(|text| on_one_line(text, chars_max))?;
            Some(text).filter(|text| !text.is_empty())
        };
        let name = text(NAME, NAME_CHARS_MAX);
        // What the settings have hashed is no address.
        let email = text(EMAIL, ENTRY_CHARS_MAX).filter(|email| email.contains('@') && !email.contains(' '));
        let phone = text(PHONE, ENTRY_CHARS_MAX);
        // Not if it is only that this destination is not told of addresses.
        let is_nothing = crm::Record::of(person.profile).email == Some("");
        let has_lost_email = email.is_none() && is_nothing;
        Ok(Wanted { name, email, has_lost_email, phone, ..wanted })
    }

    /// What the person's deal should say; `None` if the person gets none.
    pub(super) fn wanted_deal(&self, schema: &Schema, person: &Person<'_>) -> Result<Option<Wanted>, Verdict> {
        let (profile, trace) = (person.profile, &person.profile.trace);
        let is_won = match self.deals.whose {
            Whose::Referred if profile.is_referred() => trace.completed_at.is_some(),
            Whose::Everybody => trace.completed_at.or(trace.converted_at).is_some(),
            Whose::Nobody | Whose::Referred => return Ok(None),
        };
        let mut wanted = self.wanted(schema, Entity::Deal, person)?;
        if !wanted.members.contains_key(VALUE) {
            wanted.members.shift_remove(CURRENCY);
        }
        if is_won {
            wanted.members.insert(STATUS.to_owned(), WON.into());
        }
        Ok(Some(wanted))
    }

    fn wanted(&self, schema: &Schema, entity: Entity, person: &Person<'_>) -> Result<Wanted, Verdict> {
        let (setting, properties) = self.properties_of(entity);
        let record = crm::Record::of(person.profile);
        let ours = properties.ours().iter().filter_map(|ours| Some((ours.name.to_owned(), ours.value(&record)?)));
        let mut values: Map<String, Value> = ours.collect();
        properties
            .mapping
            .apply(person.item.value(), &mut values)
            .map_err(|error| Verdict::reject(FailureReason::TemplateError, format!("setting `{setting}`: {error}")))?;
        let (mut members, mut custom) = (Map::new(), Map::new());
        custom.insert(schema.key(self, entity).to_owned(), person.key().into());
        for (name, value) in values.into_iter().filter(|(_, value)| is_something(value)) {
            if properties.is_member(&name) {
                members.insert(name, value);
                continue;
            }
            let Some(field) = schema.field(entity, &name) else { continue };
            let rendered = field.render(&value, record.currency).map_err(|message| {
                Verdict::reject(
                    FailureReason::Unprocessable,
                    format!("the field `{name}` of {} {message}; it is set by `{setting}`", entity.plural()),
                )
            })?;
            if let Some(rendered) = rendered {
                custom.insert(field.code.clone(), rendered);
            }
        }
        // Fields of the settings that came out empty, once something turned out to be somebody else's.
        let added = properties.mapping.names().filter(|name| !properties.ours().iter().any(|ours| ours.name == *name));
        for name in added.filter(|name| record.has_lost && !properties.is_member(name)) {
            if let Some(field) = schema.field(entity, name) {
                custom.entry(field.code.clone()).or_insert(Value::Null);
            }
        }
        let mut parts = BTreeMap::new();
        for ours in properties.ours() {
            let is_overridden = properties.mapping.names().any(|name| name == ours.name);
            let (Some(field), Some(part), false) = (schema.field(entity, ours.name), ours.part, is_overridden) else {
                continue;
            };
            parts.insert(field.code.clone(), part);
            if ours.is_nothing(&record) {
                custom.insert(field.code.clone(), Value::Null);
            }
        }
        Ok(Wanted { entity, name: None, email: None, has_lost_email: false, phone: None, members, custom, parts })
    }

    /// What somebody is called who has to be made and whose name is not known.
    pub(super) fn stand_in(&self, wanted: &Wanted, person: &Person<'_>) -> Result<String, Verdict> {
        match &wanted.email {
            Some(email) => Ok(email.clone()),
            None => self.placeholder(person),
        }
    }

    /// The name of somebody unknown.
    pub(super) fn placeholder(&self, person: &Person<'_>) -> Result<String, Verdict> {
        let usual = || match crm::Record::of(person.profile).token.filter(|token| !token.is_empty()) {
            Some(token) => format!("{PLACEHOLDER} ({token})"),
            None => PLACEHOLDER.to_owned(),
        };
        rendered(self.placeholder.as_ref(), "placeholder_name", person, usual)
    }

    /// Whether a name is one that we give by default, with the token of whatever link was known when it was given.
    pub(super) fn is_usual_placeholder(&self, name: &str) -> bool {
        let rest = name.strip_prefix(PLACEHOLDER);
        self.placeholder.is_none()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (") && rest.ends_with(')'))
    }

    /// The title of a deal that is made.
    pub(super) fn title(&self, person: &Person<'_>) -> Result<String, Verdict> {
        let usual = || {
            let record = crm::Record::of(person.profile);
            let what = if person.profile.is_referred() { "Referral" } else { "Deep link" };
            let of = [record.token, record.referral_source, record.campaign, record.last_name, record.email];
            format!("{what}: {}", of.into_iter().flatten().find(|text| !text.is_empty()).unwrap_or("unknown"))
        };
        rendered(self.deals.title.as_ref(), "deal_title", person, usual)
    }
}

fn rendered(
    template: Option<&domain::expression::Template>,
    setting: &str,
    person: &Person<'_>,
    usual: impl Fn() -> String,
) -> Result<String, Verdict> {
    let wrong = |error| Verdict::reject(FailureReason::TemplateError, format!("setting `{setting}`: {error}"));
    let text = template.map(|template| template.render(person.item.value()).map_err(wrong)).transpose()?;
    let text = on_one_line(&text.unwrap_or_default(), NAME_CHARS_MAX);
    Ok(if text.is_empty() { on_one_line(&usual(), NAME_CHARS_MAX) } else { text })
}

impl Wanted {
    /// The same text if and only if the same is to be written.
    pub(super) fn fingerprint(&self) -> String {
        let said = json!([self.name, self.email, self.phone, self.members, self.custom]);
        fingerprint(&if self.has_lost_email { format!("{said} no address") } else { said.to_string() })
    }

    /// What is to be kept of the address that the record has from us.
    pub(super) fn mark(&self, seen: &Seen) -> String {
        match &self.email {
            Some(email) => mark(email),
            None if self.has_lost_email => String::new(),
            None => seen.email.clone(),
        }
    }

    /// Which parts of the record are ours once it is written.
    pub(super) fn given(&self, before: &Given) -> Given {
        let mut given = before.clone();
        for (code, part) in &self.parts {
            if let Some(value) = self.custom.get(code) {
                given.set(*part, !value.is_null());
            }
        }
        given
    }

    /// Which parts a record has a value for.
    pub(super) fn filled(&self, record: &Record) -> Given {
        let mut filled = Given::default();
        for (code, part) in &self.parts {
            filled.set(*part, is_something(record.custom(code)));
        }
        filled
    }

    /// A new record. `first` comes first: what it is called, and what it belongs to.
    pub(super) fn created(&self, first: Map<String, Value>) -> Value {
        let mut body = first;
        if let Some(email) = &self.email {
            body.insert("emails".to_owned(), json!([entry(email, true)]));
        }
        if let Some(phone) = &self.phone {
            body.insert("phones".to_owned(), json!([entry(phone, true)]));
        }
        body.extend(self.members.clone());
        let known = self.custom.iter().filter(|(_, value)| !value.is_null());
        let known: Map<_, _> = known.map(|(code, value)| (code.clone(), value.clone())).collect();
        body.insert("custom_fields".to_owned(), known.into());
        body.into()
    }

    /// What has to be changed in a record that is there, besides its name; empty if nothing has. An address is added to those
    /// that the sales team has, and takes none of them away; one of ours that turned out to be somebody else's is.
    pub(super) fn changes(&self, record: &Record, seen: &Seen) -> Map<String, Value> {
        let mut body = Map::new();
        if self.has_lost_email {
            let is_lost = |entry: &&Value| entry["value"].as_str().is_some_and(|email| mark(email) == seen.email);
            let kept: Vec<Value> = record.entries("emails").iter().filter(|entry| !is_lost(entry)).cloned().collect();
            if kept.len() < record.entries("emails").len() {
                body.insert("emails".to_owned(), kept.into());
            }
        }
        if let Some(email) = self.email.as_ref().filter(|email| !record.has_email(email)) {
            body.insert("emails".to_owned(), with(record.entries("emails"), email));
        }
        if let Some(phone) = self.phone.as_ref().filter(|phone| !has_phone(record, phone)) {
            body.insert("phones".to_owned(), with(record.entries("phones"), phone));
        }
        for (name, value) in &self.members {
            let theirs = record.member(name);
            // Whoever has lost or won it has decided.
            let is_decided = name == STATUS && theirs != "open";
            if !is_same(value, theirs) && !is_decided {
                body.insert(name.clone(), value.clone());
            }
        }
        let is_theirs = |code: &str| self.parts.get(code).is_some_and(|part| !seen.given.has(*part));
        let custom = self
            .custom
            .iter()
            .filter(|(code, value)| !(is_same(value, record.custom(code)) || value.is_null() && is_theirs(code)));
        let custom: Map<_, _> = custom.map(|(code, value)| (code.clone(), value.clone())).collect();
        if !custom.is_empty() {
            body.insert("custom_fields".to_owned(), custom.into());
        }
        body
    }
}

fn entry(value: &str, is_primary: bool) -> Value {
    json!({"value": value, "primary": is_primary, "label": "work"})
}

/// The list replaces what is there, so that is in it.
fn with(entries: &[Value], value: &str) -> Value {
    let kept = entries.iter().filter(|it| it["value"].as_str().is_some_and(|value| !value.is_empty())).cloned();
    let mut entries: Vec<_> = kept.collect();
    entries.push(entry(value, entries.is_empty()));
    entries.into()
}

/// Blanks and marks do not count.
fn has_phone(record: &Record, phone: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let ours = digits(phone);
    record.entries("phones").iter().any(|entry| {
        let theirs = entry["value"].as_str().unwrap_or_default();
        theirs == phone || (!ours.is_empty() && digits(theirs) == ours)
    })
}
