//! Objects and their fields.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Salesforce;
use super::words::{self, Refusal};
use crate::answer::Answer;

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDef {
    pub kind: Kind,
    pub is_external_id: bool,
    pub is_unique: bool,
    /// Nobody sees it but by a permission set.
    pub is_hidden: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With the most units of UTF-16.
    Text(usize),
    Email,
    Picklist,
    DateTime,
    Currency,
    Flag,
    Reference,
}

/// The status of a converted lead.
pub(super) const CONVERTED_STATUS: &str = "Closed - Converted";
/// The statuses of the others.
pub(super) const STATUSES: [&str; 3] = ["Open - Not Contacted", "Working - Contacted", "Closed - Not Converted"];

impl FieldDef {
    /// One that everybody sees.
    pub fn new(kind: Kind) -> Self {
        Self { kind, is_external_id: false, is_unique: false, is_hidden: false }
    }

    /// A unique external id.
    pub fn key() -> Self {
        Self { is_external_id: true, is_unique: true, ..Self::new(Kind::Text(120)) }
    }
}

pub(super) fn standard() -> BTreeMap<String, BTreeMap<String, FieldDef>> {
    let person = [
        ("FirstName", Kind::Text(40)),
        ("LastName", Kind::Text(80)),
        ("Email", Kind::Email),
        ("Phone", Kind::Text(40)),
        ("LeadSource", Kind::Picklist),
        ("Description", Kind::Text(32_000)),
        ("OwnerId", Kind::Reference),
        ("RecordTypeId", Kind::Reference),
    ];
    let lead = [
        ("Company", Kind::Text(255)),
        ("Status", Kind::Picklist),
        ("Rating", Kind::Picklist),
        ("IsConverted", Kind::Flag),
        ("ConvertedContactId", Kind::Reference),
        ("ConvertedAccountId", Kind::Reference),
    ];
    let object = |name: &str, fields: &[(&str, Kind)]| {
        let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), FieldDef::new(*kind)));
        (name.to_owned(), fields.collect())
    };
    BTreeMap::from([
        object("Lead", &[&person[..], &lead].concat()),
        object("Contact", &[&person[..], &[("AccountId", Kind::Reference)]].concat()),
        object("Account", &[("Name", Kind::Text(255))]),
    ])
}

impl Salesforce {
    /// A field that the user sees, by its name in any case.
    pub(super) fn field(&self, object: &str, name: &str) -> Option<(&str, &FieldDef)> {
        let fields = self.fields.get(object)?;
        let (name, field) = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        (!field.is_hidden || self.is_permitted(object, name)).then_some((name.as_str(), field))
    }

    pub(super) fn visible(&self, object: &str) -> Vec<(&str, &FieldDef)> {
        let names = self.fields.get(object).into_iter().flat_map(BTreeMap::keys);
        names.filter_map(|name| self.field(object, name)).collect()
    }
}

pub(super) fn is_custom(name: &str) -> bool {
    name.ends_with("__c")
}

pub(super) fn describe(org: &Salesforce, object: &str) -> Result<Answer, Refusal> {
    if !org.fields.contains_key(object) {
        return Err(words::not_found());
    }
    let described = |(name, field): (&str, &FieldDef)| -> Value {
        let (kind, length) = match field.kind {
            Kind::Text(length) if length > 255 => ("textarea", length),
            Kind::Text(length) => ("string", length),
            Kind::Email => ("email", 80),
            Kind::Picklist => ("picklist", 255),
            Kind::DateTime => ("datetime", 0),
            Kind::Currency => ("currency", 0),
            Kind::Flag => ("boolean", 0),
            Kind::Reference => ("reference", 18),
        };
        json!({
            "name": name, "label": name, "type": kind, "length": length, "custom": is_custom(name), "createable": true,
            "updateable": true, "externalId": field.is_external_id, "unique": field.is_unique,
        })
    };
    let fields: Vec<_> = org.visible(object).into_iter().map(described).collect();
    Ok(Answer::json(200, &json!({"name": object, "createable": true, "updateable": true, "fields": fields})))
}
