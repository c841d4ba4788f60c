//! `/webhooks/{source}`: the way in for signed webhooks. The hot path: nothing here but what the answer needs.

use std::panic::AssertUnwindSafe;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::event::BODY_BYTES_MAX;
use futures_util::FutureExt as _;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use pipeline::intake::Receipt;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::read_body;
use crate::problem::Problem;
use crate::state::ApiState;

/// What is answered for an event that is on disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookAnswer {
    /// Always `true`: the event is durable.
    received: bool,
    /// The id of the event; of a duplicate, the first one's.
    #[schema(examples("evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    /// Whether it was received before; it is then counted, not delivered again.
    duplicate: bool,
}

/// Receive a signed webhook
///
/// Takes the bytes as they are, whatever their content type says. When this answers 200, the event and everything it
/// owes to destinations is on disk. `{source}` is the name of a source in the appspace `default`, or the id of any.
#[utoipa::path(
    post,
    path = "/webhooks/{source}",
    tag = "intake",
    security(()),
    params(("source" = String, Path, description = "Name or id of a source")),
    request_body(
        content = Vec<u8>,
        content_type = "application/json",
        description = "The body as it was signed, at most 256 KiB",
    ),
    responses(
        (status = 200, description = "The event is durable", body = WebhookAnswer),
        (status = 401, description = "The signature is missing, malformed or wrong; `code` says which"),
        (status = 503, description = "Busy; send it again after `Retry-After` seconds"),
    ),
)]
pub(crate) async fn receive(State(state): State<ApiState>, request: Request) -> Response {
    let received = AssertUnwindSafe(receive_event(&state, request)).catch_unwind().await;
    match received {
        Ok(Ok(receipt)) => answer(receipt),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::internal().into_response(),
    }
}

async fn receive_event(state: &ApiState, request: Request) -> Result<Receipt, Problem> {
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    // The name is the rest of the path: names and ids need no decoding.
    let source = uri.path().strip_prefix("/webhooks/").unwrap_or_default().to_owned();
    // Like the headers, it lies in the connection's read buffer.
    drop(uri);
    let body = read_body(&state.large_bodies, &headers, body, BODY_BYTES_MAX).await;
    let body = body.inspect_err(|problem| count(state, problem))?;
    Ok(state.intake.receive(&source, headers, body).await?)
}

/// Counts a body that was refused before the intake saw it.
pub(crate) fn count(state: &ApiState, problem: &Problem) {
    state.metrics.reject(problem.code());
}

fn answer(receipt: Receipt) -> Response {
    let received = WebhookAnswer { received: true, id: receipt.id.to_string(), duplicate: receipt.duplicate };
    let mut response = Response::new(Body::from(serde_json::to_vec(&received).unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
