//! Records: made, changed, found by id or by an external id, one by one or up to 200 at a time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::{CONVERTED_STATUS, Kind, STATUSES};
use super::words::{self, Refusal};
use super::{DuplicateRule, Row, Salesforce, USER_ID, setup, with_id};
use crate::answer::Answer;
use crate::book::{Book, Entry};
use crate::look::{list, text};
use crate::request::Request;

/// Most records of a collection.
const RECORDS_MAX: usize = 200;
/// Most of one that is only read.
const READ_MAX: usize = 2_000;
/// What is no field of a record.
const ATTRIBUTES: &str = "attributes";

/// What came of a write.
pub(super) struct Saved {
    pub(super) id: String,
    pub(super) created: bool,
}

/// `/composite/sobjects/…`
pub(super) fn collection(
    org: &mut Salesforce,
    method: &str,
    rest: &[&str],
    request: &Request,
    book: &mut Book,
) -> Result<Answer, Refusal> {
    if method == "GET" {
        let [object] = rest else { return Err(words::not_found()) };
        let ids = request.parameter("ids").unwrap_or_default();
        let fields = request.parameter("fields").unwrap_or_default();
        return retrieve(org, object, &ids.split(',').collect::<Vec<_>>(), &fields.split(',').collect::<Vec<_>>());
    }
    let body = request.json().map_err(|message| words::unreadable(&message))?;
    if let ("POST", [object]) = (method, rest) {
        let texts = |name: &str| list(&body[name]).iter().map(text).collect::<Vec<_>>();
        return retrieve(org, object, &texts("ids"), &texts("fields"));
    }
    let records = list(&body["records"]);
    if records.is_empty() || records.len() > RECORDS_MAX {
        return Err(Refusal::new(400, "INVALID_BATCH_SIZE", "a collection has 1 to 200 records"));
    }
    let allows = request.header("sforce-duplicate-rule-header") == Some("allowSave=true");
    let objects = records.iter().map(|record| check_shape(org, record)).collect::<Result<Vec<_>, _>>()?;
    let saving: Vec<Saving<'_>> = match (method, rest) {
        ("PATCH", [object, key]) => upserts(org, object, key, records)?,
        ("PATCH", []) => records.iter().map(|record| Saving::Id(text(&record["id"]))).collect(),
        ("POST", []) => records.iter().map(|_| Saving::New).collect(),
        _ => return Err(words::not_found()),
    };
    if body["allOrNone"] == true {
        return Err(Refusal::new(400, "INVALID_INPUT", "the simulator rolls nothing back; leave allOrNone out"));
    }
    let mut results = Vec::new();
    for (place, ((record, object), saving)) in records.iter().zip(objects).zip(saving).enumerate() {
        let is_struck = request.partial_failure && place + 1 == records.len();
        let locked = || Refusal::new(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record");
        let saved = if is_struck { Err(locked()) } else { org.save(&object, saving, record, allows) };
        results.push(noted(org, &object, record, saved, book));
    }
    Ok(Answer::json(200, &Value::Array(results)))
}

/// How a record of a collection is found.
#[derive(Clone, Copy)]
pub(super) enum Saving<'r> {
    New,
    Id(&'r str),
    /// By an external id and its value.
    Key(&'r str, &'r str),
    /// The same value is there twice in one call.
    Twice(&'r str),
}

fn upserts<'r>(org: &Salesforce, object: &str, key: &'r str, records: &'r [Value]) -> Result<Vec<Saving<'r>>, Refusal> {
    let is_key = org.field(object, key).is_some_and(|(_, field)| field.is_external_id);
    if !is_key {
        let message = format!("Provided external ID field does not exist or is not accessible: {key}");
        return Err(Refusal::new(404, "NOT_FOUND", message));
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        if record["attributes"]["type"] != object {
            let message = "The type of the record is not that of the URI";
            return Err(Refusal::new(400, "INVALID_INPUT", message));
        }
        if record.get("id").is_some() || record.get("Id").is_some() {
            return Err(Refusal::new(400, "INVALID_FIELD", "id is not allowed in an upsert by an external id"));
        }
        *times.entry(text(&record[key])).or_default() += 1;
    }
    let saving = |record: &'r Value| {
        let value = text(&record[key]);
        if times[value] > 1 { Saving::Twice(value) } else { Saving::Key(key, value) }
    };
    Ok(records.iter().map(saving).collect())
}

fn noted(org: &Salesforce, object: &str, record: &Value, saved: Result<Saved, Refusal>, book: &mut Book) -> Value {
    match saved {
        Ok(saved) => {
            let key = org.key_of(object, &saved.id);
            if saved.created {
                book.store(key, record.clone());
            } else {
                book.duplicates.push(Entry { key, item: record.clone(), reason: "changed".to_owned() });
            }
            json!({"id": saved.id, "success": true, "errors": [], "created": saved.created})
        }
        Err(refusal) => {
            book.refuse(object, record.clone(), refusal.code);
            refusal.result()
        }
    }
}

/// The object of a record of which every field is there and is written as JSON writes such a thing.
fn check_shape(org: &Salesforce, record: &Value) -> Result<String, Refusal> {
    let object = text(&record[ATTRIBUTES]["type"]).to_owned();
    if !org.fields.contains_key(&object) {
        return Err(words::no_object(&object));
    }
    check_fields(org, &object, record)?;
    Ok(object)
}

fn check_fields(org: &Salesforce, object: &str, record: &Value) -> Result<(), Refusal> {
    let fields = record.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| *name != ATTRIBUTES && !name.eq_ignore_ascii_case("id")) {
        let (_, field) = org.field(object, name).ok_or_else(|| words::no_column(object, name))?;
        let fits = match field.kind {
            Kind::Currency => value.is_number(),
            Kind::Flag => value.is_boolean(),
            _ => value.is_string(),
        };
        if !fits && !value.is_null() {
            return Err(words::unreadable(&format!("Cannot deserialize instance of {name} from {value}")));
        }
    }
    Ok(())
}

fn retrieve(org: &Salesforce, object: &str, ids: &[&str], fields: &[&str]) -> Result<Answer, Refusal> {
    if !org.fields.contains_key(object) {
        return Err(words::no_object(object));
    }
    if ids.is_empty() || ids.len() > READ_MAX || fields.is_empty() {
        return Err(Refusal::new(400, "INVALID_BATCH_SIZE", "1 to 2000 ids, and the fields to read"));
    }
    let read = |id: &&str| match org.record(id) {
        Some(_) => shown(org, object, id, fields),
        None => Ok(Value::Null),
    };
    Ok(Answer::json(200, &Value::Array(ids.iter().map(read).collect::<Result<_, _>>()?)))
}

/// A record with the fields that are asked for, or all that the user sees.
fn shown(org: &Salesforce, object: &str, id: &str, fields: &[&str]) -> Result<Value, Refusal> {
    let row = org.record(id).ok_or_else(|| Refusal::new(404, "ENTITY_IS_DELETED", "entity is deleted"))?;
    let url = format!("/services/data/v66.0/sobjects/{object}/{id}");
    let mut shown = Map::from_iter([(ATTRIBUTES.to_owned(), json!({"type": object, "url": url}))]);
    let all: Vec<&str> = org.visible(object).into_iter().map(|(name, _)| name).chain(["Id"]).collect();
    let fields = if fields.iter().all(|name| name.is_empty()) { &all[..] } else { fields };
    for name in fields {
        if *name != "Id" && org.field(object, name).is_none() {
            return Err(words::no_column(object, name));
        }
        shown.insert((*name).to_owned(), row.get(*name).cloned().unwrap_or_default());
    }
    Ok(Value::Object(shown))
}

/// `/sobjects/…`
pub(super) fn single(
    org: &mut Salesforce,
    method: &str,
    rest: &[&str],
    request: &Request,
    book: &mut Book,
) -> Result<Answer, Refusal> {
    let body = if request.body.is_empty() { Ok(json!({})) } else { request.json() };
    let body = body.map_err(|message| words::unreadable(&message))?;
    let fields = request.parameter("fields").unwrap_or_default();
    let fields: Vec<&str> = fields.split(',').collect();
    let allows = request.header("sforce-duplicate-rule-header") == Some("allowSave=true");
    if let ("POST", [object]) = (method, rest)
        && setup::OBJECTS.iter().any(|(name, _)| name == object)
    {
        let id = setup::create(org, object, body.as_object().unwrap_or(&Map::new()))?;
        return Ok(Answer::json(201, &json!({"id": id, "success": true, "errors": []})));
    }
    if let Some(object) = rest.first().filter(|object| !org.fields.contains_key(**object)) {
        return Err(words::no_object(object));
    }
    match (method, rest) {
        ("GET", [object, id]) => shown(org, object, id, &fields).map(|body| Answer::json(200, &body)),
        ("GET", [object, key, value]) => {
            let ids = org.found(object, key, value)?;
            match ids.as_slice() {
                [] => Err(words::not_found()),
                [id] => shown(org, object, id, &fields).map(|body| Answer::json(200, &body)),
                several => Ok(Answer::json(300, &json!(several))),
            }
        }
        ("DELETE", [_, id]) => {
            org.delete(id);
            Ok(Answer::empty(204))
        }
        ("POST" | "PATCH", [object, rest @ ..]) => {
            check_fields(org, object, &body)?;
            let saving = match (method, rest) {
                ("POST", []) => Saving::New,
                ("PATCH", [id]) => Saving::Id(id),
                ("PATCH", [key, _]) if body.get(*key).is_some() => {
                    let message = format!("The {key} field should not be specified in the sobject data.");
                    return Err(Refusal::new(400, "INVALID_FIELD", message));
                }
                ("PATCH", [key, value]) => Saving::Key(key, value),
                _ => return Err(words::not_found()),
            };
            let saved = org.save(object, saving, &body, allows)?;
            let said = noted(org, object, &body, Ok(Saved { id: saved.id.clone(), created: saved.created }), book);
            Ok(match saving {
                Saving::Id(_) => Answer::empty(204),
                _ => Answer::json(if saved.created { 201 } else { 200 }, &said),
            })
        }
        _ => Err(words::not_found()),
    }
}

impl Salesforce {
    /// The ids of the records with this value of an external id.
    fn found(&self, object: &str, key: &str, value: &str) -> Result<Vec<String>, Refusal> {
        let (key, _) = self.field(object, key).filter(|(_, field)| field.is_external_id).ok_or_else(|| {
            let message = format!("Provided external ID field does not exist or is not accessible: {key}");
            Refusal::new(404, "NOT_FOUND", message)
        })?;
        let is_found =
            |row: &Row| row.object == object && !row.is_deleted && row.fields.get(key).map(text) == Some(value);
        Ok(self.rows.iter().filter(|(_, row)| is_found(row)).map(|(id, _)| id.clone()).collect())
    }

    /// What a record is known by outside.
    fn key_of(&self, object: &str, id: &str) -> String {
        let row = self.record(id).unwrap_or_default();
        let keys = self.fields.get(object).into_iter().flatten().filter(|(_, field)| field.is_external_id);
        let key = keys.filter_map(|(name, _)| row.get(name)).map(text).find(|value| !value.is_empty());
        key.unwrap_or(id).to_owned()
    }

    pub(super) fn save(
        &mut self,
        object: &str,
        saving: Saving<'_>,
        record: &Value,
        allows_duplicates: bool,
    ) -> Result<Saved, Refusal> {
        let given = record.as_object().into_iter().flatten();
        let given = given.filter(|(name, _)| *name != ATTRIBUTES && !name.eq_ignore_ascii_case("id"));
        let mut changes: Map<String, Value> =
            given.filter_map(|(name, value)| Some((self.field(object, name)?.0.to_owned(), value.clone()))).collect();
        let id = match saving {
            Saving::New => None,
            Saving::Id(id) => Some(id.to_owned()),
            Saving::Twice(value) => {
                let message = format!("Duplicate external id specified: {value}");
                return Err(Refusal::new(400, "DUPLICATE_VALUE", message));
            }
            Saving::Key(_, "") => return Err(Refusal::new(400, "MISSING_ARGUMENT", "the external id is missing")),
            Saving::Key(key, value) => {
                changes.insert(self.field(object, key).map_or(key, |(name, _)| name).to_owned(), json!(value));
                let mut found = self.found(object, key, value)?;
                if found.len() > 1 {
                    let message = format!("{key}: more than one record found for external id field: {found:?}");
                    return Err(Refusal::new(400, "DUPLICATE_EXTERNAL_ID", message));
                }
                found.pop()
            }
        };
        let before = match &id {
            Some(id) => self.to_change(object, id)?,
            None => Map::new(),
        };
        self.check_values(object, &changes, id.as_deref())?;
        let mut after = before;
        if id.is_none() && object == "Lead" {
            after.insert("Status".to_owned(), json!(STATUSES[0]));
            after.insert("IsConverted".to_owned(), json!(false));
        }
        after.extend(changes);
        after.retain(|_, value| !value.is_null() && value != "");
        check_required(object, &after)?;
        if let Some(message) = self.validation.and_then(|rule| rule(object, &after)) {
            return Err(Refusal::new(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message));
        }
        if id.is_none() {
            self.check_duplicates(object, &after, allows_duplicates)?;
        }
        let created = id.is_none();
        let id = id.unwrap_or_else(|| self.mint(prefix(object)));
        self.rows.insert(id.clone(), Row { object: object.to_owned(), fields: after, is_deleted: false });
        Ok(Saved { id, created })
    }

    fn to_change(&self, object: &str, id: &str) -> Result<Map<String, Value>, Refusal> {
        match self.rows.get(id) {
            Some(row) if row.object != object => Err(Refusal::new(400, "MALFORMED_ID", "the id is of another object")),
            Some(row) if row.is_deleted => Err(Refusal::new(404, "ENTITY_IS_DELETED", "entity is deleted")),
            Some(_) if self.private.contains(id) => Err(words::no_access()),
            Some(row) if row.fields.get("IsConverted") == Some(&json!(true)) => {
                Err(Refusal::new(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"))
            }
            Some(row) => Ok(row.fields.clone()),
            None => Err(Refusal::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")),
        }
    }

    fn check_values(&self, object: &str, changes: &Map<String, Value>, id: Option<&str>) -> Result<(), Refusal> {
        for (name, value) in changes.iter().filter(|(_, value)| !value.is_null()) {
            let Some((_, field)) = self.field(object, name) else { continue };
            let units = text(value).encode_utf16().count();
            let refused = |code: &'static str, message: String| Err(Refusal::new(400, code, message).at(name));
            match field.kind {
                Kind::Text(max) if units > max => {
                    return refused("STRING_TOO_LONG", format!("{name}: data value too large (max length={max})"));
                }
                Kind::Email if units > 80 || !is_address(text(value)) => {
                    return refused("INVALID_EMAIL_ADDRESS", format!("{name}: invalid email address: {}", text(value)));
                }
                Kind::DateTime if !is_time(text(value)) => {
                    return refused(
                        "JSON_PARSER_ERROR",
                        format!("Cannot deserialize instance of datetime from {value}"),
                    );
                }
                Kind::Picklist => self.check_choice(name, text(value))?,
                Kind::Reference => self.check_reference(object, name, text(value))?,
                _ => {}
            }
            if field.is_unique {
                // Thousands of records are asked for each that is written, so none is copied.
                let is_other = |(other, row): &(&String, &Row)| {
                    row.object == object
                        && !row.is_deleted
                        && Some(other.as_str()) != id
                        && row.fields.get(name) == Some(value)
                };
                if let Some((other, _)) = self.rows.iter().find(is_other) {
                    let message = format!("duplicate value found: {name} duplicates value on record with id: {other}");
                    return refused("DUPLICATE_VALUE", message);
                }
            }
        }
        Ok(())
    }

    fn check_reference(&self, object: &str, name: &str, value: &str) -> Result<(), Refusal> {
        let unknown = |message: &str| Refusal::new(400, "INVALID_CROSS_REFERENCE_KEY", message);
        match name {
            "OwnerId" if self.inactive_owners.iter().any(|owner| owner == value) => {
                let message = format!("operation performed with inactive user [{value}] as owner of {object}");
                Err(Refusal::new(400, "INACTIVE_OWNER_OR_USER", message))
            }
            // It does not say what is invalid.
            "OwnerId" if value != USER_ID => Err(unknown("invalid cross reference id")),
            "RecordTypeId" if !self.record_types.iter().any(|known| known == value) => {
                let message = format!("Record Type ID: this ID value isn't valid for the user: {value}");
                Err(unknown(&message).at(name))
            }
            _ => Ok(()),
        }
    }

    fn check_choice(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let message = format!("bad value for restricted picklist field: {value}");
        match name {
            "Status" if value == CONVERTED_STATUS => {
                let message = "Cannot set a Lead status to Converted unless the lead is converted";
                Err(Refusal::new(400, "INVALID_STATUS", message).at(name))
            }
            "Status" if !STATUSES.contains(&value) => {
                Err(Refusal::new(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).at(name))
            }
            "LeadSource" if self.lead_sources.as_ref().is_some_and(|known| !known.iter().any(|it| it == value)) => {
                Err(Refusal::new(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).at(name))
            }
            _ => Ok(()),
        }
    }

    /// Who has the same address is the same person.
    fn check_duplicates(&self, object: &str, after: &Map<String, Value>, allows: bool) -> Result<(), Refusal> {
        let (Some(rule), Some(email)) = (self.duplicate_rule, after.get("Email").map(text)) else { return Ok(()) };
        if rule == DuplicateRule::Alert && allows {
            return Ok(());
        }
        let is_same =
            |row: &&Map<String, Value>| row.get("Email").map(text).is_some_and(|it| it.eq_ignore_ascii_case(email));
        let records: Vec<_> = self
            .records(object)
            .iter()
            .filter(is_same)
            .map(|row| json!({"matchConfidence": 100.0, "record": {"attributes": {"type": object}, "Id": row["Id"]}}))
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        let found = json!({
            "allowSave": rule == DuplicateRule::Alert, "duplicateRule": "Standard_Lead_Duplicate_Rule",
            "matchResults": [{"entityType": object, "matchRecords": records, "success": true}],
        });
        let refusal = Refusal::new(400, "DUPLICATES_DETECTED", "Use one of these records?");
        Err(Refusal { duplicates: Some(Box::new(found)), ..refusal })
    }

    /// Puts a record in place as it is, for what Salesforce does by itself.
    pub(super) fn put(&mut self, object: &str, fields: Map<String, Value>) -> String {
        let id = self.mint(prefix(object));
        self.rows.insert(id.clone(), Row { object: object.to_owned(), fields, is_deleted: false });
        id
    }

    /// A record that is there, whole, with its id.
    pub(super) fn whole(&self, id: &str) -> Option<Map<String, Value>> {
        self.rows.get(id).filter(|row| !row.is_deleted).map(|row| with_id(id, &row.fields))
    }
}

fn check_required(object: &str, after: &Map<String, Value>) -> Result<(), Refusal> {
    let required: &[&str] = match object {
        "Lead" => &["LastName", "Company"],
        "Contact" => &["LastName"],
        _ => &["Name"],
    };
    let missing: Vec<_> =
        required.iter().filter(|name| !after.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Required fields are missing: [{}]", missing.join(", "));
    Err(Refusal { fields: missing, ..Refusal::new(400, "REQUIRED_FIELD_MISSING", message) })
}

fn prefix(object: &str) -> &'static str {
    match object {
        "Lead" => "00Q",
        "Contact" => "003",
        _ => "001",
    }
}

fn is_address(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    plain
        && text
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !host.contains('@'))
}

/// `2026-03-04T14:35:22.887Z`, or with an offset.
fn is_time(text: &str) -> bool {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()));
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    digits(0..4)
        && digits(17..19)
        && marks.iter().all(|(at, mark)| text.get(*at..at + 1) == Some(*mark))
        && (text.ends_with('Z') || text.ends_with("+0000") || text.ends_with("+00:00"))
}
