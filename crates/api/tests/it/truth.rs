//! Whether the document tells the truth: every answer that any test of this binary gets is held against its schema.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(api::openapi()).unwrap());

/// Panics if the document promises another answer to this request.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &[u8]) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(&method.to_lowercase(), path) else { return };
    let responses = &operation["responses"];
    let what = format!("{method} {path} with {status}");
    let response = match responses.get(status.to_string()) {
        Some(response) => follow(response),
        None if status >= 400 => follow(&responses["default"]),
        None => panic!("{what} is not in the document"),
    };
    let Some(content) = response["content"].as_object() else {
        assert!(body.is_empty(), "{what} has a body that the document does not know");
        return;
    };
    let (media_type, content) = content.iter().next().expect("a media type");
    if media_type.contains("json") {
        let body = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what} is no JSON: {error}"));
        if let Err(why) = fits(&content["schema"], &body) {
            panic!("{what} is not as the document says: {why} in {body}");
        }
    }
}

/// The operation behind a path, by its segments.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let segments: Vec<_> = path.split('/').collect();
    let matches = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, segment)| part == segment || part.starts_with('{'))
    };
    DOCUMENT["paths"].as_object()?.iter().find(|(template, _)| matches(template))?.1.get(method)
}

fn follow(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(reference) => follow(DOCUMENT.pointer(&reference[1..]).expect("a reference that leads somewhere")),
        None => value,
    }
}

/// The part of JSON Schema that the document uses. A member that no schema names does not fit.
fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let schema = follow(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let tried: Vec<_> = choices.iter().map(|choice| fits(choice, value)).collect();
        if tried.iter().all(Result::is_err) {
            return Err(format!("none fits: {tried:?}"));
        }
        return Ok(());
    }
    if !has_type(schema, value) {
        return Err(format!("{value} is not {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{value} is not one of {allowed:?}"));
    }
    match value {
        Value::Object(members) => members_fit(schema, members),
        Value::Array(items) => items.iter().try_for_each(|item| fits(&schema["items"], item)),
        _ => Ok(()),
    }
}

fn members_fit(schema: &Value, members: &Map<String, Value>) -> Result<(), String> {
    let mut known = Map::new();
    let mut required = BTreeSet::new();
    gather(schema, &mut known, &mut required);
    if known.is_empty() {
        return Ok(());
    }
    if let Some(missing) = required.iter().find(|name| !members.contains_key(*name)) {
        return Err(format!("`{missing}` is missing"));
    }
    for (name, member) in members {
        let schema = known.get(name).ok_or_else(|| format!("`{name}` is not in the document"))?;
        fits(schema, member).map_err(|why| format!("`{name}`: {why}"))?;
    }
    Ok(())
}

/// The members of a schema and of all that it is made of.
fn gather(schema: &Value, known: &mut Map<String, Value>, required: &mut BTreeSet<String>) {
    let schema = follow(schema);
    known.extend(schema["properties"].as_object().cloned().unwrap_or_default());
    required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(part, known, required);
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    match &schema["type"] {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

#[test]
fn a_lie_would_be_found() {
    let problem = &DOCUMENT["components"]["schemas"]["Problem"];
    let good = serde_json::json!({ "type": "t", "title": "t", "status": 404, "detail": "d", "code": "c" });
    assert_eq!(fits(problem, &good), Ok(()));
    for (member, value) in [("status", Value::from("404")), ("extra", Value::from(1))] {
        let mut bad = good.clone();
        bad[member] = value;
        assert!(fits(problem, &bad).is_err(), "{member}");
    }
    let mut short = good;
    short.as_object_mut().unwrap().remove("code");
    assert!(fits(problem, &short).is_err());
    let list = &DOCUMENT["paths"]["/v1/deliveries"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(fits(list, &serde_json::json!({ "data": [{ "id": "x" }], "next": null })).is_err());
}
