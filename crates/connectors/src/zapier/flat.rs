//! Flat objects: `{"a": {"b": [1]}}` as `{"a__b__0": 1}`.

use serde_json::{Map, Value};

/// Most fields of one object.
const FIELDS_MAX: usize = 2_000;
/// Longest name, in bytes. What would have a longer one stays nested, as JSON in a text: a name is repeated for
/// everything below it, so that without a limit a body could grow to any size.
const NAME_BYTES_MAX: usize = 255;

/// More fields than anybody can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    pub(super) most: usize,
}

/// Puts a value into `fields` under its name, or what is in it under longer ones, in alphabetical order.
pub(super) fn add(name: &str, value: &Value, fields: &mut Map<String, Value>) -> Result<(), TooMany> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(member, value)| (joined(name, member), value)).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members
        }
        Value::Array(values) => {
            values.iter().enumerate().map(|(index, value)| (joined(name, &index.to_string()), value)).collect()
        }
        leaf => {
            fields.insert(name.to_owned(), leaf.clone());
            return if fields.len() > FIELDS_MAX { Err(TooMany { most: FIELDS_MAX }) } else { Ok(()) };
        }
    };
    if members.iter().any(|(name, _)| name.len() > NAME_BYTES_MAX) {
        return add(name, &Value::from(value.to_string()), fields);
    }
    members.iter().try_for_each(|(name, value)| add(name, value, fields))
}

fn joined(name: &str, member: &str) -> String {
    format!("{name}__{member}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(value: &Value) -> Value {
        let mut fields = Map::new();
        add("data", value, &mut fields).unwrap();
        fields.into()
    }

    #[test]
    fn what_is_nested_gets_longer_names_in_an_order_that_does_not_depend_on_the_senders() {
        let expect = r#"{"data__a":null,"data__b__c":1.5,"data__b__d__0":"x","data__b__d__1__e":true}"#;
        assert_eq!(flat(&json!({"b": {"d": ["x", {"e": true}], "c": 1.5}, "a": null})).to_string(), expect);
        assert_eq!(flat(&json!({"a": null, "b": {"c": 1.5, "d": ["x", {"e": true}]}})).to_string(), expect);
    }

    #[test]
    fn no_name_grows_without_end() {
        let long = "x".repeat(300);
        assert_eq!(
            flat(&json!({"a": {(long.clone()): 1, "b": 2}})),
            json!({"data__a": format!(r#"{{"{long}":1,"b":2}}"#)})
        );
        let mut deep = json!(1);
        for _ in 0..60 {
            deep = json!({"abcdefgh": deep, "b": 1});
        }
        let text = flat(&deep).to_string();
        assert!(text.len() < 10_000, "{}", text.len());
    }

    #[test]
    fn an_object_of_thousands_is_too_many() {
        let many: Map<_, _> = (0..2_001).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(add("data", &many.into(), &mut Map::new()), Err(TooMany { most: 2_000 }));
    }
}
