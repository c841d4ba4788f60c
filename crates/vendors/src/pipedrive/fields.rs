//! Custom fields: their codes, and what they take.

use ring::digest;
use serde_json::{Value, json};

use super::words::{self, Refusal};
use super::{Entity, Pipedrive};
use crate::answer::Answer;
use crate::look::{list, text};
use crate::request::Request;

/// A custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Forty digits.
    pub code: String,
    /// Such as `varchar`, `text`, `date`, `double`, `monetary` or `enum`.
    pub kind: String,
    /// Ids and names of the choices.
    pub options: Vec<(i64, String)>,
}

const KINDS: [&str; 16] = [
    "varchar",
    "varchar_auto",
    "text",
    "double",
    "monetary",
    "date",
    "set",
    "enum",
    "user",
    "org",
    "people",
    "phone",
    "time",
    "timerange",
    "daterange",
    "address",
];
/// Longest text of a short field, in characters.
const SHORT_CHARS_MAX: usize = 255;
/// What every company has.
const STANDARD: [(&str, &str, &str); 3] =
    [("Name", "name", "varchar"), ("Email", "email", "varchar"), ("Phone", "phone", "phone")];

impl Field {
    pub(super) fn is_searchable(&self) -> bool {
        matches!(self.kind.as_str(), "address" | "varchar" | "text" | "varchar_auto" | "double" | "monetary" | "phone")
    }

    fn shown(&self) -> Value {
        let options: Vec<_> = self.options.iter().map(|(id, label)| json!({"id": id, "label": label})).collect();
        json!({
            "field_name": self.name, "field_code": self.code, "field_type": self.kind,
            "options": if options.is_empty() { Value::Null } else { options.into() }, "subfields": null,
            "is_custom_field": true, "is_optional_response_field": false,
        })
    }

    /// What is wrong with a value.
    pub(super) fn check(&self, value: &Value) -> Result<(), Refusal> {
        let has = |id: &Value| self.options.iter().any(|(known, _)| *id == *known);
        let fits = match self.kind.as_str() {
            _ if value.is_null() => true,
            "varchar" | "varchar_auto" | "phone" => {
                value.as_str().is_some_and(|it| it.chars().count() <= SHORT_CHARS_MAX)
            }
            "text" => value.is_string(),
            "double" => value.is_number(),
            "date" => value.as_str().is_some_and(is_day),
            "enum" => has(value),
            "set" => !list(value).is_empty() && list(value).iter().all(has),
            "monetary" => value["value"].is_number() && value["currency"].as_str().is_none_or(|it| it.len() == 3),
            "address" => value["value"].is_string(),
            "user" | "org" | "people" => value.is_u64(),
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(Refusal::invalid(&format!(
            "custom_fields: Expected another value for the {} field {}",
            self.kind, self.code
        )))
    }
}

fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() })
}

impl Pipedrive {
    /// Makes a custom field and returns its code.
    pub fn add_field(&mut self, entity: Entity, name: &str, kind: &str, options: &[&str]) -> String {
        let all: usize = self.fields.iter().map(Vec::len).sum();
        let digest =
            digest::digest(&digest::SHA256, format!("{}:{name}:{all}:{}", entity.word(), self.last_id).as_bytes());
        let code = hex::encode(&digest.as_ref()[..20]);
        let options = options.iter().zip(1..).map(|(label, id)| (id, (*label).to_owned())).collect();
        self.fields[entity.at()].push(Field {
            name: name.to_owned(),
            code: code.clone(),
            kind: kind.to_owned(),
            options,
        });
        code
    }

    /// Somebody deletes a custom field, with all that is in it.
    pub fn delete_field(&mut self, entity: Entity, name: &str) {
        let Some(code) = self.code(entity, name).map(str::to_owned) else { return };
        self.fields[entity.at()].retain(|field| field.code != code);
        for record in self.records[entity.at()].values_mut() {
            record.custom.shift_remove(&code);
        }
    }

    /// The code of a custom field.
    pub fn code(&self, entity: Entity, name: &str) -> Option<&str> {
        self.fields[entity.at()].iter().find(|field| field.name == name).map(|field| field.code.as_str())
    }

    /// The custom fields, in the order in which they were made.
    pub fn fields(&self, entity: Entity) -> &[Field] {
        &self.fields[entity.at()]
    }

    pub(super) fn list_fields(&self, entity: Entity, request: &Request) -> Result<Answer, Refusal> {
        let standard = STANDARD.iter().map(|(name, code, kind)| {
            json!({"field_name": name, "field_code": code, "field_type": kind, "options": null, "subfields": null,
                   "is_custom_field": false, "is_optional_response_field": false})
        });
        words::page(request, standard.chain(self.fields[entity.at()].iter().map(Field::shown)))
    }

    pub(super) fn create_field(&mut self, entity: Entity, request: &Request) -> Result<Answer, Refusal> {
        if !self.is_admin {
            return Err(Refusal::forbidden("Only admins can add custom fields", "ERR_FORBIDDEN"));
        }
        if self.fields.iter().map(Vec::len).sum::<usize>() >= self.custom_fields_max {
            let error = "Couldn't add the field. Custom fields limit reached.";
            return Err(Refusal::forbidden(error, "feature_capping_custom_fields_limit"));
        }
        let body = request.json().map_err(|message| Refusal::invalid(&message))?;
        let (name, kind) = (text(&body["field_name"]), text(&body["field_type"]));
        if name.is_empty() || !KINDS.contains(&kind) {
            return Err(Refusal::invalid("field_name and field_type are required"));
        }
        let options: Vec<_> = list(&body["options"]).iter().map(|option| text(&option["label"])).collect();
        let code = self.add_field(entity, name, kind, &options);
        let made = self.fields[entity.at()].iter().find(|field| field.code == code);
        Ok(words::done(&made.map(Field::shown).unwrap_or_default()))
    }
}
