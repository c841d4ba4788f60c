//! Up to 25 requests in one, each of which may refer to what an earlier one was answered with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Salesforce;
use super::words::{self, Refusal};
use crate::answer::Answer;
use crate::book::Book;
use crate::look::{list, text};
use crate::request::Request;

const REQUESTS_MAX: usize = 25;

pub(super) fn run(org: &mut Salesforce, request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
    let body = request.json().map_err(|message| words::unreadable(&message))?;
    let requests = list(&body["compositeRequest"]);
    let names: BTreeSet<_> = requests.iter().map(|part| text(&part["referenceId"])).collect();
    if requests.is_empty() || requests.len() > REQUESTS_MAX || names.len() != requests.len() || names.contains("") {
        return Err(Refusal::new(400, "BAD_REQUEST", "1 to 25 requests, each with a referenceId of its own"));
    }
    let before = (body["allOrNone"] == true).then(|| org.clone());
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    let mut parts = Vec::new();
    for part in requests {
        let name = text(&part["referenceId"]).to_owned();
        let answer =
            if let (Some(url), Some(content)) = (resolved(&part["url"], &bodies), resolved(&part["body"], &bodies)) {
                let content = if content.is_null() { String::new() } else { content.to_string() };
                let inner = Request { at: request.at, ..Request::new(text(&part["method"]), text(&url), content) };
                org.route(&inner, book).unwrap_or_else(Refusal::answer)
            } else {
                let message = "The transaction was rolled back since another operation in the same transaction failed.";
                Refusal::new(400, "PROCESSING_HALTED", message).answer()
            };
        bodies.insert(name.clone(), answer.said_json());
        parts.push(json!({
            "body": answer.said_json(), "httpHeaders": {}, "httpStatusCode": answer.status, "referenceId": name,
        }));
    }
    let has_failed = parts.iter().any(|part| part["httpStatusCode"].as_u64() >= Some(300));
    if let Some(before) = before.filter(|_| has_failed) {
        *org = before;
    }
    Ok(Answer::json(200, &json!({"compositeResponse": parts})))
}

/// A value with every `@{name.field}` in it replaced; None if there is no such thing.
fn resolved(value: &Value, bodies: &BTreeMap<String, Value>) -> Option<Value> {
    Some(match value {
        Value::String(text) => Value::String(resolved_text(text, bodies)?),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone(), resolved(value, bodies)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| resolved(value, bodies)).collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

fn resolved_text(text: &str, bodies: &BTreeMap<String, Value>) -> Option<String> {
    let Some((before, rest)) = text.split_once("@{") else { return Some(text.to_owned()) };
    let (reference, after) = rest.split_once('}')?;
    let (name, field) = reference.split_once('.')?;
    let value = bodies.get(name)?.get(field)?.as_str()?;
    Some(format!("{before}{value}{}", resolved_text(after, bodies)?))
}
