//! The wording of refusals.

use serde_json::{Value, json};

use crate::answer::Answer;

const CORRELATION: &str = "aeb5f871-7f07-4993-9211-075dc63e7cbf";

/// Why something is not done: of a whole call, or of one input of a batch.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: u16,
    category: &'static str,
    message: String,
    errors: Vec<Value>,
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, category: "VALIDATION_ERROR", message: message.into(), errors: Vec::new() }
    }

    /// Something is wrong with the values of properties: name, code and words of each.
    pub(super) fn values(faults: &[(String, &'static str, String)]) -> Self {
        let inside: Vec<_> = faults
            .iter()
            .map(|(name, code, message)| json!({"isValid": false, "message": message, "error": code, "name": name}))
            .collect();
        let errors = faults.iter().map(
            |(name, code, message)| json!({"message": message, "code": code, "context": {"propertyName": [name]}}),
        );
        Self {
            errors: errors.collect(),
            ..Self::invalid(format!("Property values were not valid: {}", Value::from(inside)))
        }
    }

    pub(super) fn conflict(id: u64) -> Self {
        let message = format!("Contact already exists. Existing ID: {id}");
        Self { status: 409, category: "CONFLICT", message, errors: Vec::new() }
    }

    /// What is to be made is there.
    pub(super) fn already(message: String) -> Self {
        Self { status: 409, category: "OBJECT_ALREADY_EXISTS", message, errors: Vec::new() }
    }

    pub(super) fn not_found() -> Self {
        let message = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.";
        Self { status: 404, category: "OBJECT_NOT_FOUND", message: message.to_owned(), errors: Vec::new() }
    }

    pub(super) fn nowhere() -> Self {
        Self { status: 404, category: "", message: "Not found".to_owned(), errors: Vec::new() }
    }

    pub(super) fn trouble() -> Self {
        Self { status: 500, category: "INTERNAL_ERROR", message: "internal error".to_owned(), errors: Vec::new() }
    }

    pub(super) fn missing_scope(scope: &str) -> Self {
        let message = "This app hasn't been granted all required scopes to make this call.".to_owned();
        let context = json!({"requiredGranularScopes": [scope]});
        let errors = vec![json!({"message": "One or more of the following scopes are required.", "context": context})];
        Self { status: 403, category: "MISSING_SCOPES", message, errors }
    }

    pub(super) fn answer(self) -> Answer {
        Answer::json(self.status, &self.body(None))
    }

    /// As a member of a batch's errors; `context` says whom it is about.
    pub(super) fn of_input(&self, context: Value) -> Value {
        self.body(Some(context))
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn body(&self, context: Option<Value>) -> Value {
        let mut body = json!({"status": "error", "message": self.message, "correlationId": CORRELATION, "category": self.category});
        if !self.errors.is_empty() {
            body["errors"] = self.errors.clone().into();
        }
        if let Some(context) = context {
            body["context"] = context;
            body["links"] = json!({});
            body["errors"] = self.errors.clone().into();
        }
        body
    }
}

pub(super) fn unauthenticated() -> Answer {
    let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication";
    let body = json!({"status": "error", "message": message, "correlationId": CORRELATION, "category": "INVALID_AUTHENTICATION"});
    Answer::json(401, &body)
}

pub(super) fn limited(policy: &str) -> Answer {
    let message = format!("You have reached your {} limit.", policy.to_lowercase());
    let body = json!({
        "status": "error", "message": message, "errorType": "RATE_LIMIT", "correlationId": CORRELATION, "policyName": policy,
    });
    Answer::json(429, &body)
}

/// 423 for a contact that somebody else is writing, 477 for an account that is being moved, and what servers say in trouble.
pub(super) fn trouble(status: u16) -> Answer {
    let message = match status {
        423 => "The resource is locked",
        477 => "The account is being migrated",
        _ => "internal error",
    };
    let answer = Answer::json(status, &json!({"status": "error", "message": message, "correlationId": CORRELATION}));
    if status == 477 { answer.with("retry-after", "60") } else { answer }
}
