//! Settings on the command line: `NAME=VALUE`, each of the kind that the connector has it in.

use domain::connector::FieldKind;
use serde_json::{Map, Value};

use super::Failure;
use crate::wire;

/// Reads `--set` options. What this program does not know the server may, so it goes there as a text. A member is put
/// into the table that `current` shows; what is masked there stays as it is.
pub(super) fn read(connector: &str, settings: &[String], current: &Value) -> Result<Map<String, Value>, Failure> {
    let manifest = wire::plugins().connector(connector).map(domain::Connector::manifest);
    let mut object = Map::new();
    for setting in settings {
        let Some((name, text)) = setting.split_once('=') else {
            return Err(Failure::misused(format!("`{setting}` is not a setting; write `--set name=value`")));
        };
        let kind = |name: &str| manifest.and_then(|manifest| manifest.field(name)).map(|field| field.kind);
        match name.split_once('.') {
            Some((table, member)) if kind(table).is_none_or(is_table) => {
                let known = || current.get(table).filter(|known| known.is_object()).cloned();
                let table = object.entry(table).or_insert_with(|| known().unwrap_or_else(|| Value::Object(Map::new())));
                let Value::Object(table) = table else {
                    return Err(Failure::misused(format!("`{setting}` contradicts a setting before it")));
                };
                table.insert(member.to_owned(), Value::from(text));
            }
            _ => {
                object.insert(name.to_owned(), value(kind(name), name, text)?);
            }
        }
    }
    Ok(object)
}

const fn is_table(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Map | FieldKind::Mapping)
}

fn value(kind: Option<FieldKind>, name: &str, text: &str) -> Result<Value, Failure> {
    let read: Option<Value> = match kind {
        Some(FieldKind::Integer { .. }) => text.parse::<i64>().ok().map(Value::from),
        Some(FieldKind::Switch) => text.parse::<bool>().ok().map(Value::from),
        Some(FieldKind::List) if text.starts_with('[') => serde_json::from_str(text).ok(),
        Some(FieldKind::List) => Some(text.split(',').map(|item| Value::from(item.trim())).collect()),
        Some(FieldKind::Map | FieldKind::Mapping) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => Some(Value::from(text)),
    };
    read.ok_or_else(|| {
        let must_be = kind.map(FieldKind::describe).unwrap_or_default();
        Failure::misused(format!("`{text}` does not fit the setting `{name}`, which must be {must_be}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(connector: &str, settings: &[&str], expect: &Value) {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let read = read(connector, &settings, &json!({ "headers": { "X-Old": "••••" } })).ok().map(Value::Object);
        assert_eq!(read.as_ref(), Some(expect), "{settings:?}");
    }

    #[test]
    fn a_value_is_of_the_kind_that_the_connector_has_it_in() {
        check(
            "webhook",
            &["url=https://a.example/?b=c", "previous_secret_expires_at=5"],
            &json!({
                "url": "https://a.example/?b=c", "previous_secret_expires_at": 5,
            }),
        );
        check(
            "webhook",
            &["headers.X-Team=growth", "headers.X-Number=5"],
            &json!({
                "headers": { "X-Old": "••••", "X-Team": "growth", "X-Number": "5" },
            }),
        );
        check("webhook", &[r#"headers={"a": "b"}"#], &json!({ "headers": { "a": "b" } }));
        check("segment", &["identify=true", "write_key=12345"], &json!({ "identify": true, "write_key": "12345" }));
        check("a-newer-one", &["x=1"], &json!({ "x": "1" }));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for setting in ["identify=maybe", "properties=[1]", "properties"] {
            assert!(read("segment", &[setting.to_owned()], &Value::Null).is_err(), "{setting}");
        }
    }
}
