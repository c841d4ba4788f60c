//! Properties: their kinds, and what a value must look like.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::HubSpot;
use super::words::Refusal;
use crate::answer::Answer;
use crate::look::{list, text};
use crate::request::Request;

/// A property of contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// `string`, `number`, `date`, `datetime`, `enumeration`, `bool` or `phone_number`.
    pub kind: String,
    pub field_type: String,
    pub label: String,
    pub group: String,
    pub is_unique: bool,
    /// What an enumeration takes.
    pub options: Vec<String>,
    /// A rule of the account's: the longest text. Versions before 2026-09 do not mind it.
    pub chars_max: Option<usize>,
}

impl Property {
    /// A plain one of this kind.
    pub fn new(kind: &str) -> Self {
        let field_type = match kind {
            "date" | "datetime" => "date",
            "number" => "number",
            "enumeration" => "select",
            _ => "text",
        };
        Self {
            kind: kind.to_owned(),
            field_type: field_type.to_owned(),
            label: String::new(),
            group: "contactinformation".to_owned(),
            is_unique: false,
            options: Vec::new(),
            chars_max: None,
        }
    }

    /// What is wrong with a value: code and words.
    fn check(&self, name: &str, value: &str, has_rules: bool) -> Option<(&'static str, String)> {
        let wrong = |code, words: &str| Some((code, format!("{value} was not {words}")));
        match self.kind.as_str() {
            "number" if value.parse::<f64>().is_err() => wrong("INVALID_NUMBER", "a valid number."),
            "date" if !is_day(value) => wrong("INVALID_DATE", "a valid date: it is not at midnight UTC."),
            "datetime" if !is_time(value) => wrong("INVALID_DATE", "a valid date."),
            "bool" if !matches!(value, "true" | "false") => {
                wrong("INVALID_OPTION", "one of the allowed options: [true, false]")
            }
            "enumeration" if !self.options.iter().any(|option| option == value) => {
                let options = format!("one of the allowed options: [{}]", self.options.join(", "));
                wrong("INVALID_OPTION", &options)
            }
            _ if name == "email" && !is_email(value) => {
                Some(("INVALID_EMAIL", format!("Email address {value} is invalid")))
            }
            _ if value.chars().count() > TEXT_CHARS_MAX => {
                Some(("PROPERTY_VALUE_TOO_LONG", "the value is too long".to_owned()))
            }
            _ => match self.chars_max {
                Some(most) if has_rules && value.chars().count() > most => {
                    Some(("VALIDATION_RULE", format!("{name} must have at most {most} characters")))
                }
                _ => None,
            },
        }
    }

    fn show(&self, name: &str) -> Value {
        json!({
            "name": name, "label": self.label, "groupName": self.group, "type": self.kind, "fieldType": self.field_type,
            "hasUniqueValue": self.is_unique, "options": self.options, "archived": false,
        })
    }
}

/// Longest text of a property.
const TEXT_CHARS_MAX: usize = 65_536;
/// Most inputs of a batch.
const INPUTS_MAX: usize = 100;

/// What every account has, as far as it matters here.
pub(super) fn standard() -> BTreeMap<String, Property> {
    let text =
        ["email", "firstname", "lastname", "phone", "company", "city", "hs_additional_emails", "hs_merged_object_ids"];
    let mut properties: BTreeMap<_, _> = text.map(|name| (name.to_owned(), Property::new("string"))).into();
    let stages = super::contacts::STAGES.map(str::to_owned).to_vec();
    properties.insert("lifecyclestage".to_owned(), Property { options: stages, ..Property::new("enumeration") });
    properties
}

impl HubSpot {
    /// What is wrong with the properties of an input, if anything is.
    pub(super) fn check(&self, properties: &Map<String, Value>, has_rules: bool) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        for (name, value) in properties {
            let Some(value) = value.as_str() else {
                return Err(Refusal::invalid(format!(
                    "Invalid input JSON: Cannot deserialize value of type `java.lang.String` at [\"properties\"]->[\"{name}\"]"
                )));
            };
            match self.properties.get(name) {
                None => {
                    let message = format!("Property \"{name}\" does not exist");
                    faults.push((name.clone(), "PROPERTY_DOESNT_EXIST", message));
                }
                Some(property) if !value.is_empty() => {
                    faults.extend(
                        property.check(name, value, has_rules).map(|(code, words)| (name.clone(), code, words)),
                    );
                }
                Some(_) => {}
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::values(&faults)) }
    }

    pub(super) fn schema_route(&mut self, method: &str, rest: &[&str], request: &Request) -> Result<Answer, Refusal> {
        let body = request.json().unwrap_or_default();
        match (method, rest) {
            ("GET", []) => {
                let all: Vec<_> = self.properties.iter().map(|(name, property)| property.show(name)).collect();
                Ok(Answer::json(200, &json!({ "results": all })))
            }
            ("GET", ["groups"]) => {
                let groups =
                    self.groups.iter().map(|(name, label)| json!({"name": name, "label": label, "archived": false}));
                Ok(Answer::json(200, &json!({"results": groups.collect::<Vec<_>>()})))
            }
            ("POST", ["groups"]) => self.make_group(&body),
            ("POST", []) => self.make_property(&body).map(|shown| Answer::json(201, &shown)),
            ("POST", ["batch", "read"]) => Ok(self.read_properties(&body)),
            ("POST", ["batch", "create"]) => self.make_properties(&body),
            _ => Err(Refusal::nowhere()),
        }
    }

    fn make_group(&mut self, body: &Value) -> Result<Answer, Refusal> {
        let (name, label) = (text(&body["name"]), text(&body["label"]));
        if !is_name(name) || label.is_empty() {
            return Err(Refusal::invalid("Property group name or label is invalid"));
        }
        if self.groups.contains_key(name) {
            return Err(exists("Property group", name));
        }
        self.groups.insert(name.to_owned(), label.to_owned());
        Ok(Answer::json(
            201,
            &json!({"name": name, "label": label, "displayOrder": body["displayOrder"], "archived": false}),
        ))
    }

    fn make_property(&mut self, body: &Value) -> Result<Value, Refusal> {
        let of = |name: &str| text(&body[name]);
        let name = of("name");
        if !is_name(name) || ["label", "groupName", "type", "fieldType"].iter().any(|name| of(name).is_empty()) {
            return Err(Refusal::invalid("Property definition is invalid"));
        }
        if !KINDS.contains(&of("type")) || !self.groups.contains_key(of("groupName")) {
            return Err(Refusal::invalid(format!("Property type or group of {name} does not exist")));
        }
        if self.properties.contains_key(name) {
            return Err(exists("Property", name));
        }
        let property = Property {
            kind: of("type").to_owned(),
            field_type: of("fieldType").to_owned(),
            label: of("label").to_owned(),
            group: of("groupName").to_owned(),
            is_unique: body["hasUniqueValue"] == true,
            options: Vec::new(),
            chars_max: None,
        };
        let shown = property.show(name);
        self.properties.insert(name.to_owned(), property);
        Ok(shown)
    }

    fn make_properties(&mut self, body: &Value) -> Result<Answer, Refusal> {
        let inputs = list(&body["inputs"]);
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            return Err(Refusal::invalid("a batch has 1 to 100 inputs"));
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in inputs {
            match self.make_property(input) {
                Ok(shown) => results.push(shown),
                Err(refusal) => errors.push(refusal.of_input(json!({"name": [input["name"]]}))),
            }
        }
        Ok(several(201, &results, &errors))
    }

    fn read_properties(&self, body: &Value) -> Answer {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in list(&body["inputs"]) {
            let name = text(&input["name"]);
            match self.properties.get(name) {
                Some(property) => results.push(property.show(name)),
                None => errors.push(Refusal::not_found().of_input(json!({"name": [name]}))),
            }
        }
        several(200, &results, &errors)
    }
}

/// The answer to a batch: 207 if some of it failed.
pub(super) fn several(status: u16, results: &[Value], errors: &[Value]) -> Answer {
    let mut body = json!({"status": "COMPLETE", "results": results, "startedAt": NOW, "completedAt": NOW});
    if errors.is_empty() {
        return Answer::json(status, &body);
    }
    body["numErrors"] = errors.len().into();
    body["errors"] = errors.to_vec().into();
    Answer::json(207, &body)
}

/// When everything happens.
pub(super) const NOW: &str = "2026-03-04T14:32:08.441Z";
const KINDS: [&str; 7] = ["string", "number", "date", "datetime", "enumeration", "bool", "phone_number"];

fn exists(what: &str, name: &str) -> Refusal {
    Refusal::already(format!("{what} named {name} already exists."))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn is_email(value: &str) -> bool {
    let Some((name, host)) = value.split_once('@') else { return false };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b','));
    is_plain && !name.is_empty() && host.contains('.') && !host.contains('@') && !host.ends_with('.')
}

/// `YYYY-MM-DD`, or milliseconds at midnight UTC.
fn is_day(value: &str) -> bool {
    match value.parse::<i64>() {
        Ok(millis) => millis % 86_400_000 == 0,
        Err(_) => is_shaped(value, "dddd-dd-dd"),
    }
}

/// ISO 8601 to the second or better in UTC, a day, or milliseconds.
fn is_time(value: &str) -> bool {
    let Some(time) = value.strip_suffix('Z') else { return is_day(value) || value.parse::<i64>().is_ok() };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    is_shaped(seconds, "dddd-dd-ddTdd:dd:dd") && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_shaped(value: &str, shape: &str) -> bool {
    value.len() == shape.len()
        && value
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, shape)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape })
}
