//! Setting up: custom fields, and permission sets that let somebody see them.

use serde_json::{Map, Value, json};

use super::schema::{FieldDef, Kind};
use super::words::Refusal;
use super::{Row, Salesforce, USER_ID};
use crate::answer::Answer;
use crate::look::text;
use crate::request::Request;

/// The objects of setting up, with what their ids begin with.
pub(super) const OBJECTS: [(&str, &str); 4] = [
    ("PermissionSet", "0PS"),
    ("FieldPermissions", "01k"),
    ("ObjectPermissions", "110"),
    ("PermissionSetAssignment", "0Pa"),
];

/// Makes a field that nobody sees.
pub(super) fn create_field(org: &mut Salesforce, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json().map_err(|message| super::words::unreadable(&message))?;
    let wrong = |message: &str| Refusal::new(400, "FIELD_INTEGRITY_EXCEPTION", message);
    let (object, name) =
        text(&body["FullName"]).split_once('.').ok_or_else(|| wrong("FullName is not Object.Field"))?;
    let metadata = &body["Metadata"];
    if !name.ends_with("__c") || text(&metadata["label"]).is_empty() {
        return Err(wrong("the name of a custom field ends in __c, and it has a label"));
    }
    let is = |name: &str| metadata[name] == true;
    let kind = match text(&metadata["type"]) {
        "Text" => match metadata["length"].as_u64() {
            Some(length @ 1..=255) => Kind::Text(usize::try_from(length).unwrap_or(255)),
            _ => return Err(wrong("Text needs a length of 1 to 255")),
        },
        "DateTime" => Kind::DateTime,
        "Currency" if metadata["precision"].is_u64() && metadata["scale"].is_u64() => Kind::Currency,
        other => return Err(wrong(&format!("type `{other}` is not known or lacks what it needs"))),
    };
    let fields = org.fields.get_mut(object).ok_or_else(|| wrong("there is no such object"))?;
    if fields.keys().any(|known| known.eq_ignore_ascii_case(name)) {
        let message = format!("There is already a field named {name} on {object}.");
        return Err(Refusal::new(400, "DUPLICATE_DEVELOPER_NAME", message).at("DeveloperName"));
    }
    let field =
        FieldDef { is_external_id: is("externalId"), is_unique: is("unique"), is_hidden: true, ..FieldDef::new(kind) };
    fields.insert(name.to_owned(), field);
    let id = org.mint("00N");
    Ok(Answer::json(201, &json!({"id": id, "success": true, "errors": []})))
}

/// Makes a record of an object of setting up.
pub(super) fn create(org: &mut Salesforce, object: &str, fields: &Map<String, Value>) -> Result<String, Refusal> {
    let of = |name: &str| fields.get(name).map(text).unwrap_or_default().to_owned();
    let there = |org: &Salesforce, names: &[&str]| {
        org.records(object).iter().any(|row| names.iter().all(|name| row.get(*name).map(text) == Some(&of(name))))
    };
    let is_set = |org: &Salesforce, id: &str| org.record(id).is_some() && id.starts_with("0PS");
    let missing =
        |name: &str| Refusal::new(400, "INVALID_CROSS_REFERENCE_KEY", format!("invalid cross reference id {name}"));
    match object {
        "PermissionSet" if of("Name").is_empty() || of("Label").is_empty() => {
            return Err(Refusal::new(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name, Label]"));
        }
        "PermissionSet" if there(org, &["Name"]) => {
            return Err(Refusal::new(400, "DUPLICATE_DEVELOPER_NAME", "The name you entered is already in use."));
        }
        "FieldPermissions" | "ObjectPermissions" if !is_set(org, &of("ParentId")) => return Err(missing("ParentId")),
        "FieldPermissions" => {
            let field = of("Field");
            let (object, name) = field.split_once('.').unwrap_or_default();
            if org.fields.get(object).is_none_or(|fields| !fields.contains_key(name)) {
                return Err(Refusal::new(400, "INVALID_CROSS_REFERENCE_KEY", format!("field {field} does not exist")));
            }
            if there(org, &["ParentId", "Field"]) {
                return Err(Refusal::new(400, "DUPLICATE_VALUE", "duplicate value found: Field"));
            }
        }
        "PermissionSetAssignment" if !is_set(org, &of("PermissionSetId")) => return Err(missing("PermissionSetId")),
        "PermissionSetAssignment" if of("AssigneeId") != USER_ID => return Err(missing("AssigneeId")),
        "PermissionSetAssignment" if there(org, &["AssigneeId", "PermissionSetId"]) => {
            return Err(Refusal::new(400, "DUPLICATE_VALUE", "Duplicate PermissionSetAssignment."));
        }
        _ => {}
    }
    let prefix = OBJECTS.iter().find(|(name, _)| *name == object).map_or("000", |(_, prefix)| prefix);
    let id = org.mint(prefix);
    org.rows.insert(id.clone(), Row { object: object.to_owned(), fields: fields.clone(), is_deleted: false });
    Ok(id)
}

impl Salesforce {
    /// Whether a permission set that the user has lets it write a field.
    pub(super) fn is_permitted(&self, object: &str, field: &str) -> bool {
        let full_name = format!("{object}.{field}");
        let sets: Vec<String> = self
            .records("FieldPermissions")
            .iter()
            .filter(|row| {
                row.get("Field").map(text) == Some(&full_name) && row.get("PermissionsEdit") == Some(&json!(true))
            })
            .filter_map(|row| row.get("ParentId").map(|id| text(id).to_owned()))
            .collect();
        self.records("PermissionSetAssignment").iter().any(|row| {
            let set = row.get("PermissionSetId").map(text).unwrap_or_default();
            sets.iter().any(|known| known == set)
        })
    }
}
