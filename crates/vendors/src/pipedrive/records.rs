//! People and deals.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::words::{self, Refusal};
use super::{Entity, Pipedrive};
use crate::answer::Answer;
use crate::book::Book;
use crate::look::{list, text};
use crate::request::Request;

/// A person or a deal.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: u64,
    /// Everything but the custom fields: `name`, `emails`, `title`, `status` …
    pub values: Map<String, Value>,
    /// By code.
    pub custom: Map<String, Value>,
    pub is_deleted: bool,
    /// What search will see, and from when on; the newest one is the last.
    pub(super) history: Vec<Version>,
}

/// A record as it was at some time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) at: Duration,
    pub(super) written: Written,
    pub(super) is_deleted: bool,
}

/// What is written into a record: members, and custom fields by code.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) values: Map<String, Value>,
    pub(super) custom: Map<String, Value>,
}

/// What may be written.
const PERSON_MEMBERS: [&str; 14] = [
    "name",
    "owner_id",
    "org_id",
    "add_time",
    "emails",
    "phones",
    "visible_to",
    "label_ids",
    "postal_address",
    "notes",
    "im",
    "birthday",
    "job_title",
    "marketing_status",
];
const DEAL_MEMBERS: [&str; 19] = [
    "title",
    "owner_id",
    "person_id",
    "org_id",
    "pipeline_id",
    "stage_id",
    "value",
    "currency",
    "is_deleted",
    "is_archived",
    "archive_time",
    "status",
    "probability",
    "lost_reason",
    "visible_to",
    "close_time",
    "won_time",
    "expected_close_date",
    "label_ids",
];
/// What a search remembers of a record.
const HISTORY_MAX: usize = 8;

impl Record {
    pub(super) fn by_hand(id: u64, values: &Value) -> Self {
        let mut values = values.as_object().cloned().unwrap_or_default();
        let custom = values.shift_remove("custom_fields").and_then(|custom| custom.as_object().cloned());
        Self { id, values, custom: custom.unwrap_or_default(), is_deleted: false, history: Vec::new() }
    }

    /// The name of a person, the title of a deal.
    pub fn name(&self) -> &str {
        let name = self.values.get("name").or_else(|| self.values.get("title"));
        name.map(text).unwrap_or_default()
    }

    /// The entries of `emails` or `phones`.
    pub fn entries(&self, name: &str) -> &[Value] {
        self.values.get(name).map_or(&[], list)
    }

    /// A member; `null` if there is none.
    pub fn member(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&Value::Null)
    }

    /// Lets search know, in a while.
    pub(super) fn note(&mut self, at: Duration) {
        let written = Written { values: self.values.clone(), custom: self.custom.clone() };
        self.history.push(Version { at, written, is_deleted: self.is_deleted });
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
    }

    pub(super) fn shown(&self) -> Value {
        let mut shown = Map::from_iter([("id".to_owned(), self.id.into())]);
        shown.extend(self.values.clone());
        shown.insert("is_deleted".to_owned(), self.is_deleted.into());
        shown.insert("custom_fields".to_owned(), self.custom.clone().into());
        shown.into()
    }
}

impl Pipedrive {
    pub(super) fn find(&self, entity: Entity, id: &str) -> Result<&Record, Refusal> {
        let id: u64 = id.parse().map_err(|_| Refusal::invalid("id: must be a number"))?;
        self.record(entity, id).ok_or_else(|| Refusal::not_found(entity.word()))
    }

    pub(super) fn show(&self, entity: Entity, id: &str) -> Result<Answer, Refusal> {
        Ok(words::done(&self.find(entity, id)?.shown()))
    }

    pub(super) fn list(&self, entity: Entity, request: &Request) -> Result<Answer, Refusal> {
        let ids = request.parameter("ids");
        let ids: Option<Vec<&str>> = ids.as_ref().map(|ids| ids.split(',').collect());
        if ids.as_ref().is_some_and(|ids| ids.len() > 100) {
            return Err(Refusal::invalid("ids: at most 100"));
        }
        let person = request.parameter("person_id").map(|id| id.parse::<u64>().unwrap_or_default());
        let is_wanted = |record: &&Record| {
            ids.as_ref().is_none_or(|ids| ids.contains(&record.id.to_string().as_str()))
                && person.is_none_or(|person| *record.member("person_id") == person)
                && *record.member("is_archived") != true
        };
        words::page(request, self.live(entity).filter(is_wanted).map(Record::shown))
    }

    pub(super) fn create(&mut self, entity: Entity, request: &Request, book: &mut Book) -> Result<Answer, Refusal> {
        let Written { mut values, custom } = self.checked(entity, request, book)?;
        match entity {
            Entity::Person if text(values.get("name").unwrap_or(&Value::Null)).is_empty() => {
                return Err(Refusal::invalid("name: is required"));
            }
            Entity::Person => {}
            Entity::Deal => self.open(&mut values)?,
        }
        let record = Record { id: self.next_id(), values, custom, is_deleted: false, history: Vec::new() };
        let shown = record.shown();
        book.store(self.key(entity, &record), shown.clone());
        self.put(entity, record, request.at);
        Ok(words::done(&shown))
    }

    pub(super) fn update(
        &mut self,
        entity: Entity,
        id: &str,
        request: &Request,
        book: &mut Book,
    ) -> Result<Answer, Refusal> {
        let id = self.find(entity, id)?.id;
        let Written { values, custom } = self.checked(entity, request, book)?;
        let Some(record) = self.records[entity.at()].get_mut(&id) else {
            return Err(Refusal::not_found(entity.word()));
        };
        if *record.member("is_archived") == true {
            return Err(Refusal::invalid("archived deals cannot be edited"));
        }
        record.values.extend(values);
        for (code, value) in custom {
            if value.is_null() {
                record.custom.shift_remove(&code);
            } else {
                record.custom.insert(code, value);
            }
        }
        record.note(request.at);
        let (shown, record) = (record.shown(), record.clone());
        book.duplicates.push(crate::book::Entry {
            key: self.key(entity, &record),
            item: shown.clone(),
            reason: "the record was there and is changed".to_owned(),
        });
        Ok(words::done(&shown))
    }

    /// What a deal has from the beginning.
    fn open(&self, values: &mut Map<String, Value>) -> Result<(), Refusal> {
        let number = |name: &str| values.get(name).and_then(Value::as_u64);
        if text(values.get("title").unwrap_or(&Value::Null)).is_empty() {
            return Err(Refusal::invalid("title: is required"));
        }
        if number("person_id").is_none_or(|id| self.record(Entity::Person, id).is_none()) {
            return Err(Refusal::invalid("person_id: there is no such person"));
        }
        let is_open = values.get("status").is_none_or(|status| status == "open");
        let open = self.deals().filter(|deal| deal.member("status") == "open").count();
        if is_open && open >= self.open_deals_max {
            return Err(Refusal::forbidden(
                "Couldn't add the deal. Open deals limit reached.",
                "feature_capping_deals_limit",
            ));
        }
        let stage = match (number("pipeline_id"), number("stage_id")) {
            (_, Some(stage)) => self.stages.get_key_value(&stage),
            (pipeline, None) => {
                let pipeline = pipeline.or_else(|| self.pipelines.keys().next().copied());
                self.stages.iter().find(|(_, (of, _))| Some(*of) == pipeline)
            }
        };
        let Some((stage, (pipeline, _))) = stage else {
            return Err(Refusal::invalid("stage_id: there is no such stage"));
        };
        if number("pipeline_id").is_some_and(|wanted| wanted != *pipeline) {
            return Err(Refusal::invalid("stage_id: is not in the pipeline"));
        }
        let defaults = [
            ("stage_id", json!(stage)),
            ("pipeline_id", json!(pipeline)),
            ("status", json!("open")),
            ("value", json!(0)),
            ("currency", json!("EUR")),
            ("is_archived", json!(false)),
        ];
        for (name, value) in defaults {
            values.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// The members and the custom fields of a body that holds nothing else.
    fn checked(&self, entity: Entity, request: &Request, book: &mut Book) -> Result<Written, Refusal> {
        let body = request.json().map_err(|message| Refusal::invalid(&message))?;
        let Some(mut values) = body.as_object().cloned() else { return Err(Refusal::invalid("the body is no object")) };
        let custom = values.shift_remove("custom_fields").unwrap_or_else(|| json!({}));
        let checked = check_members(entity, &values).and_then(|()| self.check_custom(entity, &custom));
        if let Err(refusal) = checked {
            book.refuse(text(&body["name"]), body.clone(), "it is not valid");
            return Err(refusal);
        }
        Ok(Written { values, custom: custom.as_object().cloned().unwrap_or_default() })
    }

    fn check_custom(&self, entity: Entity, custom: &Value) -> Result<(), Refusal> {
        for (code, value) in custom.as_object().ok_or_else(|| Refusal::invalid("custom_fields: must be an object"))? {
            let field = self.fields[entity.at()].iter().find(|field| field.code == *code);
            let unknown =
                || Refusal::invalid(&format!("custom_fields: Parameter '{code}' is not allowed for this request"));
            field.ok_or_else(unknown)?.check(value)?;
        }
        Ok(())
    }

    fn key(&self, entity: Entity, record: &Record) -> String {
        let key = text(self.value(entity, record, &self.key_field));
        if key.is_empty() { record.name().to_owned() } else { key.to_owned() }
    }
}

fn check_members(entity: Entity, values: &Map<String, Value>) -> Result<(), Refusal> {
    let members = if entity == Entity::Person { &PERSON_MEMBERS[..] } else { &DEAL_MEMBERS };
    for (name, value) in values {
        if !members.contains(&name.as_str()) {
            return Err(Refusal::invalid(&format!("{name}: Parameter '{name}' is not allowed for this request")));
        }
        let is_entry = |entry: &Value| !text(&entry["value"]).is_empty() && entry["primary"].is_boolean();
        let fits = match name.as_str() {
            "name" | "title" => value.as_str().is_some_and(|it| !it.is_empty() && it.chars().count() <= 255),
            "emails" | "phones" => value.is_array() && list(value).iter().all(is_entry),
            "status" => matches!(text(value), "open" | "won" | "lost"),
            "value" | "probability" => value.is_number(),
            "currency" => value.as_str().is_some_and(|it| it.len() == 3 && it.bytes().all(|b| b.is_ascii_uppercase())),
            "owner_id" | "org_id" | "person_id" | "pipeline_id" | "stage_id" => value.is_u64(),
            "label_ids" => value.is_array(),
            _ => true,
        };
        if !fits {
            return Err(Refusal::invalid(&format!("{name}: is not valid")));
        }
    }
    Ok(())
}
