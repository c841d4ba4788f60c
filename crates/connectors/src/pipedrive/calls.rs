//! The calls that are made.

use domain::connector::{Call, HttpCall};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::settings::Account;
use crate::common::USER_AGENT;

/// Most entries of one page.
const PAGE: &str = "500";
/// Most hits of a search that are looked at.
pub(super) const HITS_MAX: usize = 20;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Entity {
    Person,
    Deal,
}

impl Entity {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Person => "persons",
            Self::Deal => "deals",
        }
    }

    pub(super) const fn fields_path(self) -> &'static str {
        match self {
            Self::Person => "personFields",
            Self::Deal => "dealFields",
        }
    }

    /// For a person who reads it.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Person => "people",
            Self::Deal => "deals",
        }
    }
}

impl Account {
    /// A page of custom and other fields.
    pub(super) fn list_fields(&self, entity: Entity, cursor: Option<&str>) -> Call {
        self.get(entity.fields_path(), &page(cursor))
    }

    pub(super) fn list_pipelines(&self, cursor: Option<&str>) -> Call {
        self.get("pipelines", &page(cursor))
    }

    pub(super) fn list_stages(&self, cursor: Option<&str>) -> Call {
        self.get("stages", &page(cursor))
    }

    pub(super) fn make_field(&self, entity: Entity, name: &str, kind: &str) -> Call {
        self.send(
            "POST",
            &format!("/api/v2/{}", entity.fields_path()),
            &json!({"field_name": name, "field_type": kind}),
        )
    }

    /// People by the value of one custom field, letter by letter.
    pub(super) fn find_by_key(&self, code: &str, key: &str) -> Call {
        self.get("itemSearch/field", &[("term", key), ("entity_type", "person"), ("match", "exact"), ("field", code)])
    }

    /// People by an address, whatever its case.
    pub(super) fn find_by_email(&self, email: &str) -> Call {
        self.get("persons/search", &[("term", email), ("fields", "email"), ("exact_match", "true")])
    }

    /// The deals of a person that are not archived.
    pub(super) fn list_deals(&self, person: u64) -> Call {
        self.get("deals", &[("person_id", &person.to_string()), ("limit", PAGE)])
    }

    /// One of them, for a hundredth of what a list costs; more than one in a list.
    pub(super) fn read_record(&self, entity: Entity, ids: &[u64]) -> Call {
        match ids {
            [id] => self.get(&format!("{}/{id}", entity.path()), &[]),
            ids => {
                let ids: Vec<_> = ids.iter().take(HITS_MAX).map(u64::to_string).collect();
                self.get(entity.path(), &[("ids", &ids.join(","))])
            }
        }
    }

    pub(super) fn create(&self, entity: Entity, body: &Value) -> Call {
        self.send("POST", &format!("/api/v2/{}", entity.path()), body)
    }

    pub(super) fn update(&self, entity: Entity, id: u64, body: &Value) -> Call {
        self.send("PATCH", &format!("/api/v2/{}/{id}", entity.path()), body)
    }

    /// Makes one record part of another one, whose values win. Only the first version of the API can do it.
    pub(super) fn merge(&self, entity: Entity, id: u64, into: u64) -> Call {
        self.send("PUT", &format!("/api/v1/{}/{id}/merge", entity.path()), &json!({ "merge_with_id": into }))
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Call {
        let mut url = format!("{}/api/v2/{path}", self.host);
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            url = format!("{url}?{query}");
        }
        let call = HttpCall::post_json(url, "");
        self.signed(HttpCall { method: "GET", headers: Vec::new(), ..call })
    }

    fn send(&self, method: &'static str, path: &str, body: &Value) -> Call {
        self.signed(HttpCall { method, ..HttpCall::post_json(format!("{}{path}", self.host), body.to_string()) })
    }

    fn signed(&self, call: HttpCall) -> Call {
        let call = call.with_long_reply().header("User-Agent", USER_AGENT).header("Accept", "application/json");
        Call::Http(call.header("x-api-token", self.token.as_str()))
    }
}

fn page(cursor: Option<&str>) -> Vec<(&'static str, &str)> {
    std::iter::once(("limit", PAGE)).chain(cursor.map(|cursor| ("cursor", cursor))).collect()
}
