//! Salesforce's errors, in its words.

use serde_json::{Value, json};

use crate::answer::Answer;

/// Why something is not done.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<String>,
    /// The records that a duplicate rule has found.
    pub(super) duplicates: Option<Box<Value>>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), duplicates: None }
    }

    pub(super) fn at(self, field: &str) -> Self {
        Self { fields: vec![field.to_owned()], ..self }
    }

    /// Of a call: a list, in which the code is an `errorCode`.
    pub(super) fn answer(self) -> Answer {
        Answer::json(self.status, &self.body())
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"message": self.message, "errorCode": self.code});
        if !self.fields.is_empty() {
            error["fields"] = json!(self.fields);
        }
        if let Some(duplicates) = &self.duplicates {
            error["duplicateResut"] = (**duplicates).clone();
        }
        json!([error])
    }

    /// Of one record of a collection, in which it is a `statusCode`.
    pub(super) fn result(&self) -> Value {
        let mut error = json!({"statusCode": self.code, "message": self.message, "fields": self.fields});
        if let Some(duplicates) = &self.duplicates {
            error["duplicateResut"] = (**duplicates).clone();
        }
        json!({"success": false, "errors": [error]})
    }
}

pub(super) fn expired() -> Refusal {
    Refusal::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
}

pub(super) fn no_access() -> Refusal {
    Refusal::new(400, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
}

pub(super) fn not_found() -> Refusal {
    Refusal::new(404, "NOT_FOUND", "The requested resource does not exist")
}

pub(super) fn no_object(object: &str) -> Refusal {
    Refusal::new(400, "INVALID_TYPE", format!("sObject type '{object}' is not supported."))
}

pub(super) fn no_column(object: &str, name: &str) -> Refusal {
    Refusal::new(400, "INVALID_FIELD", format!("No such column '{name}' on sobject of type {object}"))
}

pub(super) fn unreadable(message: &str) -> Refusal {
    Refusal::new(400, "JSON_PARSER_ERROR", message)
}

pub(super) fn versions() -> Answer {
    let version = |number: u32| json!({"label": "", "url": format!("/services/data/v{number}.0"), "version": format!("{number}.0")});
    Answer::json(200, &(59..=68).map(version).collect())
}

pub(super) fn limits(limit: u64, used: u64) -> Answer {
    Answer::json(200, &json!({"DailyApiRequests": {"Max": limit, "Remaining": limit.saturating_sub(used)}}))
}
