//! Batches: whole or not at all, unless each input is to be told by itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::several;
use super::words::Refusal;
use super::{HubSpot, Naming};
use crate::answer::Answer;
use crate::book::Book;
use crate::look::{list, text};
use crate::request::Request;

const INPUTS_MAX: usize = 100;

impl HubSpot {
    pub(super) fn write_batch(
        &mut self,
        verb: &str,
        has_rules: bool,
        request: &Request,
        book: &mut Book,
    ) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let inputs = list(&body["inputs"]);
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            return Err(Refusal::invalid("a batch has 1 to 100 inputs"));
        }
        let traces: BTreeSet<&str> = inputs.iter().map(|input| text(&input["objectWriteTraceId"])).collect();
        let is_each = traces.len() == inputs.len() && !traces.contains("");
        let ids: BTreeSet<String> = inputs.iter().map(|input| text(&input["id"]).to_lowercase()).collect();
        if verb != "create" && ids.len() != inputs.len() {
            return Err(Refusal::invalid("Duplicate IDs found in batch input"));
        }
        // Whatever is refused whole leaves no trace.
        let before = (!is_each).then(|| self.clone());
        let (mut results, mut errors, mut noted) = (Vec::new(), Vec::new(), Book::default());
        for (index, input) in inputs.iter().enumerate() {
            let is_struck = request.partial_failure && is_each && index + 1 == inputs.len();
            let written = if is_struck {
                Err(Refusal::trouble())
            } else {
                self.write_one(verb, input, has_rules, request, &mut noted)
            };
            match written {
                Ok(result) => results.push(result),
                Err(refusal) if is_each => {
                    noted.refuse(self.key_of(input), input.clone(), refusal.message());
                    errors.push(refusal.of_input(self.context(input)));
                }
                Err(refusal) => {
                    if let Some(before) = before {
                        let calls = std::mem::take(&mut self.calls);
                        *self = Self { calls, ..before };
                    }
                    return Err(refusal);
                }
            }
        }
        book.stored.extend(noted.stored);
        book.duplicates.extend(noted.duplicates);
        book.refused.extend(noted.refused);
        book.flagged.extend(noted.flagged);
        Ok(several(if verb == "create" { 201 } else { 200 }, &results, &errors))
    }

    /// Writes one input; what comes back is a contact.
    fn write_one(
        &mut self,
        verb: &str,
        input: &Value,
        has_rules: bool,
        request: &Request,
        book: &mut Book,
    ) -> Result<Value, Refusal> {
        let by = if input["idProperty"].is_null() { "id" } else { text(&input["idProperty"]) };
        let mut properties = input["properties"].as_object().cloned().unwrap_or_default();
        let mut found = None;
        if verb != "create" {
            self.must_be_unique(by)?;
            found = self.find(by, text(&input["id"]));
        }
        match (verb, found) {
            ("create", _) => must_have_a_name(&properties)?,
            ("update", None) => return Err(Refusal::not_found()),
            ("upsert", None) if by == "id" => return Err(Refusal::not_found()),
            ("upsert", None) => {
                properties.entry(by.to_owned()).or_insert_with(|| input["id"].clone());
            }
            _ => {}
        }
        let (id, is_backward) = self.put(found, &properties, has_rules, request.at)?;
        let (key, item) = (self.key_of(input), Value::from(properties));
        if is_backward {
            book.flag(&key, item.clone(), "lifecyclestage was sent backward");
        }
        Self::note(&key, item, found.is_none(), book);
        let mut result = self.contact(id).map(super::Contact::show).unwrap_or_default();
        if !input["objectWriteTraceId"].is_null() {
            result["objectWriteTraceId"] = input["objectWriteTraceId"].clone();
        }
        if verb == "upsert" {
            result["new"] = found.is_none().into();
        }
        Ok(result)
    }

    pub(super) fn note(key: &str, item: Value, is_new: bool, book: &mut Book) {
        if is_new {
            book.store(key, item);
        } else {
            let reason = "the contact was there".to_owned();
            book.duplicates.push(crate::Entry { key: key.to_owned(), item, reason });
        }
    }

    pub(super) fn read_batch(&self, request: &Request) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let inputs = list(&body["inputs"]);
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            return Err(Refusal::invalid("a batch has 1 to 100 inputs"));
        }
        let by = if body["idProperty"].is_null() { "id" } else { text(&body["idProperty"]) };
        self.must_be_unique(by)?;
        let (mut results, mut missing) = (Vec::new(), Vec::new());
        for input in inputs {
            match self.find(by, text(&input["id"])).and_then(|id| self.contact(id)) {
                Some(contact) => results.push(only(contact.show(), list(&body["properties"]))),
                None => missing.push(input["id"].clone()),
            }
        }
        // All that are not there are one error.
        let errors = if missing.is_empty() {
            Vec::new()
        } else {
            vec![Refusal::not_found().of_input(json!({ "ids": missing }))]
        };
        Ok(several(200, &results, &errors))
    }

    pub(super) fn must_be_unique(&self, property: &str) -> Result<(), Refusal> {
        let is_unique = matches!(property, "id" | "hs_object_id" | "email")
            || self.properties.get(property).is_some_and(|property| property.is_unique);
        if is_unique {
            return Ok(());
        }
        if !self.properties.contains_key(property) {
            let message = format!("Property \"{property}\" does not exist");
            return Err(Refusal::values(&[(property.to_owned(), "PROPERTY_DOESNT_EXIST", message)]));
        }
        Err(Refusal::invalid("Unable to perform update/upsert by non-unique 0-1 property"))
    }

    fn key_of(&self, input: &Value) -> String {
        let email = text(&input["properties"]["email"]);
        let keys = [text(&input["id"]), email].map(str::to_owned);
        // A contact that is named by its id is known by the unique value that it gets.
        let unique = input["properties"].as_object().into_iter().flatten();
        let unique = unique.filter(|(name, _)| self.properties.get(*name).is_some_and(|it| it.is_unique));
        unique.map(|(_, value)| text(value).to_owned()).chain(keys).find(|key| !key.is_empty()).unwrap_or_default()
    }

    fn context(&self, input: &Value) -> Value {
        match self.naming {
            Naming::Trace => json!({"objectWriteTraceId": [input["objectWriteTraceId"]]}),
            Naming::Id => json!({"ids": [input["id"]]}),
            Naming::Nothing => json!({}),
        }
    }
}

pub(super) fn must_have_a_name(properties: &Map<String, Value>) -> Result<(), Refusal> {
    let has = |name: &&str| properties.get(*name).is_some_and(|value| !text(value).is_empty());
    if ["email", "firstname", "lastname"].iter().any(has) {
        return Ok(());
    }
    Err(Refusal::invalid("At least one of email, firstname or lastname is required to create a contact"))
}

/// A contact with the properties that were asked for.
pub(super) fn only(mut shown: Value, wanted: &[Value]) -> Value {
    if let Some(properties) = shown["properties"].as_object_mut() {
        let always = ["hs_object_id", "createdate", "lastmodifieddate"];
        properties.retain(|name, _| always.contains(&name.as_str()) || wanted.iter().any(|it| text(it) == name));
        for name in wanted.iter().map(text) {
            properties.entry(name).or_insert(Value::Null);
        }
    }
    shown
}
