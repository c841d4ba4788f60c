//! Values as they stand in a statement, for stores that take no parameters.

use serde_json::Value;

/// A value that means the same whether the server reads backslashes as escapes or as themselves, because none is written: each
/// is put in by its number. U+0000 must have been taken out.
pub(super) fn literal(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "NULL".to_owned(),
        Some(Value::String(text)) => text_literal(text),
        Some(other) => text_literal(&other.to_string()),
    }
}

fn text_literal(text: &str) -> String {
    let parts: Vec<_> = text.split('\\').map(|part| format!("'{}'", part.replace('\'', "''"))).collect();
    parts.join(" || chr(92) || ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_ends_its_quotes_however_backslashes_are_read() {
        for (value, expect) in [
            (json!("it's"), "'it''s'"),
            (json!("a\\'; DROP TABLE x; --"), "'a' || chr(92) || '''; DROP TABLE x; --'"),
            (json!("\\"), "'' || chr(92) || ''"),
            (json!(49.99), "'49.99'"),
            (json!(true), "'true'"),
            (json!({"a": "b'"}), "'{\"a\":\"b''\"}'"),
            (json!(null), "NULL"),
        ] {
            assert_eq!(literal(Some(&value)), expect);
        }
        assert_eq!(literal(None), "NULL");
    }
}
