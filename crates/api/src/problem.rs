//! Problem documents (RFC 9457): the one shape of every error this API answers with.
//!
//! `code` is for programs and never changes its meaning; `detail` is for people and may. Nothing in a problem comes
//! from inside: a store that fails says so in the log and only that it failed in the answer.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use pipeline::RegistryError;
use pipeline::identity::{EraseError, FindError, IdentifyError, UnlinkError};
use pipeline::intake::Rejection;
use pipeline::reconcile::ReconcileError;
use serde::Serialize;
use storage::StoreError;
use utoipa::ToSchema;

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    place: Place,
    retry_after_secs: Option<u64>,
}

/// Where in the request the trouble is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    field: Option<String>,
    line_column: Option<(usize, usize)>,
}

/// A problem as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// A name for this kind of problem: `urn:afterclick:problem:` and the code.
    #[schema(examples("urn:afterclick:problem:event_not_found"))]
    r#type: String,
    /// The code in words.
    #[schema(examples("Event not found"))]
    title: String,
    /// The status of the answer, once more.
    #[schema(examples(404))]
    status: u16,
    /// For a person: what is wrong and what to do.
    detail: &'a str,
    /// For a program: stable.
    #[schema(examples("event_not_found"))]
    code: &'static str,
    /// The setting, member or parameter that is wrong, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The line of a body that is not JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column of a body that is not JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Problem {
    /// A problem with a stable code and a sentence for a person.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), place: Place::default(), retry_after_secs: None }
    }

    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// 404 for a noun of ours: also for one that belongs to another appspace, and for a text that is no id at all.
    pub(crate) fn not_found(noun: &'static str) -> Self {
        let code = match noun {
            "appspace" => "appspace_not_found",
            "source" => "source_not_found",
            "event" => "event_not_found",
            "destination" => "destination_not_found",
            "delivery" => "delivery_not_found",
            "replay" => "replay_not_found",
            "subject" => "subject_not_found",
            "key" => "key_not_found",
            _ => "not_found",
        };
        Self::new(StatusCode::NOT_FOUND, code, format!("there is no such {noun} here"))
    }

    /// 409 for an object that the configuration file owns.
    pub(crate) fn managed_by_file(noun: &str) -> Self {
        let detail =
            format!("this {noun} comes from the configuration file; change it there and run `afterclick apply`");
        Self::new(StatusCode::CONFLICT, "managed_by_file", detail)
    }

    /// 422 for one setting of a source or destination.
    pub(crate) fn setting(field: &str, message: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "setting_invalid", format!("setting `{field}` {message}")).at(field)
    }

    /// 422 for a member of the body that says something impossible.
    pub(crate) fn unprocessable(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "value_invalid", detail).at(field)
    }

    /// 500 that tells nothing; what happened is in the log.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the server's log says what",
        )
    }

    /// Names the member, setting or parameter that is wrong.
    #[must_use]
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.place.field = Some(field.into());
        self
    }

    /// Says more to a person.
    #[must_use]
    pub(crate) fn say_more(mut self, more: &str) -> Self {
        self.detail.push_str(more);
        self
    }

    /// Says where in a body the trouble is.
    #[must_use]
    pub(crate) fn at_position(mut self, line: usize, column: usize) -> Self {
        self.place.line_column = Some((line, column));
        self
    }

    /// 503 with the time after which to try again.
    pub(crate) fn busy(retry_after_secs: u64, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Self { retry_after_secs: Some(retry_after_secs.max(1)), ..problem }
    }
}

/// What every route that is not there answers.
pub(crate) async fn route_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", "there is nothing at this path; see `/v1/openapi.json`")
}

/// What a route answers to a method it does not have. The `Allow` header is put on by the router.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("this path does not take `{method}`; the `Allow` header says what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (line, column) = self.place.line_column.unzip();
        let document = ProblemDocument {
            r#type: format!("urn:afterclick:problem:{}", self.code),
            title: in_words(self.code),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            field: self.place.field.as_deref(),
            line,
            column,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        match self.status {
            StatusCode::UNAUTHORIZED if self.code.starts_with("key_") => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"afterclick\""));
            }
            // The rest of the body is not worth reading.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// `event_not_found` as `Event not found`.
fn in_words(code: &str) -> String {
    let mut words = code.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

// ---------------------------------------------------------------------------------------------------------------------

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy { retry_after, .. } => Self::busy(retry_after.as_secs(), error.to_string()),
            StoreError::NotFound { noun } => Self::not_found(noun),
            StoreError::NameTaken { .. } => Self::new(StatusCode::CONFLICT, "name_taken", error.to_string()),
            StoreError::Illegal(_) => Self::new(StatusCode::CONFLICT, "illegal_transition", error.to_string()),
            StoreError::IdempotencyMismatch => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", error.to_string())
            }
            StoreError::Limit(detail) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "limit_reached", detail),
            StoreError::Unreadable(_) => {
                tracing::error!(%error, "a request could not be done");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "record_unreadable", error.to_string())
            }
            StoreError::Failed(_) => {
                tracing::error!(%error, "a request could not be done");
                let detail = "the store failed; nothing was done, and the server's log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", detail)
            }
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let (code, member) = match error {
            RegistryError::Store(error) => return error.into(),
            RegistryError::Settings(error) => return Self::setting(&error.field, &error.message),
            RegistryError::UnknownKind(..) => ("kind_unknown", Some("kind")),
            RegistryError::UnknownConnector(..) => ("connector_unknown", Some("connector")),
            RegistryError::SecretCount => ("secret_count", Some("secrets")),
            RegistryError::Secret(_) => ("secret_invalid", Some("secrets")),
            RegistryError::Filter(_) => ("filter_invalid", Some("when")),
            RegistryError::Concurrency => ("concurrency_invalid", Some("concurrency")),
            RegistryError::Rate => ("rate_invalid", Some("rate")),
            RegistryError::Batch(_) => ("batch_invalid", Some("batch")),
            RegistryError::Volume(_) => ("volume_invalid", Some("volume")),
            RegistryError::Privacy(_) => ("privacy_invalid", Some("privacy")),
            RegistryError::TooMany(..) => ("limit_reached", None),
        };
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
        match member {
            Some(member) => problem.at(member),
            None => problem,
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection {
            Rejection::Store(error) => return error.into(),
            Rejection::UnknownSource => StatusCode::NOT_FOUND,
            Rejection::Signature(_) => StatusCode::UNAUTHORIZED,
            Rejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::Unreadable(_)
            | Rejection::UnreadableAt { .. }
            | Rejection::EventCount
            | Rejection::IdempotencyKey => StatusCode::BAD_REQUEST,
        };
        Self::new(status, rejection.code(), rejection.to_string())
    }
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        let detail = error.to_string();
        match error {
            FindError::NotFound => Self::new(StatusCode::NOT_FOUND, "subject_not_found", detail),
            FindError::Ambiguous(_) => Self::new(StatusCode::BAD_REQUEST, "key_ambiguous", detail).at("key"),
            FindError::Store(error) => error.into(),
        }
    }
}

impl From<IdentifyError> for Problem {
    fn from(error: IdentifyError) -> Self {
        let detail = error.to_string();
        let unprocessable =
            |code, field: &str, detail| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at(field);
        match error {
            IdentifyError::Nobody => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "identifier_missing", detail),
            IdentifyError::Twice(member) => unprocessable("value_invalid", member, detail),
            IdentifyError::Trait(name) if matches!(name.as_str(), "name" | "phone") => {
                unprocessable("trait_invalid", &name, detail)
            }
            IdentifyError::Trait(name) => unprocessable("trait_invalid", &format!("traits.{name}"), detail),
            IdentifyError::TooManyTraits => unprocessable("limit_reached", "traits", detail),
            IdentifyError::Conflict(apart) => {
                let problem = Self::new(StatusCode::CONFLICT, "identity_conflict", detail);
                match apart.first() {
                    Some((kind, _)) => problem.at(kind.member()),
                    None => problem,
                }
            }
            IdentifyError::Store(error) => error.into(),
        }
    }
}

impl From<UnlinkError> for Problem {
    fn from(error: UnlinkError) -> Self {
        match error {
            UnlinkError::NotFound => Self::new(StatusCode::NOT_FOUND, "subject_not_found", error.to_string()),
            UnlinkError::OfAnother => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "identifier_of_another", error.to_string())
            }
            UnlinkError::Store(error) => error.into(),
        }
    }
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::NotFound => Self::new(StatusCode::NOT_FOUND, "subject_not_found", error.to_string()),
            EraseError::IsAnother(_) => Self::new(StatusCode::CONFLICT, "subject_is_another", error.to_string()),
            EraseError::Unfinished(_) => Self { code: "erasure_unfinished", ..Self::busy(1, error.to_string()) },
            EraseError::Store(error) => error.into(),
        }
    }
}

impl From<ReconcileError> for Problem {
    fn from(error: ReconcileError) -> Self {
        let detail = error.to_string();
        match error {
            ReconcileError::NameTaken { .. } => Self::new(StatusCode::CONFLICT, "name_taken", detail),
            ReconcileError::Repeated { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "name_repeated", detail),
            ReconcileError::Refused { error: RegistryError::Store(error), .. } => error.into(),
            ReconcileError::Refused { error, .. } => Self { detail, ..error.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_a_title() {
        assert_eq!(in_words("event_not_found"), "Event not found");
    }

    #[test]
    fn a_busy_store_says_when_to_come_back() {
        let retry_after = std::time::Duration::from_millis(300);
        let error = StoreError::Busy { reason: storage::BusyReason::QueueFull, retry_after };
        let response = Problem::from(Rejection::Store(error)).into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(1)));
    }

    #[test]
    fn an_erasure_that_goes_on_with_the_next_call_says_so() {
        let problem = Problem::from(EraseError::Unfinished(300));
        assert_eq!((problem.code, problem.detail.contains("300 events")), ("erasure_unfinished", true));
        let response = problem.into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(1)));
    }

    #[test]
    fn a_store_that_failed_tells_nothing_of_its_inside() {
        let problem = Problem::from(StoreError::Failed("disk /var/lib/secret-place: EIO".into()));
        assert_eq!((problem.status.as_u16(), problem.code), (500, "store_failed"));
        assert!(!problem.detail.contains("secret-place"));
    }
}
