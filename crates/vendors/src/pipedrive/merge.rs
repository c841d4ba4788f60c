//! Merging: the record in the path becomes part of the one in the body, whose values win.

use serde_json::Value;

use super::words::{self, Refusal};
use super::{Entity, Pipedrive};
use crate::answer::Answer;
use crate::look::text;
use crate::request::Request;

impl Pipedrive {
    pub(super) fn merge(&mut self, entity: Entity, id: &str, request: &Request) -> Result<Answer, Refusal> {
        let merged = self.find(entity, id)?.clone();
        let body = request.json().map_err(|message| Refusal::invalid(&message))?;
        let into = body["merge_with_id"].as_u64().ok_or_else(|| Refusal::invalid("merge_with_id: must be a number"))?;
        if into == merged.id {
            return Err(Refusal::invalid("merge_with_id: is the same"));
        }
        let Some(kept) = self.records[entity.at()].get_mut(&into).filter(|record| !record.is_deleted) else {
            return Err(Refusal::not_found(entity.word()));
        };
        for name in ["emails", "phones"] {
            let mut entries = kept.entries(name).to_vec();
            for entry in merged.entries(name) {
                let is_same = |known: &Value| text(&known["value"]).eq_ignore_ascii_case(text(&entry["value"]));
                if !entries.iter().any(is_same) {
                    let mut entry = entry.clone();
                    entry["primary"] = entries.is_empty().into();
                    entries.push(entry);
                }
            }
            if !entries.is_empty() {
                kept.values.insert(name.to_owned(), entries.into());
            }
        }
        for (name, value) in merged.values {
            kept.values.entry(name).or_insert(value);
        }
        for (code, value) in merged.custom {
            kept.custom.entry(code).or_insert(value);
        }
        kept.note(request.at);
        let shown = kept.shown();
        self.delete_by_hand(entity, merged.id, request.at);
        if entity == Entity::Person {
            for deal in self.records[Entity::Deal.at()].values_mut() {
                if *deal.member("person_id") == merged.id {
                    deal.values.insert("person_id".to_owned(), into.into());
                }
            }
        }
        self.merges.push((entity, merged.id, into));
        Ok(words::done(&shown))
    }
}
