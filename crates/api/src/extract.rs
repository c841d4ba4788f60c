//! What handlers take: bodies, queries and path parameters, with every refusal as a problem document.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest body of a call of the API other than publishing events, in bytes: room for a whole configuration.
pub(crate) const API_BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// A JSON body, read strictly: an unknown member is an error. An empty body is read as `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, API_BODY_BYTES_MAX).await?;
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
/// A length that says too much is refused before anything is read; one that says nothing is refused as soon as it is too
/// much. A body that came in one piece is not copied.
pub(crate) async fn read_body(headers: &HeaderMap, mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "a compressed body is not accepted; send it without `Content-Encoding`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding_unsupported", detail));
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body ended before it was complete")
        })?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.reserve(first.len() + data.len().max(usize::try_from(body.size_hint().lower()).unwrap_or(0)));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    // A frame is a slice of the connection's read buffer. An event is kept for a while, and would keep that whole buffer.
    Ok(if all.is_empty() { Bytes::copy_from_slice(&first) } else { all.freeze() })
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

    #[test]
    fn a_body_that_is_not_json_is_told_with_its_position() {
        check("{\"name\":\n  oops}", "json_malformed", "Some((2, 3))");
    }
}
