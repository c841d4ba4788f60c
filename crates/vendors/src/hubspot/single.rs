//! One contact at a time, search, and merging.

use serde_json::{Value, json};

use super::HubSpot;
use super::batch::{must_have_a_name, only};
use super::contacts::Contact;
use super::words::Refusal;
use crate::answer::Answer;
use crate::book::Book;
use crate::look::{list, text};
use crate::request::Request;

/// Most results of a search.
const PAGE_MAX: usize = 200;

impl HubSpot {
    pub(super) fn create(&mut self, has_rules: bool, request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        must_have_a_name(&properties)?;
        let (id, _) = self.put(None, &properties, has_rules, request.at)?;
        let key = properties.get("email").map_or_else(|| id.to_string(), |email| text(email).to_owned());
        Self::note(&key, properties.into(), true, book);
        Ok(Answer::json(201, &self.shown(id)))
    }

    pub(super) fn read(&self, id: &str, request: &Request) -> Result<Answer, Refusal> {
        let found = self.named(id, request)?;
        let wanted = request.parameter("properties").unwrap_or_default();
        let wanted: Vec<Value> = wanted.split(',').filter(|name| !name.is_empty()).map(Value::from).collect();
        Ok(Answer::json(200, &only(self.shown(found), &wanted)))
    }

    pub(super) fn update(
        &mut self,
        id: &str,
        has_rules: bool,
        request: &Request,
        book: &mut Book,
    ) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let found = self.named(id, request)?;
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        let (found, is_backward) = self.put(Some(found), &properties, has_rules, request.at)?;
        if is_backward {
            book.flag(id, body.clone(), "lifecyclestage was sent backward");
        }
        Self::note(id, properties.into(), false, book);
        Ok(Answer::json(200, &self.shown(found)))
    }

    pub(super) fn archive(&mut self, id: &str) -> Result<Answer, Refusal> {
        let found = self.find("id", id).ok_or_else(Refusal::not_found)?;
        self.delete_contact(found);
        Ok(Answer::empty(204))
    }

    pub(super) fn merge(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let id = |name: &str| self.find("id", text(&body[name])).ok_or_else(Refusal::not_found);
        let (primary, other) = (id("primaryObjectId")?, id("objectIdToMerge")?);
        let survivor = self.join(primary, other)?;
        Ok(Answer::json(200, &self.shown(survivor)))
    }

    /// Equality only. What was written a moment ago is not found yet.
    pub(super) fn search(&self, request: &Request) -> Result<Answer, Refusal> {
        let body = request.json().map_err(Refusal::invalid)?;
        let groups = list(&body["filterGroups"]);
        let is_met = |contact: &Contact, filter: &Value| {
            let value = contact.get(text(&filter["propertyName"]));
            text(&filter["operator"]) == "EQ" && value.eq_ignore_ascii_case(text(&filter["value"]))
        };
        let is_in = |contact: &&&Contact| {
            let is_known = contact.changed_at + self.search_lag <= request.at;
            let mut groups = groups.iter();
            is_known && groups.any(|group| list(&group["filters"]).iter().all(|filter| is_met(contact, filter)))
        };
        let all = self.contacts();
        let found: Vec<_> =
            all.iter().filter(is_in).map(|contact| only(contact.show(), list(&body["properties"]))).collect();
        Ok(Answer::json(
            200,
            &json!({"total": found.len(), "results": found.into_iter().take(PAGE_MAX).collect::<Vec<_>>()}),
        ))
    }

    fn named(&self, id: &str, request: &Request) -> Result<u64, Refusal> {
        let by = request.parameter("idProperty").unwrap_or_else(|| "id".to_owned());
        self.must_be_unique(&by)?;
        let id = id.replace("%40", "@");
        self.find(&by, &id).ok_or_else(Refusal::not_found)
    }

    fn shown(&self, id: u64) -> Value {
        self.contact(id).map(Contact::show).unwrap_or_default()
    }
}
