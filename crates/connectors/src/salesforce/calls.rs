//! The requests.

use domain::connector::{HttpCall, Token};
use serde_json::{Map, Value, json};
use url::Url;

use super::settings::{Duplicates, Org};
use crate::common::USER_AGENT;

impl Org {
    pub(super) fn get(&self, token: Option<&Token>, path: &[&str]) -> HttpCall {
        call("GET", self.url(token, path), token, String::new())
    }

    pub(super) fn post(&self, token: Option<&Token>, path: &[&str], body: &Value) -> HttpCall {
        call("POST", self.url(token, path), token, body.to_string())
    }

    /// Records to write, each for itself: one that fails stops no other.
    pub(super) fn records(&self, token: Option<&Token>, path: &[&str], records: &[Value]) -> HttpCall {
        let body = json!({"allOrNone": false, "records": records}).to_string();
        let written = call("PATCH", self.url(token, path), token, body);
        match self.duplicates {
            Duplicates::Allow => written.header("Sforce-Duplicate-Rule-Header", "allowSave=true"),
            Duplicates::Reject | Duplicates::Adopt => written,
        }
    }

    /// Several requests in one, none of which stops another. Each is a method, a path with a query, a name and a body.
    pub(super) fn composite(&self, token: Option<&Token>, requests: &[Value], is_all_or_none: bool) -> HttpCall {
        self.post(token, &["composite"], &json!({"allOrNone": is_all_or_none, "compositeRequest": requests}))
    }

    /// The path of a resource with a query, for a request inside another one. Every part of it is encoded.
    pub(super) fn path(&self, path: &[&str], fields: &[&str]) -> String {
        let mut url = self.url(None, path);
        if !fields.is_empty() {
            url.query_pairs_mut().append_pair("fields", &fields.join(","));
        }
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", url.path())
    }
}

/// A request with a token.
pub(super) fn call(method: &'static str, url: Url, token: Option<&Token>, body: String) -> HttpCall {
    let mut call = HttpCall { method, ..HttpCall::post_json(url, body) };
    if call.body.is_empty() {
        call.headers.clear();
    }
    if let Some(token) = token {
        call = call.header("Authorization", format!("Bearer {}", token.secret.expose()));
    }
    call.header("User-Agent", USER_AGENT).with_long_reply()
}

/// A record of an object: what it is comes first, then what it is known by.
pub(super) fn record(object: &str, known_by: &str, id: &str, fields: Map<String, Value>) -> Value {
    let mut record = Map::new();
    record.insert("attributes".to_owned(), json!({"type": object}));
    record.insert(known_by.to_owned(), id.into());
    record.extend(fields);
    Value::Object(record)
}
