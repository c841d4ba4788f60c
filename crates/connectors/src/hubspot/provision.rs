//! The properties and their group, made where they are missing. Nothing is ever changed that is there: HubSpot lets nobody change the
//! kind of a property, or whether its values are unique.

use domain::connector::{Action, Call, Reply};
use serde_json::{Value, json};

use super::Portal;
use super::properties::{OURS, Of};
use super::refusal::words;

/// The group under which the sales team finds them.
const GROUP: &str = "deep_link_attribution";
const GROUP_LABEL: &str = "Deep Link Attribution";

/// A property as it should be.
struct Wanted<'p> {
    name: &'p str,
    label: String,
    kind: &'static str,
    field: &'static str,
    is_unique: bool,
    description: &'static str,
}

/// The group, and those of our properties that are there.
pub(super) fn survey(portal: &Portal) -> Vec<Call> {
    let inputs: Vec<_> = wanted(portal).iter().map(|wanted| json!({"name": wanted.name})).collect();
    let read = json!({"archived": false, "inputs": inputs});
    vec![portal.get(&format!("{}/groups", portal.schema)), portal.post(&format!("{}/batch/read", portal.schema), &read)]
}

pub(super) fn plan(portal: &Portal, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let [groups, properties] = replies else { return Err("HubSpot was not asked".to_owned()) };
    let (groups, properties) = (results(groups)?, results(properties)?);
    let wanted = wanted(portal);
    let there = |name: &str| properties.iter().find(|property| property["name"] == name);
    let wrong: Vec<_> = wanted.iter().filter_map(|it| wrong(portal, it, there(it.name)?)).collect();
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let mut actions = Vec::new();
    if !groups.iter().any(|group| group["name"] == GROUP) {
        let body = json!({"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1});
        actions.push(Action {
            reason: format!("create property group `{GROUP_LABEL}`, under which the sales team finds all of them"),
            call: portal.post(&format!("{}/groups", portal.schema), &body),
        });
    }
    let missing: Vec<_> = wanted.iter().filter(|wanted| there(wanted.name).is_none()).collect();
    if !missing.is_empty() {
        let names = missing.iter().map(|wanted| format!("`{}`", wanted.name)).collect::<Vec<_>>().join(", ");
        let inputs: Vec<_> = missing.into_iter().map(created).collect();
        actions.push(Action {
            reason: format!("create contact properties {names}"),
            call: portal.post(&format!("{}/batch/create", portal.schema), &json!({ "inputs": inputs })),
        });
    }
    Ok(actions)
}

/// What is there already is as good as done. Where a call is refused because something of it is there, the rest may be missing.
pub(super) fn is_done(reply: &Reply) -> Result<(), String> {
    let body = reply.json().unwrap_or_default();
    let is_there = |error: &Value| {
        let text = error.to_string().to_lowercase();
        text.contains("already exist") || text.contains("already_exist")
    };
    match reply.status {
        409 => Err(format!(
            "HubSpot says that something of this was made meanwhile ({}); run it again, which makes what is still missing",
            words(&body)
        )),
        200..=299 => match body["errors"].as_array().into_iter().flatten().find(|error| !is_there(error)) {
            Some(error) => Err(format!("HubSpot says: {}", words(error))),
            None if body.is_object() => Ok(()),
            None => Err("it was answered with something that is not HubSpot's".to_owned()),
        },
        _ => Err(said(reply)),
    }
}

/// The properties that must be there: the one that contacts are told by, ours, and those that the settings add.
fn wanted(portal: &Portal) -> Vec<Wanted<'_>> {
    let properties = &portal.properties;
    let key = Wanted {
        name: &properties.key,
        label: "Afterclick person key".to_owned(),
        kind: "string",
        field: "text",
        is_unique: true,
        description: "Written by Afterclick, which tells contacts by it. Do not change it.",
    };
    let plain =
        |name, label, (kind, field), description| Wanted { name, label, kind, field, is_unique: false, description };
    let ours = OURS.iter().filter(|property| properties.is_filled(property.name)).map(|property| {
        let kind = match property.of {
            Of::Text(_) => ("string", "text"),
            Of::Number(_) => ("number", "number"),
            Of::Time(_) if properties.are_days => ("date", "date"),
            Of::Time(_) => ("datetime", "date"),
        };
        plain(property.name, property.label.to_owned(), kind, "Written by Afterclick from deep-link events.")
    });
    let added = properties.added().map(|name| {
        plain(name, name.replace('_', " "), ("string", "text"), "Written by Afterclick, as its settings say.")
    });
    std::iter::once(key).chain(ours).chain(added).collect()
}

fn created(wanted: &Wanted<'_>) -> Value {
    let mut property = json!({
        "name": wanted.name,
        "label": wanted.label,
        "groupName": GROUP,
        "type": wanted.kind,
        "fieldType": wanted.field,
        "description": wanted.description,
    });
    if wanted.is_unique {
        property["hasUniqueValue"] = true.into();
    }
    property
}

/// Why a property that is there does not do.
fn wrong(portal: &Portal, wanted: &Wanted<'_>, there: &Value) -> Option<String> {
    let (name, kind) = (wanted.name, there["type"].as_str().unwrap_or_default());
    if wanted.is_unique && (there["hasUniqueValue"] != true || kind != "string") {
        return Some(format!(
            "property `{name}` is there already and is no text with unique values, which cannot be changed; set `key_property` to \
             another name"
        ));
    }
    if matches!(wanted.kind, "date" | "datetime") && matches!(kind, "date" | "datetime") && kind != wanted.kind {
        return Some(format!(
            "property `{name}` is a `{kind}`; set `date_properties = \"{kind}\"`, for all that hold a time, or delete it and have it \
             made anew"
        ));
    }
    // What the settings fill themselves may be of any kind; only they know what they write.
    let is_ours = OURS.iter().any(|property| property.name == name);
    let is_overridden = portal.properties.overrides(name);
    (is_ours && !is_overridden && kind != wanted.kind).then(|| {
        format!(
            "property `{name}` is of type `{kind}` and `{}` is written; leave it out by `properties.{name} = \"\"` and fill another one \
             in its place",
            wanted.kind
        )
    })
}

fn results(reply: &Reply) -> Result<Vec<Value>, String> {
    match reply.status {
        200..=299 => {
            let body = reply.json().unwrap_or_default();
            body["results"].as_array().cloned().ok_or_else(|| "what answers under `host` is not HubSpot".to_owned())
        }
        _ => Err(said(reply)),
    }
}

fn said(reply: &Reply) -> String {
    let text = words(&reply.json().unwrap_or_default());
    match reply.status {
        401 => {
            format!("HubSpot refused the access token ({text}); put a service key that is alive into `access_token`")
        }
        403 => format!(
            "the access token may not look at or make properties ({text}); give its service key the scopes `crm.schemas.contacts.read` and \
             `crm.schemas.contacts.write`"
        ),
        status => format!("HubSpot answered with {status}: {text}"),
    }
}
