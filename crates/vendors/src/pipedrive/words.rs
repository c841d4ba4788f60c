//! Pipedrive's wording.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::request::Request;

/// Entries of a page, unless more are asked for.
const PAGE: usize = 100;
const PAGE_MAX: usize = 500;

/// Why nothing was done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    error: String,
    code: &'static str,
}

impl Refusal {
    pub(super) fn invalid(what: &str) -> Self {
        Self { status: 400, error: format!("Validation failed: {what}"), code: "ERR_SCHEMA_VALIDATION_FAILED" }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self { status: 404, error: format!("The {what} was not found"), code: "ERR_NOT_FOUND" }
    }

    pub(super) fn nowhere() -> Self {
        Self { status: 404, error: "Unknown method .".to_owned(), code: "ERR_NOT_FOUND" }
    }

    pub(super) fn gone() -> Self {
        Self { status: 410, error: "This endpoint is no longer available".to_owned(), code: "ERR_GONE" }
    }

    pub(super) fn forbidden(error: &str, code: &'static str) -> Self {
        Self { status: 403, error: error.to_owned(), code }
    }

    pub(super) fn answer(self) -> Answer {
        Answer::json(
            self.status,
            &json!({
                "success": false, "error": self.error, "code": self.code, "data": null, "additional_data": null,
                "error_info": "Please check developers.pipedrive.com for more information about Pipedrive API.",
            }),
        )
    }
}

pub(super) fn done(data: &Value) -> Answer {
    Answer::json(200, &json!({ "success": true, "data": data }))
}

/// A page of a list. The cursor is where the next one begins.
pub(super) fn page(request: &Request, all: impl Iterator<Item = Value>) -> Result<Answer, Refusal> {
    let number = |name: &str| request.parameter(name).map(|text| text.parse::<usize>());
    let limit = number("limit").unwrap_or(Ok(PAGE)).ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    let limit = limit.ok_or_else(|| Refusal::invalid("limit: must be between 1 and 500"))?;
    let start = number("cursor").unwrap_or(Ok(0)).map_err(|_| Refusal::invalid("cursor: is not a cursor"))?;
    let mut rest = all.skip(start);
    let data: Vec<Value> = rest.by_ref().take(limit).collect();
    let next = rest.next().map(|_| (start + limit).to_string());
    Ok(Answer::json(200, &json!({ "success": true, "data": data, "additional_data": { "next_cursor": next } })))
}

pub(super) fn unauthenticated() -> Answer {
    let error = json!({
        "success": false, "error": "unauthorized access", "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com for more information about Pipedrive API.",
    });
    Answer::json(401, &error)
}

pub(super) fn limited() -> Answer {
    let error = json!({
        "success": false, "error": "request over limit", "code": 429,
        "error_info": "Please check developers.pipedrive.com for more information about Pipedrive API.",
    });
    Answer::json(429, &error)
}

/// What the edge says to those who go on after a 429.
pub(super) fn blocked() -> Answer {
    Answer::page(
        403,
        "<!DOCTYPE html><html><head><title>Attention Required!</title></head><body>Sorry, you have been blocked</body></html>",
    )
}

pub(super) fn trouble(status: u16) -> Answer {
    Answer::json(status, &json!({ "success": false, "error": "Internal Server Error", "code": "ERR_UNKNOWN" }))
}
