//! Our fields and the access to them, made where they are missing. Nothing is ever changed that is there.
//!
//! A new field is invisible to everybody. So a permission set of ours is made that lets the integration user see and write
//! them, and the user is given it, all in one call that is carried out whole or not at all.

use domain::connector::{Action, Call, Means, Reply};
use serde_json::{Map, Value, json};

use super::calls::call;
use super::fields::{COLUMNS, KEY_CHARS_MAX, Kind, TEXT_CHARS_MAX};
use super::reply::is_id;
use super::settings::{Object, Org};
use crate::common::{self, on_one_line};

/// The permission set.
const NAME: &str = "Afterclick";
// Queries are constants: nothing is ever put into one.
const LEAD_FIELDS: &str = "SELECT DeveloperName FROM CustomField WHERE TableEnumOrId = 'Lead'";
const CONTACT_FIELDS: &str = "SELECT DeveloperName FROM CustomField WHERE TableEnumOrId = 'Contact'";
const PERMISSION_SET: &str = "SELECT Id FROM PermissionSet WHERE Name = 'Afterclick'";
const FIELD_PERMISSIONS: &str =
    "SELECT Field FROM FieldPermissions WHERE Parent.Name = 'Afterclick' AND PermissionsEdit = true";
const OBJECT_PERMISSIONS: &str = "SELECT SobjectType FROM ObjectPermissions WHERE Parent.Name = 'Afterclick'";
const ASSIGNMENTS: &str = "SELECT AssigneeId FROM PermissionSetAssignment WHERE PermissionSet.Name = 'Afterclick'";

/// A field that should be there.
struct Wanted<'a> {
    name: &'a str,
    label: &'a str,
    kind: Kind,
}

/// What is seen of the object, which fields there are whether they are seen or not, and what our permission set gives to whom.
pub(super) fn survey(org: &Org, means: &Means<'_>) -> Vec<Call> {
    let fields = match org.object {
        Object::Lead => LEAD_FIELDS,
        Object::Contact => CONTACT_FIELDS,
    };
    let query = |path: &[&str], soql: &str| {
        let mut url = org.url(means.token, path);
        url.query_pairs_mut().append_pair("q", soql);
        call("GET", url, means.token, String::new())
    };
    let calls = [
        org.get(means.token, &["sobjects", org.object.name(), "describe"]),
        query(&["tooling", "query"], fields),
        query(&["query"], PERMISSION_SET),
        query(&["query"], FIELD_PERMISSIONS),
        query(&["query"], OBJECT_PERMISSIONS),
        query(&["query"], ASSIGNMENTS),
    ];
    calls.map(Call::Http).into()
}

pub(super) fn plan(org: &Org, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [described, all, set, fields, objects, assignees] = replies else {
        return Err("Salesforce was not asked all there is to ask".to_owned());
    };
    let described = described_fields(described)?;
    let all = column(all, "DeveloperName")?;
    let wanted = wanted(org);
    let seen = |wanted: &Wanted<'_>| {
        described.iter().find(|field| field["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted.name)))
    };
    let faults: Vec<_> = wanted.iter().filter_map(|wanted| fault(wanted, seen(wanted)?)).collect();
    if !faults.is_empty() {
        return Err(format!("{}; nothing is changed that is there", faults.join("; ")));
    }
    let is_there = |wanted: &Wanted<'_>| {
        let own = wanted.name.strip_suffix("__c").unwrap_or(wanted.name);
        seen(wanted).is_some() || all.iter().any(|name| name.eq_ignore_ascii_case(own))
    };
    let mut actions: Vec<_> =
        wanted.iter().filter(|wanted| !is_there(wanted)).map(|wanted| create(org, means, wanted)).collect();
    let is_writable = |wanted: &Wanted<'_>| {
        seen(wanted).is_some_and(|field| field["createable"] == true && field["updateable"] == true)
    };
    let hidden: Vec<_> = wanted.iter().filter(|wanted| !is_writable(wanted)).map(|wanted| wanted.name).collect();
    if !hidden.is_empty() {
        let there = Access {
            set: column(set, "Id")?.into_iter().find(|id| is_id(id)),
            fields: column(fields, "Field")?,
            objects: column(objects, "SobjectType")?,
            assignees: column(assignees, "AssigneeId")?,
        };
        actions.extend(there.action(org, means, &hidden)?);
    }
    Ok(actions)
}

/// Fields of standard make, which every organisation has, are not ours to make; nor are those that the settings leave out.
fn wanted(org: &Org) -> Vec<Wanted<'_>> {
    let key = Wanted { name: &org.key_field, label: "Afterclick Key", kind: Kind::Key };
    let own = COLUMNS.iter().filter(|column| org.has(column.name));
    std::iter::once(key)
        .chain(own.map(|column| Wanted { name: column.name, label: column.label, kind: column.kind }))
        .collect()
}

/// What is wrong with a field that is there, for a person.
fn fault(wanted: &Wanted<'_>, field: &Value) -> Option<String> {
    let (name, kind) = (wanted.name, field["type"].as_str().unwrap_or_default());
    let is = |name: &str| field[name] == true;
    let length = field["length"].as_u64().unwrap_or(0);
    let should = match wanted.kind {
        Kind::Key if kind != "string" => "of the type Text",
        Kind::Key if !is("externalId") || !is("unique") => "an external id and unique",
        Kind::Text if !matches!(kind, "string" | "textarea" | "picklist" | "combobox") => "of the type Text",
        Kind::Text if is("unique") => "not unique: what it holds is shared by many people",
        Kind::Text if length > 0 && length < TEXT_CHARS_MAX as u64 && kind == "string" => "255 characters long",
        Kind::Time if kind != "datetime" => "of the type Date/Time",
        Kind::Money if !matches!(kind, "currency" | "double") => "of the type Currency or Number",
        _ => return None,
    };
    Some(format!("field `{name}` should be {should}; change it in Setup › Object Manager, or name another one"))
}

fn create(org: &Org, means: &Means<'_>, wanted: &Wanted<'_>) -> Action {
    let mut metadata = match wanted.kind {
        Kind::Key => json!({
            "type": "Text", "length": KEY_CHARS_MAX, "externalId": true, "unique": true, "caseSensitive": true,
        }),
        Kind::Text => json!({"type": "Text", "length": TEXT_CHARS_MAX}),
        Kind::Time => json!({"type": "DateTime"}),
        Kind::Money => json!({"type": "Currency", "precision": 18, "scale": 2}),
    };
    metadata["label"] = wanted.label.into();
    let full_name = format!("{}.{}", org.object.name(), wanted.name);
    let body = json!({"FullName": full_name, "Metadata": metadata});
    Action {
        reason: format!("create field `{full_name}`"),
        call: Call::Http(org.post(means.token, &["tooling", "sobjects", "CustomField"], &body)),
    }
}

/// What our permission set is like.
struct Access {
    set: Option<String>,
    fields: Vec<String>,
    objects: Vec<String>,
    assignees: Vec<String>,
}

impl Access {
    /// One call that gives what is missing.
    fn action(&self, org: &Org, means: &Means<'_>, hidden: &[&str]) -> Result<Option<Action>, String> {
        let object = org.object.name();
        let mut requests = Vec::new();
        let mut create = |name: &str, id: String, body: Value| {
            let path = org.path(&["sobjects", name], &[]);
            requests.push(json!({"method": "POST", "url": path, "referenceId": id, "body": body}));
        };
        if self.set.is_none() {
            let description = "What Afterclick writes of people who came through deep links.";
            create("PermissionSet", "set".to_owned(), json!({"Name": NAME, "Label": NAME, "Description": description}));
        }
        let set = self.set.clone().unwrap_or_else(|| "@{set.id}".to_owned());
        if !self.objects.iter().any(|known| known == object) {
            let mut body =
                Map::from_iter([("ParentId".to_owned(), json!(set)), ("SobjectType".to_owned(), json!(object))]);
            for permission in ["Read", "Create", "Edit", "Delete"] {
                body.insert(format!("Permissions{permission}"), json!(true));
            }
            create("ObjectPermissions", "object".to_owned(), Value::Object(body));
        }
        for (n, name) in hidden.iter().enumerate() {
            let field = format!("{object}.{name}");
            if !self.fields.iter().any(|known| known.eq_ignore_ascii_case(&field)) {
                let body = json!({
                    "ParentId": set, "SobjectType": object, "Field": field, "PermissionsRead": true, "PermissionsEdit": true,
                });
                create("FieldPermissions", format!("field{n}"), body);
            }
        }
        let user = user(means).ok_or(
            "Salesforce did not say who the integration user is; have an administrator assign the permission set \
             `Afterclick` to it",
        );
        match user {
            Ok(user) if !self.assignees.iter().any(|known| known.get(..15) == user.get(..15)) => {
                let body = json!({"AssigneeId": user, "PermissionSetId": set});
                create("PermissionSetAssignment", "user".to_owned(), body);
            }
            Err(message) if self.assignees.is_empty() => return Err(message.to_owned()),
            Ok(_) | Err(_) => {}
        }
        Ok((!requests.is_empty()).then(|| Action {
            reason: format!(
                "let the integration user see and write the fields of `{object}`, by the permission set `{NAME}`"
            ),
            call: Call::Http(org.composite(means.token, &requests, true)),
        }))
    }
}

/// The user that we act as, whose id came with the token.
fn user<'m>(means: &Means<'m>) -> Option<&'m str> {
    let extra = means.token?.extra.as_deref()?;
    extra.split(' ').nth(1).filter(|user| is_id(user))
}

fn described_fields(reply: &Reply) -> Result<Vec<Value>, String> {
    let body = if reply.is_success() { reply.json() } else { return Err(said(reply)) };
    match body.as_ref().map(|body| &body["fields"]) {
        Some(Value::Array(fields)) => Ok(fields.clone()),
        _ => Err("the description of the object cannot be read; it may be larger than 1 MB, and then the fields must be made \
                  by hand"
            .to_owned()),
    }
}

/// One column of the answer to a query.
fn column(reply: &Reply, name: &str) -> Result<Vec<String>, String> {
    let body = if reply.is_success() { reply.json() } else { return Err(said(reply)) };
    match body.as_ref().map(|body| &body["records"]) {
        Some(Value::Array(records)) => {
            Ok(records.iter().filter_map(|record| record[name].as_str()).map(str::to_owned).collect())
        }
        _ => Err(said(reply)),
    }
}

/// Whether an action is done. What is there already needs not be made.
pub(super) fn is_done(reply: &Reply) -> Result<(), String> {
    let body = reply.json().unwrap_or_default();
    if said(reply).contains("DUPLICATE_DEVELOPER_NAME") {
        return Ok(());
    }
    let parts = body["compositeResponse"].as_array();
    let failed = parts.into_iter().flatten().find(|part| {
        let status = part["httpStatusCode"].as_u64().unwrap_or(0);
        // What went wrong elsewhere halts the others.
        !(200..=299).contains(&status) && part["body"][0]["errorCode"] != "PROCESSING_HALTED"
    });
    match failed {
        Some(part) => Err(format!("Salesforce says: {}", in_words(&part["body"]))),
        None if parts.is_some() && reply.is_success() => Ok(()),
        None if reply.is_success() && body["success"] == true => Ok(()),
        None => Err(said(reply)),
    }
}

/// What Salesforce says, for a person.
fn said(reply: &Reply) -> String {
    let words = match reply.json() {
        Some(body @ Value::Array(_)) => in_words(&body),
        _ => common::said(reply).unwrap_or_else(|| reply.status.to_string()),
    };
    format!("Salesforce says: {words}")
}

fn in_words(errors: &Value) -> String {
    let error = &errors[0];
    let part = |name: &str| error[name].as_str().unwrap_or_default();
    on_one_line(&format!("{}: {}", part("errorCode"), part("message")), 300)
}
