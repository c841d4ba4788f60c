//! The settings of a source or destination: checked where they stand in the file, and shown without what is secret.

use std::collections::BTreeMap;

use domain::Settings;
use domain::connector::{Field, FieldKind};
use domain::hint::hint;
use domain::secret::{MASK, Secret};

use super::section::{Section, display};
use super::show::Origin;
use super::value::{Kind, Value};

/// The settings of a connector or kind, checked against its fields so that a typing error is found with its line.
pub(super) fn settings(section: &mut Section<'_>, owner: &str, fields: &'static [Field]) -> Option<Settings> {
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    let entries = match section.value("settings").cloned() {
        None => BTreeMap::new(),
        Some(Value { kind: Kind::Table(entries), .. }) => entries,
        Some(other) => {
            let name = section.name_of("settings");
            section.fail(Some("settings"), format!("`{name}` must be a table, not {}", other.noun()));
            return None;
        }
    };
    let mut fits = true;
    for (key, value) in &entries {
        let path = section.name_of(&format!("settings.{key}"));
        let Some(field) = fields.iter().find(|field| field.name == key) else {
            section.fail_at(
                value.line,
                format!("unknown key `{path}`; `{owner}` has no such setting, {}", hint(key, &known)),
            );
            fits = false;
            continue;
        };
        section.show(&format!("settings.{key}"), shown(field.kind, value), Origin::Line(value.line));
        if let Err(message) = field.kind.check(&value.to_json()) {
            section.fail_at(value.line, format!("`{path}` {message}"));
            fits = false;
        }
    }
    for field in fields {
        if entries.contains_key(field.name) {
            continue;
        }
        if !field.required {
            let default = field.default.unwrap_or("none");
            section.show(&format!("settings.{}", field.name), default.to_owned(), Origin::Default);
            continue;
        }
        let path = section.name_of(&format!("settings.{}", field.name));
        section.fail(Some("settings"), format!("`{path}` is missing; {}", field.help));
        fits = false;
    }
    fits.then(|| Settings(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()))
}

/// A setting as it may be shown.
fn shown(kind: FieldKind, value: &Value) -> String {
    match kind {
        FieldKind::Secret | FieldKind::SecretUrl => masked(value),
        // The values of a map may be credentials: `Authorization` is one of them.
        FieldKind::Map => match value.to_json_as_written() {
            serde_json::Value::Object(entries) => {
                entries.keys().map(|key| format!("{key}: {MASK}")).collect::<Vec<_>>().join(", ")
            }
            _ => MASK.to_owned(),
        },
        FieldKind::Url => {
            let url = display(&value.to_json());
            let url = url.split(['?', '#']).next().unwrap_or_default();
            // A user and password before the host are a secret too.
            match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split('/').next()?, rest))) {
                Some((scheme, authority, rest)) if authority.contains('@') => {
                    let user_bytes = authority.rfind('@').unwrap_or(0) + 1;
                    format!("{scheme}://{MASK}@{}", &rest[user_bytes..])
                }
                _ => url.to_owned(),
            }
        }
        // What comes from the environment may be a credential, whatever it is a part of.
        FieldKind::Mapping | FieldKind::Template => display(&value.to_json_as_written()),
        FieldKind::Text
        | FieldKind::Choice { .. }
        | FieldKind::Switch
        | FieldKind::Integer { .. }
        | FieldKind::List => display(&value.to_json()),
    }
}

/// A secret as it may be shown: the variable it comes from and its end.
pub(super) fn masked(value: &Value) -> String {
    let tail = Secret::new(display(&value.to_json())).masked();
    match &value.written {
        Some(written) if written.starts_with("${") && written.ends_with('}') && written.matches("${").count() == 1 => {
            format!("{tail} from {written}")
        }
        _ => tail,
    }
}
