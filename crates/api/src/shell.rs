//! What surrounds every route but the intake: a time limit, a net under panics, and headers for browsers.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::ApiState;

/// How long a call of the API may take, its body included.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) fn around(router: Router<ApiState>) -> Router<ApiState> {
    router.layer(from_fn(guarded))
}

async fn guarded(request: Request, next: Next) -> Response {
    let answered = timeout(CALL_TIMEOUT, AssertUnwindSafe(next.run(request)).catch_unwind()).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            let detail = "this took too long and was given up; ask for less at a time";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
