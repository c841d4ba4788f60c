//! Contacts: unique values, stages that only move forward, and two that become one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::HubSpot;
use super::schema::NOW;
use super::words::Refusal;

/// The stages of a contact, in order.
pub(super) const STAGES: [&str; 8] = [
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
];

/// A contact that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub id: u64,
    pub properties: BTreeMap<String, String>,
    /// When it was last written.
    pub changed_at: Duration,
}

impl Contact {
    /// The value of a property; the empty text if it has none.
    pub fn get(&self, property: &str) -> &str {
        self.properties.get(property).map_or("", String::as_str)
    }

    pub(super) fn show(&self) -> Value {
        let mut properties: Map<String, Value> =
            self.properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        for (name, value) in [
            ("hs_object_id", self.id.to_string()),
            ("createdate", NOW.to_owned()),
            ("lastmodifieddate", NOW.to_owned()),
        ] {
            properties.insert(name.to_owned(), value.into());
        }
        json!({
            "id": self.id.to_string(), "properties": properties, "createdAt": NOW, "updatedAt": NOW, "archived": false,
        })
    }

    /// An address that the contact has beside its first one changes places with it; any other one takes the place of the first.
    fn put_first(&mut self, email: &str) {
        let first = self.properties.insert("email".to_owned(), email.to_owned()).unwrap_or_default();
        let Some(more) = self.properties.get_mut("hs_additional_emails") else { return };
        let is_it = |other: &&str| other.eq_ignore_ascii_case(email);
        if more.split(';').any(|other| is_it(&other)) {
            let others = more.split(';').filter(|other| !is_it(other)).chain([first.as_str()]);
            *more = others.filter(|other| !other.is_empty()).collect::<Vec<_>>().join(";");
        }
    }

    fn emails(&self) -> impl Iterator<Item = &str> {
        [self.get("email"), self.get("hs_additional_emails")].into_iter().flat_map(|emails| emails.split(';'))
    }
}

impl HubSpot {
    /// Every contact that is alive, by id.
    pub fn contacts(&self) -> Vec<&Contact> {
        self.contacts.values().collect()
    }

    /// The contact of an id, or what it was merged into.
    pub fn contact(&self, id: u64) -> Option<&Contact> {
        self.contacts.get(&self.survivor(id))
    }

    /// The contact with this value, in whatever case.
    pub fn contact_with(&self, property: &str, value: &str) -> Option<&Contact> {
        self.contacts.get(&self.find(property, value)?)
    }

    /// What was merged into what, in order.
    pub fn merges(&self) -> &[(u64, u64)] {
        &self.merges
    }

    /// One line for people about each contact: who it is, what led there, how far it has come.
    pub fn lines(&self) -> Vec<String> {
        let line = |contact: &Contact| {
            let name = format!("{} {}", contact.get("firstname"), contact.get("lastname"));
            let who = [name.trim(), contact.get("email"), "nobody known"].into_iter().find(|who| !who.is_empty());
            let parts = [
                ("", who.unwrap_or_default()),
                ("campaign ", contact.get("first_touch_campaign")),
                ("on ", contact.get("first_touch_platform")),
                ("installed ", contact.get("install_date")),
                ("referred by ", contact.get("referral_source")),
                ("converted ", contact.get("conversion_date")),
                ("stage ", contact.get("lifecyclestage")),
            ];
            let said =
                parts.iter().filter(|(_, value)| !value.is_empty()).map(|(what, value)| format!("{what}{value}"));
            format!("contact {}: {}", contact.id, said.collect::<Vec<_>>().join(" · "))
        };
        self.contacts.values().map(line).collect()
    }

    /// A contact that somebody else has made.
    pub fn add_contact(&mut self, properties: &[(&str, &str)]) -> u64 {
        self.last_id += 1;
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.contacts.insert(self.last_id, Contact { id: self.last_id, properties, changed_at: Duration::ZERO });
        self.last_id
    }

    /// Somebody deletes a contact.
    pub fn delete_contact(&mut self, id: u64) -> bool {
        self.contacts.remove(&id).is_some()
    }

    /// Somebody writes a value over another, or clears it by the empty text.
    pub fn edit_contact(&mut self, id: u64, property: &str, value: &str) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if value.is_empty() {
            contact.properties.remove(property);
        } else {
            contact.properties.insert(property.to_owned(), value.to_owned());
        }
    }

    /// Somebody merges the second contact into the first one. Returns the id of what is left.
    pub fn merge_contacts(&mut self, primary: u64, other: u64) -> Option<u64> {
        self.join(primary, other).ok()
    }

    /// The contact that has this value: an id, an address, or a value of a unique property.
    pub(super) fn find(&self, property: &str, value: &str) -> Option<u64> {
        let is_it = |contact: &&Contact| match property {
            "email" => contact.emails().any(|email| !email.is_empty() && email.eq_ignore_ascii_case(value)),
            _ => contact.get(property).eq_ignore_ascii_case(value),
        };
        match property {
            "hs_object_id" | "id" => {
                value.parse().ok().map(|id| self.survivor(id)).filter(|id| self.contacts.contains_key(id))
            }
            _ if value.is_empty() => None,
            _ => self.contacts.values().find(is_it).map(|contact| contact.id),
        }
    }

    fn survivor(&self, id: u64) -> u64 {
        self.merges.iter().fold(id, |id, (gone, into)| if id == *gone { *into } else { id })
    }

    /// Writes into a contact, or makes one. Returns its id, and whether a stage was sent backward.
    pub(super) fn put(
        &mut self,
        id: Option<u64>,
        properties: &Map<String, Value>,
        has_rules: bool,
        at: Duration,
    ) -> Result<(u64, bool), Refusal> {
        self.check(properties, has_rules)?;
        let unique = |name: &str| name == "email" || self.properties.get(name).is_some_and(|it| it.is_unique);
        for (name, value) in properties.iter().filter(|(name, _)| unique(name)) {
            if let Some(other) = self.find(name, value.as_str().unwrap_or_default()).filter(|other| Some(*other) != id)
            {
                return Err(Refusal::conflict(other));
            }
        }
        let id = id.unwrap_or(self.last_id + 1);
        self.last_id = self.last_id.max(id);
        let fresh = || Contact { id, properties: BTreeMap::new(), changed_at: at };
        let contact = self.contacts.entry(id).or_insert_with(fresh);
        contact.changed_at = at;
        let mut is_backward = false;
        for (name, value) in properties {
            let value = value.as_str().unwrap_or_default();
            if name == "email" && !value.is_empty() {
                contact.put_first(value);
            } else if name == "lifecyclestage" && !value.is_empty() && rank(contact.get(name)) > rank(value) {
                is_backward = true;
            } else if value.is_empty() {
                contact.properties.remove(name);
            } else {
                contact.properties.insert(name.clone(), value.to_owned());
            }
        }
        Ok((id, is_backward))
    }

    /// Makes one contact of two. The first one's values count; of the other one's those that the first one lacks are kept, but for what
    /// must be unique.
    pub(super) fn join(&mut self, primary: u64, other: u64) -> Result<u64, Refusal> {
        if primary == other || !self.contacts.contains_key(&primary) || !self.contacts.contains_key(&other) {
            return Err(Refusal::not_found());
        }
        let (Some(mut contact), Some(gone)) = (self.contacts.remove(&primary), self.contacts.remove(&other)) else {
            return Err(Refusal::not_found());
        };
        if self.merging_makes_ids {
            self.last_id += 1;
            contact.id = self.last_id;
            self.merges.push((primary, contact.id));
        }
        let mut more: Vec<String> = contact.emails().skip(1).chain(gone.emails()).map(str::to_owned).collect();
        if contact.get("email").is_empty() && !gone.get("email").is_empty() {
            contact.properties.insert("email".to_owned(), gone.get("email").to_owned());
        }
        more.retain(|email| !email.is_empty() && email != contact.get("email"));
        for (name, value) in gone.properties {
            let is_unique = self.properties.get(&name).is_some_and(|property| property.is_unique);
            match contact.properties.get(&name) {
                _ if is_unique || matches!(name.as_str(), "email" | "hs_additional_emails") => {}
                Some(own) if name == "lifecyclestage" && rank(own) < rank(&value) => {
                    contact.properties.insert(name, value);
                }
                Some(_) => {}
                None => {
                    contact.properties.insert(name, value);
                }
            }
        }
        if !more.is_empty() {
            contact.properties.insert("hs_additional_emails".to_owned(), more.join(";"));
        }
        self.merges.push((other, contact.id));
        let merged = self.merges.iter().map(|(gone, _)| *gone).filter(|gone| self.survivor(*gone) == contact.id);
        let merged = merged.map(|gone| gone.to_string()).collect::<Vec<_>>().join(";");
        contact.properties.insert("hs_merged_object_ids".to_owned(), merged);
        let id = contact.id;
        self.contacts.insert(id, contact);
        Ok(id)
    }
}

/// How far a stage is; the account's own are beyond all others.
fn rank(stage: &str) -> usize {
    if stage.is_empty() { 0 } else { 1 + STAGES.iter().position(|known| *known == stage).unwrap_or(STAGES.len()) }
}
