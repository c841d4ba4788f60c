//! What surrounds every route but the intake: a time limit, a net under panics, and headers for browsers.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use pipeline::identity::ERASE_MAX;
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// How long a call of the API may take, its body included.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Whoever has somebody erased hears how far it came, and gets the receipt.
const _: () = assert!(ERASE_MAX.as_secs() + 10 < CALL_TIMEOUT.as_secs());

pub(crate) fn around<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(from_fn(guarded))
}

async fn guarded(request: Request, next: Next) -> Response {
    let (method, path, began) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    // In a task of its own: what has begun is finished, also when its client has hung up or was told that it took too
    // long. A change that is stored must be shown.
    let answered = timeout(CALL_TIMEOUT, tokio::spawn(next.run(request))).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::error!(%error, "a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            let detail = "this takes too long to wait for; what was begun goes on, so look before you ask again";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }
    };
    let (status, took_ms) = (response.status().as_u16(), began.elapsed().as_millis());
    tracing::debug!(%method, path, status, took_ms, "answered");
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn check(router: Router, status: u16) {
        let request = http::Request::new(Body::empty());
        let response = around(router).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_for() {
        async fn broken() {
            panic!("this is part of the test");
        }
        check(Router::new().route("/", get(broken)), 500).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_never_ends_is_given_up() {
        check(Router::new().route("/", get(std::future::pending::<()>)), 504).await;
    }
}
