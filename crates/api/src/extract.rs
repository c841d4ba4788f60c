//! What handlers take: bodies, queries and path parameters, with every refusal as a problem document.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::problem::Problem;
use crate::state::ApiState;

/// Largest body of a call of the API other than publishing events, in bytes: room for a whole configuration.
pub(crate) const API_BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Largest body that does not count as large.
const SMALL_BODY_BYTES_MAX: usize = 16 * 1_024;
/// What all large bodies that are being read may take together, in bytes.
pub(crate) const LARGE_BODIES_BYTES_MAX: usize = 128 * 1_024 * 1_024;

/// A JSON body, read strictly: an unknown member is an error. An empty body is read as `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&state.large_bodies, &parts.headers, body, API_BODY_BYTES_MAX).await?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| json_problem(&error))
    }
}

/// The parameters after the `?`, read strictly.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            // `Failed to deserialize query string: <parameter>: <reason>`, and the first part says nothing to a caller.
            let text = error.body_text();
            let reason = text.split_once("query string: ").map_or(text.as_str(), |(_, reason)| reason);
            match reason.split_once(": ") {
                Some((parameter, reason)) => query_invalid(told(reason)).at(parameter),
                None => query_invalid(told(reason)),
            }
        })
    }
}

/// The one parameter of a path.
pub(crate) struct Path(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(text)| Self(text))
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "path_invalid", "the path is not valid UTF-8"))
    }
}

/// Reads a whole body of at most `bytes_max` bytes.
///
/// A length that says too much is refused before anything is read; one that says nothing is refused as soon as it is
/// too much. All large bodies together share a budget, so that a crowd of slow senders cannot fill the memory; small
/// ones, which is nearly all, do not ask for it.
pub(crate) async fn read_body(
    budget: &Semaphore,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "a compressed body is not accepted; send it without `Content-Encoding`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding_unsupported", detail));
    }
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > bytes_max {
        return Err(too_large(bytes_max));
    }
    let mut whole = Vec::new();
    let mut share = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body ended before it was complete")
        })?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > bytes_max {
            return Err(too_large(bytes_max));
        }
        if length > SMALL_BODY_BYTES_MAX && share.is_none() {
            let bytes = if expected > 0 { expected } else { bytes_max };
            share = Some(budget.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).map_err(|_| too_many())?);
        }
        // A frame is a slice of the connection's read buffer. An event is kept for a while, and would keep that whole
        // buffer, so its bytes get a home of their own, exactly as large as they are.
        if whole.is_empty() {
            whole.reserve_exact(data.len());
        }
        whole.extend_from_slice(&data);
    }
    whole.shrink_to_fit();
    Ok(whole.into())
}

fn too_many() -> Problem {
    Problem::busy(1, "too many large bodies are being received")
}

fn query_invalid(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query_invalid", detail)
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// What is wrong with a JSON body, and where.
fn json_problem(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&position).unwrap_or(&text);
    let (code, detail) = if error.is_data() {
        ("body_invalid", told(reason))
    } else {
        ("json_malformed", format!("the body is not valid JSON: {reason}"))
    };
    let problem = Problem::new(StatusCode::BAD_REQUEST, code, detail);
    if error.line() > 0 { problem.at_position(error.line(), error.column()) } else { problem }
}

/// serde's words, with the nearest known name where a name is unknown.
fn told(reason: &str) -> String {
    let Some(rest) = reason.strip_prefix("unknown field `") else {
        return reason.to_owned();
    };
    let names: Vec<&str> = rest.split('`').step_by(2).collect();
    let (unknown, known) = names.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let known: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(unknown, nearest) > 0.7 => {
            format!("`{unknown}` is not known here; did you mean `{nearest}`?")
        }
        Some(_) => format!("`{unknown}` is not known here; what is known is `{}`", known.join("`, `")),
        None => format!("`{unknown}` is not known here; nothing is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Sample {
        name: Option<String>,
        secrets: Option<Vec<String>>,
    }

    fn check(body: &str, code: &str, detail: &str) {
        let error = serde_json::from_str::<Sample>(body).unwrap_err();
        let problem = format!("{:?}", json_problem(&error));
        assert!(problem.contains(code) && problem.contains(detail), "{problem}");
    }

    #[test]
    fn an_unknown_member_is_told_with_the_nearest_known_one() {
        check(r#"{"nmae": "a"}"#, "body_invalid", "`nmae` is not known here; did you mean `name`?");
        check(r#"{"zzz": "a"}"#, "body_invalid", "`zzz` is not known here; what is known is `name`, `secrets`");
    }

    #[tokio::test]
    async fn large_bodies_share_a_budget_that_small_ones_do_not_need() {
        let budget = Semaphore::new(100_000);
        let read = async |bytes: usize| {
            read_body(&budget, &HeaderMap::new(), Body::from(vec![b'x'; bytes]), 200_000).await.map(|body| body.len())
        };
        assert_eq!(read(90_000).await, Ok(90_000));
        let held = budget.try_acquire_many(50_000).unwrap();
        assert_eq!(read(90_000).await.unwrap_err().code(), "busy");
        assert_eq!(read(40_000).await, Ok(40_000));
        assert_eq!(read(SMALL_BODY_BYTES_MAX).await, Ok(SMALL_BODY_BYTES_MAX));
        drop(held);
        assert_eq!(read(90_000).await, Ok(90_000));
    }

    #[test]
    fn a_body_that_is_not_json_is_told_with_its_position() {
        check("{\"name\":\n  oops}", "json_malformed", "Some((2, 3))");
    }
}
