//! What the three agree on about addresses and headers.

use serde_json::Value;

/// The bare address of `ada@example.org` or `Ada <ada@example.org>`, in lower case.
pub(super) fn bare(text: &str) -> Option<String> {
    let bare = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>')?,
        None => text,
    };
    let (local, domain) = bare.split_once('@')?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>,;:\"()[]@".contains(&byte);
    let fits = !local.is_empty() && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
    (fits && is_one_line(text) && local.bytes().chain(domain.bytes()).all(plain)).then(|| bare.to_lowercase())
}

/// The bare addresses of a string or a list of strings.
pub(super) fn all_bare(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => text.split(',').map(|text| bare(text.trim())).collect(),
        Value::Array(values) => values.iter().map(|value| value.as_str().and_then(bare)).collect(),
        _ => None,
    }
}

/// Whether a text can be a header: a line break in it would start another one.
pub(super) fn is_one_line(text: &str) -> bool {
    !text.contains(['\r', '\n', '\0'])
}

/// Whether there is a text with something in it.
pub(super) fn is_filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// Whether every text in a value can be part of a header.
pub(super) fn are_one_line(value: &Value) -> bool {
    match value {
        Value::String(text) => is_one_line(text),
        Value::Array(values) => values.iter().all(are_one_line),
        Value::Object(fields) => fields.values().all(are_one_line),
        _ => true,
    }
}
