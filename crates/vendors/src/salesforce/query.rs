//! Queries, as far as anybody here asks any: some columns of one object, and conditions that are all equalities.

use serde_json::{Map, Value, json};

use super::Salesforce;
use super::schema::is_custom;
use super::words::{Refusal, no_object};
use crate::answer::Answer;
use crate::look::text;
use crate::request::Request;

pub(super) fn run(org: &Salesforce, request: &Request) -> Result<Answer, Refusal> {
    let soql = request.parameter("q").unwrap_or_default();
    let malformed = || Refusal::new(400, "MALFORMED_QUERY", format!("unexpected token in {soql}"));
    let rest = soql.strip_prefix("SELECT ").ok_or_else(malformed)?;
    let (columns, rest) = rest.split_once(" FROM ").ok_or_else(malformed)?;
    let (object, conditions) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
    let conditions: Vec<(&str, Value)> = conditions
        .split(" AND ")
        .filter(|condition| !condition.is_empty())
        .map(|condition| {
            let (name, value) = condition.split_once(" = ").ok_or_else(malformed)?;
            let literal = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            Ok((name, literal.map_or_else(|| json!(value == "true"), Value::from)))
        })
        .collect::<Result<_, Refusal>>()?;
    let rows = if object == "CustomField" { custom_fields(org) } else { rows(org, object)? };
    let holds = |row: &Map<String, Value>, (name, value): &(&str, Value)| match name.split_once('.') {
        Some((parent, name)) => parent_of(org, row, parent).is_some_and(|row| row.get(name) == Some(value)),
        None => row.get(*name) == Some(value),
    };
    let rows = rows.iter().filter(|row| conditions.iter().all(|condition| holds(row, condition)));
    let shown = rows.map(|row| {
        let mut shown = Map::from_iter([("attributes".to_owned(), json!({"type": object}))]);
        for name in columns.split(',').map(str::trim) {
            shown.insert(name.to_owned(), row.get(name).cloned().unwrap_or_default());
        }
        Value::Object(shown)
    });
    let records: Vec<_> = shown.collect();
    Ok(Answer::json(200, &json!({"totalSize": records.len(), "done": true, "records": records})))
}

fn rows(org: &Salesforce, object: &str) -> Result<Vec<Map<String, Value>>, Refusal> {
    let is_known = org.fields.contains_key(object) || super::setup::OBJECTS.iter().any(|(name, _)| *name == object);
    if is_known { Ok(org.records(object)) } else { Err(no_object(object)) }
}

fn custom_fields(org: &Salesforce) -> Vec<Map<String, Value>> {
    let all =
        org.fields.iter().flat_map(|(object, fields)| fields.iter().map(move |(name, field)| (object, name, field)));
    all.filter(|(_, name, _)| is_custom(name))
        .map(|(object, name, _)| {
            let own = name.strip_suffix("__c").unwrap_or(name);
            Map::from_iter([("DeveloperName".to_owned(), json!(own)), ("TableEnumOrId".to_owned(), json!(object))])
        })
        .collect()
}

fn parent_of(org: &Salesforce, row: &Map<String, Value>, parent: &str) -> Option<Map<String, Value>> {
    org.record(text(row.get(&format!("{parent}Id"))?))
}
