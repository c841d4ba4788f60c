//! Settings as they may be shown, and what comes back when somebody edits what was shown.

use domain::connector::{Field, FieldKind};
use domain::secret::MASK;
use domain::{Secret, Settings};
use serde_json::{Map, Value};

/// Settings without anything secret: secrets by their last characters, maps (headers may be credentials) by their
/// names, URLs without what follows the path.
pub(crate) fn shown(fields: &[Field], settings: &Settings) -> Map<String, Value> {
    let show = |(name, value): (&String, &Value)| (name.clone(), shown_value(kind_of(fields, name), value));
    settings.0.iter().map(show).collect()
}

/// Settings after an edit: a member that is given replaces the old one, `null` removes it, and one that comes back just
/// as it was shown is left alone, so that an answer of ours can be edited and sent back.
pub(crate) fn merged(fields: &[Field], current: &Settings, edit: Map<String, Value>) -> Settings {
    let mut merged = current.0.clone();
    for (name, value) in edit {
        let kind = kind_of(fields, &name);
        match (merged.get(&name), value) {
            (_, Value::Null) => {
                merged.remove(&name);
            }
            (Some(old), value) if shown_value(kind, old) == value => {}
            (Some(Value::Object(old)), Value::Object(edit)) => {
                let kept = |(key, value): (String, Value)| match old.get(&key) {
                    Some(old) if value == MASK => (key, old.clone()),
                    _ => (key, value),
                };
                let value = Value::Object(edit.into_iter().map(kept).collect());
                merged.insert(name, value);
            }
            (_, value) => {
                merged.insert(name, value);
            }
        }
    }
    Settings(merged)
}

/// A member that no field describes counts as secret.
fn kind_of(fields: &[Field], name: &str) -> FieldKind {
    fields.iter().find(|field| field.name == name).map_or(FieldKind::Secret, |field| field.kind)
}

fn shown_value(kind: FieldKind, value: &Value) -> Value {
    match (kind, value) {
        (FieldKind::Secret, Value::String(text)) => Value::from(Secret::new(text.as_str()).masked()),
        (FieldKind::Secret | FieldKind::SecretUrl, _) => Value::from(MASK),
        (FieldKind::Map, Value::Object(map)) => {
            Value::Object(map.keys().map(|key| (key.clone(), Value::from(MASK))).collect())
        }
        (FieldKind::Url, Value::String(url)) => match url.split_once(['?', '#']) {
            Some((path, _)) => Value::from(format!("{path}?{MASK}")),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field::required("url", FieldKind::Url, ""),
        Field::required("secret", FieldKind::Secret, ""),
        Field::optional("headers", FieldKind::Map, ""),
        Field::optional("text", FieldKind::Text, ""),
    ];

    fn settings(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    fn sample() -> Settings {
        settings(json!({
            "url": "https://example.com/a?token=hidden-one",
            "secret": "whsec_hidden-two-abcd",
            "headers": { "Authorization": "Bearer hidden-three", "X-Team": "hidden-four" },
            "text": "hello",
            "undeclared": "hidden-five",
        }))
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = Value::Object(shown(FIELDS, &sample())).to_string();
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(shown.contains("••••abcd") && shown.contains("https://example.com/a") && shown.contains("X-Team"));
    }

    #[test]
    fn what_was_shown_can_be_sent_back_and_changes_nothing() {
        assert_eq!(merged(FIELDS, &sample(), shown(FIELDS, &sample())), sample());
    }

    #[test]
    fn an_edit_replaces_removes_and_keeps() {
        let Value::Object(edit) = json!({
            "text": null,
            "headers": { "X-Team": MASK, "X-New": "v" },
            "secret": "whsec_another",
        }) else {
            unreachable!()
        };
        let expect = settings(json!({
            "url": "https://example.com/a?token=hidden-one",
            "secret": "whsec_another",
            "headers": { "X-Team": "hidden-four", "X-New": "v" },
            "undeclared": "hidden-five",
        }));
        assert_eq!(merged(FIELDS, &sample(), edit), expect);
    }
}
