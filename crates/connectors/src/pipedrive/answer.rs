//! What successes say.

use domain::connector::Reply;
use serde_json::{Map, Value};

use super::calls::HITS_MAX;

/// The `data` of a success; `None` if the answer is not Pipedrive's.
pub(super) fn data(reply: &Reply) -> Option<Value> {
    let mut body = reply.json()?;
    let data = body.get_mut("data").map(Value::take);
    (body["success"] == true).then_some(data?)
}

/// Where the next page of a list begins.
pub(super) fn next_cursor(reply: &Reply) -> Option<String> {
    let body = reply.json()?;
    body["additional_data"]["next_cursor"].as_str().filter(|cursor| !cursor.is_empty()).map(str::to_owned)
}

/// The ids that a search has found. Pipedrive's own description of it contradicts itself, so each of its shapes is read: a list of
/// records, a list of `{"item": …}`, and either of them under `items`.
pub(super) fn hits(data: &Value) -> Option<Vec<u64>> {
    let list = data.as_array().or_else(|| data["items"].as_array())?;
    let id = |hit: &Value| hit["item"]["id"].as_u64().or_else(|| hit["id"].as_u64());
    let mut ids: Vec<u64> = list.iter().filter_map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(HITS_MAX);
    Some(ids)
}

/// Records that were read, by themselves or in a list.
pub(super) fn records(data: &Value, keep: &[&str]) -> Option<Vec<Record>> {
    match data {
        Value::Array(list) => Some(list.iter().filter_map(|it| Record::read(it, keep)).collect()),
        one => Some(vec![Record::read(one, keep)?]),
    }
}

/// A person or a deal as it is there.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    pub(super) id: u64,
    /// Members and custom fields, as far as they are of interest.
    values: Map<String, Value>,
    custom: Map<String, Value>,
}

/// What is always of interest.
const MEMBERS: &[&str] = &[
    "name",
    "emails",
    "phones",
    "is_deleted",
    "is_archived",
    "status",
    "value",
    "currency",
    "owner_id",
    "org_id",
    "label_ids",
    "visible_to",
    "job_title",
    "notes",
    "expected_close_date",
    "probability",
];

impl Record {
    fn read(data: &Value, keep: &[&str]) -> Option<Self> {
        let taken = |from: &Value, names: &[&str]| {
            names.iter().filter_map(|name| Some(((*name).to_owned(), from.get(name)?.clone()))).collect()
        };
        Some(Self {
            id: data["id"].as_u64()?,
            values: taken(data, MEMBERS),
            custom: taken(&data["custom_fields"], keep),
        })
    }

    pub(super) fn member(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&Value::Null)
    }

    pub(super) fn custom(&self, code: &str) -> &Value {
        self.custom.get(code).unwrap_or(&Value::Null)
    }

    pub(super) fn is(&self, flag: &str) -> bool {
        self.member(flag) == &Value::Bool(true)
    }

    /// The text of a custom field; the empty one if there is none.
    pub(super) fn custom_text(&self, code: &str) -> &str {
        self.custom(code).as_str().unwrap_or_default()
    }

    /// The entries of `emails` or `phones`.
    pub(super) fn entries(&self, name: &str) -> &[Value] {
        self.member(name).as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_email(&self, email: &str) -> bool {
        let is_it = |entry: &Value| entry["value"].as_str().is_some_and(|it| it.trim().eq_ignore_ascii_case(email));
        self.entries("emails").iter().any(is_it)
    }
}

/// Whether what is there is what would be written. An object that is there may say more.
pub(super) fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.iter().all(|(name, value)| theirs.get(name).is_some_and(|it| is_same(value, it)))
        }
        (ours, theirs) => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_search_is_read_in_each_of_its_shapes() {
        for found in [
            json!([{"id": 7, "name": "Ada"}, {"id": 3}]),
            json!([{"result_score": 1.2, "item": {"id": 3}}, {"result_score": 1, "item": {"id": 7}}, {"item": {"id": 7}}]),
            json!({"items": [{"result_score": 0.5, "item": {"id": 3, "type": "person"}}, {"id": 7}]}),
        ] {
            assert_eq!(hits(&found), Some(vec![3, 7]), "{found}");
        }
        assert_eq!(hits(&json!([{"id": -1}, {"id": "x"}, 5])), Some(Vec::new()));
        assert_eq!(hits(&json!("page")), None);
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        assert!(is_same(&json!(9), &json!(9.0)));
        assert!(is_same(&json!({"value": 9}), &json!({"value": 9.0, "currency": "EUR"})));
        assert!(!is_same(&json!("a"), &Value::Null));
    }
}
