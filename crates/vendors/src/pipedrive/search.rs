//! Searching, which sees what was written some time ago.

use std::time::Duration;

use serde_json::{Value, json};

use super::records::Written;
use super::words::{self, Refusal};
use super::{Entity, Pipedrive, Record};
use crate::answer::Answer;
use crate::look::{list, text};
use crate::request::Request;

impl Pipedrive {
    /// By the value of one custom field; letters must be of the same case.
    pub(super) fn search_field(&self, request: &Request) -> Result<Answer, Refusal> {
        let parameter = |name: &str| request.parameter(name).unwrap_or_default();
        let entity = match parameter("entity_type").as_str() {
            "person" => Entity::Person,
            "deal" => Entity::Deal,
            _ => return Err(Refusal::invalid("entity_type: must be one of deal, person")),
        };
        let (term, code, is_exact) = (parameter("term"), parameter("field"), parameter("match") == "exact");
        term_is_long_enough(&term, is_exact)?;
        let field = self.fields(entity).iter().find(|field| field.code == code);
        if field.is_none_or(|field| !field.is_searchable()) {
            return Err(Refusal::invalid("field: is not a searchable field"));
        }
        let hits = self.records[entity.at()].values().filter_map(|record| {
            let Written { values, custom } = self.indexed(record, request.at)?;
            let value = text(custom.get(&code)?);
            let is_hit = if is_exact { value == term } else { value.contains(&term) };
            let name = values.get("name").or_else(|| values.get("title"));
            is_hit.then(|| json!({"id": record.id, "name": name}))
        });
        let shaped = |hit: Value| if self.has_items { json!({"result_score": 1.0, "item": hit}) } else { hit };
        words::page(request, hits.map(shaped))
    }

    /// By address, name or custom field, whatever the case.
    pub(super) fn search_people(&self, request: &Request) -> Result<Answer, Refusal> {
        let parameter = |name: &str| request.parameter(name).unwrap_or_default();
        let (term, is_exact) = (parameter("term").to_lowercase(), parameter("exact_match") == "true");
        term_is_long_enough(&term, is_exact)?;
        let fields = request.parameter("fields").unwrap_or_else(|| "custom_fields,email,name,phone".to_owned());
        let items = self.records[0].values().filter_map(|record| {
            let Written { values, custom } = self.indexed(record, request.at)?;
            let entries = |name: &str| {
                let entries = values.get(name).map_or(&[][..], list);
                entries.iter().map(|entry| text(&entry["value"]).to_owned()).collect::<Vec<_>>()
            };
            let texts = fields.split(',').flat_map(|field| match field {
                "email" => entries("emails"),
                "phone" => entries("phones"),
                "name" => values.get("name").map(|name| vec![text(name).to_owned()]).unwrap_or_default(),
                "custom_fields" => custom.values().map(|value| text(value).to_owned()).collect(),
                _ => Vec::new(),
            });
            let mut texts = texts.map(|text| text.to_lowercase());
            let is_hit = texts.any(|text| if is_exact { text == term } else { text.contains(&term) });
            let item = json!({
                "id": record.id, "type": "person", "name": values.get("name"), "phones": entries("phones"),
                "emails": entries("emails"), "custom_fields": [], "notes": [], "organization": null,
            });
            is_hit.then(|| json!({"result_score": 0.5, "item": item}))
        });
        let items: Vec<_> = items.collect();
        Ok(Answer::json(
            200,
            &json!({
                "success": true, "data": { "items": items }, "additional_data": { "next_cursor": null },
            }),
        ))
    }

    /// A record as search sees it; `None` if it sees none.
    fn indexed<'r>(&self, record: &'r Record, at: Duration) -> Option<&'r Written> {
        let seen = record.history.iter().rev().find(|version| version.at + self.search_lag <= at);
        seen.filter(|version| !version.is_deleted).map(|version| &version.written)
    }
}

fn term_is_long_enough(term: &str, is_exact: bool) -> Result<(), Refusal> {
    if term.chars().count() >= if is_exact { 1 } else { 2 } {
        return Ok(());
    }
    Err(Refusal::invalid("term: must be at least 2 characters long"))
}
